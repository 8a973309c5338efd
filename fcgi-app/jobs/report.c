/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.c - how attempts ended, told to the database in batches
 *
 * What has ended while one statement was under way goes into the next. A statement whose answer
 * was lost is sent again: its rows that had been recorded no longer match, and do not come back.
 * When the database refuses a batch, its members are tried one by one, so that one bad result
 * does not hold up the others.
 */
#include "jobs/runner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/run_report.h"

#define BATCH_BYTES 4194304 /* of results in one statement */
#define LOGGED_MAX 1000     /* lines about attempts in a second, and as many about failed ones */
#define SUSPECT_TRIES 5     /* of a result that the database refuses by itself */
#define GATHERED_MAX 400    /* ends that wait for more */
#define PROGRESS_US 1000000
#define RETRY_US 500000
#define RECHECK_US 250000
#define OUTPUTS_US 1800000000 /* blobs expire in an hour, until a recorded result has them */
#define SLOW_TRIES 3          /* of a batch that is not answered in time, before one by one */
#define SLOW_PART 0.8         /* of the time a statement may take */

/* ---- the log */

/* A line takes 4 us: of fifteen thousand jobs a second they would be 6 MB that nobody reads, and a
 * tenth of this process's time. What went well does not use up the share of the rest. */
static bool may_log(struct report *p, bool is_failure)
{
    int64_t now_us = clock_us();
    if (now_us - p->log_second_us >= 1000000) {
        if (p->not_logged > 0)
            log_write(LOG_INFO, "lines about jobs were left out",
                      LOG_INT("count", (int64_t)p->not_logged));
        p->log_second_us = now_us;
        p->logged[0] = p->logged[1] = 0;
        p->not_logged = 0;
    }
    if (p->logged[is_failure] < LOGGED_MAX) {
        p->logged[is_failure]++;
        return true;
    }
    p->not_logged++;
    return false;
}

static double run_ms(const struct attempt *t)
{
    const struct crew_run *run = &t->run;
    return run->started_us > 0 && run->ended_us > run->started_us
               ? (double)(run->ended_us - run->started_us) / 1000
               : 0;
}

static void log_end(struct attempt *t, const struct error *error, const char *job_state)
{
    struct runner *r = t->runner;
    const struct crew_run *run = &t->run;
    int64_t begun_us = run->started_us > 0 ? run->started_us : clock_us();
    char id[DB_ID_SIZE];
    db_id_format(&r->keeper.secret, DB_ID_JOB, t->tenant, t->id, id);
    t->is_logged = true;
    run_report(r->config, &(struct run_report){.task = t->task_name,
                                               .is_unknown = !t->task,
                                               .request_id = t->request_id,
                                               .traceparent = t->traceparent,
                                               .tenant = t->tenant,
                                               .job = id,
                                               .attempt = t->attempt,
                                               .job_state = job_state,
                                               .wait_us = t->wait_us + begun_us - t->claimed_us,
                                               .run_us = (int64_t)(run_ms(t) * 1000),
                                               .cpu_us = run->cpu_us,
                                               .peak_bytes = run->peak_bytes,
                                               .was_started = run->started_us > 0,
                                               .error = error,
                                               .is_quiet = !may_log(&r->report, error != NULL)});
}

/* What was not begun is no attempt. */
static void log_verdict(struct attempt *t)
{
    static const enum job_state states[] = {
        [POLICY_SUCCEEDED] = JOB_SUCCEEDED, [POLICY_FAILED] = JOB_FAILED,
        [POLICY_RETRY] = JOB_SCHEDULED,     [POLICY_CRASH] = JOB_QUEUED,
        [POLICY_UNTRIED] = JOB_QUEUED,
    };
    if (t->verdict != POLICY_UNTRIED || t->run.started_us > 0)
        log_end(t, t->verdict == POLICY_SUCCEEDED ? NULL : &t->error,
                job_state_name(states[t->verdict]));
}

void report_dropped(struct attempt *t)
{
    if (t->run.started_us > 0 && !t->is_logged)
        log_end(t, t->run.end == CREW_RESULT ? NULL : &t->run.error, NULL);
}

/* ---- deciding */

/* {"code", "detail"}, and with validation {"errors": [{"pointer", "detail"}]} as a problem has it.
 */
static const char *print_error(struct arena *a, const struct error *e,
                               const struct field_errors *errors)
{
    struct strbuf out = STRBUF_INIT;
    const char *code = error_name(e->code);
    strbuf_addstr(&out, "{\"code\":");
    strbuf_add_json(&out, code, strlen(code));
    strbuf_addstr(&out, ",\"detail\":");
    strbuf_add_json(&out, e->detail, strlen(e->detail));
    for (const struct field_error *f = errors ? errors->first : NULL; f; f = f->next) {
        strbuf_addstr(&out, f == errors->first ? ",\"errors\":[{\"pointer\":" : ",{\"pointer\":");
        strbuf_add_json(&out, f->pointer, strlen(f->pointer));
        strbuf_addstr(&out, ",\"detail\":");
        strbuf_add_json(&out, f->detail, strlen(f->detail));
        strbuf_addstr(&out, f->next ? "}" : "}]");
    }
    strbuf_addch(&out, '}');
    const char *text = arena_strndup(a, out.text, out.size);
    strbuf_release(&out);
    return text;
}

static void count_end(struct runner_counts *counts, enum policy_verdict verdict)
{
    uint64_t *const of[] = {
        [POLICY_SUCCEEDED] = &counts->succeeded, [POLICY_FAILED] = &counts->failed,
        [POLICY_RETRY] = &counts->retried,       [POLICY_CRASH] = &counts->crashed,
        [POLICY_UNTRIED] = &counts->returned,
    };
    ++*of[verdict];
}

static void enqueue(struct attempt *t)
{
    t->not_before_us = 0;
    t->tries = 0;
    t->report_bytes = (t->result_json ? strlen(t->result_json) : 0) +
                      (t->outputs_json ? strlen(t->outputs_json) : 0) +
                      (t->error_json ? strlen(t->error_json) : 0);
    attempt_keep(t, attempt_output_bytes(t) + t->report_bytes);
    log_verdict(t);
    attempt_move(t, AT_ENDED);
}

static void decide(struct attempt *t, const struct field_errors *errors)
{
    struct runner *r = t->runner;
    struct policy_attempt figures = {.end = t->run.end,
                                     .code = t->run.error.code,
                                     .class = t->class,
                                     .attempt = t->attempt,
                                     .crashes = t->crashes,
                                     .max_attempts = t->max_attempts};
    t->error = t->run.error;
    t->verdict = policy_verdict(&figures);
    if (t->verdict == POLICY_SUCCEEDED)
        t->result_json = t->run.result ? json_print(t->arena, t->run.result, NULL) : NULL;
    else if (t->verdict != POLICY_UNTRIED)
        t->error_json = print_error(t->arena, &t->error, errors);
    if (t->verdict == POLICY_RETRY) {
        t->delay_seconds = policy_backoff_seconds(r->config->jobs_retry_seconds,
                                                  t->attempt - t->crashes, runner_jitter(r));
        keeper_expect_due(r, t->delay_seconds);
    }
    enqueue(t);
}

void report_end(struct attempt *t)
{
    if (t->is_gone)
        attempt_free(t);
    else
        decide(t, NULL);
}

void report_failure(struct attempt *t, const struct error *error, const struct field_errors *errors)
{
    t->run.end = CREW_ERROR;
    t->run.error = *error;
    /* The texts of validation stand beside; whoever sees the detail alone gets the first. */
    if (errors && errors->first && *errors->first->pointer)
        (void)error_set(&t->run.error, error->code, "%.100s %.200s.", errors->first->pointer,
                        errors->first->detail);
    else if (errors && errors->first)
        (void)error_set(&t->run.error, error->code, "The parameters' JSON %.200s.",
                        errors->first->detail);
    decide(t, errors);
}

void report_untried(struct attempt *t)
{
    t->run.end = CREW_UNTRIED;
    decide(t, NULL);
}

/* ---- batches */

static bool is_return(const struct attempt *t)
{
    return t->verdict != POLICY_SUCCEEDED && t->verdict != POLICY_FAILED;
}

/* The database was away for so long that the blobs may go before a result has them. */
static bool has_old_outputs(const struct attempt *t, int64_t now_us)
{
    return t->verdict == POLICY_SUCCEEDED && t->outputs_json && now_us - t->saved_us > OUTPUTS_US;
}

/* Up to REPORT_MAX of one kind; a suspect only by itself. */
static void pick(struct runner *r, bool returns, int64_t now_us)
{
    struct report *p = &r->report;
    struct attempt *next;
    size_t bytes = 0;
    p->count = 0;
    for (struct attempt *t = r->places[AT_ENDED].first; t && p->count < REPORT_MAX; t = next) {
        next = t->next;
        if (is_return(t) != returns || t->not_before_us > now_us || (t->is_suspect && p->count > 0))
            continue;
        if (has_old_outputs(t, now_us)) {
            attempt_save_outputs(t);
            continue;
        }
        bytes += t->report_bytes;
        if (bytes > BATCH_BYTES && p->count > 0)
            break;
        attempt_move(t, AT_REPORTING);
        p->batch[p->count++] = t;
        if (t->is_suspect)
            break;
    }
    p->is_return = returns;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void settle(struct attempt *t, bool is_recorded)
{
    struct runner *r = t->runner;
    /* What was sent before and does not come back may have been recorded by the lost first try. */
    if (is_recorded || (t->was_sent && !t->is_gone)) {
        count_end(&r->counts, t->verdict);
    } else if (!t->is_gone) {
        char id[DB_ID_SIZE];
        r->counts.stale++;
        db_id_format(&r->keeper.secret, DB_ID_JOB, t->tenant, t->id, id);
        if (may_log(&r->report, true))
            log_write(LOG_INFO, "a late end was refused", LOG_STR("job", id),
                      LOG_STR("task", t->task_name));
    }
    attempt_free(t);
}

static void on_recorded(struct runner *r, const struct db_rows *rows)
{
    struct report *p = &r->report;
    int64_t *ids;
    int count = job_complete_read(rows, r->scratch, &ids);
    qsort(ids, (size_t)count, sizeof(*ids), compare_ids);
    for (int i = 0; i < p->count; i++)
        settle(p->batch[i],
               bsearch(&p->batch[i]->id, ids, (size_t)count, sizeof(*ids), compare_ids) != NULL);
    arena_reset(r->scratch);
}

/* A result that the database does not take, whatever is tried: the job fails instead of staying. */
static void replace_result(struct attempt *t)
{
    (void)error_set(&t->error, ERR_INTERNAL, "The result could not be stored.");
    if (t->verdict == POLICY_SUCCEEDED)
        t->verdict = POLICY_FAILED;
    t->result_json = t->outputs_json = NULL;
    t->blob_keys = NULL;
    t->run.output_count = 0;
    t->error_json = print_error(t->arena, &t->error, NULL);
    t->report_bytes = strlen(t->error_json);
    attempt_keep(t, t->report_bytes);
}

/* The connection was there, and the time for a statement passed. */
static bool was_slow(const struct runner *r)
{
    double took_us = (double)(clock_us() - r->report.sent_us);
    return took_us >= SLOW_PART * r->config->jobs_lease_seconds * 1e6;
}

static void put_back(struct attempt *t, const struct error *error, bool is_slow)
{
    if (t->is_gone) {
        attempt_free(t);
        return;
    }
    t->was_sent = true;
    t->not_before_us = clock_us() + RETRY_US;
    t->slow_tries += is_slow;
    if (error->code != ERR_UNAVAILABLE || (is_slow && t->slow_tries >= SLOW_TRIES)) {
        if (t->is_suspect) {
            t->not_before_us += (int64_t)RETRY_US << (t->tries % SUSPECT_TRIES);
            if (++t->tries % SUSPECT_TRIES == 0)
                replace_result(t);
        }
        t->is_suspect = error->code != ERR_CONFLICT;
    }
    attempt_move(t, AT_ENDED);
}

static void on_reported(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    struct report *p = &r->report;
    if (rows) {
        on_recorded(r, rows);
    } else {
        bool is_slow = error->code == ERR_UNAVAILABLE && was_slow(r);
        if (runner_is_refusal(r->queue, error) && may_log(p, true))
            log_write(LOG_ERROR, "recording ends failed", LOG_INT("jobs", p->count),
                      LOG_ERR(*error));
        for (int i = 0; i < p->count; i++)
            put_back(p->batch[i], error, is_slow);
    }
    p->count = 0;
}

static bool has_crashed(const struct attempt *t)
{
    return t->run.end == CREW_CRASHED ||
           (t->run.end == CREW_ERROR && t->run.error.code == ERR_EXECUTOR_CRASHED);
}

static void send_ends(struct runner *r)
{
    struct report *p = &r->report;
    struct job_end *ends = arena_alloc(r->scratch, (size_t)p->count * sizeof(*ends));
    for (int i = 0; i < p->count; i++) {
        const struct attempt *t = p->batch[i];
        bool is_success = t->verdict == POLICY_SUCCEEDED;
        ends[i] =
            (struct job_end){.id = t->id,
                             .lease = t->lease,
                             .state = is_success ? JOB_SUCCEEDED : JOB_FAILED,
                             .run_ms = run_ms(t),
                             .cpu_ms = (double)t->run.cpu_us / 1000,
                             .ended_us = t->run.ended_us > 0 ? t->run.ended_us : clock_us(),
                             .result = t->result_json,
                             .outputs = is_success ? t->outputs_json : NULL,
                             .blobs = is_success ? t->blob_keys : NULL,
                             .blob_count = is_success && t->blob_keys ? t->run.output_count : 0,
                             .error = t->error_json,
                             .crashed = has_crashed(t),
                             .is_plain = !t->has_blobs};
    }
    job_complete_send(r->queue, r->id, ends, p->count, r->config->jobs_retention_days, on_reported,
                      r);
}

static void send_returns(struct runner *r)
{
    static const enum job_return_kind kinds[] = {[POLICY_RETRY] = JOB_RETURN_RETRY,
                                                 [POLICY_CRASH] = JOB_RETURN_CRASH,
                                                 [POLICY_UNTRIED] = JOB_RETURN_UNTRIED};
    struct report *p = &r->report;
    struct job_return *returns = arena_alloc(r->scratch, (size_t)p->count * sizeof(*returns));
    for (int i = 0; i < p->count; i++) {
        const struct attempt *t = p->batch[i];
        returns[i] = (struct job_return){.id = t->id,
                                         .lease = t->lease,
                                         .kind = kinds[t->verdict],
                                         .delay_seconds = t->delay_seconds,
                                         .run_ms = run_ms(t),
                                         .error = t->error_json};
    }
    job_return_send(r->queue, r->id, returns, p->count, on_reported, r);
}

/* Many more are about to end: those that have ended go with them. */
static int64_t gathered_us(const struct runner *r)
{
    return r->places[AT_ENDED].first->run.ended_us + POLICY_GATHER_US;
}

static bool gathers(const struct runner *r, int64_t now_us)
{
    if (r->places[AT_ENDED].count >= GATHERED_MAX || r->is_draining || now_us >= gathered_us(r))
        return false;
    for (int c = 0; c < TASK_CLASS_COUNT; c++) {
        struct policy_load load = attempts_load(r, (enum task_class)c, now_us);
        if (r->classes[c].with_crew > 0 && policy_gathers(&load))
            return true;
    }
    return false;
}

bool report_send(struct runner *r, int64_t now_us)
{
    struct report *p = &r->report;
    if (p->count > 0 || r->places[AT_ENDED].count == 0 || gathers(r, now_us))
        return false;
    pick(r, p->returns_next, now_us);
    if (p->count == 0)
        pick(r, !p->returns_next, now_us);
    if (p->count == 0)
        return false;
    p->returns_next = !p->is_return;
    p->sent_us = now_us;
    if (p->is_return)
        send_returns(r);
    else
        send_ends(r);
    arena_reset(r->scratch);
    return true;
}

/* ---- progress */

static void on_progress(void *context, const struct db_rows *rows, const struct error *error)
{
    struct runner *r = context;
    (void)rows;
    r->report.is_progressing = false;
    if (error && runner_is_refusal(r->queue, error))
        log_write(LOG_WARNING, "recording progress failed", LOG_ERR(*error));
}

bool report_progress_send(struct runner *r, int64_t now_us)
{
    struct report *p = &r->report;
    if (p->is_progressing || now_us < p->progress_us || r->places[AT_CREW].count == 0)
        return false;
    struct job_progress *progress =
        arena_alloc(r->scratch, (size_t)r->places[AT_CREW].count * sizeof(*progress));
    int count = 0;
    for (struct attempt *t = r->places[AT_CREW].first; t && count < REPORT_MAX; t = t->next) {
        char what[CONTROL_TEXT_SIZE];
        double fraction;
        if (t->is_begun && !t->is_gone &&
            crew_progress(t->generation->crew, &t->run, &fraction, what, sizeof(what)))
            progress[count++] = (struct job_progress){.id = t->id,
                                                      .lease = t->lease,
                                                      .fraction = fraction,
                                                      .what = arena_strdup(r->scratch, what)};
    }
    p->progress_us = now_us + PROGRESS_US;
    if (count > 0) {
        p->is_progressing = true;
        job_progress_send(r->queue, r->id, progress, count, on_progress, r);
    }
    arena_reset(r->scratch);
    return count > 0;
}

int64_t report_next_us(const struct runner *r)
{
    int64_t next_us = INT64_MAX;
    if (r->places[AT_CREW].count > 0)
        next_us = r->report.progress_us;
    if (r->places[AT_ENDED].count + r->places[AT_SAVE_QUEUE].count +
            r->places[AT_LOAD_QUEUE].count >
        0) { /* some of them may wait for their time, or for others */
        int64_t now_us = clock_us();
        bool waits = r->places[AT_ENDED].count > 0 && gathers(r, now_us);
        int64_t recheck_us = waits ? gathered_us(r) : now_us + RECHECK_US;
        next_us = recheck_us < next_us ? recheck_us : next_us;
    }
    return next_us;
}
