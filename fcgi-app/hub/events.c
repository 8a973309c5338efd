/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * events.c - see events.h
 */
#include "hub/events.h"

#include <stdio.h>

#include "api/job_view.h"

/* FNV-1a, 32 bits: enough to see that a text is another one. */
static uint32_t hash_text(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

void event_id(const struct job_row *row, char ret_id[TARGET_EVENT_ID_SIZE])
{
    double fraction = row->fraction > 0 ? row->fraction : 0; /* NaN: none */
    int ppm = fraction < 1 ? (int)(fraction * 1e6) : 1000000;
    (void)snprintf(ret_id, TARGET_EVENT_ID_SIZE, "%lld-%s-%d-%08x", (long long)row->lease,
                   job_state_name(row->state), ppm, hash_text(row->what));
}

void event_print(struct strbuf *out, struct arena *scratch, const struct db_secret *secret,
                 const struct job_row *row)
{
    char id[TARGET_EVENT_ID_SIZE];
    event_id(row, id);
    strbuf_addf(out, "id: %s\nevent: %s\ndata: ", id,
                job_state_is_final(row->state) ? "done" : "progress");
    strbuf_addstr(out, json_print(scratch, job_view(scratch, secret, row), NULL)); /* one line */
    strbuf_addstr(out, "\n\n");
}
