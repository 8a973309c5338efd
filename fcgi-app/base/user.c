/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.c - see user.h
 */
#include "base/user.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

static int find_user(const char *user, const struct passwd **ret_pw, struct error *reterr)
{
    *ret_pw = getpwnam(user);
    if (!*ret_pw)
        return error_set(reterr, ERR_INTERNAL,
                         "There is no user '%.60s' to run as: create it, or set server.user.",
                         user);
    if ((*ret_pw)->pw_uid == 0)
        return error_set(reterr, ERR_INTERNAL,
                         "server.user is root, who must not run this: name an unprivileged user.");
    return 0;
}

/* Nothing of ours ever needs a capability, nor whatever it executes. */
static void drop_bounding_set(void)
{
    for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;
         capability++)
        continue;
}

int user_drop_root(const char *user, struct error *reterr)
{
    const struct passwd *pw;
    if (geteuid() != 0)
        return 0;
    if (find_user(user, &pw, reterr) != 0)
        return -1;
    drop_bounding_set();
    if (initgroups(user, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return error_errno(reterr, "drop root");
    if (setuid(0) == 0)
        return error_set(reterr, ERR_INTERNAL, "Root could not be given up.");
    return 0;
}

int user_give_file(const char *user, const char *path, struct error *reterr)
{
    const struct passwd *pw;
    if (geteuid() != 0)
        return 0;
    if (find_user(user, &pw, reterr) != 0)
        return -1;
    return lchown(path, pw->pw_uid, pw->pw_gid) == 0 ? 0 : error_errno(reterr, "give a file");
}

int user_give_descriptor(const char *user, int fd, struct error *reterr)
{
    const struct passwd *pw;
    if (geteuid() != 0)
        return 0;
    if (find_user(user, &pw, reterr) != 0)
        return -1;
    return fchown(fd, pw->pw_uid, pw->pw_gid) == 0 ? 0 : error_errno(reterr, "give a file");
}
