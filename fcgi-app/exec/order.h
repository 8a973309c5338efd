/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h - what a RUN message asks for
 *
 * The bytes of all inputs lie one after the other in the message's body; each input names its
 * range.
 */
#ifndef EXEC_ORDER_H
#define EXEC_ORDER_H

#include "base/arena.h"
#include "exec/catalog.h"
#include "exec/wire.h"

struct order_input {
    const char *name;       /* as the descriptor has it */
    const char *media_type; /* "" when the client named none */
    const char *file_name;  /* "" when the client named none */
    size_t offset, size;    /* within the body */
};

struct order {
    const char *module, *task;
    const char *params; /* JSON text, validated, with defaults */
    size_t params_size;
    const struct task_limit *limits;
    int limit_count;
    const struct order_input *inputs;
    int input_count;
};

/* Append the record to `payload`, whose bytes so far are the body. */
int order_encode(const struct order *order, struct payload *payload, struct error *reterr);

/*
 * Read the order of a RUN message.
 * Ownership: texts point into the message, arrays belong to `a`. Errors: ERR_INTERNAL.
 */
int order_decode(const struct wire_message *m, struct arena *a, struct order *ret_order,
                 struct error *reterr);

#endif
