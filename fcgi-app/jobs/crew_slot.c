/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew_slot.c - one executor's life: started, sent orders, heard, judged, reaped
 *
 * Whatever an executor does, one run at most is to blame for it: the first in flight, once it
 * has begun.
 */
#include "jobs/crew_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "exec/sandbox.h"
#include "exec/spawn.h"
#include "exec/verdict.h"
#include "jobs/priority.h"

_Static_assert(CREW_AHEAD_MAX < CONTROL_CLAIMS, "a claim for each run ahead");

#define SEND_BUFFER (4 << 20) /* the kernel gives what its limit allows */
#define MESSAGES_AT_ONCE 128
#define SAMPLE_US 100000  /* how often a run is looked at */
#define STALL_US 10000000 /* an executor that has not begun a run by then never will */
#define RETRY_US 2000
#define REAP_US 2000
#define YOUNG_US 1000000 /* who dies earlier has not worked */
#define DELAY_FIRST_MS 50
#define DELAY_MAX_MS 5000

/*
 * The executor itself says on its page whether a run had begun. One that lies, because its input
 * has taken it over, must not be given the same run for ever: after so many losses the run is to
 * blame. Executors that were recycled cost a run next to nothing.
 */
#define LOSSES_MAX 100
#define LOSS_BY_DEATH 25

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void enter(struct crew_slot *s, enum slot_state state, int64_t now_us)
{
    s->state = state;
    s->state_us = now_us;
    crew_relist(s->crew, s);
}

void slot_init(struct crew_slot *s, struct crew *c, int index, enum task_class class)
{
    *s = (struct crew_slot){.crew = c,
                            .class = class,
                            .fd = -1,
                            .lifeline_fd = -1,
                            .statm_fd = -1,
                            .log.fd = -1,
                            .control_offset = (off_t)index * CONTROL_PAGE_SIZE};
    s->control = (struct control *)(c->memory + s->control_offset);
}

/* ---- start */

static int watch(const struct crew_slot *s, int fd, bool is_log)
{
    uint64_t index = (uint64_t)(s - s->crew->slots);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index << 1 | is_log};
    return epoll_ctl(s->crew->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* The executor's ends stand second; ours do not block. */
static int open_pipes(int sockets[2], int lifeline[2], int output[2], struct error *reterr)
{
    int size = SEND_BUFFER;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0 ||
        pipe2(lifeline, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0 ||
        fcntl(sockets[0], F_SETFL, O_NONBLOCK) != 0 || fcntl(output[0], F_SETFL, O_NONBLOCK) != 0)
        return error_errno(reterr, "crew: socketpair, pipe2");
    (void)setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return 0;
}

static int launch(struct crew_slot *s, struct error *reterr)
{
    int sockets[2] = {-1, -1}, lifeline[2] = {-1, -1}, output[2] = {-1, -1};
    int result = open_pipes(sockets, lifeline, output, reterr);
    if (result == 0) {
        struct executor_launch launch = {.config = s->crew->config,
                                         .socket_fd = sockets[1],
                                         .class = s->class,
                                         .limits = s->crew->classes[s->class].limits,
                                         .lifeline_fd = lifeline[0],
                                         .memory_fd = s->crew->memory_fd,
                                         .ready_fd = -1,
                                         .control_offset = s->control_offset,
                                         .stderr_fd = output[1],
                                         .nice = PRIORITY_NICE};
        memset(s->control, 0, CONTROL_PAGE_SIZE);
        result = executor_spawn(&launch, &s->pid, reterr);
    }
    close_fd(&sockets[1]);
    close_fd(&lifeline[0]);
    close_fd(&output[1]);
    if (result != 0) {
        close_fd(&sockets[0]);
        close_fd(&lifeline[1]);
        close_fd(&output[0]);
        return -1;
    }
    s->fd = sockets[0];
    s->lifeline_fd = lifeline[1];
    s->log = (struct child_log){.fd = output[0], .id_name = "job"};
    return 0;
}

void slot_start(struct crew_slot *s, int64_t now_us)
{
    struct error why = {0};
    if (launch(s, &why) != 0) {
        s->restart_us = now_us + DELAY_MAX_MS * 1000;
        log_write(LOG_ERROR, "cannot start a process", LOG_STR("cause", why.cause));
        return;
    }
    s->started_us = now_us;
    s->is_fenced = s->is_broken = s->is_full = false;
    enter(s, SLOT_STARTING, now_us);
    if (watch(s, s->log.fd, true) != 0)
        close_fd(&s->log.fd); /* it can live without being heard */
    if (watch(s, s->fd, false) != 0)
        slot_kill(s);
    crew_look_at(s->crew, now_us + (int64_t)(s->crew->config->executor_start_seconds * 1e6));
}

void slot_kill(struct crew_slot *s)
{
    if (s->pid == 0)
        return;
    (void)kill(s->pid, SIGKILL); /* not reaped: the pid is its own */
    /* What it has said already is read once it is reaped. */
    (void)epoll_ctl(s->crew->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
    enter(s, SLOT_DYING, clock_us());
    crew_look_at(s->crew, s->state_us + REAP_US);
}

/* ---- runs in flight */

/* The first run in flight is another one now: it is computed as soon as the executor comes to it.
 */
static void begin_first(struct crew_slot *s, int64_t now_us)
{
    struct crew_run *run = s->runs.first;
    if (!run)
        return;
    call_init(&s->call, run->arena, run->task, run->number);
    call_begin(&s->call, now_us);
    run->started_us = s->first_us = now_us;
    s->sample_at_us = now_us + SAMPLE_US;
    s->told_ppm = 0;
    s->told_text[0] = '\0';
    int64_t deadline_us = now_us + (int64_t)(run->seconds * 1e6);
    crew_look_at(s->crew, deadline_us < s->sample_at_us ? deadline_us : s->sample_at_us);
}

static void add_run(struct crew_slot *s, struct crew_run *run)
{
    run->place = CREW_RUN_SENT;
    run->slot = s;
    crew_list_append(&s->runs, run);
    s->is_claimed[run->number % CONTROL_CLAIMS] = true;
    s->load++;
    crew_relist(s->crew, s);
    if (s->load == 1)
        begin_first(s, clock_us());
}

static void remove_run(struct crew_slot *s, struct crew_run *run, int64_t now_us)
{
    bool was_first = s->runs.first == run;
    crew_list_remove(&s->runs, run);
    s->is_claimed[run->number % CONTROL_CLAIMS] = false;
    run->slot = NULL;
    s->load--;
    crew_relist(s->crew, s);
    if (was_first)
        begin_first(s, now_us);
}

int slot_send(struct crew_slot *s, struct crew_run *run)
{
    struct error why;
    uint64_t number = s->last_number;
    do
        number++;
    while (s->is_claimed[number %
                         CONTROL_CLAIMS]); /* a long run's claim stays while many pass behind it */
    s->last_number = run->number = number;
    control_offer(s->control, number);
    if (wire_send(s->fd, WIRE_RUN, number, run->body, run->body_size, &why) == 0) {
        add_run(s, run);
        return 0;
    }
    if (why.code == ERR_OVERLOADED) {
        s->is_full = true; /* until it has ended one, or for a moment */
        s->retry_us = clock_us() + RETRY_US;
        crew_look_at(s->crew, s->retry_us);
        return -1;
    }
    if (why.code == ERR_UNAVAILABLE) {
        slot_kill(s);
        return -1;
    }
    run->error = why;
    crew_finish(s->crew, run, CREW_ERROR);
    return 0;
}

/* What a run comes to that has begun, when nothing better is heard of it. */
static void condemn(struct crew_run *run, enum crew_end end, const struct error *why)
{
    run->is_stopping = true;
    run->end = end;
    run->error = *why;
}

/* The stop flag first, which keeps the engine warm; whoever does not see it is killed. */
static void stop_begun(struct crew_slot *s, struct crew_run *run, enum crew_end end,
                       const struct error *why)
{
    condemn(run, end, why);
    atomic_store(&s->control->stop_run, run->number);
    run->kill_at_us = clock_us() + (int64_t)(s->crew->config->executor_grace_seconds * 1e6);
    crew_look_at(s->crew, run->kill_at_us);
}

bool slot_withdraw(struct crew_slot *s, struct crew_run *run)
{
    if (run->is_begun || !control_withdraw(s->control, run->number))
        return false;
    remove_run(s, run, clock_us());
    return true;
}

int slot_give_back(struct crew_slot *s, int count)
{
    int given = 0;
    for (struct crew_run *run; given < count && (run = s->runs.last) != NULL; given++) {
        if (!slot_withdraw(s, run))
            break;
        crew_requeue(s->crew, run);
    }
    return given;
}

void slot_stop(struct crew_slot *s, struct crew_run *run, const struct error *why)
{
    if (slot_withdraw(s, run)) {
        run->error = *why;
        crew_finish(s->crew, run, CREW_STOPPED);
    } else if (!run->is_stopping) {
        stop_begun(s, run, CREW_STOPPED, why);
    }
}

/* ---- messages */

/* The result or error of the first run has come. */
static void end_first(struct crew_slot *s)
{
    struct crew_run *run = s->runs.first;
    const struct call *call = &s->call;
    enum crew_end end = call->failed ? CREW_ERROR : CREW_RESULT;
    if (run->is_stopping && (call->failed || run->end != CREW_STOPPED))
        end = run->end;
    else if (call->failed)
        run->error = call->error;
    run->result = call->result;
    run->outputs = call->outputs;
    run->output_count = call->output_count;
    run->ended_us = call->ended_us;
    run->cpu_us = call->cpu_us;
    if (call->peak_bytes > run->peak_bytes)
        run->peak_bytes = call->peak_bytes;
    s->is_full = false;
    remove_run(s, run, call->ended_us);
    if (s->crew->is_retiring)
        crew_look_at(s->crew, 0);
    crew_finish(s->crew, run, end);
}

static int take(struct crew_slot *s, struct wire_message *m, struct error *reterr)
{
    struct crew_run *run = s->runs.first;
    if (s->state == SLOT_STARTING && m->kind == WIRE_IDLE && m->run == 0) {
        payload_release(&m->payload);
        enter(s, SLOT_READY, clock_us());
        return 0;
    }
    if (!run || run->number != m->run) {
        payload_release(&m->payload);
        return error_internal(reterr, "crew: a message of a run whose turn it is not");
    }
    run->is_begun = true;
    if (call_take(&s->call, m, reterr) != 0)
        return -1;
    if (s->call.state == CALL_ENDED)
        end_first(s);
    return 0;
}

static bool first_has_begun(const struct crew_slot *s)
{
    const struct crew_run *run = s->runs.first;
    return run && (run->is_begun || control_has_begun(s->control, run->number));
}

static void break_off(struct crew_slot *s, const struct error *why)
{
    bool is_to_blame = first_has_begun(s);
    log_write(LOG_WARNING, "executor broke the protocol, killed", LOG_INT("executor", s->pid),
              LOG_STR("job", is_to_blame ? s->runs.first->label : NULL), LOG_ERR(*why));
    if (is_to_blame && !s->runs.first->is_stopping)
        condemn(s->runs.first, CREW_ERROR, why);
    s->is_broken = true;
    slot_kill(s);
}

/* Read some messages. False: there is nothing more at the moment, or ever. */
static bool read_messages(struct crew_slot *s)
{
    int ends = 0;
    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        struct wire_message m;
        struct error why;
        int got = wire_receive(s->fd, call_message_max(&s->call), &m, &why);
        if (got < 0 && why.code == ERR_STOPPED && ends == 0)
            return false;
        /* Who leaves orders unread resets the connection: that is reported first, then comes what
         * it had sent. Twice is the end; once, and it was an empty message. */
        if (got == 0 && ++ends < 2)
            continue;
        if (got == 0) {
            slot_kill(s);
            return false;
        }
        if (ends > 0 && got < 0 && why.code == ERR_STOPPED)
            (void)error_internal(&why, "crew: an empty message");
        ends = 0;
        if (got < 0 || take(s, &m, &why) != 0) {
            break_off(s, &why);
            return false;
        }
        if (s->load == 0 && s->state == SLOT_READY)
            return false; /* it has nothing to say: no need to look */
    }
    return true;
}

void slot_receive(struct crew_slot *s)
{
    if (s->state == SLOT_STARTING || s->state == SLOT_READY)
        (void)read_messages(s);
}

/* ---- time */

static bool is_over_memory(struct crew_slot *s, struct crew_run *run)
{
    struct verdict_memory allowed = {.limit = run->task->memory_bytes,
                                     .before = (size_t)atomic_load(&s->control->resident),
                                     .warm = (size_t)s->crew->config->executor_idle_mb << 20,
                                     .passed = run->body->size +
                                               SANDBOX_FILE_BYTES(run->task->output_bytes)};
    return verdict_is_over_memory(&allowed, s->pid, &s->statm_fd, &run->peak_bytes);
}

static int64_t judge(struct crew_slot *s, struct crew_run *run, int64_t now_us)
{
    struct error why;
    int64_t deadline_us = run->started_us + (int64_t)(run->seconds * 1e6);
    if (!run->is_stopping && now_us >= deadline_us) {
        (void)verdict_timed_out(run->seconds_limit, run->seconds, &why);
        stop_begun(s, run, CREW_TIMED_OUT, &why);
    } else if (run->is_stopping && now_us >= run->kill_at_us) {
        slot_kill(s);
    } else if (now_us >= s->sample_at_us) {
        s->sample_at_us = now_us + SAMPLE_US;
        bool is_over = is_over_memory(s, run);
        if (is_over)
            (void)verdict_over_memory(run->task->memory_bytes, &why);
        else if (verdict_threads(s->pid) > VERDICT_THREADS_MAX)
            is_over = verdict_over_threads(&why) != 0;
        if (is_over) {
            condemn(run, CREW_CRASHED, &why);
            slot_kill(s);
        }
    }
    int64_t due_us = run->is_stopping ? run->kill_at_us : deadline_us;
    return due_us < s->sample_at_us ? due_us : s->sample_at_us;
}

/* The executor has not come to it: its time has not begun. */
static int64_t wait_for_begin(struct crew_slot *s, struct crew_run *run, int64_t now_us)
{
    run->started_us = now_us;
    if (now_us - s->first_us >= STALL_US) {
        log_write(LOG_WARNING, "executor takes no runs, killed", LOG_INT("executor", s->pid));
        slot_kill(s);
    }
    int64_t run_us = (int64_t)(run->seconds * 1e6);
    return now_us + (run_us < SAMPLE_US ? run_us : SAMPLE_US);
}

static int64_t check_ready(struct crew_slot *s, int64_t now_us)
{
    struct crew_run *run = s->runs.first;
    if (!run && s->crew->is_retiring) {
        slot_kill(s);
        return now_us + REAP_US;
    }
    if (!run) {
        if (s->is_full && now_us < s->retry_us)
            return s->retry_us;
        s->is_full = false;
        return now_us + CREW_IDLE_US;
    }
    if (!first_has_begun(s))
        return wait_for_begin(s, run, now_us);
    run->is_begun = true;
    int64_t next_us = judge(s, run, now_us);
    if (run->place == CREW_RUN_SENT && !run->is_told) {
        run->is_told = true;
        s->crew->events.started(s->crew->events.context, run);
    }
    return next_us;
}

int64_t slot_check(struct crew_slot *s, int64_t now_us)
{
    int64_t late_us = s->started_us + (int64_t)(s->crew->config->executor_start_seconds * 1e6);
    switch (s->state) {
    case SLOT_DOWN:
        if (s->crew->is_closing || s->crew->is_retiring)
            return now_us + CREW_IDLE_US;
        if (now_us >= s->restart_us)
            slot_start(s, now_us);
        return s->state == SLOT_DOWN ? s->restart_us : late_us;
    case SLOT_STARTING:
        if (now_us < late_us && !s->crew->is_retiring)
            return late_us;
        if (now_us >= late_us) /* else it is not needed any more */
            log_write(LOG_ERROR, "executor does not get ready, killed",
                      LOG_INT("executor", s->pid));
        slot_kill(s);
        return now_us + REAP_US;
    case SLOT_READY:
        return check_ready(s, now_us);
    case SLOT_DYING:
        slot_reap(s, false);
        return s->state == SLOT_DYING ? now_us + REAP_US : s->restart_us;
    }
    return now_us;
}

/* ---- the end */

static void end_fenced(struct crew_slot *s)
{
    for (struct crew_run *run; (run = s->runs.first) != NULL;) {
        run->is_begun = run->is_begun || control_has_begun(s->control, run->number);
        (void)error_set(&run->error, ERR_STOPPED, "All runs were stopped.");
        remove_run(s, run, s->state_us);
        crew_finish(s->crew, run, run->is_begun ? CREW_STOPPED : CREW_UNTRIED);
    }
}

/* The first run, if it has begun, has died with its executor; the others know nothing of it. */
static void end_runs(struct crew_slot *s, int status)
{
    struct crew_run *first = s->runs.first;
    struct error why;
    if (first && first_has_begun(s)) {
        first->is_begun = true;
    } else if (first) {
        bool is_recycled = WIFEXITED(status) && WEXITSTATUS(status) == EXECUTOR_RECYCLED;
        first->losses += is_recycled ? 1 : LOSS_BY_DEATH;
        first->is_begun = first->losses >= LOSSES_MAX;
    }
    if (first && first->is_begun && !first->is_stopping) {
        (void)verdict_crashed(status, &why);
        condemn(first, CREW_CRASHED, &why);
    }
    for (struct crew_run *run; (run = s->runs.last) != NULL;) {
        remove_run(s, run, s->state_us);
        if (run->is_stopping)
            crew_finish(s->crew, run, run->end);
        else
            crew_requeue(s->crew, run);
    }
}

static void log_exit(const struct crew_slot *s, pid_t pid, int status)
{
    bool is_plain = WIFEXITED(status) && WEXITSTATUS(status) == EXECUTOR_RECYCLED;
    const char *signal_name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    /* After SIGKILL the job's own line says why. */
    bool is_expected = is_plain || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    log_write(is_expected ? LOG_DEBUG : LOG_WARNING, "executor ended", LOG_INT("child", pid),
              LOG_STR("job", first_has_begun(s) ? s->runs.first->label : NULL),
              LOG_STR("signal", signal_name),
              LOG_INT("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1));
}

/* At once, unless it keeps dying before it does any work. */
static void plan_restart(struct crew_slot *s, int status, int64_t now_us)
{
    bool did_work = now_us - s->started_us >= YOUNG_US || atomic_load(&s->control->runs) > 0 ||
                    first_has_begun(s) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (did_work)
        s->delay_ms = 0;
    else
        s->delay_ms = s->delay_ms == 0 ? DELAY_FIRST_MS : 2 * s->delay_ms;
    if (s->delay_ms > DELAY_MAX_MS)
        s->delay_ms = DELAY_MAX_MS;
    s->restart_us = now_us + (int64_t)s->delay_ms * 1000;
}

void slot_reap(struct crew_slot *s, bool wait)
{
    int status;
    pid_t pid = s->pid, got = 0;
    if (pid == 0)
        return;
    do
        got = waitpid(pid, &status, wait ? 0 : WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got != pid)
        return;
    s->pid = 0;
    int64_t now_us = clock_us();
    enter(s, SLOT_DYING, now_us);
    while (!s->is_fenced && !s->is_broken && read_messages(s))
        continue;
    log_exit(s, pid, status);
    executor_count_exit(status,
                        s->crew->is_closing || (s->crew->is_retiring && !first_has_begun(s)));
    plan_restart(s, status, now_us);
    const char *label = first_has_begun(s) ? s->runs.first->label : NULL;
    child_log_read(&s->log, pid, label);
    child_log_close(&s->log, pid);
    if (s->is_fenced)
        end_fenced(s);
    else
        end_runs(s, status);
    close_fd(&s->fd);
    close_fd(&s->lifeline_fd);
    close_fd(&s->statm_fd);
    enter(s, SLOT_DOWN, now_us);
    crew_look_at(s->crew, s->restart_us);
}
