/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.c - see listen.h
 */
#include "hub/listen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/user.h"

int listen_address(const struct config *cfg, const char *name, struct sockaddr_un *ret_address,
                   struct error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", cfg->server_run_dir, name);
    if (length < 0 || (size_t)length >= sizeof(address.sun_path))
        return error_set(reterr, ERR_INTERNAL, "server.run_dir is too long for a socket's name.");
    *ret_address = address;
    return 0;
}

/* Only a socket that nobody answers on is removed. */
static int remove_stale(const struct sockaddr_un *address, struct error *reterr)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return error_set(reterr, ERR_INTERNAL, "%s is there and is not a socket.",
                         address->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(reterr, "hub: socket");
    bool is_stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
                    errno == ECONNREFUSED;
    (void)close(fd);
    if (!is_stale)
        return error_set(reterr, ERR_INTERNAL, "Somebody listens on %s already.",
                         address->sun_path);
    (void)unlink(address->sun_path);
    return 0;
}

int listen_open(const struct config *cfg, const struct sockaddr_un *address, int backlog,
                int *ret_fd, struct error *reterr)
{
    if (remove_stale(address, reterr) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(reterr, "hub: socket");
    mode_t mask = umask(0117); /* owner and group */
    bool is_bound = bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0;
    int saved = errno;
    (void)umask(mask);
    if (!is_bound || listen(fd, backlog) != 0) {
        (void)error_set(reterr, ERR_INTERNAL, "Cannot listen on %s: %s.", address->sun_path,
                        strerror(is_bound ? errno : saved));
        (void)close(fd);
        return -1;
    }
    if (user_give_file(cfg->server_user, address->sun_path, reterr) != 0) {
        (void)unlink(address->sun_path);
        (void)close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}
