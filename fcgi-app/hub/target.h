/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.h - what a request asks of the hub
 */
#ifndef HUB_TARGET_H
#define HUB_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "auth/key.h"
#include "base/arena.h"
#include "db/db.h"
#include "hub/scgi.h"

#define TARGET_SECONDS_MAX 60
#define TARGET_TENANT_SIZE 65
#define TARGET_THEN_SIZE 96
#define TARGET_EVENT_ID_SIZE 64
#define TARGET_REQUEST_ID_SIZE 65

struct target {
    bool is_stream;                           /* /internal/events; else /internal/wait */
    bool is_head;                             /* only the header of the answer is wanted */
    char job[DB_ID_SIZE];                     /* public id, not checked yet */
    char tenant[TARGET_TENANT_SIZE];          /* whose id it has to be */
    char key[KEY_ID_LENGTH + 1];              /* id of the key it came with; "": none */
    bool is_awaited;                          /* it was stored so, a moment ago */
    int64_t wait_us;                          /* 0 to TARGET_SECONDS_MAX seconds */
    char then[TARGET_THEN_SIZE];              /* where nginx goes afterwards */
    char last_event_id[TARGET_EVENT_ID_SIZE]; /* "": none, or none of ours */
};

/*
 * Read path and arguments; those of other names are ignored.
 * Errors: ERR_NOT_FOUND for another path; ERR_INVALID_REQUEST for arguments that are missing, given
 * twice or not well-formed. `then` begins with /internal/jobs/ or /internal/runs/ and has letters,
 * digits,
 * '_', '-' and '/' alone: it becomes a header field.
 */
int target_parse(struct arena *scratch, const struct scgi_request *request,
                 struct target *ret_target, struct error *reterr);

/* The request's id where it is one, else "". */
void target_request_id(const struct scgi_request *request, char ret_id[TARGET_REQUEST_ID_SIZE]);

#endif
