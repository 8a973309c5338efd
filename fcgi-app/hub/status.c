/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.c - see status.h
 */
#include "hub/status.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hub/hub.h"
#include "hub/listen.h"

void hub_status_print(const struct hub_status *status, struct strbuf *out)
{
    const struct clients *cs = status->clients;
    const struct client_counts *counts = &cs->counts;
    struct watch_status watch = watch_status(cs->watch);
    const struct {
        const char *name;
        uint64_t value;
    } totals[] = {{"ended", counts->ended},     {"timed_out", counts->timed_out},
                  {"streams", counts->streams}, {"left", counts->left},
                  {"slow", counts->slow},       {"refused", counts->refused},
                  {"invalid", counts->invalid}};
    strbuf_addf(out, "{\"version\":%d,\"pid\":%d,\"build\":\"%s\"", HUB_STATUS_VERSION,
                (int)getpid(), GANGSAW_VERSION);
    strbuf_addf(out, ",\"uptime_s\":%.3f,\"draining\":%s",
                (double)(clock_us() - status->started_us) / 1e6,
                cs->is_finishing ? "true" : "false");
    strbuf_addf(out,
                ",\"clients\":{\"limit\":%d,\"reading\":%d,\"held\":%d,\"waiting\":%d,"
                "\"leaving\":%d,\"streaming\":%d,\"ending\":%d}",
                cs->limit, cs->by_state[CLIENT_READING], cs->by_state[CLIENT_HELD],
                cs->by_state[CLIENT_WAITING], cs->by_state[CLIENT_LEAVING],
                cs->by_state[CLIENT_STREAMING], cs->by_state[CLIENT_ENDING]);
    strbuf_addf(out,
                ",\"jobs\":%d,\"database\":{\"connected\":%s,\"poll_s\":%.3f,\"statements\":%llu,"
                "\"notifications\":%llu}",
                watch.jobs, watch.is_connected ? "true" : "false", watch.poll_seconds,
                (unsigned long long)watch.statements, (unsigned long long)watch.notifications);
    strbuf_addstr(out, ",\"totals\":{");
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        strbuf_addf(out, "%s\"%s\":%llu", i > 0 ? "," : "", totals[i].name,
                    (unsigned long long)totals[i].value);
    strbuf_addstr(out, "}}\n");
}

static int connect_status(const struct config *cfg, int *ret_fd, struct error *reterr)
{
    struct sockaddr_un address;
    if (listen_address(cfg, "hub.status", &address, reterr) != 0)
        return -1;
    /* Non-blocking: behind a hub that hangs, connect() would wait for a place in its backlog. */
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(reterr, "status: socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)error_set(reterr, ERR_UNAVAILABLE, "The hub %s (%s: %s).",
                        errno == EACCES   ? "cannot be asked"
                        : errno == EAGAIN ? "does not answer"
                                          : "does not run",
                        address.sun_path, strerror(errno));
        (void)close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

int hub_status_fetch(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                     struct error *reterr)
{
    int fd = -1;
    if (connect_status(cfg, &fd, reterr) != 0)
        return -1;
    int64_t deadline_us = clock_us() + (int64_t)timeout_ms * 1000;
    char bytes[4096];
    ssize_t size = -1;
    do {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, clock_poll_ms(deadline_us)) <= 0)
            break;
        size = read(fd, bytes, sizeof(bytes));
        if (size > 0)
            strbuf_add(ret_json, bytes, (size_t)size);
    } while (size > 0);
    (void)close(fd);
    if (size != 0 || ret_json->size == 0)
        return error_set(reterr, ERR_UNAVAILABLE, "The hub did not answer.");
    return 0;
}
