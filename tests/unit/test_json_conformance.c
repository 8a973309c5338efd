/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of JSONTestSuite (test_parsing): y_ has to be taken, n_ refused, i_ either way.
 */
#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* The suite takes them; json.h says why they are refused here: repeated names, U+0000. */
static const char *const refused[] = {
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
    "y_object_escaped_null_in_key.json",
    "y_string_null_escape.json",
};

struct suite {
    char path[PATH_MAX - 256];
    struct dirent **files;
    int count;
};

static int is_json(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);
    return size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
}

static int setup(void **state)
{
    static struct suite suite;
    const char *shared = getenv("GANGSAW_SHARED_DATA");
    const char *source = getenv("srcdir");
    if (shared)
        (void)snprintf(suite.path, sizeof(suite.path), "%s/json/test_parsing", shared);
    else
        (void)snprintf(suite.path, sizeof(suite.path), "%s/../shared/data/json/test_parsing",
                       source ? source : ".");
    suite.count = scandir(suite.path, &suite.files, is_json, alphasort);
    if (suite.count < 0 && errno != ENOENT)
        return -1;
    *state = &suite;
    return 0;
}

static int teardown(void **state)
{
    struct suite *suite = *state;
    for (int i = 0; i < suite->count; i++)
        free(suite->files[i]);
    if (suite->count >= 0)
        free(suite->files);
    return 0;
}

static bool is_refused_here(const char *name)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (strcmp(refused[i], name) == 0)
            return true;
    }
    return false;
}

/* The whole file in a buffer of its exact size; the caller frees it. */
static char *read_whole(const struct suite *suite, const char *name, size_t *ret_size)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", suite->path, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    char *text = malloc(size > 0 ? (size_t)size : 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    assert_int_equal(fclose(file), 0);
    *ret_size = (size_t)size;
    return text;
}

static void check_file(const struct suite *suite, const char *name)
{
    struct arena *a = arena_new();
    struct error err = {0};
    cJSON *value = NULL;
    size_t size;
    char *text = read_whole(suite, name, &size);
    bool is_taken = json_parse(a, text, size, &value, &err) == 0;
    if (name[0] == 'y' && is_taken == is_refused_here(name))
        fail_msg("%s: %s", name, is_taken ? "was taken" : err.detail);
    if (name[0] == 'n' && is_taken)
        fail_msg("%s: was taken", name);
    if (is_taken) {
        size_t printed_size;
        cJSON *again = NULL;
        char *printed = json_print(a, value, &printed_size);
        assert_int_equal(json_parse(a, printed, printed_size, &again, &err), 0);
        assert_string_equal(json_print(a, again, NULL), printed);
    } else {
        assert_int_equal(err.code, ERR_INVALID_REQUEST);
        assert_true(utf8_is_valid(err.detail, strlen(err.detail)));
    }
    free(text);
    arena_free(a);
}

static void test_every_file_of_the_suite_is_judged_as_it_says(void **state)
{
    const struct suite *suite = *state;
    if (suite->count < 0) {
        print_message("skipped: %s is not there (GANGSAW_SHARED_DATA names its root)\n",
                      suite->path);
        skip();
    }
    int kinds[3] = {0};
    for (int i = 0; i < suite->count; i++) {
        const char *name = suite->files[i]->d_name;
        check_file(suite, name);
        kinds[0] += name[0] == 'y';
        kinds[1] += name[0] == 'n';
        kinds[2] += name[0] == 'i';
    }
    assert_true(kinds[0] > 90 && kinds[1] > 180 && kinds[2] > 30);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_file_of_the_suite_is_judged_as_it_says, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
