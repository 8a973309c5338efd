/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.c - see status.h
 */
#include "hub/status.h"

#include <math.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/run_socket.h"
#include "hub/hub.h"

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
    strbuf_addf(out, ",\"keys\":{\"count\":%d,\"age_s\":", status->keys.count);
    if (isfinite(status->keys.age_seconds))
        strbuf_addf(out, "%.3f}", status->keys.age_seconds);
    else
        strbuf_addstr(out, "null}");
    strbuf_addstr(out, ",\"totals\":{");
    for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
        strbuf_addf(out, "%s\"%s\":%llu", i > 0 ? "," : "", totals[i].name,
                    (unsigned long long)totals[i].value);
    strbuf_addstr(out, "}}\n");
}

int hub_status_fetch(const struct config *cfg, int timeout_ms, struct strbuf *ret_json,
                     struct error *reterr)
{
    return run_socket_fetch(cfg, HUB_STATUS_SOCKET, "The hub", timeout_ms, ret_json, reterr);
}
