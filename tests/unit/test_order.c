/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Orders: an executor reads what was asked for, and refuses what no honest worker would send.
 */
#include "exec/order.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char body[] = "0123456789";
#define BODY_SIZE (sizeof(body) - 1)

static const struct task_limit limits[] = {{"seconds", 2.5}, {"max_megapixels", 71}};

/* A message whose body is `body`, with `order` behind it. */
static void encode(struct wire_message *m, const struct order *order)
{
    struct error err;
    *m = (struct wire_message){.kind = WIRE_RUN, .run = 1, .payload = PAYLOAD_INIT};
    assert_int_equal(payload_append(&m->payload, body, BODY_SIZE, &err), 0);
    m->body_size = BODY_SIZE;
    assert_int_equal(order_encode(order, &m->payload, &err), 0);
}

static void encode_with_input(struct wire_message *m, size_t offset, size_t size)
{
    const struct order_input input = {"image", "image/png", "a.png", offset, size};
    encode(m, &(struct order){.module = "image",
                              .task = "image.transform",
                              .params = "{}",
                              .params_size = 2,
                              .limits = limits,
                              .limit_count = COUNT(limits),
                              .inputs = &input,
                              .input_count = 1});
}

/* Decode and release; 0 or -1. */
static int decode(struct wire_message *m, struct error *reterr)
{
    struct arena *a = arena_new();
    struct order order;
    int result = order_decode(m, a, &order, reterr);
    arena_free(a);
    payload_release(&m->payload);
    return result;
}

static void test_an_order_reads_as_it_was_written(void **state)
{
    static const struct order_input inputs[] = {{"image", "image/png", "caf\xc3\xa9.png", 0, 4},
                                                {"mask", "", "", 4, 0},
                                                {"image", "", "b", 4, BODY_SIZE - 4}};
    static const char params[] = "{\"a\":1}";
    struct arena *a = arena_new();
    struct wire_message m;
    struct order o;
    struct error err;
    (void)state;
    encode(&m, &(struct order){.module = "image",
                               .task = "image.transform",
                               .params = params,
                               .params_size = strlen(params),
                               .limits = limits,
                               .limit_count = COUNT(limits),
                               .inputs = inputs,
                               .input_count = COUNT(inputs)});
    assert_int_equal(order_decode(&m, a, &o, &err), 0);
    assert_string_equal(o.module, "image");
    assert_string_equal(o.task, "image.transform");
    assert_int_equal(o.params_size, strlen(params));
    assert_string_equal(o.params, params);
    assert_int_equal(o.limit_count, COUNT(limits));
    assert_string_equal(o.limits[1].name, "max_megapixels");
    assert_true(o.limits[0].value >= 2.5 && o.limits[0].value <= 2.5);
    assert_int_equal(o.input_count, COUNT(inputs));
    for (size_t i = 0; i < COUNT(inputs); i++) {
        assert_string_equal(o.inputs[i].name, inputs[i].name);
        assert_string_equal(o.inputs[i].media_type, inputs[i].media_type);
        assert_string_equal(o.inputs[i].file_name, inputs[i].file_name);
        assert_int_equal(o.inputs[i].offset, inputs[i].offset);
        assert_int_equal(o.inputs[i].size, inputs[i].size);
    }
    payload_release(&m.payload);
    arena_free(a);
}

static void test_an_order_needs_neither_inputs_nor_limits(void **state)
{
    struct wire_message m;
    struct error err;
    (void)state;
    encode(&m,
           &(struct order){.module = "demo", .task = "demo.x", .params = "{}", .params_size = 2});
    assert_int_equal(decode(&m, &err), 0);
}

static void test_an_input_beyond_the_body_is_refused(void **state)
{
    static const struct {
        size_t offset, size;
        int result;
    } cases[] = {
        {0, BODY_SIZE, 0},        {BODY_SIZE, 0, 0},     {BODY_SIZE - 1, 1, 0},
        {0, BODY_SIZE + 1, -1},   {1, BODY_SIZE, -1},    {BODY_SIZE, 1, -1},
        {BODY_SIZE + 1, 0, -1},   {SIZE_MAX, 1, -1},     {1, SIZE_MAX, -1},
        {SIZE_MAX, SIZE_MAX, -1}, {SIZE_MAX - 4, 9, -1}, {(size_t)1 << 63, (size_t)1 << 63, -1}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct wire_message m;
        struct error err = {.code = ERR_NONE};
        encode_with_input(&m, cases[i].offset, cases[i].size);
        assert_int_equal(decode(&m, &err), cases[i].result);
        assert_int_equal(err.code, cases[i].result == 0 ? ERR_NONE : ERR_INTERNAL);
    }
}

/* The executor takes output_bytes for a size: a number that is none would do anything. */
static void test_a_limit_that_no_descriptor_can_have_is_refused(void **state)
{
    static const double values[] = {0, -1, 1e16, 1e300, NAN, INFINITY};
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct wire_message m;
        struct error err = {.code = ERR_NONE};
        const struct task_limit limit = {"output_bytes", values[i]};
        encode(&m, &(struct order){.module = "demo",
                                   .task = "demo.x",
                                   .params = "{}",
                                   .params_size = 2,
                                   .limits = &limit,
                                   .limit_count = 1});
        assert_int_equal(decode(&m, &err), -1);
        assert_int_equal(err.code, ERR_INTERNAL);
    }
}

static void test_an_order_cut_at_any_byte_is_refused(void **state)
{
    struct wire_message whole;
    (void)state;
    encode_with_input(&whole, 0, 4);
    for (size_t size = BODY_SIZE; size < whole.payload.size; size++) {
        struct wire_message cut = {.kind = WIRE_RUN, .body_size = BODY_SIZE};
        struct error err;
        cut.payload = (struct payload){malloc(size), size, size, -1, false};
        memcpy(cut.payload.bytes, whole.payload.bytes, size);
        assert_int_equal(decode(&cut, &err), -1);
    }
    payload_release(&whole.payload);
}

static void test_an_order_with_any_byte_damaged_is_refused_or_stays_within_its_bounds(void **state)
{
    struct wire_message whole;
    struct arena *a = arena_new();
    (void)state;
    encode_with_input(&whole, 2, 4);
    for (size_t at = BODY_SIZE; at < whole.payload.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct order o;
            struct error err;
            whole.payload.bytes[at] ^= (unsigned char)(1U << bit);
            if (order_decode(&whole, a, &o, &err) == 0) {
                for (int i = 0; i < o.input_count; i++)
                    assert_true(o.inputs[i].offset + o.inputs[i].size <= BODY_SIZE);
            }
            whole.payload.bytes[at] ^= (unsigned char)(1U << bit);
            arena_reset(a);
        }
    }
    payload_release(&whole.payload);
    arena_free(a);
}

static void test_bytes_behind_an_order_are_refused(void **state)
{
    struct wire_message m;
    struct error err;
    (void)state;
    encode_with_input(&m, 0, 4);
    assert_int_equal(payload_append(&m.payload, "", 1, &err), 0);
    assert_int_equal(decode(&m, &err), -1);
}

/* More items than its bytes could hold. */
static void test_a_count_without_items_is_refused(void **state)
{
    static const uint64_t counts[] = {1, 100000, 100001, INT32_MAX, (uint64_t)1 << 32, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT(counts); i++) {
        for (int with_limits = 0; with_limits <= 1; with_limits++) {
            struct wire_message m = {.kind = WIRE_RUN, .payload = PAYLOAD_INIT};
            struct error err;
            struct wire_writer w = {.payload = &m.payload, .error = &err};
            wire_put_text(&w, "demo");
            wire_put_text(&w, "demo.x");
            wire_put_bytes(&w, "{}", 2);
            if (with_limits)
                wire_put_u64(&w, 0);
            wire_put_u64(&w, counts[i]);
            assert_false(w.failed);
            assert_int_equal(decode(&m, &err), -1);
        }
    }
}

static void test_another_kind_of_message_is_no_order(void **state)
{
    (void)state;
    for (int kind = WIRE_OUTPUT; kind <= WIRE_IDLE; kind++) {
        struct wire_message m;
        struct error err;
        encode_with_input(&m, 0, 4);
        m.kind = (enum wire_kind)kind;
        assert_int_equal(decode(&m, &err), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_order_reads_as_it_was_written),
        cmocka_unit_test(test_an_order_needs_neither_inputs_nor_limits),
        cmocka_unit_test(test_an_input_beyond_the_body_is_refused),
        cmocka_unit_test(test_a_limit_that_no_descriptor_can_have_is_refused),
        cmocka_unit_test(test_an_order_cut_at_any_byte_is_refused),
        cmocka_unit_test(test_an_order_with_any_byte_damaged_is_refused_or_stays_within_its_bounds),
        cmocka_unit_test(test_bytes_behind_an_order_are_refused),
        cmocka_unit_test(test_a_count_without_items_is_refused),
        cmocka_unit_test(test_another_kind_of_message_is_no_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
