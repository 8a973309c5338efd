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
#define AHEAD_US 3000            /* one that computes comes to it soon, or another one is asked */
#define LINGER_MS 1000           /* for an executor to give memory back before its next run */
#define LOOK_AGAIN_US 1000000    /* who was to ring may have been killed before it did */
#define FRESH_US 10000           /* who asked so lately is there, or is seen leaving in a wait */

struct wait {
    const struct compute_request *request;
    struct gang *gang;
    struct gang_place *place;
    struct call call;
    int executor;           /* that it has; -1: none */
    pid_t process;          /* which that is */
    size_t resident_before; /* its memory before the run, by its own words */
    int64_t queue_deadline_us, start_deadline_us, run_deadline_us, kill_at_us, sample_at_us;
    bool is_ahead;     /* other runs may come before it */
    bool is_overtaken; /* withdrawn: its executor did not come to it soon */
    bool had_link;     /* its connection was kept from an earlier run */
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

/* The process that the order was sent to has been reaped. Its successor is not to answer for it:
 * the other end of the connection may have been passed on, and be open somewhere. */
static bool has_gone(const struct wait *w)
{
    return atomic_load(&gang_executor(w->gang, w->executor)->pid) != w->process;
}

/* What it sent before has come by now. */
static void on_gone(struct wait *w)
{
    if (poll(&(struct pollfd){.fd = w->call.fd, .events = POLLIN}, 1, 0) <= 0)
        w->call.state = CALL_LOST;
}

static void on_message(struct wait *w)
{
    struct error why = {0};
    int result = call_receive(&w->call, &why);
    if (result == 0 && w->call.state != CALL_LOST && w->call.executor != w->process)
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
    if (verdict_is_over_memory(&allowed, w->process, &w->call.statm_fd, &w->call.peak_bytes))
        (void)verdict_over_memory(task->memory_bytes, &w->reason);
    else if (verdict_threads(w->process) > VERDICT_THREADS_MAX)
        (void)verdict_over_threads(&w->reason);
    else
        return;
    w->is_stopping = true;
    w->kill_at_us = now_us;
}

static int64_t run_us_at_most(const struct wait *w)
{
    return (int64_t)(w->request->seconds * 1e6);
}

static void note_begun(struct wait *w, int64_t now_us)
{
    struct call *c = &w->call;
    if (w->is_ahead && !w->has_begun)
        c->started_us = control_begun_us(control_of(w), c->run, c->started_us, now_us);
    w->has_begun = true;
}

/* The run ahead was not waiting for others any more. */
static void enter_running(struct wait *w)
{
    w->run_deadline_us = w->call.started_us + run_us_at_most(w);
    w->resident_before = atomic_load(&control_of(w)->resident);
    gang_place_enter(w->place, PLACE_RUNNING, w->call.run, w->executor);
}

/* Was it handed an idle executor, and another's run came to that one first? */
static bool is_behind_another(const struct wait *w)
{
    uint64_t run = atomic_load(&control_of(w)->run);
    return run != 0 && run != w->call.run && turn_is_shared(w->gang, w->place);
}

/* A run that has not begun by now goes to the next executor. One that has nothing else to do never
 * will begin it. */
static void check_start(struct wait *w, int64_t now_us)
{
    bool has_left = has_gone(w), is_late = now_us >= w->start_deadline_us;
    w->sample_at_us = now_us + AHEAD_US;
    if (!has_left && !is_late && (w->is_ahead || !is_behind_another(w)))
        return;
    if (!control_withdraw(control_of(w), w->call.run))
        return;
    w->is_overtaken = w->is_ahead || (!has_left && turn_is_shared(w->gang, w->place));
    w->call.state = CALL_LOST;
    if (!w->is_overtaken)
        end_executor(w);
}

static void sample(struct wait *w, int64_t now_us)
{
    if (!control_has_begun(control_of(w), w->call.run)) {
        check_start(w, now_us);
        return;
    }
    bool is_news = !w->has_begun;
    w->sample_at_us = now_us + SAMPLE_US;
    note_begun(w, now_us);
    if (has_gone(w))
        on_gone(w);
    else if (is_news && w->is_ahead)
        enter_running(w);
    else if (!is_news)
        check_usage(w, now_us);
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
        sample(w, now_us);
    }
}

static int64_t next_deadline_us(const struct wait *w)
{
    if (w->is_stopping)
        return w->kill_at_us;
    return w->run_deadline_us < w->sample_at_us ? w->run_deadline_us : w->sample_at_us;
}

/* Wait for `fd` to be readable, the peer to leave, or the deadline; tell the watch. What happened
 * to the first two is in the results. `looks_around`: at kept connections too, whose ends need no
 * answer within milliseconds. */
static void wait_for(struct wait *w, int fd, bool looks_around, int64_t deadline_us,
                     bool *ret_readable, bool *ret_peer_left)
{
    struct pollfd fds[4] = {
        {.fd = fd, .events = POLLIN},
        {.fd = w->peer_left ? -1 : w->request->peer_fd, .events = POLLRDHUP},
        {.fd = w->watch_fired ? -1 : w->request->watch.fd, .events = POLLIN},
        {.fd = looks_around ? gang_links(w->gang)->epoll_fd : -1, .events = POLLIN}};
    bool is_any = poll(fds, 4, clock_poll_ms(deadline_us)) > 0;
    *ret_readable = is_any && fds[0].revents;
    *ret_peer_left = is_any && fds[1].revents;
    if (is_any && fds[2].revents) {
        w->watch_fired = true;
        w->request->watch.on_ready(w->request->watch.context);
    }
    if (is_any && fds[3].revents && !fds[0].revents) /* `fd` may be one of them */
        gang_look_at_links(w->gang);
}

/* Until the call has ended or is lost. */
static void wait_for_end(struct wait *w)
{
    bool is_readable, left;
    while (w->call.state == CALL_STARTED) {
        wait_for(w, w->call.fd, w->has_begun, next_deadline_us(w), &is_readable, &left);
        if (is_readable) { /* all of it first: it may be the end */
            on_message(w);
            continue;
        }
        if (left)
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
        wait_for(w, bell, true, again_us < w->queue_deadline_us ? again_us : w->queue_deadline_us,
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
    if (w->is_ahead) {
        int64_t step_us = run_us_at_most(w) < AHEAD_US ? run_us_at_most(w) : AHEAD_US;
        int64_t soon_us = now_us + AHEAD_US;
        w->start_deadline_us = soon_us < w->queue_deadline_us ? soon_us : w->queue_deadline_us;
        w->run_deadline_us = INT64_MAX; /* counts from its beginning */
        w->sample_at_us = now_us + step_us;
    } else {
        w->start_deadline_us = now_us + START_US;
        w->run_deadline_us = now_us + run_us_at_most(w);
        w->sample_at_us = now_us + AHEAD_US;
        gang_place_enter(w->place, PLACE_RUNNING, w->call.run, w->executor);
    }
    wait_for_end(w);
    if (w->call.state == CALL_ENDED || control_has_begun(control_of(w), w->call.run))
        note_begun(w, clock_us());
    /* Whoever hung up is dead, or was taken over. */
    if (w->call.state != CALL_ENDED && !w->was_withdrawn && !w->is_overtaken)
        end_executor(w);
}

static int send_order(struct wait *w, size_t body_size, struct error *reterr)
{
    w->process = atomic_load(&gang_executor(w->gang, w->executor)->pid);
    if (w->process == 0)
        return error_set(reterr, ERR_UNAVAILABLE, "No executor takes runs at the moment.");
    int fd = links_take(gang_links(w->gang), w->executor, w->process);
    w->had_link = fd >= 0;
    if (w->had_link)
        return call_send(&w->call, fd, w->request->body, body_size, reterr);
    return call_connect(&w->call, gang_address_fd(w->gang, w->executor), w->request->body,
                        body_size, reterr);
}

/* One attempt with one executor; false when it was none that began the run. */
static bool try_executor(struct wait *w, size_t body_size, int *ret_result, struct error *reterr)
{
    w->is_ahead = turn_seat(w->place) > 0 || turn_is_shared(w->gang, w->place);
    w->is_overtaken = false;
    gang_place_enter(w->place, PLACE_WAITING, w->call.run, -1);
    control_offer(control_of(w), w->call.run);
    w->resident_before = atomic_load(&control_of(w)->resident);
    *ret_result = send_order(w, body_size, reterr);
    if (*ret_result == 0) {
        wait_for_run(w);
        /* It leaves with those that it had; an idle one takes what comes. */
        if (w->is_ahead && !w->has_begun && !atomic_load(&w->place->wants_idle))
            w->is_overtaken = true;
        if (w->is_stopping || w->has_begun)
            *ret_result = conclude(w, reterr);
        return w->is_stopping || w->has_begun;
    }
    if (reterr->code != ERR_UNAVAILABLE) /* it is not the executor's fault */
        return true;
    w->is_overtaken = w->is_ahead;
    if (!w->is_overtaken)
        end_executor(w);
    return false;
}

static int wait_and_compute(struct wait *w, struct arena *a, size_t body_size, struct error *reterr)
{
    turn_ask(w->gang, w->place);
    for (int deaths = 0; deaths < START_ATTEMPTS; deaths += !w->is_overtaken) {
        int result;
        if (wait_for_turn(w, reterr) != 0)
            return -1;
        call_init(&w->call, a, w->request->task, gang_new_run(w->gang, turn_seat(w->place)));
        if (try_executor(w, body_size, &result, reterr))
            return result;
        call_release(&w->call);
        gang_place_enter(w->place, PLACE_WAITING, 0, -1);
        if (w->is_overtaken)
            turn_ask_for_idle(w->gang, w->place);
        else
            turn_ask_again(w->gang, w->place);
    }
    return error_set(reterr, ERR_UNAVAILABLE, "No executor could start this run.");
}

/* The executor to the next in line, as soon as it takes runs again. */
static void leave(struct wait *w)
{
    bool is_over = w->call.state == CALL_ENDED && !w->is_stopping;
    if (w->call.state == CALL_ENDED && w->call.lingers && !call_wait_idle(&w->call, LINGER_MS)) {
        gang_executor_retire(w->gang, w->executor, w->process);
        is_over = false;
    }
    if (is_over) {
        links_keep(gang_links(w->gang), w->executor, w->process, w->call.fd, w->had_link);
        w->call.fd = -1;
    }
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

/* Did the client leave while its request waited to be taken? */
static bool has_left(const struct compute_request *r)
{
    struct pollfd peer = {.fd = r->peer_fd, .events = POLLRDHUP};
    return r->peer_fd >= 0 && clock_us() - r->arrived_us > FRESH_US && poll(&peer, 1, 0) > 0;
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
    } else if (has_left(request)) {
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
        gang_observe_run(g, class, ret_outcome->run_us,
                         control_computed_us(control_of(&w), w.call.run, ret_outcome->run_us));
    if (result != 0 && (reterr->code == ERR_OVERLOADED || reterr->code == ERR_UNAVAILABLE))
        ret_outcome->retry_after_s = gang_retry_after(g, class);
    if (w.place)
        leave(&w);
    call_release(&w.call);
    return result;
}
