/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Base64: RFC 4648's own vectors, every length there and back, and one text for the same bytes.
 */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
    const char *bytes, *text;
} vectors[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xff\xff\xfe", "///+"},
};

/* Into memory of just the size that base64_decoded_max() promises: sanitizers watch its end. */
static ptrdiff_t decode(const char *text, size_t size, unsigned char **ret_bytes)
{
    size_t room = base64_decoded_max(size);
    *ret_bytes = malloc(room > 0 ? room : 1);
    assert_non_null(*ret_bytes);
    return base64_decode(text, size, *ret_bytes);
}

static void test_the_vectors_of_the_standard(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++) {
        struct strbuf out = STRBUF_INIT;
        unsigned char *bytes;
        base64_encode(&out, (const unsigned char *)vectors[i].bytes, strlen(vectors[i].bytes));
        assert_int_equal(out.size, strlen(vectors[i].text));
        if (out.size > 0)
            assert_string_equal(out.text, vectors[i].text);
        ptrdiff_t size = decode(vectors[i].text, strlen(vectors[i].text), &bytes);
        assert_int_equal(size, strlen(vectors[i].bytes));
        assert_memory_equal(bytes, vectors[i].bytes, (size_t)size);
        free(bytes);
        strbuf_release(&out);
    }
}

static void test_every_length_comes_back(void **state)
{
    static unsigned char bytes[10000];
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 151 + i / 256);
    for (size_t size = 0; size < sizeof(bytes); size += size < 70 ? 1 : 997) {
        struct strbuf out = STRBUF_INIT;
        unsigned char *back;
        base64_encode(&out, bytes, size);
        assert_int_equal(out.size, (size + 2) / 3 * 4);
        assert_int_equal(decode(out.text ? out.text : "", out.size, &back), size);
        assert_memory_equal(back, bytes, size);
        free(back);
        strbuf_release(&out);
    }
}

static void test_what_is_not_base64_is_refused(void **state)
{
    static const char *const texts[] = {
        "Z",          "Zg",
        "Zg=",        "=",
        "==",         "===",
        "====",       "Z===",
        "Zg==Zg==",   "Zm8=Zm8=",
        "Zm 9",       "Zm9\n",
        "Zm9vZg==\n", " Zg==",
        "Zm-_",       "Zm9*",
        "Z=g=",       "=Zg=",
        "Zg=a",       "Zh==",
        "Zm9=",       "Zm9v\xff\xff\xff\xff",
        "Zm9v====",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        unsigned char *bytes;
        if (decode(texts[i], strlen(texts[i]), &bytes) != -1)
            fail_msg("accepted: %s", texts[i]);
        free(bytes);
    }
}

static void test_a_nul_is_not_the_end(void **state)
{
    unsigned char *bytes;
    (void)state;
    assert_int_equal(decode("Zm9v\0\0\0\0", 8, &bytes), -1);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_vectors_of_the_standard),
        cmocka_unit_test(test_every_length_comes_back),
        cmocka_unit_test(test_what_is_not_base64_is_refused),
        cmocka_unit_test(test_a_nul_is_not_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
