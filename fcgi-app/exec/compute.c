/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compute.c - see compute.h
 */
#include "exec/compute.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "exec/call.h"
#include "exec/sandbox.h"
#include "exec/verdict.h"

#define SAMPLE_US 100000         /* memory is looked at this often */
#define EXIT_STATUS_WAIT_MS 1000 /* for the master to have reaped a dead executor */
#define START_ATTEMPTS 5         /* executors that may die before they start the run */
#define BACKLOG_WAIT_MS 10
#define FIND_ATTEMPTS 100 /* of a millisecond */

struct wait {
    const struct compute_request *request;
    struct gang *gang;
    struct gang_place *place;
    struct call call;
    struct control *control; /* the executor's; NULL before it started, and when it has ended */
    int executor;
    int64_t queue_deadline_us, run_deadline_us, kill_at_us, sample_at_us;
    bool is_stopping, peer_left, watch_fired;
    struct error reason; /* why it is being stopped, or has failed */
};

static int set_overloaded(const struct wait *w, struct error *reterr, const char *what)
{
    const struct gang_shape *shape = gang_shape(w->gang);
    return error_set(
        reterr, ERR_OVERLOADED, "%s (slots = %d, queue_length = %d, queue_seconds = %g).", what,
        shape->slots[w->request->task->class], shape->queue_length, w->request->queue_seconds);
}

/*
 * Which executor answered. The master notes its pid right after it forked it, and the executor may
 * have been faster; or it has computed the run, ended and been reaped before we came to read that
 * it started: *ret_index is then -1. -1 when no executor has or had that pid.
 */
static int find_executor(const struct wait *w, int *ret_index)
{
    int status;
    for (int tries = 0; tries < FIND_ATTEMPTS; tries++) {
        *ret_index = gang_executor_of(w->gang, w->call.executor);
        if (*ret_index >= 0 || gang_exit_status(w->gang, w->call.executor, 0, &status))
            return 0;
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return -1;
}

static void enter_started(struct wait *w)
{
    if (find_executor(w, &w->executor) != 0) {
        (void)error_internal(&w->reason, "compute: started by a process that is no executor");
        w->is_stopping = true;
        call_kill(&w->call);
        w->call.state = CALL_LOST;
        return;
    }
    w->control = w->executor >= 0 ? gang_control(w->gang, w->executor) : NULL;
    w->run_deadline_us = w->call.started_us + (int64_t)(w->request->seconds * 1e6);
    w->sample_at_us = w->call.started_us + SAMPLE_US;
    gang_place_enter(w->place, PLACE_RUNNING, w->call.run, w->executor);
}

/* The stop flag first, which keeps the engine warm; whoever does not see it is killed. */
static void begin_stop(struct wait *w)
{
    w->is_stopping = true;
    w->kill_at_us = clock_us() + (int64_t)(w->request->grace_seconds * 1e6);
    if (w->control)
        atomic_store(&w->control->stop_run, w->call.run);
    gang_place_enter(w->place, PLACE_STOPPING, w->call.run, w->executor);
}

/* Give up for `w->reason`: at once while nothing computes, else by stopping the run. */
static void give_up(struct wait *w)
{
    if (w->call.state == CALL_STARTED) {
        begin_stop(w);
        return;
    }
    /* An executor that started it in this very moment can no longer tell us anything: end it. */
    if (!call_withdraw(&w->call))
        call_kill(&w->call);
    w->call.state = CALL_LOST;
    w->is_stopping = true;
}

static void on_peer_left(struct wait *w)
{
    w->peer_left = true;
    if (w->is_stopping || (w->call.state != CALL_SENT && w->call.state != CALL_STARTED))
        return;
    (void)error_set(&w->reason, ERR_STOPPED, "The client closed its connection.");
    give_up(w);
}

static void on_message(struct wait *w)
{
    struct error why;
    enum call_state before = w->call.state;
    if (call_receive(&w->call, &why) != 0) {
        if (!w->is_stopping)
            w->reason = why;
        w->is_stopping = true;
        call_kill(&w->call);
        w->call.state = CALL_LOST;
        return;
    }
    if (before == CALL_SENT && w->call.state == CALL_STARTED)
        enter_started(w);
}

static void check_usage(struct wait *w, int64_t now_us)
{
    const struct task_desc *task = w->request->task;
    struct verdict_memory allowed = {.limit = task->memory_bytes,
                                     .before = w->call.resident_before,
                                     .warm = w->request->warm_bytes,
                                     .passed = w->request->body->size +
                                               SANDBOX_FILE_BYTES(task->output_bytes)};
    w->sample_at_us = now_us + SAMPLE_US;
    if (verdict_is_over_memory(&allowed, w->call.executor, &w->call.statm_fd, &w->call.peak_bytes))
        (void)verdict_over_memory(task->memory_bytes, &w->reason);
    else if (verdict_threads(w->call.executor) > VERDICT_THREADS_MAX)
        (void)verdict_over_threads(&w->reason);
    else
        return;
    w->is_stopping = true;
    w->kill_at_us = now_us;
}

static void on_time(struct wait *w)
{
    int64_t now_us = clock_us();
    if (w->call.state == CALL_SENT && now_us >= w->queue_deadline_us) {
        (void)set_overloaded(w, &w->reason, "No executor became free in time");
        give_up(w);
    } else if (w->call.state == CALL_STARTED && !w->is_stopping) {
        if (now_us >= w->run_deadline_us) {
            (void)verdict_timed_out(w->request->seconds_limit, w->request->seconds, &w->reason);
            give_up(w);
        } else if (now_us >= w->sample_at_us) {
            check_usage(w, now_us);
        }
    }
    if (w->call.state == CALL_STARTED && w->is_stopping && now_us >= w->kill_at_us) {
        call_kill(&w->call);
        w->call.state = CALL_LOST;
    }
}

static int64_t next_deadline_us(const struct wait *w)
{
    if (w->call.state == CALL_SENT)
        return w->queue_deadline_us;
    if (w->is_stopping)
        return w->kill_at_us;
    return w->run_deadline_us < w->sample_at_us ? w->run_deadline_us : w->sample_at_us;
}

/* Until the call has ended or is lost. */
static void wait_for_end(struct wait *w)
{
    while (w->call.state == CALL_SENT || w->call.state == CALL_STARTED) {
        struct pollfd fds[3] = {
            {.fd = w->call.fd, .events = POLLIN},
            {.fd = w->peer_left ? -1 : w->request->peer_fd, .events = POLLRDHUP},
            {.fd = w->watch_fired ? -1 : w->request->watch.fd, .events = POLLIN}};
        if (poll(fds, 3, clock_poll_ms(next_deadline_us(w))) > 0) {
            if (fds[0].revents)
                on_message(w);
            if (fds[1].revents)
                on_peer_left(w);
            if (fds[2].revents) {
                w->watch_fired = true;
                w->request->watch.on_ready(w->request->watch.context);
            }
        }
        on_time(w);
    }
}

static int describe_crash(const struct wait *w, struct error *reterr)
{
    int status;
    if (!gang_exit_status(w->gang, w->call.executor, EXIT_STATUS_WAIT_MS, &status)) {
        /* It hung up on us and lives on: a slot is not lost to that. Unreaped, its pid is its own.
         */
        if (gang_executor_of(w->gang, w->call.executor) >= 0)
            (void)kill(w->call.executor, SIGKILL);
        return error_set(reterr, ERR_UNAVAILABLE,
                         "The pool ended in the middle of this run; try again.");
    }
    return verdict_crashed(status, reterr);
}

/* What the run came to, once the wait is over. */
static int conclude(struct wait *w, struct error *reterr)
{
    if (w->is_stopping) {
        *reterr = w->reason;
        return -1;
    }
    if (w->call.state == CALL_LOST)
        return describe_crash(w, reterr);
    if (w->call.failed) {
        *reterr = w->call.error;
        return -1;
    }
    return 0;
}

/* The backlog is full of runs that were given up: wait a little for an executor to clear it. */
static bool wait_for_backlog(struct wait *w, struct error *reterr)
{
    struct pollfd peer = {.fd = w->request->peer_fd, .events = POLLRDHUP};
    if (clock_us() >= w->queue_deadline_us) {
        (void)set_overloaded(w, reterr, "No executor became free in time");
        return false;
    }
    if (poll(&peer, 1, BACKLOG_WAIT_MS) > 0) {
        (void)error_set(reterr, ERR_STOPPED, "The client closed its connection.");
        return false;
    }
    return true;
}

/* Send the order, again to another executor when one dies before it starts it. */
static int send_and_wait(struct wait *w, struct arena *a, size_t body_size, struct error *reterr)
{
    for (int attempt = 1;;) {
        uint64_t run = gang_new_run(w->gang);
        call_init(&w->call, a, w->request->task, run);
        gang_place_enter(w->place, PLACE_WAITING, run, -1);
        if (call_connect(&w->call, w->gang, w->request->body, body_size, reterr) == 0) {
            wait_for_end(w);
            if (w->is_stopping || w->call.started_us != 0)
                return conclude(w, reterr);
            (void)error_set(reterr, ERR_UNAVAILABLE, "No executor could start this run.");
        }
        if (reterr->code == ERR_OVERLOADED) {
            if (!wait_for_backlog(w, reterr))
                return -1;
        } else if (attempt++ == START_ATTEMPTS) {
            return -1;
        }
        call_release(&w->call);
    }
}

static void fill_outcome(const struct wait *w, int64_t ended_us, struct compute_outcome *out)
{
    const struct call *c = &w->call;
    int64_t started_us = c->started_us ? c->started_us : ended_us;
    *out = (struct compute_outcome){.result = c->result,
                                    .outputs = c->outputs,
                                    .output_count = c->output_count,
                                    .queue_us = started_us - w->request->arrived_us,
                                    .run_us = ended_us - started_us,
                                    .cpu_us = c->cpu_us,
                                    .peak_bytes = c->peak_bytes,
                                    .was_started = c->started_us != 0};
}

static bool has_left(int peer_fd)
{
    struct pollfd peer = {.fd = peer_fd, .events = POLLRDHUP};
    return peer_fd >= 0 && poll(&peer, 1, 0) > 0;
}

static int encode_order(const struct compute_request *r, struct error *reterr)
{
    struct order order = {.module = r->task->module,
                          .task = r->task->name,
                          .params = r->params,
                          .params_size = r->params_size,
                          .limits = r->task->limits,
                          .limit_count = r->task->limit_count,
                          .inputs = r->inputs,
                          .input_count = r->input_count};
    return order_encode(&order, r->body, reterr);
}

int compute_run(struct gang *g, struct arena *a, const struct compute_request *request,
                struct compute_outcome *ret_outcome, struct error *reterr)
{
    enum task_class class = request->task->class;
    struct wait w = {.request = request,
                     .gang = g,
                     .executor = -1,
                     .queue_deadline_us =
                         request->arrived_us + (int64_t)(request->queue_seconds * 1e6)};
    call_init(&w.call, a, request->task, 0);
    w.place = gang_place_take(g, class, request->task->name, request->request_id);

    int result;
    if (!w.place) {
        result = set_overloaded(&w, reterr, "All places are taken");
    } else if (has_left(request->peer_fd)) {
        result = error_set(reterr, ERR_STOPPED, "The client closed its connection.");
    } else {
        size_t body_size = request->body->size;
        result = encode_order(request, reterr);
        if (result == 0)
            result = send_and_wait(&w, a, body_size, reterr);
    }
    int64_t ended_us = clock_us();
    fill_outcome(&w, ended_us, ret_outcome);
    if (ret_outcome->was_started)
        gang_observe_run(g, class, ret_outcome->run_us);
    if (result != 0 && (reterr->code == ERR_OVERLOADED || reterr->code == ERR_UNAVAILABLE))
        ret_outcome->retry_after_s = gang_retry_after(g, class);
    call_release(&w.call);
    gang_place_free(w.place);
    return result;
}
