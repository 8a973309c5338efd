/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.c - see client.h
 *
 * A client is freed by drop() alone, and every function that may do so ends with it: behind a call
 * of respond(), push() or end_stream() its client may be gone.
 */
#include "hub/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "hub/answer.h"
#include "hub/events.h"
#include "hub/keys.h"
#include "hub/scgi.h"
#include "hub/target.h"

#define SILENCE_US 15000000 /* longest of a peer that we read from, or that is to read an end */
#define COMMENT_US 15000000 /* longest of ours in a stream: proxies close silent connections */
#define OPEN_US 1000000     /* a stream begins by then, its job's state known or not */
#define STREAM_US 600000000 /* then the browser comes back: a reload of nginx waits for streams */
#define STREAM_BUFFER_MAX 262144 /* not read by then: the client is given up */

struct client {
    struct timer timer;
    struct clients *all;
    LIST_ENTRY(client) everyone_link, link; /* `link`: of its job's clients, or of the held ones */
    bool is_linked;
    bool is_open; /* a stream whose beginning was sent */
    int fd;
    enum client_state state;
    uint32_t events;      /* that epoll watches for; 0: not there yet */
    struct watched *job;  /* NULL: none yet */
    int64_t end_us;       /* of the wait, of the stream */
    struct strbuf bytes;  /* READING: of its request. Then: of its stream … */
    size_t sent;          /* … of which so many are sent */
    struct target target; /* its last_event_id is the last that it has been sent */
    char request_id[TARGET_REQUEST_ID_SIZE];
};

/* ---- life */

/* The one door for state changes. */
static void enter(struct client *c, enum client_state state)
{
    c->all->by_state[c->state]--;
    c->all->by_state[state]++;
    c->state = state;
}

static void link_to(struct client *c, struct client_list *list)
{
    LIST_INSERT_HEAD(list, c, link);
    c->is_linked = true;
}

/* Its job's entry goes with the last client. */
static void unlink_client(struct client *c)
{
    struct watched *job = c->job;
    if (c->is_linked)
        LIST_REMOVE(c, link);
    c->is_linked = false;
    c->job = NULL;
    if (job && LIST_EMPTY(&job->clients))
        watch_drop(c->all->watch, job);
}

static void drop(struct client *c)
{
    struct clients *cs = c->all;
    unlink_client(c);
    timer_clear(&cs->timers, &c->timer);
    LIST_REMOVE(c, everyone_link);
    cs->by_state[c->state]--;
    cs->total--;
    (void)close(c->fd);
    strbuf_release(&c->bytes);
    free(c);
}

static void drop_counted(struct client *c, uint64_t *counter)
{
    ++*counter;
    drop(c);
}

static void watch_socket(struct client *c, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLRDHUP, .data.ptr = c};
    /* Cannot fail but for memory; the timer is left then. */
    if (c->events != event.events)
        (void)epoll_ctl(c->all->epoll_fd, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd,
                        &event);
    c->events = event.events;
}

/* ---- answers of one piece: a new socket's buffer takes them */

static struct strbuf *new_answer(struct client *c)
{
    strbuf_reset(&c->all->answer);
    return &c->all->answer;
}

static void respond(struct client *c, const struct strbuf *answer)
{
    (void)send(c->fd, answer->text, answer->size, MSG_NOSIGNAL | MSG_DONTWAIT);
    drop(c);
}

static void respond_problem(struct client *c, const struct error *error)
{
    struct strbuf *answer = new_answer(c);
    answer_problem(answer, error, c->request_id);
    respond(c, answer);
}

static void redirect(struct client *c)
{
    struct strbuf *answer = new_answer(c);
    answer_redirect(answer, c->target.then);
    respond(c, answer);
}

/* Give out the next turn to ask the pool `api`. Returns how long it is until then; 0: now. */
static int64_t take_turn(struct clients *cs)
{
    int64_t now_us = clock_us(), earliest_us = now_us - CLIENT_TURNS_BURST * cs->turn_every_us;
    if (cs->total <= CLIENT_TURNS_BURST && cs->turn_us <= now_us)
        return 0;
    if (cs->turn_us < earliest_us)
        cs->turn_us = earliest_us;
    cs->turn_us += cs->turn_every_us;
    return cs->turn_us > now_us ? cs->turn_us - now_us : 0;
}

/* Its wait is over. */
static void release(struct client *c, uint64_t *counter)
{
    int64_t left_us = take_turn(c->all);
    ++*counter;
    if (left_us == 0) {
        redirect(c);
        return;
    }
    watch_socket(c, 0);
    unlink_client(c);
    enter(c, CLIENT_LEAVING);
    timer_set(&c->all->timers, &c->timer, clock_us() + left_us);
}

/* ---- event streams */

static void await_silence(struct client *c)
{
    int64_t due_us = clock_us() + COMMENT_US;
    timer_set(&c->all->timers, &c->timer, due_us < c->end_us ? due_us : c->end_us);
}

/* Keep for later what the socket does not take. False: given up. */
static bool keep_rest(struct client *c, const char *bytes, size_t size)
{
    if (c->bytes.size - c->sent + size > STREAM_BUFFER_MAX) {
        drop_counted(c, &c->all->counts.slow);
        return false;
    }
    if (c->sent > c->bytes.size / 2) {
        c->bytes.size -= c->sent;
        memmove(c->bytes.text, c->bytes.text + c->sent, c->bytes.size);
        c->sent = 0;
    }
    strbuf_add(&c->bytes, bytes, size);
    watch_socket(c, EPOLLOUT);
    return true;
}

/* False: the client is gone. */
static bool push(struct client *c, const struct strbuf *text)
{
    ssize_t size = 0;
    if (c->bytes.size == 0) {
        size = send(c->fd, text->text, text->size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno != EAGAIN) {
            drop_counted(c, &c->all->counts.left);
            return false;
        }
        size = size < 0 ? 0 : size;
    }
    if ((size_t)size < text->size && !keep_rest(c, text->text + size, text->size - (size_t)size))
        return false;
    await_silence(c);
    return true;
}

static void end_stream(struct client *c)
{
    if (c->bytes.size == 0) {
        drop(c);
        return;
    }
    unlink_client(c);
    enter(c, CLIENT_ENDING);
    timer_set(&c->all->timers, &c->timer, clock_us() + SILENCE_US);
}

/* Append the beginning, where it was not sent. */
static void add_beginning(struct client *c, struct strbuf *text)
{
    if (c->is_open)
        return;
    c->is_open = true;
    c->all->counts.streams++;
    answer_stream(text, c->request_id);
}

static bool begin_stream(struct client *c)
{
    struct strbuf *text = new_answer(c);
    add_beginning(c, text);
    return push(c, text);
}

static void flush(struct client *c)
{
    ssize_t size =
        send(c->fd, c->bytes.text + c->sent, c->bytes.size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size < 0 && errno != EAGAIN) {
        drop_counted(c, &c->all->counts.left);
        return;
    }
    c->sent += size > 0 ? (size_t)size : 0;
    if (c->sent < c->bytes.size)
        return;
    strbuf_release(&c->bytes);
    c->sent = 0;
    if (c->state == CLIENT_ENDING)
        drop(c);
    else
        watch_socket(c, 0);
}

/* The hub ends, the time is over, or the key of a stream. Browsers come back by turns too. */
static void conclude(struct client *c)
{
    struct clients *cs = c->all;
    if (!c->target.is_stream) {
        release(c, &cs->counts.timed_out);
        return;
    }
    struct strbuf *text = new_answer(c);
    add_beginning(c, text);
    strbuf_addf(text, "retry: %lld\n\n", (long long)(EVENTS_RETRY_MS + take_turn(cs) / 1000));
    if (push(c, text))
        end_stream(c);
}

/* Its job is in the state that `id` names; cs->event has the event. */
static void tell(struct client *c, const char *id, bool is_final)
{
    bool has_it = strcmp(c->target.last_event_id, id) == 0;
    struct strbuf *text = new_answer(c);
    if (has_it && is_final && !c->is_open) {
        answer_nothing(text, c->request_id);
        respond(c, text);
        return;
    }
    add_beginning(c, text);
    if (!has_it)
        strbuf_add(text, c->all->event.text, c->all->event.size);
    memcpy(c->target.last_event_id, id, strlen(id) + 1);
    if ((text->size == 0 || push(c, text)) && is_final)
        end_stream(c);
}

static void tell_gone(struct client *c)
{
    struct error gone;
    if (c->is_open) {
        end_stream(c);
        return;
    }
    (void)error_set(&gone, ERR_GONE, "The job was removed when its time to be kept was over.");
    respond_problem(c, &gone);
}

void clients_ended(struct clients *cs, struct watched *job)
{
    for (struct client *c = LIST_FIRST(&job->clients), *next; c; c = next) {
        next = LIST_NEXT(c, link);
        if (c->state == CLIENT_WAITING)
            release(c, &cs->counts.ended);
    }
}

void clients_found(struct clients *cs, struct watched *job, const struct job_row *row,
                   struct arena *scratch)
{
    char id[TARGET_EVENT_ID_SIZE] = "";
    bool is_final = !row || job_state_is_final(row->state);
    strbuf_reset(&cs->event);
    /* The job's entry goes with the last of them. */
    for (struct client *c = LIST_FIRST(&job->clients), *next; c; c = next) {
        next = LIST_NEXT(c, link);
        if (c->state == CLIENT_WAITING && is_final) {
            release(c, &cs->counts.ended);
        } else if (c->state == CLIENT_STREAMING && !keys_allow(cs->keys, c->target.key)) {
            conclude(c);
        } else if (c->state == CLIENT_STREAMING && !row) {
            tell_gone(c);
        } else if (c->state == CLIENT_STREAMING) {
            if (cs->event.size == 0) { /* once for all */
                event_id(row, id);
                event_print(&cs->event, scratch, watch_secret(cs->watch), row);
            }
            tell(c, id, is_final);
        }
    }
}

/* ---- requests */

/* The secret is known: from now on its job is watched. */
static void attach(struct client *c)
{
    struct clients *cs = c->all;
    int64_t key;
    if (!db_id_parse(watch_secret(cs->watch), DB_ID_JOB, c->target.tenant, c->target.job, &key)) {
        struct error none;
        cs->counts.invalid++;
        (void)error_set(&none, ERR_NOT_FOUND, "There is no such job.");
        if (c->is_open)
            end_stream(c);
        else
            respond_problem(c, &none);
        return;
    }
    bool is_awaited = c->target.is_awaited && !c->target.is_stream;
    c->job = is_awaited ? watch_awaited(cs->watch, key) : watch_job(cs->watch, key);
    if (!c->job) {
        release(c, &cs->counts.ended);
        return;
    }
    link_to(c, &c->job->clients);
    enter(c, c->target.is_stream ? CLIENT_STREAMING : CLIENT_WAITING);
    if (c->target.is_stream) /* it wants to know the state now, known to us or not */
        watch_ask(cs->watch, c->job);
}

/* Nobody more can be held. A wait is over then, with the job as it is: an error would hide a job
 * that was stored a moment ago. */
static void refuse(struct client *c)
{
    struct clients *cs = c->all;
    struct error full;
    cs->counts.refused++;
    if (!c->target.is_stream) {
        redirect(c);
        return;
    }
    (void)error_set(&full, ERR_OVERLOADED,
                    "As many clients wait already as the limit hub.max_clients = %d allows.",
                    cs->limit);
    respond_problem(c, &full);
}

static void admit(struct client *c)
{
    struct clients *cs = c->all;
    int64_t now_us = clock_us();
    if (cs->total - cs->by_state[CLIENT_READING] >= cs->limit) {
        refuse(c);
        return;
    }
    c->end_us = now_us + (c->target.is_stream ? STREAM_US : c->target.wait_us);
    if (cs->is_finishing || (c->target.is_stream && c->target.is_head)) {
        conclude(c);
        return;
    }
    watch_socket(c, 0);
    timer_set(&cs->timers, &c->timer, c->target.is_stream ? now_us + OPEN_US : c->end_us);
    if (watch_secret(cs->watch)) {
        attach(c);
    } else {
        enter(c, CLIENT_HELD);
        link_to(c, &cs->held);
    }
}

static void take_request(struct client *c, const struct scgi_request *request)
{
    struct error error;
    target_request_id(request, c->request_id);
    int status = target_parse(c->all->scratch, request, &c->target, &error);
    arena_reset(c->all->scratch);
    if (status == 0) {
        strbuf_release(&c->bytes); /* the request lay in there */
        admit(c);
    } else {
        c->all->counts.invalid++;
        respond_problem(c, &error);
    }
}

static void read_request(struct client *c)
{
    struct clients *cs = c->all;
    struct scgi_request request;
    struct error error;
    bool is_first = c->bytes.size == 0;
    ssize_t size = recv(c->fd, cs->bytes, SCGI_REQUEST_MAX - c->bytes.size, MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN) {
        watch_socket(c, EPOLLIN);
        return;
    }
    if (size <= 0) {
        drop_counted(c, &cs->counts.left);
        return;
    }
    if (!is_first)
        strbuf_add(&c->bytes, cs->bytes, (size_t)size);
    /* Nearly always a request comes as a whole, and is never copied. */
    switch (scgi_parse(is_first ? cs->bytes : c->bytes.text,
                       is_first ? (size_t)size : c->bytes.size, &request, &error)) {
    case SCGI_MORE:
        if (is_first)
            strbuf_add(&c->bytes, cs->bytes, (size_t)size);
        watch_socket(c, EPOLLIN);
        break;
    case SCGI_COMPLETE:
        take_request(c, &request);
        break;
    case SCGI_BAD:
        cs->counts.invalid++;
        respond_problem(c, &error);
        break;
    }
}

bool clients_have_room(const struct clients *cs)
{
    return cs->by_state[CLIENT_READING] < CLIENT_READERS_MAX;
}

void client_accept(struct clients *cs, int fd)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        (void)close(fd);
        return;
    }
    c->all = cs;
    c->fd = fd;
    c->bytes = (struct strbuf)STRBUF_INIT;
    c->timer.owner = c;
    LIST_INSERT_HEAD(&cs->everyone, c, everyone_link);
    cs->total++;
    cs->by_state[CLIENT_READING]++;
    timer_set(&cs->timers, &c->timer, clock_us() + SILENCE_US);
    read_request(c); /* it is there already, as a rule */
}

/* ---- what happens to clients */

void client_ready(struct clients *cs, struct client *c, uint32_t events)
{
    if (c->state == CLIENT_READING)
        read_request(c);
    else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        drop_counted(c, &cs->counts.left);
    else
        flush(c);
}

static void tick(struct client *c)
{
    static const struct strbuf comment = {(char *)":\n\n", 3, 0};
    if (c->state == CLIENT_READING)
        drop_counted(c, &c->all->counts.invalid);
    else if (c->state == CLIENT_ENDING)
        drop_counted(c, &c->all->counts.slow);
    else if (c->state == CLIENT_LEAVING)
        redirect(c);
    else if (!c->target.is_stream || c->timer.due_us >= c->end_us ||
             !keys_allow(c->all->keys, c->target.key))
        conclude(c);
    else if (c->is_open)
        (void)push(c, &comment);
    else
        (void)begin_stream(c);
}

void clients_tick(struct clients *cs)
{
    int64_t now_us = clock_us();
    for (struct timer *t; (t = timers_first(&cs->timers)) && t->due_us <= now_us;)
        tick(t->owner);
}

int64_t clients_due(const struct clients *cs)
{
    const struct timer *t = timers_first(&cs->timers);
    return t ? t->due_us : INT64_MAX;
}

void clients_secret_known(struct clients *cs)
{
    for (struct client *c = LIST_FIRST(&cs->held), *next; c; c = next) {
        next = LIST_NEXT(c, link);
        unlink_client(c);
        attach(c);
    }
}

void clients_finish(struct clients *cs)
{
    cs->is_finishing = true;
    for (struct client *c = LIST_FIRST(&cs->everyone), *next; c; c = next) {
        next = LIST_NEXT(c, everyone_link);
        if (c->state != CLIENT_READING && c->state != CLIENT_LEAVING && c->state != CLIENT_ENDING)
            conclude(c);
    }
}

int clients_open(struct clients *cs, int epoll_fd, int limit, int cores, struct error *reterr)
{
    *cs = (struct clients){.epoll_fd = epoll_fd, .limit = limit};
    cs->turn_every_us = 1000000 / (CLIENT_TURNS_PER_CORE * (int64_t)(cores > 0 ? cores : 1));
    cs->answer = cs->event = (struct strbuf)STRBUF_INIT;
    LIST_INIT(&cs->everyone);
    LIST_INIT(&cs->held);
    cs->scratch = arena_new();
    cs->bytes = malloc(SCGI_REQUEST_MAX);
    if (!cs->bytes)
        return error_errno(reterr, "hub: clients");
    return timers_open(&cs->timers, (size_t)limit + CLIENT_READERS_MAX, reterr);
}

void clients_close(struct clients *cs)
{
    for (struct client *c = LIST_FIRST(&cs->everyone), *next; c; c = next) {
        next = LIST_NEXT(c, everyone_link);
        if (c->state == CLIENT_LEAVING)
            redirect(c);
        else
            drop(c);
    }
    timers_close(&cs->timers);
    arena_free(cs->scratch);
    free(cs->bytes);
    strbuf_release(&cs->answer);
    strbuf_release(&cs->event);
}
