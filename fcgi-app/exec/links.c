/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * links.c - see links.h
 *
 * A connection stays in the epoll set while a run has it, which spares two system calls for each
 * run; what comes of that one is for whoever waits for the run.
 */
#include "exec/links.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

#define EVENTS_AT_ONCE 8

int links_open(struct links *l, struct error *reterr)
{
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return l->epoll_fd < 0 ? error_errno(reterr, "links: epoll_create1") : 0;
}

static int remove_at(struct links *l, int i)
{
    int fd = l->kept[i].fd;
    l->kept[i] = l->kept[--l->count];
    return fd;
}

int links_take(struct links *l, int executor, pid_t pid)
{
    for (int i = 0; i < l->count; i++) {
        if (l->kept[i].executor != executor)
            continue;
        bool is_its = l->kept[i].pid == pid;
        int fd = remove_at(l, i);
        if (is_its)
            return fd;
        (void)close(fd);
        return -1;
    }
    return -1;
}

static bool is_watched(const struct links *l, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

void links_keep(struct links *l, int executor, pid_t pid, int fd, bool was_kept)
{
    if (l->epoll_fd < 0 || l->count == LINKS_MAX || (!was_kept && !is_watched(l, fd))) {
        (void)close(fd);
        return;
    }
    l->kept[l->count++] = (struct link){.executor = executor, .pid = pid, .fd = fd};
}

/* Nothing else than the end. What is kept is asked, not taken: with it would come descriptors. */
static bool has_hung_up(int fd, uint32_t events)
{
    char byte;
    return (events & (EPOLLHUP | EPOLLERR)) && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

bool links_next_end(struct links *l, struct link *ret_link, bool *ret_has_spoken)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = l->epoll_fd < 0 ? 0 : epoll_wait(l->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int k = 0; k < count; k++) {
        for (int i = 0; i < l->count; i++) {
            if (l->kept[i].fd != events[k].data.fd)
                continue;
            *ret_link = l->kept[i];
            *ret_has_spoken = !has_hung_up(ret_link->fd, events[k].events);
            (void)close(remove_at(l, i));
            return true;
        }
    }
    return false;
}

void links_release(struct links *l)
{
    while (l->count > 0)
        (void)close(l->kept[--l->count].fd);
    if (l->epoll_fd >= 0)
        (void)close(l->epoll_fd);
    l->epoll_fd = -1;
}
