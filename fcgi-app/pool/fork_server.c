/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork_server.c - see fork_server.h
 *
 * A word is a number: a worker's index, and in answer its pid, or an error number below 0. What is
 * said first, 0, is that it is ready.
 */
#include "pool/fork_server.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/self.h"

#define ANSWER_SECONDS 2 /* the master does nothing else meanwhile; a fork takes a millisecond */

int fork_server_connect(int ret_ends[2], struct error *reterr)
{
    const struct timeval timeout = {.tv_sec = ANSWER_SECONDS};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_ends) != 0)
        return error_errno(reterr, "fork server: socketpair");
    (void)setsockopt(ret_ends[1], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return 0;
}

static bool say(int fd, int32_t word)
{
    return send(fd, &word, sizeof(word), MSG_NOSIGNAL) == (ssize_t)sizeof(word);
}

static bool hear(int fd, int flags, int32_t *ret_word)
{
    return recv(fd, ret_word, sizeof(*ret_word), flags) == (ssize_t)sizeof(*ret_word);
}

bool fork_server_is_ready(int fd)
{
    int32_t word;
    return hear(fd, MSG_DONTWAIT, &word);
}

int fork_server_ask(int fd, int index, pid_t *ret_pid, struct error *reterr)
{
    int32_t answer;
    if (!say(fd, index) || !hear(fd, 0, &answer)) {
        (void)error_set(reterr, ERR_UNAVAILABLE, "The fork server does not answer.");
        return error_cause(reterr, "fork server: %s", strerror(errno));
    }
    if (answer < 0) {
        errno = -answer;
        return error_errno(reterr, "fork server: clone");
    }
    *ret_pid = answer;
    return 0;
}

/*
 * glibc has no fork() for a sibling. What it would do besides is for locks that other threads hold,
 * of which there are none, and for handlers of libraries that have drawn random numbers.
 */
static pid_t fork_sibling(void)
{
    return (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_PARENT | SIGCHLD), 0UL, 0UL, 0UL, 0UL);
}

int fork_server_run(int fd)
{
    int32_t index;
    /* So that what executors compute does not count against them, where the kernel shares cores out
     * by sessions. It fails for the leader of a group, who has one of its own. */
    (void)setsid();
    bool goes_on = say(fd, 0);
    while (goes_on && hear(fd, 0, &index)) {
        pid_t pid = fork_sibling();
        if (pid == 0) {
            self_forget();
            (void)close(fd);
            return index;
        }
        goes_on = say(fd, pid < 0 ? -errno : pid);
    }
    return -1;
}
