/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attempt.c - one job's way: parameters, an executor, and back where it is too much
 *
 * Parameters are read only when an executor has room, so that a large claim does not hold up the
 * loop. Arenas are used again: at twenty thousand jobs a second the heap would show.
 */
#include "jobs/runner.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define FEED_US 2000         /* of the loop, for preparing */
#define OBSERVED_MAX 16      /* runs of one look: after these the mean is theirs */
#define TO_LOAD_MAX 64       /* of one class, prepared for the sake of what stands behind them */
#define KEPT_BYTES 268435456 /* of results, before nothing more is computed */
#define STALL_US 10000       /* nothing has ended for so long: that is no process's turn any more */
#define SURPLUS_US 50000     /* a single slow run is no reason to give jobs back */
#define PARAMS_BYTES 16777216 /* or http.max_json_bytes */

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

/* Before `next`; NULL: as the last one. */
static void list_insert(struct attempt_list *list, struct attempt *next, struct attempt *t)
{
    t->previous = next ? next->previous : list->last;
    t->next = next;
    *(t->previous ? &t->previous->next : &list->first) = t;
    *(next ? &next->previous : &list->last) = t;
    list->count++;
}

static bool is_buffered(enum attempt_place place)
{
    return place < AT_LOAD_QUEUE;
}

static void count_place(const struct attempt *t, int sign)
{
    struct claim_class *c = &t->runner->classes[t->class];
    bool is_to_load = t->place == AT_LOAD_QUEUE || t->place == AT_LOADING;
    if (!is_computing(t->place))
        return;
    if (c->held == 0)
        c->last_end_us = clock_us();
    c->held += sign;
    c->held_bytes += sign * (double)t->params_size;
    c->with_crew += sign * (t->place == AT_CREW);
    c->to_load += sign * is_to_load;
    c->ahead += sign * (t->is_loading && t->place != AT_CREW);
}

static void leave_place(struct attempt *t)
{
    list_remove(&t->runner->places[t->place], t);
    count_place(t, -1);
}

/* What has waited for its inputs was claimed before those that stand in the buffer. */
static void enter_place(struct attempt *t, enum attempt_place place)
{
    struct attempt_list *list = &t->runner->places[place];
    struct attempt *next = NULL;
    if (is_buffered(place) && t->is_loading) {
        for (next = list->first; next && next->is_loading; next = next->next)
            continue;
    }
    t->place = place;
    list_insert(list, next, t);
    count_place(t, 1);
}

void attempt_move(struct attempt *t, enum attempt_place place)
{
    leave_place(t);
    t->is_loading = t->is_loading || place == AT_LOADING;
    enter_place(t, place);
}

enum attempt_place attempt_buffer(const struct attempt *t)
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
    t->has_blobs = job->has_blobs;
    t->claimed_us = clock_us();
    t->wait_us = job->wait_us;
    t->class = class;
    t->attempt = job->attempt;
    t->crashes = job->crashes;
    t->max_attempts = job->max_attempts;
    t->timeout_seconds = job->timeout_seconds;
    t->task_name = arena_strdup(a, job->task);
    t->params = arena_strndup(a, job->params, size);
    t->params_size = size;
    t->tenant = arena_strdup(a, job->tenant);
    t->request_id = job->request_id ? arena_strdup(a, job->request_id) : NULL;
    t->traceparent = job->traceparent ? arena_strdup(a, job->traceparent) : NULL;
    policy_observe(&r->classes[class].mean_bytes, (double)size);
    enter_place(t, attempt_buffer(t));
    return t;
}

/* They may be large, and are of no use once the run has ended. */
static void release_inputs(struct attempt *t)
{
    t->runner->input_bytes -= t->input_bytes;
    t->input_bytes = 0;
    payload_release(t->binding.body);
}

void attempt_keep(struct attempt *t, size_t bytes)
{
    t->runner->kept_bytes += bytes - t->kept_bytes;
    t->kept_bytes = bytes;
}

size_t attempt_output_bytes(const struct attempt *t)
{
    size_t bytes = 0;
    for (int i = 0; i < t->run.output_count; i++)
        bytes += t->run.outputs[i].size;
    return bytes;
}

bool attempts_are_kept_back(const struct runner *r)
{
    return r->kept_bytes > KEPT_BYTES;
}

void attempt_free(struct attempt *t)
{
    struct runner *r = t->runner;
    report_dropped(t);
    leave_place(t);
    blob_transfer_cancel(t->transfer);
    release_inputs(t);
    attempt_keep(t, 0);
    if (t->generation)
        t->generation->attempts--;
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
    struct runner_generation *g = r->generation;
    t->task = catalog_find(g->catalog, t->task_name);
    if (!t->task)
        return error_set(reterr, ERR_NOT_FOUND, "There is no task of that name any more.");
    t->generation = g;
    g->attempts++;
    for (int i = 0; i < g->task_count; i++) {
        if (g->tasks[i].name == t->task->name)
            return 0;
    }
    return error_set(reterr, ERR_UNAVAILABLE, "This host lacks the task's module.");
}

/* Public ids to keys: all that are none are reported. An application may give any tenant's jobs
 * files that it has uploaded for all. */
static int read_blob_ids(struct attempt *t, struct field_errors *errors, struct error *reterr)
{
    for (int i = 0; i < t->binding.blob_count; i++) {
        struct binding_blob *b = &t->binding.blobs[i];
        const struct db_secret *secret = &t->runner->keeper.secret;
        if (!db_id_parse(secret, DB_ID_BLOB, t->tenant, b->id, &b->key) &&
            !db_id_parse(secret, DB_ID_BLOB, "", b->id, &b->key))
            field_errors_add(errors, b->pointer, "names a blob that does not exist");
    }
    if (errors->count > 0)
        return error_set(reterr, ERR_INVALID_PARAMS, "The parameters are not valid.");
    return 0;
}

static int read_params(struct attempt *t, struct field_errors *errors, struct error *reterr)
{
    cJSON *root;
    int64_t most = t->runner->config->http_max_json_bytes;
    if (find_task(t, reterr) != 0)
        return -1;
    if (most < PARAMS_BYTES)
        most = PARAMS_BYTES;
    if (t->params_size > (size_t)most)
        return error_set(reterr, ERR_INVALID_PARAMS, "The parameters are longer than %lld bytes.",
                         (long long)most);
    if (json_parse(t->arena, t->params, t->params_size, &root, reterr) != 0) {
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
    db_id_format(&r->keeper.secret, DB_ID_JOB, t->tenant, t->id, t->run.label);
}

/* Read its parameters; false when it went elsewhere: it failed, or waits for its inputs. */
static bool prepare(struct attempt *t)
{
    struct error error = {0};
    struct field_errors errors = {.arena = t->arena};
    if (t->is_prepared)
        return true;
    if (read_params(t, &errors, &error) != 0) {
        t->runner->classes[t->class].last_end_us = clock_us();
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
    crew_submit(t->generation->crew, &t->run);
}

/*
 * The next `count`; those behind what may be a blob job too many wait. All of them before the first
 * is submitted: orders that are sent at a stretch do not wake their executor one by one. False when
 * the time was over.
 */
static bool prepare_next(const struct claim_class *c, const struct attempt_list *buffer, int count,
                         int64_t until_us)
{
    struct attempt *next;
    for (struct attempt *t = buffer->first; t && count > 0; t = next) {
        next = t->next;
        if (!t->is_prepared && c->to_load >= TO_LOAD_MAX)
            return true;
        count -= prepare(t);
        if (clock_us() >= until_us)
            return false;
    }
    return true;
}

struct policy_load attempts_load(const struct runner *r, enum task_class class, int64_t now_us)
{
    const struct claim_class *c = &r->classes[class];
    return (struct policy_load){.slots = crew_load(r->generation->crew, class).ready,
                                .held = c->held,
                                .held_bytes = c->held_bytes,
                                .mean_us = attempts_mean_us(c, now_us),
                                .mean_bytes = c->mean_bytes};
}

int64_t attempts_rest_us(const struct runner *r, int64_t now_us)
{
    int64_t rest_us = 0;
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        struct policy_load load = attempts_load(r, (enum task_class)i, now_us);
        int with_crew = r->classes[i].with_crew;
        int64_t us = policy_rest_us(&load, with_crew);
        if (with_crew > 0 && us == 0)
            return 0;
        if (us > 0 && (rest_us == 0 || us < rest_us))
            rest_us = us;
    }
    return rest_us;
}

int attempts_room(const struct runner *r, enum task_class class, int64_t now_us)
{
    double mean_us = attempts_mean_us(&r->classes[class], now_us);
    return crew_load(r->generation->crew, class).ready * policy_depth(mean_us);
}

bool attempts_feed(struct runner *r)
{
    int64_t now_us = clock_us(), until_us = now_us + FEED_US;
    bool is_complete = true;
    if (attempts_are_kept_back(r))
        return false;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        struct claim_class *class = &r->classes[c];
        const struct attempt_list *buffer = &r->places[AT_BUFFERED + c];
        if (!buffer->first)
            continue;
        int most = attempts_room(r, (enum task_class)c, now_us);
        is_complete = prepare_next(class, buffer, most - class->with_crew, until_us) && is_complete;
        while (buffer->first && buffer->first->is_prepared && class->with_crew < most)
            submit(buffer->first);
    }
    return !is_complete;
}

/* ---- what the crew says */

static void on_started(void *context, struct crew_run *run)
{
    (void)context;
    ((struct attempt *)run->owner)->is_begun = true;
}

/* An attempt takes its class as long as the slower of loading and computing does. */
static void observe(struct claim_class *c, const struct attempt *t)
{
    const struct crew_run *run = &t->run;
    if (run->started_us == 0 || run->ended_us < run->started_us)
        return;
    int64_t us = run->ended_us - run->started_us, cpu_us = run->cpu_us;
    if (us < t->load_us)
        us = cpu_us = t->load_us; /* a wait for the database is none for a core */
    c->ended_us += us > 1 ? (double)us : 1;
    c->ended_cpu_us += (double)cpu_us;
    c->ended_count++;
    c->last_end_us = run->ended_us;
}

void attempts_observe(struct runner *r)
{
    for (int i = 0; i < TASK_CLASS_COUNT; i++) {
        struct claim_class *c = &r->classes[i];
        if (c->ended_count == 0)
            continue;
        double mean_us = c->ended_us / c->ended_count;
        if (i == TASK_CPU)
            mean_us = policy_run_us(mean_us, c->ended_cpu_us / c->ended_count);
        for (int k = 0; k < c->ended_count && k < OBSERVED_MAX; k++)
            policy_observe(&c->mean_us, mean_us);
        c->ended_us = c->ended_cpu_us = 0;
        c->ended_count = 0;
    }
}

static void on_ended(void *context, struct crew_run *run)
{
    struct runner *r = context;
    struct attempt *t = run->owner;
    observe(&r->classes[t->class], t);
    release_inputs(t);
    if (t->is_gone) {
        attempt_free(t);
    } else if (run->end == CREW_RESULT && run->output_count > 0) {
        t->blob_keys = arena_alloc(t->arena, (size_t)run->output_count * sizeof(*t->blob_keys));
        t->blob_sha256 = arena_alloc(t->arena, (size_t)run->output_count * sizeof(*t->blob_sha256));
        attempt_keep(t, attempt_output_bytes(t));
        attempt_save_outputs(t);
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

struct attempt *attempt_find(struct runner *r, int64_t id, int64_t lease)
{
    for (int place = 0; place < ATTEMPT_PLACE_COUNT; place++) {
        for (struct attempt *t = r->places[place].first; t; t = t->next) {
            if (t->id == id && t->lease == lease && !t->is_gone)
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
    crew_stop(t->generation->crew, &t->run, &error);
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
    for (struct runner_generation *g = r->generation; g; g = g->next)
        crew_kill_all(g->crew);
}

static void give_back(struct attempt *t)
{
    blob_transfer_cancel(t->transfer);
    t->transfer = NULL;
    release_inputs(t);
    report_untried(t);
}

static void return_place(struct runner *r, enum attempt_place place)
{
    while (r->places[place].first)
        give_back(r->places[place].first);
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
            (void)crew_withdraw(t->generation->crew, &t->run);
    }
}

double attempts_mean_us(const struct claim_class *c, int64_t now_us)
{
    double age_us = c->held > 0 ? (double)(now_us - c->last_end_us) : 0;
    return c->mean_us > 0 && age_us > c->mean_us && age_us > STALL_US ? age_us : c->mean_us;
}

/* Those that were claimed last first; executors give back what they were sent ahead. */
static int return_last(struct runner *r, enum task_class class, enum attempt_place place, int count,
                       bool loaded_too)
{
    struct attempt *previous;
    for (struct attempt *t = r->places[place].last; t && count > 0; t = previous) {
        previous = t->previous;
        if (t->class != class || t->is_gone || (t->is_loading && !loaded_too))
            continue;
        if (place != AT_CREW)
            give_back(t);
        else if (t->is_begun || !crew_withdraw(t->generation->crew, &t->run))
            continue;
        count--;
    }
    return count;
}

static void return_some(struct runner *r, enum task_class class, int count)
{
    enum attempt_place buffer = (enum attempt_place)(AT_BUFFERED + (int)class);
    count = return_last(r, class, buffer, count, false);
    count = return_last(r, class, AT_LOAD_QUEUE, count, true);
    count = return_last(r, class, AT_LOADING, count, true);
    count = return_last(r, class, buffer, count, true);
    (void)return_last(r, class, AT_CREW, count, true);
}

static void return_surplus(struct runner *r, enum task_class class, int64_t now_us)
{
    struct claim_class *c = &r->classes[class];
    struct policy_load load = {
        .slots = c->can.slots, .held = c->held, .mean_us = attempts_mean_us(c, now_us)};
    int surplus = policy_surplus(&load);
    if (surplus == 0) {
        c->surplus_since_us = 0;
    } else if (c->surplus_since_us == 0) {
        c->surplus_since_us = now_us;
    } else if (now_us - c->surplus_since_us >= SURPLUS_US) {
        c->surplus_since_us = 0;
        c->mean_us = load.mean_us; /* claims follow it */
        return_some(r, class, surplus);
    }
}

int64_t attempts_return_surplus(struct runner *r, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        const struct claim_class *c = &r->classes[class];
        return_surplus(r, (enum task_class) class, now_us);
        if (c->held > c->can.slots) /* fewer are never too many */
            next_us = now_us + SURPLUS_US;
    }
    return next_us;
}
