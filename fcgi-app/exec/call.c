/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.c - see call.h
 */
#include "exec/call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "exec/verdict.h"

#define RECORD_MAX ((size_t)4096)             /* of an executor's message, besides its body */
#define LATE_US 10000                         /* a start may be noticed so much later */
#define RESULT_MAX ((size_t)64 * 1024 * 1024) /* bytes of JSON */

void call_init(struct call *c, struct arena *a, const struct task_desc *task, uint64_t run)
{
    *c = (struct call){.arena = a,
                       .task = task,
                       .run = run,
                       .fd = -1,
                       .statm_fd = -1,
                       .output_left = task->output_bytes};
}

void call_release(struct call *c)
{
    int *fds[] = {&c->fd, &c->statm_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] >= 0)
            (void)close(*fds[i]);
        *fds[i] = -1;
    }
}

int call_send(struct call *c, int fd, struct payload *order, size_t body_size, struct error *reterr)
{
    c->fd = fd;
    call_begin(c, clock_us());
    return wire_send(fd, WIRE_RUN, c->run, order, body_size, reterr);
}

int call_connect(struct call *c, int address_fd, struct payload *order, size_t body_size,
                 struct error *reterr)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", address_fd);
    /* An executor that was taken over may leave its backlog full: connect() has to say so. */
    c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0)
        return error_errno(reterr, "call: socket");
    if (connect(c->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (errno != ECONNREFUSED && errno != EAGAIN)
            return error_errno(reterr, "call: connect");
        (void)error_set(reterr, ERR_UNAVAILABLE, "No executor takes runs at the moment.");
        return error_cause(reterr, "call: connect: %s", strerror(errno));
    }
    return call_send(c, c->fd, order, body_size, reterr);
}

static bool media_type_is_declared(const struct task_slot *slot, const char *media_type)
{
    for (const char **t = slot->media_types; t && *t; t++) {
        if (strcmp(*t, media_type) == 0)
            return true;
    }
    return false;
}

/* "files", or "files.2" for the second item under one name. NULL when the descriptor does not have
 * it. */
static const char *output_name(struct call *c, const char *name, const char *media_type)
{
    for (int i = 0; i < c->task->output_count; i++) {
        const struct task_slot *slot = &c->task->outputs[i];
        if (strcmp(slot->name, name) != 0)
            continue;
        int n = 1;
        for (int k = 0; k < c->output_count; k++) {
            size_t size = strlen(name);
            const char *other = c->outputs[k].name;
            if (strncmp(other, name, size) == 0 && (other[size] == '\0' || other[size] == '.'))
                n++;
        }
        if (n > slot->max_count || !media_type_is_declared(slot, media_type))
            return NULL;
        return n == 1 ? arena_strdup(c->arena, name) : arena_printf(c->arena, "%s.%d", name, n);
    }
    return NULL;
}

static struct compute_output *add_output(struct call *c)
{
    if (c->output_count == c->output_capacity) {
        int capacity = c->output_capacity ? 2 * c->output_capacity : 4;
        struct compute_output *grown = arena_alloc(c->arena, (size_t)capacity * sizeof(*grown));
        if (c->output_count > 0)
            memcpy(grown, c->outputs, (size_t)c->output_count * sizeof(*grown));
        c->outputs = grown;
        c->output_capacity = capacity;
    }
    return &c->outputs[c->output_count++];
}

static int on_output(struct call *c, struct wire_message *m, struct error *reterr)
{
    struct wire_reader r = wire_record(m);
    const char *sent_name = wire_get_text(&r);
    const char *media_type = wire_get_text(&r);
    if (c->state != CALL_STARTED || !wire_is_complete(&r))
        return error_internal(reterr, "call: a malformed OUTPUT");
    const char *name = output_name(c, sent_name, media_type);
    if (!name)
        return error_internal(reterr, "call: output '%s' of type '%s' is not in the descriptor",
                              sent_name, media_type);
    if (m->body_size > c->output_left)
        return error_set(reterr, ERR_TOO_LARGE,
                         "The output is larger than the limit output_bytes = %zu.",
                         c->task->output_bytes);
    c->output_left -= m->body_size;
    struct payload *kept = payload_new(c->arena);
    *kept = m->payload;
    m->payload = (struct payload)PAYLOAD_INIT;
    struct compute_output *out = add_output(c);
    *out = (struct compute_output){.name = name,
                                   .media_type = arena_strdup(c->arena, media_type),
                                   .bytes = kept->bytes,
                                   .size = m->body_size,
                                   .fd = kept->fd};
    return 0;
}

/* No process holds more than there is; not asked for what a run is allowed anyway. */
static uint64_t believable_memory(const struct call *c, uint64_t bytes)
{
    if (bytes <= c->task->memory_bytes)
        return bytes;
    uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return bytes < most ? bytes : most;
}

struct usage {
    uint64_t cpu_us, peak_bytes;
    bool lingers;
};

static struct usage read_usage(struct wire_reader *r)
{
    struct usage u = {.cpu_us = wire_get_u64(r)};
    u.peak_bytes = wire_get_u64(r);
    u.lingers = wire_get_u64(r) != 0;
    return u;
}

/* What the executor says that it took, as far as that is possible: metrics add it up. */
static void end(struct call *c, const struct usage *u)
{
    uint64_t most_us = (uint64_t)(clock_us() - c->started_us + LATE_US) * VERDICT_THREADS_MAX;
    int64_t peak = (int64_t)believable_memory(c, u->peak_bytes);
    c->state = CALL_ENDED;
    c->lingers = u->lingers;
    c->cpu_us = (int64_t)(u->cpu_us < most_us ? u->cpu_us : most_us);
    if (peak > c->peak_bytes)
        c->peak_bytes = peak;
}

static int on_result(struct call *c, const struct wire_message *m, struct error *reterr)
{
    struct wire_reader r = wire_record(m);
    struct usage used = read_usage(&r);
    if (c->state != CALL_STARTED || !wire_is_complete(&r))
        return error_internal(reterr, "call: a malformed RESULT");
    if (m->body_size > 0) {
        struct error why;
        if (json_parse(c->arena, (const char *)m->payload.bytes, m->body_size, &c->result, &why) !=
            0)
            return error_internal(reterr, "call: the result of %s is not strict JSON: %s",
                                  c->task->name, why.detail);
    }
    end(c, &used);
    return 0;
}

/* Which codes a task may end with; anything else is its module's fault, not the client's. */
static bool code_is_for_tasks(uint64_t code)
{
    return code == ERR_INVALID_INPUT || code == ERR_INVALID_PARAMS || code == ERR_TOO_LARGE ||
           code == ERR_UNAVAILABLE || code == ERR_INTERNAL;
}

static int on_error(struct call *c, const struct wire_message *m, struct error *reterr)
{
    struct wire_reader r = wire_record(m);
    uint64_t code = wire_get_u64(&r);
    const char *detail = wire_get_text(&r);
    const char *cause = wire_get_text(&r);
    struct usage used = read_usage(&r);
    if (c->state != CALL_STARTED || !wire_is_complete(&r))
        return error_internal(reterr, "call: a malformed ERROR");
    if (!code_is_for_tasks(code) || !utf8_is_valid(detail, strlen(detail)))
        (void)error_internal(&c->error, "task %s ended with error %llu: %s", c->task->name,
                             (unsigned long long)code, detail);
    else {
        (void)error_set(&c->error, (enum err_code)code, "%s", detail);
        (void)error_cause(&c->error, "%s", cause);
    }
    c->failed = true;
    end(c, &used);
    return 0;
}

void call_begin(struct call *c, int64_t started_us)
{
    c->state = CALL_STARTED;
    c->started_us = started_us;
}

int call_take(struct call *c, struct wire_message *m, struct error *reterr)
{
    int result;
    if (m->run != c->run)
        result = error_internal(reterr, "call: a message of another run");
    else if (m->kind == WIRE_OUTPUT)
        result = on_output(c, m, reterr);
    else if (m->kind == WIRE_RESULT)
        result = on_result(c, m, reterr);
    else if (m->kind == WIRE_ERROR)
        result = on_error(c, m, reterr);
    else
        result = error_internal(reterr, "call: an order from an executor");
    payload_release(&m->payload);
    if (c->state == CALL_ENDED)
        c->ended_us = clock_us();
    return result;
}

size_t call_message_max(const struct call *c)
{
    return (c->output_left > RESULT_MAX ? c->output_left : RESULT_MAX) + RECORD_MAX;
}

int call_receive(struct call *c, struct error *reterr)
{
    struct wire_message m;
    int got = wire_receive(c->fd, call_message_max(c), &m, reterr);
    /* Known before anything else is: whoever sends garbage can be killed for it. */
    if (got != 0 && c->executor == 0)
        c->executor = m.sender;
    if (got < 0)
        return -1;
    if (got == 0) {
        c->state = CALL_LOST;
        c->ended_us = clock_us();
        return 0;
    }
    return call_take(c, &m, reterr);
}

bool call_wait_idle(const struct call *c, int timeout_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    struct wire_message m;
    struct error ignored;
    if (poll(&p, 1, timeout_ms) <= 0 || wire_receive(c->fd, RECORD_MAX, &m, &ignored) <= 0)
        return false;
    payload_release(&m.payload);
    return m.kind == WIRE_IDLE && m.run == c->run;
}
