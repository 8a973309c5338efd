/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attempt.c - one job's way: parameters, inputs, an executor, outputs
 *
 * Parameters are read only when an executor has room, so that a large claim does not hold up the
 * loop. Arenas are used again: at twenty thousand jobs a second the heap would show.
 */
#include "jobs/runner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define FEED_US 2000    /* of the loop, for preparing */
#define TRANSFERS_MAX 4 /* of blobs, each way */
#define TRIES_MAX 5     /* of a transfer that fails though the database is there */
#define TRANSFER_WAIT_US 500000
#define STALL_US 500000 /* without any end: what waits behind may go elsewhere */

static bool is_computing(enum attempt_place place)
{
    return place <= AT_CREW;
}

static void list_remove(struct attempt_list *list, struct attempt *t)
{
    *(t->previous ? &t->previous->next : &list->first) = t->next;
    *(t->next ? &t->next->previous : &list->last) = t->previous;
    t->next = t->previous = NULL;
    list->count--;
}

static void list_append(struct attempt_list *list, struct attempt *t)
{
    t->previous = list->last;
    t->next = NULL;
    *(list->last ? &list->last->next : &list->first) = t;
    list->last = t;
    list->count++;
}

static void leave_place(struct attempt *t)
{
    struct claim_class *c = &t->runner->classes[t->class];
    list_remove(&t->runner->places[t->place], t);
    c->held -= is_computing(t->place);
    c->with_crew -= t->place == AT_CREW;
}

static void enter_place(struct attempt *t, enum attempt_place place)
{
    struct claim_class *c = &t->runner->classes[t->class];
    t->place = place;
    list_append(&t->runner->places[place], t);
    c->held += is_computing(place);
    c->with_crew += place == AT_CREW;
}

void attempt_move(struct attempt *t, enum attempt_place place)
{
    leave_place(t);
    enter_place(t, place);
}

static enum attempt_place buffer_of(const struct attempt *t)
{
    return (enum attempt_place)(AT_BUFFERED + (int)t->class);
}

struct attempt *attempt_begin(struct runner *r, enum task_class class,
                              const struct job_claimed *job)
{
    struct arena *a = r->spare_count > 0 ? r->spare[--r->spare_count] : arena_new();
    struct attempt *t = arena_alloc(a, sizeof(*t));
    size_t size = strlen(job->params);
    t->runner = r;
    t->arena = a;
    t->id = job->id;
    t->lease = job->lease;
    t->claimed_us = clock_us();
    t->class = class;
    t->attempt = job->attempt;
    t->crashes = job->crashes;
    t->max_attempts = job->max_attempts;
    t->timeout_seconds = job->timeout_seconds;
    t->task_name = arena_strdup(a, job->task);
    t->params = arena_strndup(a, job->params, size);
    t->request_id = job->request_id ? arena_strdup(a, job->request_id) : NULL;
    policy_observe(&r->classes[class].mean_bytes, (double)size);
    enter_place(t, buffer_of(t));
    return t;
}

void attempt_free(struct attempt *t)
{
    struct runner *r = t->runner;
    leave_place(t);
    blob_transfer_cancel(t->transfer);
    struct arena *a = t->arena; /* t is in it */
    if (r->spare_count < SPARE_ARENAS_MAX) {
        arena_reset(a);
        r->spare[r->spare_count++] = a;
    } else {
        arena_free(a);
    }
}

/* ---- parameters */

static int find_task(struct attempt *t, struct error *reterr)
{
    const struct runner *r = t->runner;
    t->task = catalog_find(r->catalog, t->task_name);
    if (!t->task)
        return error_set(reterr, ERR_NOT_FOUND, "There is no task of that name any more.");
    for (int i = 0; i < r->task_count; i++) {
        if (r->tasks[i].name == t->task->name)
            return 0;
    }
    return error_set(reterr, ERR_UNAVAILABLE, "This host lacks the task's module.");
}

/* Public ids to keys: all that are none are reported. */
static int read_blob_ids(struct attempt *t, struct field_errors *errors, struct error *reterr)
{
    for (int i = 0; i < t->binding.blob_count; i++) {
        struct binding_blob *b = &t->binding.blobs[i];
        if (!db_id_parse(&t->runner->keeper.secret, DB_ID_BLOB, b->id, &b->key))
            field_errors_add(errors, b->pointer, "names a blob that does not exist");
    }
    if (errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "The parameters are not valid.");
    return 0;
}

static int read_params(struct attempt *t, struct field_errors *errors, struct error *reterr)
{
    cJSON *root;
    if (find_task(t, reterr) != 0)
        return -1;
    if (json_parse(t->arena, t->params, strlen(t->params), &root, reterr) != 0) {
        if (reterr->code == ERR_INVALID_REQUEST)
            reterr->code = ERR_INVALID_PARAMS; /* there is no request that could be wrong */
        return -1;
    }
    if (binding_read_json(t->arena, t->runner->config, t->task, root, "", &t->binding, errors,
                          reterr) != 0)
        return -1;
    return read_blob_ids(t, errors, reterr);
}

static void fill_run(struct attempt *t)
{
    const struct runner *r = t->runner;
    double most = r->config->jobs_max_timeout_seconds;
    char id[DB_ID_SIZE];
    db_id_format(&r->keeper.secret, DB_ID_JOB, t->id, id);
    t->run = (struct crew_run){.arena = t->arena,
                               .task = t->task,
                               .body = t->binding.body,
                               .inputs = t->binding.inputs,
                               .input_count = t->binding.input_count,
                               .seconds = t->task->seconds,
                               .seconds_limit = "seconds",
                               .owner = t};
    t->run.params = json_print(t->arena, t->binding.params, &t->run.params_size);
    if (!isnan(t->timeout_seconds)) {
        t->run.seconds = t->timeout_seconds < most ? t->timeout_seconds : most;
        t->run.seconds_limit =
            t->timeout_seconds < most ? "timeout_seconds" : "jobs.max_timeout_seconds";
    }
    (void)snprintf(t->run.label, sizeof(t->run.label), "%s", id);
}

/* Read its parameters; false when it went elsewhere: it failed, or waits for its inputs. */
static bool prepare(struct attempt *t)
{
    struct error error = {0};
    struct field_errors errors = {.arena = t->arena};
    if (t->is_prepared)
        return true;
    if (read_params(t, &errors, &error) != 0) {
        report_failure(t, &error, &errors);
        return false;
    }
    t->is_prepared = true;
    fill_run(t);
    if (t->binding.blob_count == 0)
        return true;
    attempt_move(t, AT_LOAD_QUEUE);
    return false;
}

static void submit(struct attempt *t)
{
    struct claim_class *c = &t->runner->classes[t->class];
    if (c->with_crew == 0)
        c->last_end_us = clock_us();
    t->run.body = t->binding.body;
    attempt_move(t, AT_CREW);
    crew_submit(t->runner->crew, &t->run);
}

bool attempts_feed(struct runner *r)
{
    int64_t until_us = clock_us() + FEED_US;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        struct claim_class *class = &r->classes[c];
        const struct attempt_list *buffer = &r->places[AT_BUFFERED + c];
        if (!buffer->first)
            continue;
        int room = crew_load(r->crew, (enum task_class)c).ready * policy_depth(class->mean_us);
        while (buffer->first && class->with_crew < room) {
            struct attempt *t = buffer->first;
            if (prepare(t))
                submit(t);
            if (clock_us() >= until_us)
                return true;
        }
    }
    return false;
}

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
    attempt_move(t, t->blob < t->binding.blob_count ? AT_LOAD_QUEUE : buffer_of(t));
}

static void load(struct attempt *t)
{
    const struct binding_blob *b = &t->binding.blobs[t->blob];
    t->blob_offset = t->binding.body->size;
    attempt_move(t, AT_LOADING);
    t->transfer =
        blob_load_send(t->runner->blobs, b->key, b->slot->max_bytes, t->binding.body, on_loaded, t);
}

/* ---- outputs */

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
    t->transfer =
        blob_save_send(t->runner->blobs, o->bytes, o->size, o->media_type, "", on_saved, t);
}

static void start_transfers(struct runner *r, enum attempt_place queue, enum attempt_place active,
                            void (*start)(struct attempt *t))
{
    int64_t now_us = clock_us();
    struct attempt *next;
    for (struct attempt *t = r->places[queue].first; t && r->places[active].count < TRANSFERS_MAX;
         t = next) {
        next = t->next;
        if (t->not_before_us <= now_us)
            start(t);
    }
}

void attempts_transfer(struct runner *r)
{
    if (!db_is_connected(r->blobs))
        return;
    start_transfers(r, AT_SAVE_QUEUE, AT_SAVING, save);
    start_transfers(r, AT_LOAD_QUEUE, AT_LOADING, load);
}

/* ---- what the crew says */

static void on_started(void *context, struct crew_run *run)
{
    (void)context;
    ((struct attempt *)run->owner)->is_begun = true;
}

static void on_ended(void *context, struct crew_run *run)
{
    struct runner *r = context;
    struct attempt *t = run->owner;
    struct claim_class *c = &r->classes[t->class];
    if (run->started_us > 0 && run->ended_us >= run->started_us) {
        double run_us = (double)(run->ended_us - run->started_us);
        policy_observe(&c->mean_us, run_us > 1 ? run_us : 1);
        c->last_end_us = run->ended_us;
    }
    if (t->is_gone) {
        attempt_free(t);
    } else if (run->end == CREW_RESULT && run->output_count > 0) {
        t->blob_keys = arena_alloc(t->arena, (size_t)run->output_count * sizeof(*t->blob_keys));
        t->blob_sha256 = arena_alloc(t->arena, (size_t)run->output_count * sizeof(*t->blob_sha256));
        t->tries = 0;
        t->not_before_us = 0;
        attempt_move(t, AT_SAVE_QUEUE);
    } else {
        report_end(t);
    }
}

struct crew_events attempt_crew_events(struct runner *r)
{
    return (struct crew_events){.started = on_started, .ended = on_ended, .context = r};
}

/* ---- all of them */

int attempts_count(const struct runner *r)
{
    int count = 0;
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++)
        count += r->places[place].count;
    return count;
}

struct attempt *attempt_find(struct runner *r, int64_t id)
{
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++) {
        for (struct attempt *t = r->places[place].first; t; t = t->next) {
            if (t->id == id && !t->is_gone)
                return t;
        }
    }
    return NULL;
}

struct runner_held *attempts_held(const struct runner *r, struct arena *a, int *ret_count)
{
    int count = 0;
    struct runner_held *held = arena_alloc(a, (size_t)attempts_count(r) * sizeof(*held));
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++) {
        for (const struct attempt *t = r->places[place].first; t; t = t->next) {
            if (!t->is_gone)
                held[count++] = (struct runner_held){.id = t->id, .lease = t->lease};
        }
    }
    *ret_count = count;
    return held;
}

static void stop_run(struct attempt *t, const char *why)
{
    struct error error;
    (void)error_set(&error, ERR_STOPPED, "%s", why);
    crew_stop(t->runner->crew, &t->run, &error);
}

void attempt_drop(struct attempt *t)
{
    if (t->place == AT_REPORTING) {
        t->is_gone = true; /* the answer to its report frees it */
    } else if (t->place == AT_CREW) {
        bool was_gone = t->is_gone;
        t->is_gone = true;
        if (!was_gone)
            stop_run(t, "The job was canceled.");
    } else {
        attempt_free(t);
    }
}

void attempts_drop_all(struct runner *r)
{
    struct attempt *next;
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++) {
        for (struct attempt *t = r->places[place].first; t; t = next) {
            next = t->next;
            if (place == AT_CREW || place == AT_REPORTING)
                t->is_gone = true;
            else
                attempt_free(t);
        }
    }
    crew_kill_all(r->crew);
}

static void return_place(struct runner *r, enum attempt_place place)
{
    struct attempt *next;
    for (struct attempt *t = r->places[place].first; t; t = next) {
        next = t->next;
        blob_transfer_cancel(t->transfer);
        t->transfer = NULL;
        report_untried(t);
    }
}

void attempts_return(struct runner *r)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++)
        return_place(r, (enum attempt_place)(AT_BUFFERED + c));
    return_place(r, AT_LOAD_QUEUE);
    return_place(r, AT_LOADING);
}

void attempts_stop(struct runner *r, bool begun_too)
{
    struct attempt *next;
    for (struct attempt *t = r->places[AT_CREW].first; t; t = next) {
        next = t->next;
        if (t->is_gone)
            continue;
        if (begun_too)
            stop_run(t, "The runner ends.");
        else
            (void)crew_withdraw(r->crew, &t->run);
    }
}

/* What an executor was sent ahead can still be taken back. */
static void withdraw(struct runner *r, enum task_class class)
{
    struct attempt *next;
    for (struct attempt *t = r->places[AT_CREW].first; t; t = next) {
        next = t->next;
        if (t->class == class && !t->is_begun && !t->is_gone)
            (void)crew_withdraw(r->crew, &t->run);
    }
}

void attempts_return_stalled(struct runner *r, int64_t now_us)
{
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        struct claim_class *class = &r->classes[c];
        if (class->with_crew == 0 || now_us - class->last_end_us < STALL_US ||
            class->mean_us >= STALL_US)
            continue;
        class->mean_us = STALL_US; /* claims follow it */
        return_place(r, (enum attempt_place)(AT_BUFFERED + c));
        withdraw(r, (enum task_class)c);
    }
}
