/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compute.c - see compute.h
 */
#include "exec/compute.h"

#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "exec/call.h"
#include "exec/sandbox.h"
#include "exec/turn.h"
#include "exec/verdict.h"

#define SAMPLE_US 100000         /* memory is looked at this often */
#define EXIT_STATUS_WAIT_MS 1000 /* for the master to have reaped a dead executor */
#define START_ATTEMPTS 5         /* executors that may die before they start the run */
#define START_US 2000000         /* an idle executor takes its run, or is none */
#define LINGER_MS 1000           /* for an executor to give memory back before its next run */
#define LOOK_AGAIN_US 1000000    /* who was to ring may have been killed before it did */

struct wait {
    const struct compute_request *request;
    struct gang *gang;
    struct gang_place *place;
    struct call call;
    int executor;           /* that it has; -1: none */
    pid_t process;          /* which that is */
    size_t resident_before; /* its memory before the run, by its own words */
    int64_t queue_deadline_us, start_deadline_us, run_deadline_us, kill_at_us, sample_at_us;
    bool has_begun, is_stopping, was_withdrawn, peer_left, watch_fired;
    struct error reason; /* why it is being stopped, or has failed */
};

static int set_overloaded(const struct wait *w, struct error *reterr, const char *what)
{
    const struct gang_shape *shape = gang_shape(w->gang);
    return error_set(
        reterr, ERR_OVERLOADED, "%s (slots = %d, queue_length = %d, queue_seconds = %g).", what,
        shape->slots[w->request->task->class], shape->queue_length, w->request->queue_seconds);
}

static struct control *control_of(const struct wait *w)
{
    return gang_control(w->gang, w->executor);
}

/* The executor is not to be trusted on, or to be stopped by all means. */
static void end_executor(struct wait *w)
{
    gang_executor_retire(w->gang, w->executor, w->process);
    gang_executor_kill(w->gang, w->executor, w->process);
    w->call.state = CALL_LOST;
}

/* The stop flag first, which keeps the engine warm; whoever does not see it is killed. */
static void begin_stop(struct wait *w)
{
    w->is_stopping = true;
    w->kill_at_us = clock_us() + (int64_t)(w->request->grace_seconds * 1e6);
    atomic_store(&control_of(w)->stop_run, w->call.run);
    gang_place_enter(w->place, PLACE_STOPPING, w->call.run, w->executor);
}

/* Give up for `w->reason`: at once while nothing computes, else by stopping the run. */
static void give_up(struct wait *w)
{
    if (!control_withdraw(control_of(w), w->call.run)) {
        begin_stop(w);
        return;
    }
    w->was_withdrawn = w->is_stopping = true;
    w->call.state = CALL_LOST;
}

static int set_pool_ended(struct error *reterr)
{
    return error_set(reterr, ERR_UNAVAILABLE, "The pool ended; try again.");
}

static int set_peer_left(struct error *reterr)
{
    return error_set(reterr, ERR_STOPPED, "The client closed its connection.");
}

static void on_peer_left(struct wait *w)
{
    w->peer_left = true;
    if (w->is_stopping)
        return;
    (void)set_peer_left(&w->reason);
    give_up(w);
}

/* Whoever has taken the order: the executor that was handed out, or its successor if that one has
 * died since. */
static void follow_executor(struct wait *w)
{
    pid_t pid = atomic_load(&gang_executor(w->gang, w->executor)->pid);
    if (pid == 0 || pid == w->process)
        return;
    w->process = pid;
    if (w->call.statm_fd >= 0)
        close(w->call.statm_fd);
    w->call.statm_fd = -1;
}

static bool is_executor(struct wait *w, pid_t pid)
{
    if (pid != w->process)
        follow_executor(w);
    return pid == w->process;
}

static void on_message(struct wait *w)
{
    struct error why = {0};
    int result = call_receive(&w->call, &why);
    if (result == 0 && w->call.state != CALL_LOST && !is_executor(w, w->call.executor))
        result = error_internal(&why, "compute: a message of a process that is not the executor");
    if (result == 0)
        return;
    if (!w->is_stopping)
        w->reason = why;
    w->is_stopping = true;
    end_executor(w);
}

static void check_usage(struct wait *w, int64_t now_us)
{
    const struct task_desc *task = w->request->task;
    struct verdict_memory allowed = {.limit = task->memory_bytes,
                                     .before = w->resident_before,
                                     .warm = w->request->warm_bytes,
                                     .passed = w->request->body->size +
                                               SANDBOX_FILE_BYTES(task->output_bytes)};
    w->sample_at_us = now_us + SAMPLE_US;
    follow_executor(w);
    if (verdict_is_over_memory(&allowed, w->process, &w->call.statm_fd, &w->call.peak_bytes))
        (void)verdict_over_memory(task->memory_bytes, &w->reason);
    else if (verdict_threads(w->process) > VERDICT_THREADS_MAX)
        (void)verdict_over_threads(&w->reason);
    else
        return;
    w->is_stopping = true;
    w->kill_at_us = now_us;
}

/* A run that has not begun by now never will: the next executor may. */
static void check_start(struct wait *w, int64_t now_us)
{
    w->sample_at_us = now_us + SAMPLE_US;
    if (now_us >= w->start_deadline_us && control_withdraw(control_of(w), w->call.run))
        end_executor(w);
}

static void on_time(struct wait *w)
{
    int64_t now_us = clock_us();
    if (w->call.state != CALL_STARTED)
        return;
    if (w->is_stopping) {
        if (now_us >= w->kill_at_us)
            end_executor(w);
    } else if (now_us >= w->run_deadline_us) {
        (void)verdict_timed_out(w->request->seconds_limit, w->request->seconds, &w->reason);
        give_up(w);
    } else if (now_us >= w->sample_at_us) {
        if (control_has_begun(control_of(w), w->call.run))
            check_usage(w, now_us);
        else
            check_start(w, now_us);
    }
}

static int64_t next_deadline_us(const struct wait *w)
{
    if (w->is_stopping)
        return w->kill_at_us;
    return w->run_deadline_us < w->sample_at_us ? w->run_deadline_us : w->sample_at_us;
}

/* Wait for `fd` to be readable, the peer to leave, or the deadline; tell the watch. What happened
 * to the first two is in the results. */
static void wait_for(struct wait *w, int fd, int64_t deadline_us, bool *ret_readable,
                     bool *ret_peer_left)
{
    struct pollfd fds[3] = {{.fd = fd, .events = POLLIN},
                            {.fd = w->peer_left ? -1 : w->request->peer_fd, .events = POLLRDHUP},
                            {.fd = w->watch_fired ? -1 : w->request->watch.fd, .events = POLLIN}};
    bool is_any = poll(fds, 3, clock_poll_ms(deadline_us)) > 0;
    *ret_readable = is_any && fds[0].revents;
    *ret_peer_left = is_any && fds[1].revents;
    if (is_any && fds[2].revents) {
        w->watch_fired = true;
        w->request->watch.on_ready(w->request->watch.context);
    }
}

/* Until the call has ended or is lost. */
static void wait_for_end(struct wait *w)
{
    bool is_readable, left;
    while (w->call.state == CALL_STARTED) {
        wait_for(w, w->call.fd, next_deadline_us(w), &is_readable, &left);
        if (is_readable)
            on_message(w);
        if (left && w->call.state == CALL_STARTED)
            on_peer_left(w);
        on_time(w);
    }
}

/* Until the place has an executor. */
static int wait_for_turn(struct wait *w, struct error *reterr)
{
    int bell = gang_bell_fd(w->gang, w->place);
    while ((w->executor = turn_executor(w->place)) < 0) {
        bool is_ringing, left;
        uint64_t rings;
        int64_t now_us = clock_us(), again_us = now_us + LOOK_AGAIN_US;
        if (now_us >= w->queue_deadline_us)
            return set_overloaded(w, reterr, "No executor became free in time");
        wait_for(w, bell, again_us < w->queue_deadline_us ? again_us : w->queue_deadline_us,
                 &is_ringing, &left);
        if (left)
            return set_peer_left(reterr);
        if (!gang_is_alive(w->gang))
            return set_pool_ended(reterr);
        if (is_ringing)
            (void)!read(bell, &rings, sizeof(rings));
        else
            turn_look(w->gang, w->place);
    }
    w->process = atomic_load(&gang_executor(w->gang, w->executor)->taking);
    return 0;
}

static int describe_crash(const struct wait *w, struct error *reterr)
{
    int status;
    if (!gang_exit_status(w->gang, w->process, EXIT_STATUS_WAIT_MS, &status))
        return set_pool_ended(reterr);
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

/* The order is with the executor: wait for what comes of it. */
static void wait_for_run(struct wait *w)
{
    int64_t now_us = w->call.started_us;
    w->start_deadline_us = now_us + START_US;
    w->run_deadline_us = now_us + (int64_t)(w->request->seconds * 1e6);
    w->sample_at_us = now_us + SAMPLE_US;
    gang_place_enter(w->place, PLACE_RUNNING, w->call.run, w->executor);
    wait_for_end(w);
    w->has_begun = w->call.state == CALL_ENDED || control_has_begun(control_of(w), w->call.run);
    /* Whoever hung up is dead, or was taken over. */
    if (w->call.state != CALL_ENDED && !w->was_withdrawn)
        end_executor(w);
}

/* One attempt with one executor; false when it was none that began the run. */
static bool try_executor(struct wait *w, size_t body_size, int *ret_result, struct error *reterr)
{
    control_offer(control_of(w), w->call.run);
    w->resident_before = atomic_load(&control_of(w)->resident);
    *ret_result = call_connect(&w->call, gang_address_fd(w->gang, w->executor), w->request->body,
                               body_size, reterr);
    if (*ret_result == 0) {
        wait_for_run(w);
        if (w->is_stopping || w->has_begun)
            *ret_result = conclude(w, reterr);
        return w->is_stopping || w->has_begun;
    }
    if (reterr->code != ERR_UNAVAILABLE) /* it is not the executor's fault */
        return true;
    end_executor(w);
    return false;
}

static int wait_and_compute(struct wait *w, struct arena *a, size_t body_size, struct error *reterr)
{
    turn_ask(w->gang, w->place);
    for (int attempt = 1; attempt <= START_ATTEMPTS; attempt++) {
        uint64_t run = gang_new_run(w->gang);
        int result;
        call_init(&w->call, a, w->request->task, run);
        gang_place_enter(w->place, PLACE_WAITING, run, -1);
        if (wait_for_turn(w, reterr) != 0)
            return -1;
        if (try_executor(w, body_size, &result, reterr))
            return result;
        call_release(&w->call);
        turn_ask_again(w->gang, w->place);
    }
    return error_set(reterr, ERR_UNAVAILABLE, "No executor could start this run.");
}

/* The executor to the next in line, as soon as it takes runs again. */
static void leave(struct wait *w)
{
    if (w->call.state == CALL_ENDED && w->call.lingers && !call_wait_idle(&w->call, LINGER_MS))
        gang_executor_retire(w->gang, w->executor, w->process);
    turn_end(w->gang, w->place);
    gang_place_free(w->place);
}

static void fill_outcome(const struct wait *w, int64_t ended_us, struct compute_outcome *out)
{
    const struct call *c = &w->call;
    int64_t started_us = w->has_begun ? c->started_us : ended_us;
    *out = (struct compute_outcome){.result = c->result,
                                    .outputs = c->outputs,
                                    .output_count = c->output_count,
                                    .queue_us = started_us - w->request->arrived_us,
                                    .run_us = ended_us - started_us,
                                    .cpu_us = c->cpu_us,
                                    .peak_bytes = c->peak_bytes,
                                    .was_started = w->has_begun};
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
        result = set_peer_left(reterr);
    } else {
        size_t body_size = request->body->size;
        result = encode_order(request, reterr);
        if (result == 0)
            result = wait_and_compute(&w, a, body_size, reterr);
    }
    int64_t ended_us = clock_us();
    fill_outcome(&w, ended_us, ret_outcome);
    if (ret_outcome->was_started)
        gang_observe_run(g, class, ret_outcome->run_us);
    if (result != 0 && (reterr->code == ERR_OVERLOADED || reterr->code == ERR_UNAVAILABLE))
        ret_outcome->retry_after_s = gang_retry_after(g, class);
    if (w.place)
        leave(&w);
    call_release(&w.call);
    return result;
}
