/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backlog.c - see backlog.h
 */
#include "pool/backlog.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ask(int netlink, uint32_t inode)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } message = {.header = {.nlmsg_len = sizeof(message),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST},
                 .request = {.sdiag_family = AF_UNIX,
                             .udiag_states = 1u << 10, /* TCP_LISTEN */
                             .udiag_ino = inode,
                             .udiag_show = UDIAG_SHOW_RQLEN,
                             .udiag_cookie = {~0U, ~0U}}};
    return send(netlink, &message, sizeof(message), 0) == (ssize_t)sizeof(message);
}

static bool read_answer(int netlink, int *ret_queued, int *ret_limit)
{
    _Alignas(struct nlmsghdr) char answer[4096];
    ssize_t size = recv(netlink, answer, sizeof(answer), 0);
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (size < (ssize_t)sizeof(*header) || !NLMSG_OK(header, (uint32_t)size) ||
        header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    const struct unix_diag_msg *found = NLMSG_DATA(header);
    const struct rtattr *attribute = (const struct rtattr *)(found + 1);
    long left = (long)header->nlmsg_len - (long)NLMSG_LENGTH(sizeof(*found));
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type != UNIX_DIAG_RQLEN)
            continue;
        const struct unix_diag_rqlen *lengths = RTA_DATA(attribute);
        *ret_queued = (int)lengths->udiag_rqueue;
        *ret_limit = (int)lengths->udiag_wqueue;
        return true;
    }
    return false;
}

bool backlog_read(int fd, int *ret_queued, int *ret_limit)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0)
        return false;
    struct timeval timeout = {.tv_usec = 200000};
    (void)setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    bool is_known =
        ask(netlink, (uint32_t)st.st_ino) && read_answer(netlink, ret_queued, ret_limit);
    (void)close(netlink);
    return is_known;
}
