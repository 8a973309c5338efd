/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crew.c - see crew.h
 *
 * Runs wait in one queue for each class, first come, first served. The executor with the least to
 * do takes the first of them; a run that is too large to be sent ahead holds those behind it
 * back until one has nothing to do, so that it cannot wait for ever.
 */
#include "jobs/crew.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "jobs/crew_slot.h"

#define EVENTS_AT_ONCE 64
#define WAKE UINT64_MAX
/* Runs stay behind one that takes longer only while no other executor is idle. */
#define STEAL_US 5000

_Static_assert(CREW_AHEAD_BYTES == PAYLOAD_INLINE_MAX, "what is larger lies in a memfd");

/* ---- lists */

void crew_list_append(struct crew_list *l, struct crew_run *run)
{
    run->next = NULL;
    run->previous = l->last;
    *(l->last ? &l->last->next : &l->first) = run;
    l->last = run;
}

void crew_list_prepend(struct crew_list *l, struct crew_run *run)
{
    run->next = l->first;
    run->previous = NULL;
    *(l->first ? &l->first->previous : &l->last) = run;
    l->first = run;
}

void crew_list_remove(struct crew_list *l, struct crew_run *run)
{
    *(run->previous ? &run->previous->next : &l->first) = run->next;
    *(run->next ? &run->next->previous : &l->last) = run->previous;
    run->next = run->previous = NULL;
}

static void unlist(struct crew_class *k, struct crew_slot *s)
{
    *(s->previous ? &s->previous->next : &k->by_load[s->listed_load]) = s->next;
    if (s->next)
        s->next->previous = s->previous;
    s->is_listed = false;
    k->ready--;
    k->busy -= s->listed_load > 0;
}

void crew_relist(struct crew *c, struct crew_slot *s)
{
    struct crew_class *k = &c->classes[s->class];
    if (s->is_listed)
        unlist(k, s);
    if (s->state != SLOT_READY)
        return;
    struct crew_slot **head = &k->by_load[s->load];
    s->previous = NULL;
    s->next = *head;
    if (*head)
        (*head)->previous = s;
    *head = s;
    s->is_listed = true;
    s->listed_load = s->load;
    k->ready++;
    k->busy += s->load > 0;
}

/* ---- who computes what */

static struct crew_slot *least_loaded(const struct crew_class *k)
{
    for (int load = 0; load < CREW_AHEAD_MAX; load++) {
        for (struct crew_slot *s = k->by_load[load]; s; s = s->next) {
            if (!s->is_full)
                return s;
        }
    }
    return NULL;
}

static void dispatch(struct crew_class *k)
{
    for (struct crew_run *run; (run = k->queue.first) != NULL;) {
        struct crew_slot *s = least_loaded(k);
        if (!s || (s->load > 0 && run->body->fd >= 0))
            return;
        crew_list_remove(&k->queue, run);
        if (slot_send(s, run) != 0)
            crew_list_prepend(&k->queue, run); /* that one takes none now */
    }
}

static void dispatch_all(struct crew *c)
{
    for (int class = 0; class < TASK_CLASS_COUNT; class ++)
        dispatch(&c->classes[class]);
}

static bool has_runs_ahead(const struct crew_class *k)
{
    for (int load = CREW_AHEAD_MAX; load >= 2; load--) {
        if (k->by_load[load])
            return true;
    }
    return false;
}

/* One is idle, while runs stand behind others. */
static bool is_uneven(const struct crew_class *k)
{
    const struct crew_slot *s = k->queue.first ? NULL : least_loaded(k);
    return s && s->load == 0 && has_runs_ahead(k);
}

/* The one with the most runs behind a long one. */
static struct crew_slot *find_victim(const struct crew_class *k, int64_t now_us)
{
    for (int load = CREW_AHEAD_MAX; load >= 2; load--) {
        for (struct crew_slot *s = k->by_load[load]; s; s = s->next) {
            if (now_us - s->first_us >= STEAL_US)
                return s;
        }
    }
    return NULL;
}

static void balance(struct crew_class *k, int64_t now_us)
{
    while (is_uneven(k)) {
        struct crew_slot *victim = find_victim(k, now_us);
        if (!victim || slot_give_back(victim, victim->load / 2) == 0)
            return;
        dispatch(k);
    }
}

/* ---- for crew_slot.c */

/* Whoever waits for crew_fd() has to come earlier than it was told. */
static void wake(struct crew *c)
{
    uint64_t one = 1;
    if (!c->is_stepping && write(c->wake_fd, &one, sizeof(one)) < 0)
        return; /* EAGAIN: it is readable already */
}

void crew_look_at(struct crew *c, int64_t at_us)
{
    if (at_us >= c->tick_us)
        return;
    c->tick_us = at_us;
    wake(c);
}

void crew_finish(struct crew *c, struct crew_run *run, enum crew_end end)
{
    run->place = CREW_RUN_ENDED;
    run->end = end;
    if (!run->is_begun)
        run->started_us = 0;
    if (run->ended_us == 0)
        run->ended_us = clock_us();
    c->classes[run->task->class].runs--;
    crew_list_append(&c->ended, run);
    wake(c);
}

void crew_requeue(struct crew *c, struct crew_run *run)
{
    run->place = CREW_RUN_QUEUED;
    run->started_us = 0;
    if (c->is_retiring) { /* nobody would take it */
        (void)error_set(&run->error, ERR_STOPPED, "Its executor has ended.");
        crew_finish(c, run, CREW_UNTRIED);
        return;
    }
    crew_list_prepend(&c->classes[run->task->class].queue, run);
    crew_look_at(c, 0);
}

/* ---- step */

static void tell(struct crew *c)
{
    for (struct crew_run *run; (run = c->ended.first) != NULL;) {
        crew_list_remove(&c->ended, run);
        if (run->is_begun && !run->is_told) {
            run->is_told = true;
            c->events.started(c->events.context, run);
        }
        c->events.ended(c->events.context, run);
    }
}

static void read_log(struct crew_slot *s)
{
    const struct crew_run *run = s->runs.first;
    child_log_read(&s->log, s->pid, run ? run->label : NULL);
}

static void on_event(struct crew *c, uint64_t what)
{
    uint64_t count;
    if (what == WAKE) {
        if (read(c->wake_fd, &count, sizeof(count)) < 0)
            return; /* it was read before */
    } else if ((what & 1) == 0) {
        struct crew_slot *s = &c->slots[what >> 1];
        slot_receive(s);
        dispatch(&c->classes[s->class]);
    }
}

static void tick(struct crew *c, int64_t now_us)
{
    c->tick_us = now_us + CREW_IDLE_US;
    for (int i = 0; i < c->slot_count; i++)
        crew_look_at(c, slot_check(&c->slots[i], now_us));
    dispatch_all(c);
    for (int class = 0; class < TASK_CLASS_COUNT; class ++)
        balance(&c->classes[class], now_us);
}

int64_t crew_step(struct crew *c)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    c->is_stepping = true;
    int count = epoll_wait(c->epoll_fd, events, EVENTS_AT_ONCE, 0);
    for (int i = 0; i < count; i++) { /* what was printed comes before the end of its run */
        if (events[i].data.u64 != WAKE && (events[i].data.u64 & 1))
            read_log(&c->slots[events[i].data.u64 >> 1]);
    }
    for (int i = 0; i < count; i++)
        on_event(c, events[i].data.u64);
    int64_t now_us = clock_us();
    if (now_us >= c->tick_us)
        tick(c, now_us);
    tell(c);
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        if (is_uneven(&c->classes[class]))
            crew_look_at(c, now_us + STEAL_US);
    }
    c->is_stepping = false;
    return c->tick_us;
}

void crew_reap(struct crew *c)
{
    for (int i = 0; i < c->slot_count; i++)
        slot_reap(&c->slots[i], false);
}

/* ---- runs */

static int encode(struct crew_run *run, struct error *reterr)
{
    struct order order = {.module = run->task->module,
                          .task = run->task->name,
                          .params = run->params,
                          .params_size = run->params_size,
                          .limits = run->task->limits,
                          .limit_count = run->task->limit_count,
                          .inputs = run->inputs,
                          .input_count = run->input_count};
    run->body_size = run->body->size;
    return order_encode(&order, run->body, reterr);
}

void crew_submit(struct crew *c, struct crew_run *run)
{
    struct crew_class *k = &c->classes[run->task->class];
    k->runs++;
    if (c->is_closing) {
        (void)error_set(&run->error, ERR_STOPPED, "The runner has ended.");
        crew_finish(c, run, CREW_UNTRIED);
    } else if (k->slots == 0) {
        (void)error_set(&run->error, ERR_UNAVAILABLE, "This runner has no executors of class %s.",
                        task_class_name(run->task->class));
        crew_finish(c, run, CREW_ERROR);
    } else if (encode(run, &run->error) != 0) {
        crew_finish(c, run, CREW_ERROR);
    } else {
        run->place = CREW_RUN_QUEUED;
        crew_list_append(&k->queue, run);
        dispatch(k);
    }
}

void crew_stop(struct crew *c, struct crew_run *run, const struct error *why)
{
    if (run->place == CREW_RUN_SENT)
        slot_stop(run->slot, run, why);
    if (run->place != CREW_RUN_QUEUED)
        return;
    crew_list_remove(&c->classes[run->task->class].queue, run);
    run->error = *why;
    crew_finish(c, run, CREW_STOPPED);
}

bool crew_withdraw(struct crew *c, struct crew_run *run)
{
    if (run->place == CREW_RUN_QUEUED)
        crew_list_remove(&c->classes[run->task->class].queue, run);
    else if (run->place != CREW_RUN_SENT || !slot_withdraw(run->slot, run))
        return false;
    (void)error_set(&run->error, ERR_STOPPED, "It was withdrawn before it began.");
    crew_finish(c, run, CREW_UNTRIED);
    return true;
}

void crew_kill_all(struct crew *c)
{
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        struct crew_list *queue = &c->classes[class].queue;
        for (struct crew_run *run; (run = queue->first) != NULL;) {
            crew_list_remove(queue, run);
            (void)error_set(&run->error, ERR_STOPPED, "All runs were stopped.");
            crew_finish(c, run, CREW_UNTRIED);
        }
    }
    for (int i = 0; i < c->slot_count; i++) {
        c->slots[i].is_fenced = true;
        slot_kill(&c->slots[i]);
    }
}

/* A text that the executor writes while we read it: the part of it that is text. */
static void copy_text(const struct control *control, char text[CONTROL_TEXT_SIZE])
{
    memcpy(text, control->text, CONTROL_TEXT_SIZE);
    text[CONTROL_TEXT_SIZE - 1] = '\0';
    size_t size = strlen(text), used = 0;
    for (size_t n; used < size && (n = utf8_length(text + used, size - used)) > 0; used += n)
        continue;
    text[used] = '\0';
}

bool crew_progress(struct crew *c, struct crew_run *run, double *ret_fraction, char *ret_what,
                   size_t size)
{
    char text[CONTROL_TEXT_SIZE];
    struct crew_slot *s = run->place == CREW_RUN_SENT ? run->slot : NULL;
    (void)c;
    if (!s || s->runs.first != run || atomic_load(&s->control->run) != run->number)
        return false;
    uint32_t ppm = atomic_load(&s->control->fraction_ppm);
    if (ppm > 1000000)
        ppm = 1000000;
    copy_text(s->control, text);
    if (ppm == s->told_ppm && strcmp(text, s->told_text) == 0)
        return false;
    s->told_ppm = ppm;
    memcpy(s->told_text, text, sizeof(text));
    *ret_fraction = ppm / 1e6;
    (void)snprintf(ret_what, size, "%s", text);
    return true;
}

/* ---- open and close */

static int open_memory(struct crew *c, struct error *reterr)
{
    c->memory_size = (size_t)c->slot_count * CONTROL_PAGE_SIZE;
    if (c->slot_count == 0)
        return 0;
    c->memory_fd = memfd_create("gangsaw-crew", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (c->memory_fd < 0 || ftruncate(c->memory_fd, (off_t)c->memory_size) != 0 ||
        fcntl(c->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return error_errno(reterr, "crew: memfd");
    void *memory = mmap(NULL, c->memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, c->memory_fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(reterr, "crew: mmap");
    c->memory = memory;
    return 0;
}

static int open_epoll(struct crew *c, struct error *reterr)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKE};
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->epoll_fd < 0 || c->wake_fd < 0 ||
        epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->wake_fd, &event) != 0)
        return error_errno(reterr, "crew: epoll");
    return 0;
}

static int count_slots(struct crew *c, const struct catalog *catalog,
                       const int slots[TASK_CLASS_COUNT], struct error *reterr)
{
    for (int class = 0; class < TASK_CLASS_COUNT; class ++) {
        if (catalog_class_count(catalog, (enum task_class) class) > 0)
            c->classes[class].slots = slots[class];
        c->classes[class].limits = catalog_class_limits(catalog, (enum task_class) class);
        c->slot_count += c->classes[class].slots;
    }
    c->slots = calloc((size_t)c->slot_count + 1, sizeof(*c->slots));
    return c->slots ? 0 : error_errno(reterr, "crew: calloc");
}

static void release(struct crew *c)
{
    int fds[] = {c->epoll_fd, c->wake_fd, c->memory_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            (void)close(fds[i]);
    }
    if (c->memory)
        (void)munmap(c->memory, c->memory_size);
    free(c->slots);
    free(c);
}

int crew_open(const struct config *cfg, const struct catalog *catalog,
              const int slots[TASK_CLASS_COUNT], const struct crew_events *events,
              struct crew **ret_crew, struct error *reterr)
{
    struct crew *c = calloc(1, sizeof(*c));
    if (!c)
        return error_errno(reterr, "crew: calloc");
    c->events = *events;
    c->config = cfg;
    c->epoll_fd = c->wake_fd = c->memory_fd = -1;
    if (count_slots(c, catalog, slots, reterr) != 0 || open_memory(c, reterr) != 0 ||
        open_epoll(c, reterr) != 0) {
        release(c);
        return -1;
    }
    int64_t now_us = clock_us();
    c->tick_us = now_us + CREW_IDLE_US;
    for (int class = 0, i = 0; class < TASK_CLASS_COUNT; class ++) {
        for (int k = 0; k < c->classes[class].slots; k++, i++)
            slot_init(&c->slots[i], c, i, (enum task_class) class);
    }
    for (int i = 0; i < c->slot_count; i++)
        slot_start(&c->slots[i], now_us);
    *ret_crew = c;
    return 0;
}

void crew_retire(struct crew *c)
{
    c->is_retiring = true;
    crew_look_at(c, 0);
}

bool crew_has_ended(const struct crew *c)
{
    for (int i = 0; i < c->slot_count; i++) {
        if (c->slots[i].pid != 0)
            return false;
    }
    return true;
}

void crew_close(struct crew *c)
{
    if (!c)
        return;
    c->is_closing = c->is_stepping = true;
    crew_kill_all(c);
    for (int i = 0; i < c->slot_count; i++)
        slot_reap(&c->slots[i], true);
    tell(c);
    release(c);
}

/* ---- figures */

int crew_fd(const struct crew *c)
{
    return c->epoll_fd;
}

struct crew_load crew_load(const struct crew *c, enum task_class class)
{
    const struct crew_class *k = &c->classes[class];
    return (struct crew_load){
        .slots = k->slots, .ready = k->ready, .busy = k->busy, .runs = k->runs};
}

int crew_count(const struct crew *c)
{
    return c->slot_count;
}

struct crew_member crew_member(const struct crew *c, int i)
{
    const struct crew_slot *s = &c->slots[i];
    const struct crew_run *run = s->runs.first;
    int64_t now_us = clock_us(), since_us = run ? run->started_us : s->state_us;
    struct crew_member m = {.pid = s->pid,
                            .class = s->class,
                            .task = run ? run->task->name : NULL,
                            .label = run ? run->label : NULL,
                            .age_s = s->pid ? (double)(now_us - s->started_us) / 1e6 : 0,
                            .state_s = (double)(now_us - since_us) / 1e6,
                            .ahead = s->load > 0 ? s->load - 1 : 0};
    if (s->state == SLOT_STARTING)
        m.state = "starting";
    else if (s->state == SLOT_READY)
        m.state = run ? "busy" : "idle";
    else
        m.state = "restarting";
    return m;
}
