/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transfer.c - the bytes of attempts: inputs come from the database, outputs go there
 *
 * A few at a time each way, on a connection of their own, so that no claim waits behind a large
 * file.
 */
#include <string.h>

#include "base/clock.h"
#include "jobs/runner.h"

#define TRANSFERS_MAX 4 /* of blobs, each way */
#define TRIES_MAX 5     /* of a transfer that fails though the database is there */
#define TRANSFER_WAIT_US 500000
#define INPUT_BYTES 268435456 /* of blobs that are loaded ahead */

/* ---- inputs */

static void fail_blob(struct attempt *t, const struct error *why)
{
    struct field_errors errors = {.arena = t->arena};
    struct error error = *why;
    if (why->code == ERR_GONE) {
        (void)error_set(&error, ERR_INVALID_PARAMS, "The parameters are not valid.");
        field_errors_add(&errors, t->binding.blobs[t->blob].pointer,
                         "names a blob that does not exist any more");
    }
    t->runner->classes[t->class].last_end_us = clock_us();
    report_failure(t, &error, &errors);
}

/* The same again a little later. False when it was tried often enough. */
static bool try_transfer_again(struct attempt *t, enum attempt_place place, const struct error *why)
{
    if (why->code != ERR_UNAVAILABLE && ++t->tries >= TRIES_MAX)
        return false;
    t->not_before_us = clock_us() + TRANSFER_WAIT_US;
    attempt_move(t, place);
    return true;
}

static void on_loaded(void *context, const struct blob_info *info, const struct error *error)
{
    struct attempt *t = context;
    struct error why = {0};
    t->transfer = NULL;
    if (!info) {
        t->binding.body->size = t->blob_offset; /* what has come is not all */
        bool may_pass = error->code == ERR_UNAVAILABLE || error->code == ERR_INTERNAL;
        if (!may_pass || !try_transfer_again(t, AT_LOAD_QUEUE, error))
            fail_blob(t, error);
        return;
    }
    if (binding_place_blob(t->arena, t->task, &t->binding, t->blob, t->blob_offset, info, &why) !=
        0) {
        fail_blob(t, &why);
        return;
    }
    t->blob++;
    t->runner->input_bytes += t->binding.body->size - t->input_bytes;
    t->input_bytes = t->binding.body->size;
    if (t->blob == t->binding.blob_count)
        t->load_us = clock_us() - t->load_us;
    attempt_move(t, t->blob < t->binding.blob_count ? AT_LOAD_QUEUE : attempt_buffer(t));
}

/* Some more than executors can take, so that they need not wait; of large ones fewer. What has
 * begun goes on: its memory is taken already. */
static bool may_load(const struct attempt *t)
{
    const struct runner *r = t->runner;
    const struct claim_class *c = &r->classes[t->class];
    int given = c->with_crew + c->ahead;
    if (t->is_loading || given < crew_load(r->generation->crew, t->class).ready)
        return true;
    return given < attempts_room(r, t->class, clock_us()) + TRANSFERS_MAX &&
           r->input_bytes < INPUT_BYTES && !attempts_are_kept_back(r);
}

static void load(struct attempt *t)
{
    const struct binding_blob *b = &t->binding.blobs[t->blob];
    if (!t->is_loading)
        t->load_us = clock_us();
    t->blob_offset = t->binding.body->size;
    attempt_move(t, AT_LOADING);
    t->transfer =
        blob_load_send(t->runner->blobs, b->key, b->slot->max_bytes, t->binding.body, on_loaded, t);
}

/* ---- outputs */

void attempt_save_outputs(struct attempt *t)
{
    t->output = 0;
    t->tries = 0;
    t->not_before_us = 0;
    attempt_move(t, AT_SAVE_QUEUE);
}

static void add_output(struct attempt *t, struct strbuf *out, int i)
{
    const struct compute_output *o = &t->run.outputs[i];
    strbuf_addstr(out, i > 0 ? ",{\"name\":" : "{\"name\":");
    strbuf_add_json(out, o->name, strlen(o->name));
    strbuf_addstr(out, ",\"media_type\":");
    strbuf_add_json(out, o->media_type, strlen(o->media_type));
    strbuf_addf(out, ",\"size\":%zu,\"sha256\":\"%s\",\"blob\":%lld}", o->size, t->blob_sha256[i],
                (long long)t->blob_keys[i]);
}

static void finish_outputs(struct attempt *t)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addch(&out, '[');
    for (int i = 0; i < t->run.output_count; i++)
        add_output(t, &out, i);
    strbuf_addch(&out, ']');
    t->outputs_json = arena_strndup(t->arena, out.text, out.size);
    strbuf_release(&out);
    report_end(t);
}

static void on_saved(void *context, const struct blob_info *info, const struct error *error)
{
    struct attempt *t = context;
    t->transfer = NULL;
    if (!info) {
        if (!try_transfer_again(t, AT_SAVE_QUEUE, error)) {
            t->run.end = CREW_ERROR;
            t->run.error = *error;
            report_end(t);
        }
        return;
    }
    if (t->output == 0)
        t->saved_us = clock_us();
    t->blob_keys[t->output] = info->key;
    memcpy(t->blob_sha256[t->output], info->sha256, sizeof(info->sha256));
    t->output++;
    if (t->output < t->run.output_count)
        attempt_move(t, AT_SAVE_QUEUE);
    else
        finish_outputs(t);
}

static void save(struct attempt *t)
{
    const struct compute_output *o = &t->run.outputs[t->output];
    attempt_move(t, AT_SAVING);
    t->transfer = blob_save_send(t->runner->blobs, t->tenant, o->bytes, o->size, o->media_type, "",
                                 on_saved, t);
}

/* may_start NULL: each may. */
static void start_transfers(struct runner *r, enum attempt_place queue, enum attempt_place active,
                            bool (*may_start)(const struct attempt *t),
                            void (*start)(struct attempt *t))
{
    int64_t now_us = clock_us();
    struct attempt *next;
    for (struct attempt *t = r->places[queue].first; t && r->places[active].count < TRANSFERS_MAX;
         t = next) {
        next = t->next;
        if (t->not_before_us <= now_us && (!may_start || may_start(t)))
            start(t);
    }
}

void attempts_transfer(struct runner *r)
{
    if (!db_is_connected(r->blobs))
        return;
    start_transfers(r, AT_SAVE_QUEUE, AT_SAVING, NULL, save);
    start_transfers(r, AT_LOAD_QUEUE, AT_LOADING, may_load, load);
}
