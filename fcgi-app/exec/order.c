/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.c - see order.h
 */
#include "exec/order.h"

#define ORDER_ITEMS_MAX 100000 /* inputs or limits; far above what a descriptor can ask for */
#define ORDER_LIMIT_MAX 1e15   /* as descriptors have it: whoever takes a limit for a size can */

int order_encode(const struct order *order, struct payload *payload, struct error *reterr)
{
    struct wire_writer w = {.payload = payload, .error = reterr};
    wire_put_text(&w, order->module);
    wire_put_text(&w, order->task);
    wire_put_bytes(&w, order->params, order->params_size);
    wire_put_u64(&w, (uint64_t)order->limit_count);
    for (int i = 0; i < order->limit_count; i++) {
        wire_put_text(&w, order->limits[i].name);
        wire_put_f64(&w, order->limits[i].value);
    }
    wire_put_u64(&w, (uint64_t)order->input_count);
    for (int i = 0; i < order->input_count; i++) {
        const struct order_input *in = &order->inputs[i];
        wire_put_text(&w, in->name);
        wire_put_text(&w, in->media_type);
        wire_put_text(&w, in->file_name);
        wire_put_u64(&w, in->offset);
        wire_put_u64(&w, in->size);
    }
    return w.failed ? -1 : 0;
}

static int get_count(struct wire_reader *r)
{
    uint64_t count = wire_get_u64(r);
    if (count > ORDER_ITEMS_MAX)
        r->failed = true;
    return r->failed ? 0 : (int)count;
}

static void get_limits(struct wire_reader *r, struct arena *a, struct order *o)
{
    o->limit_count = get_count(r);
    struct task_limit *limits = arena_alloc(a, (size_t)o->limit_count * sizeof(*limits));
    for (int i = 0; i < o->limit_count && !r->failed; i++) {
        limits[i].name = wire_get_text(r);
        limits[i].value = wire_get_f64(r);
        if (!(limits[i].value > 0 && limits[i].value <= ORDER_LIMIT_MAX))
            r->failed = true;
    }
    o->limits = limits;
}

static void get_inputs(struct wire_reader *r, struct arena *a, size_t body_size, struct order *o)
{
    o->input_count = get_count(r);
    struct order_input *inputs = arena_alloc(a, (size_t)o->input_count * sizeof(*inputs));
    for (int i = 0; i < o->input_count && !r->failed; i++) {
        inputs[i].name = wire_get_text(r);
        inputs[i].media_type = wire_get_text(r);
        inputs[i].file_name = wire_get_text(r);
        inputs[i].offset = (size_t)wire_get_u64(r);
        inputs[i].size = (size_t)wire_get_u64(r);
        if (inputs[i].offset > body_size || inputs[i].size > body_size - inputs[i].offset)
            r->failed = true;
    }
    o->inputs = inputs;
}

int order_decode(const struct wire_message *m, struct arena *a, struct order *ret_order,
                 struct error *reterr)
{
    struct order o = {0};
    struct wire_reader r = wire_record(m);
    o.module = wire_get_text(&r);
    o.task = wire_get_text(&r);
    o.params = wire_get_bytes(&r, &o.params_size);
    get_limits(&r, a, &o);
    get_inputs(&r, a, m->body_size, &o);
    if (m->kind != WIRE_RUN || !wire_is_complete(&r))
        return error_internal(reterr, "order: a malformed RUN message");
    *ret_order = o;
    return 0;
}
