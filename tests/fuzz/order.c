/* SPDX-License-Identifier: BSD-2-Clause */
/* order: what a worker sends to an executor, which believes none of it: one message of datagram.h.
 */
#include "exec/order.h"

#include "datagram.h"
#include "exec/run.h"
#include "fuzz.h"

#define MESSAGE_MAX 65536

/* An order has one form: written again it is the same bytes. */
static void check_order(struct arena *a, const struct wire_message *m, const struct order *order)
{
    struct payload *again = payload_new(a);
    struct error err;
    for (int i = 0; i < order->input_count; i++) {
        const struct order_input *in = &order->inputs[i];
        FUZZ_CHECK(in->offset <= m->body_size && in->size <= m->body_size - in->offset);
    }
    size_t size = m->payload.size - m->body_size;
    FUZZ_CHECK(order_encode(order, again, &err) == 0 && again->size == size);
    FUZZ_CHECK(memcmp(again->bytes, m->payload.bytes + m->body_size, size) == 0);
}

static void check_run(struct arena *a, const struct wire_message *m, const struct order *order)
{
    static struct control control;
    struct run *run;
    struct error err;
    if (run_new(a, m, order, &control, &run, &err) != 0) {
        fuzz_check_error(&err, ERR_INTERNAL);
        return;
    }
    FUZZ_CHECK(run_params(run) != NULL);
    (void)run_limit(run, "seconds");
}

static void receive(int fd)
{
    struct arena *a = arena_new();
    struct wire_message m;
    struct order order;
    struct error err;
    if (wire_receive(fd, MESSAGE_MAX, &m, &err) == 1) {
        FUZZ_CHECK(m.body_size <= m.payload.size && m.payload.size <= MESSAGE_MAX);
        if (order_decode(&m, a, &order, &err) == 0) {
            check_order(a, &m, &order);
            check_run(a, &m, &order);
        } else {
            fuzz_check_error(&err, ERR_INTERNAL);
        }
    }
    arena_free(a);
    payload_release(&m.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, data + size};
    int fds[2], before = fuzz_free_descriptor();
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    datagram_send(&in, fds[1], 1);
    receive(fds[0]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    FUZZ_CHECK(fuzz_free_descriptor() == before);
    return 0;
}
