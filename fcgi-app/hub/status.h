/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.h - the hub's answer on its status socket
 *
 * hub.status in server.run_dir: whoever connects gets one JSON object and the end of the
 * connection; docs/operations.md describes it.
 */
#ifndef HUB_STATUS_H
#define HUB_STATUS_H

#include "base/strbuf.h"
#include "hub/client.h"
#include "hub/keys.h"

#define HUB_STATUS_VERSION 1
#define HUB_STATUS_SOCKET "hub.status"

struct hub_status {
    int64_t started_us;
    const struct clients *clients;
    struct keys_status keys;
};

/* Append the JSON object. */
void hub_status_print(const struct hub_status *status, struct strbuf *out);

#endif
