/* SPDX-License-Identifier: BSD-2-Clause */
/* The model task: exact, and gone soon after it is told to stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_run.h"

#define DESCRIPTOR "fcgi-app/tasks/demo/demo.sum_squares.json"

static void test_the_sum_is_exact(void **state)
{
    static const struct {
        const char *params, *sum;
    } cases[] = {
        {"{\"n\":0}", "0"},
        {"{\"n\":1}", "0"},
        {"{\"n\":2}", "1"},
        {"{\"n\":4}", "14"},
        {"{\"n\":1000000}", "333332833333500000"},
        {"{\"n\":4194304}", "24595649968853745664"}, /* one whole step, beyond 64 bits */
        {"{\"n\":4194305}", "24595667561039790080"},
        {"{\"n\":10000001}", "333333383333335000000"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error error = {0};
        struct run *run = fake_run_new(DESCRIPTOR, cases[i].params);
        assert_int_equal(gangsaw_module.tasks[0].run(run, &error), 0);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(fake_run_result(run), "sum")),
                            cases[i].sum);
        fake_run_free(run);
    }
}

static void test_it_stops_when_told(void **state)
{
    (void)state;
    struct error error = {0};
    struct run *run = fake_run_new(DESCRIPTOR, "{\"n\":10000000000000}"); /* hours */

    fake_run_stop_at(run, 1e-6); /* ten million terms */
    assert_int_equal(gangsaw_module.tasks[0].run(run, &error), -1);
    assert_int_equal(error.code, ERR_STOPPED);
    assert_null(fake_run_result(run));
    fake_run_free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sum_is_exact),
        cmocka_unit_test(test_it_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
