/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call: what an executor sends that its input has taken over, to the worker that waits for it. A
 * sequence of messages as datagram.h has them.
 */
#include "exec/call.h"

#include "base/clock.h"
#include "datagram.h"
#include "fuzz.h"

#define RUN 42
#define MESSAGES_MAX 32
#define OUTPUT_BYTES 1000

static const char *text_types[] = {"text/plain", "text/html", NULL};
static const char *any_types[] = {"application/octet-stream", NULL};
static const struct task_slot outputs[] = {
    {.name = "t", .media_types = text_types, .max_count = 1},
    {.name = "f", .media_types = any_types, .max_count = 3},
};
static const struct task_desc task = {.name = "demo.x",
                                      .module = "demo",
                                      .outputs = outputs,
                                      .output_count = 2,
                                      .output_bytes = OUTPUT_BYTES};

static void check_outputs(const struct call *c)
{
    size_t total = 0;
    unsigned sum = 0;
    FUZZ_CHECK(c->output_count <= 4);
    for (int i = 0; i < c->output_count; i++) {
        const struct compute_output *o = &c->outputs[i];
        FUZZ_CHECK(o->name[0] == 't' || o->name[0] == 'f');
        FUZZ_CHECK(strchr(o->media_type, '/') != NULL);
        for (int k = 0; k < i; k++)
            FUZZ_CHECK(strcmp(o->name, c->outputs[k].name) != 0);
        total += o->size;
        for (size_t at = 0; at < o->size; at++) /* all of it can be read */
            sum += o->bytes[at];
    }
    FUZZ_CHECK(total <= OUTPUT_BYTES && sum <= 255 * OUTPUT_BYTES);
}

static void check_end(const struct call *c)
{
    FUZZ_CHECK(c->cpu_us >= 0);
    if (!c->failed)
        return;
    FUZZ_CHECK(c->error.code != ERR_NONE && c->error.code < ERR_CODE_COUNT);
    fuzz_check_error(&c->error, c->error.code);
    FUZZ_CHECK(c->error.code != ERR_UNAUTHORIZED && c->error.code != ERR_STOPPED);
}

/* One message; false when the executor would be killed for it, or the run has ended. */
static bool receive(struct call *c)
{
    struct error err;
    if (call_receive(c, &err) != 0) {
        FUZZ_CHECK(err.code == ERR_INTERNAL || err.code == ERR_TOO_LARGE ||
                   err.code == ERR_STOPPED);
        return false;
    }
    check_outputs(c);
    if (c->state == CALL_ENDED)
        check_end(c);
    return c->state == CALL_SENT || c->state == CALL_STARTED;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    struct call c;
    int fds[2], on = 1, before = fuzz_free_descriptor();
    struct arena *a = arena_new();
    call_init(&c, a, &task, RUN);
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    FUZZ_CHECK(setsockopt(fds[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    c.fd = fds[0];
    call_begin(&c, clock_us());
    bool goes_on = true;
    for (int i = 0; i < MESSAGES_MAX && goes_on && in.at < in.end; i++) {
        datagram_send(&in, fds[1], RUN);
        goes_on = receive(&c);
    }
    call_release(&c);
    arena_free(a);
    (void)close(fds[1]);
    FUZZ_CHECK(fuzz_free_descriptor() == before);
    return 0;
}
