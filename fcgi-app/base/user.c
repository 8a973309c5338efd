/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.c - see user.h
 */
#include "base/user.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

int user_drop_root(const char *user, struct error *reterr)
{
    if (geteuid() != 0)
        return 0;
    const struct passwd *pw = getpwnam(user);
    if (!pw)
        return error_set(reterr, ERR_INTERNAL,
                         "There is no user '%.60s' to run as: create it, or set server.user.", user);
    if (pw->pw_uid == 0)
        return error_set(reterr, ERR_INTERNAL,
                         "server.user is root, who must not run this: name an unprivileged user.");
    if (initgroups(user, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return error_errno(reterr, "drop root");
    if (setuid(0) == 0)
        return error_set(reterr, ERR_INTERNAL, "Root could not be given up.");
    return 0;
}
