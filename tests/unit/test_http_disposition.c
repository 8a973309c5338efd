/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_http_disposition.c - a file name is a label, in both directions, whatever is in it
 */
#include "http/disposition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arena_fixture.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_file_names_are_read_without_their_folders(void **state)
{
    static const char *const examples[][2] = {
        {NULL, ""},
        {"", ""},
        {"attachment", ""},
        {"attachment; filename=a.jpg", "a.jpg"},
        {"ATTACHMENT ; FileName=\"a b.jpg\"", "a b.jpg"},
        {"inline; x=y; filename=\"a.jpg\"; size=3", "a.jpg"},
        {"form-data; name=\"f\"; filename=\"a.jpg\"", "a.jpg"},
        {"attachment; filename=\"say \\\"hi\\\".txt\"", "say \"hi\".txt"},
        {"attachment; filename=\"C:\\folder\\a.jpg\"", "a.jpg"},
        {"attachment; filename=\"../../etc/passwd\"", "passwd"},
        {"attachment; filename=\"/\"", ""},
        {"attachment; filename=\"..\"", ""},
        {"attachment; filename=\"\"", ""},
        {"attachment; filename=\"100%.jpg\"", "100%.jpg"},
        {"attachment; filename=\"na\303\257ve.jpg\"", "na\303\257ve.jpg"},
        {"attachment; filename*=UTF-8''na%C3%AFve%20x.jpg", "na\303\257ve x.jpg"},
        {"attachment; filename*=utf-8'en'a.jpg; filename=b.jpg", "a.jpg"},
        {"attachment; filename=b.jpg; filename*=UTF-8''a.jpg", "a.jpg"},
        {"attachment; filename*=UTF-8''..%2F..%5Ca.jpg", "a.jpg"},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        const char *name = NULL;
        struct error err;
        if (disposition_read(*state, examples[i][0], &name, &err) != 0)
            fail_msg("%s: %s", examples[i][0], err.detail);
        assert_string_equal(name, examples[i][1]);
    }
}

static void test_bad_fields_are_refused(void **state)
{
    static const char *const examples[] = {
        "; filename=a",
        "attachment filename=a",
        "attachment; filename",
        "attachment; filename=",
        "attachment; filename=a b",
        "attachment; filename=\"a",
        "attachment; filename=\"a\\\"",
        "attachment; filename=a, inline",
        "attachment; filename=a; filename=b",
        "attachment; filename*=UTF-8''a; filename*=UTF-8''b",
        "attachment; filename=\"a\tb\"",
        "attachment; filename=\"\351\"",
        "attachment; filename*=UTF-8''%0Aa",
        "attachment; filename*=UTF-8''%00a",
        "attachment; filename*=UTF-8''%7Fa",
        "attachment; filename*=UTF-8''%C3",
        "attachment; filename*=UTF-8''%E",
        "attachment; filename*=UTF-8''%ZZ",
        "attachment; filename*=UTF-8a",
        "attachment; filename*=UTF-8'a",
        "attachment; filename*=ISO-8859-1''a",
        "attachment; filename*=\"UTF-8''a\"",
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        const char *name;
        struct error err = {.code = ERR_NONE};
        if (disposition_read(*state, examples[i], &name, &err) == 0)
            fail_msg("%s was taken", examples[i]);
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_non_null(strstr(err.detail, "Content-Disposition"));
    }
}

static void test_a_file_name_has_a_limit(void **state)
{
    for (int size = DISPOSITION_NAME_MAX; size <= DISPOSITION_NAME_MAX + 1; size++) {
        const char *field = arena_printf(*state, "attachment; filename=%0*d", size, 1);
        const char *name;
        struct error err;
        assert_int_equal(disposition_read(*state, field, &name, &err),
                         size <= DISPOSITION_NAME_MAX ? 0 : -1);
    }
}

static void test_file_names_are_written_so_that_every_client_reads_them(void **state)
{
    static const char *const examples[][2] = {
        {"a.jpg", "inline; filename=\"a.jpg\""},
        {"a b;c=d,e'f.jpg", "inline; filename=\"a b;c=d,e'f.jpg\""},
        {"say \"hi\".txt",
         "inline; filename=\"say _hi_.txt\"; filename*=UTF-8''say%20%22hi%22.txt"},
        {"a\\b", "inline; filename=\"a_b\"; filename*=UTF-8''a%5Cb"},
        {"100%25.jpg", "inline; filename=\"100_25.jpg\"; filename*=UTF-8''100%2525.jpg"},
        {"na\303\257ve \342\202\254.jpg",
         "inline; filename=\"na_ve _.jpg\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.jpg"},
        {"\360\237\230\200'*()",
         "inline; filename=\"_'*()\"; filename*=UTF-8''%F0%9F%98%80%27%2A%28%29"},
        {"a\r\nX: y", "inline; filename=\"a__X: y\"; filename*=UTF-8''a%0D%0AX%3A%20y"},
        {"", "inline; filename=\"\""},
    };
    for (size_t i = 0; i < COUNT(examples); i++)
        assert_string_equal(disposition_format(*state, "inline", examples[i][0]), examples[i][1]);
}

static void test_what_was_written_is_read_back(void **state)
{
    static const char *const names[] = {"a.jpg", "say \"hi\"; filename=x.txt", "100%41.jpg",
                                        "\303\251\342\202\254\360\237\230\200", "'; a*=b"};
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *name = "";
        struct error err;
        const char *field = disposition_format(*state, "attachment", names[i]);
        assert_int_equal(disposition_read(*state, field, &name, &err), 0);
        assert_string_equal(name, names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_file_names_are_read_without_their_folders),
        WITH_ARENA(test_bad_fields_are_refused),
        WITH_ARENA(test_a_file_name_has_a_limit),
        WITH_ARENA(test_file_names_are_written_so_that_every_client_reads_them),
        WITH_ARENA(test_what_was_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
