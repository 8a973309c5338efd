/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Archives, as they are sent piece by piece. That a zip is one that others can read is tested with
 * others, in tests/api/test_several.py.
 */
#include "api/archive.h"

#include <string.h>

#include "arena_fixture.h"
#include "base/strbuf.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BYTES(text) (const unsigned char *)(text)

/* Gives texts in pieces, as a database does. */
struct shelf {
    const char *const *texts;
    size_t piece;
    int calls;
    int fails_at; /* the call of that number; 0: none */
};

static int read_shelf(void *context, int entry, int64_t offset, const unsigned char **ret_bytes,
                      size_t *ret_size, struct error *reterr)
{
    struct shelf *s = context;
    size_t rest = strlen(s->texts[entry]) - (size_t)offset;
    if (++s->calls == s->fails_at)
        return error_set(reterr, ERR_GONE, "The shelf is empty.");
    *ret_bytes = BYTES(s->texts[entry] + offset);
    *ret_size = rest < s->piece ? rest : s->piece;
    return 0;
}

/* All of it, as it would be sent; -1 with what stopped it. */
static int pull(const struct http_body_source *source, int64_t size, struct strbuf *out,
                struct error *reterr)
{
    while ((int64_t)out->size < size) {
        const void *bytes;
        size_t more;
        if (source->next(source->context, &bytes, &more, reterr) != 0)
            return -1;
        assert_true(more > 0);
        strbuf_add(out, bytes, more);
    }
    assert_int_equal((int64_t)out->size, size);
    return 0;
}

static const char *const texts[] = {"one", "", "three and more", "4"};
static const char *const names[] = {"page.txt", "page.2.txt", "page.3.txt", "cover.png"};

/* The archive of `texts`, whose bytes are at hand or on a shelf. */
static int build(struct arena *a, struct shelf *shelf, bool is_read_ahead, struct strbuf *out,
                 struct error *reterr)
{
    struct archive_entry *entries = arena_alloc(a, COUNT(texts) * sizeof(*entries));
    const struct archive_reader reader = {read_shelf, shelf};
    const struct http_body_source *source;
    int64_t size;
    for (size_t i = 0; i < COUNT(texts); i++) {
        entries[i] = (struct archive_entry){.name = names[i], .size = (int64_t)strlen(texts[i])};
        if (!shelf)
            entries[i].bytes = BYTES(texts[i]);
    }
    if (archive_open(a, entries, COUNT(texts), shelf ? &reader : NULL, is_read_ahead, &source,
                     &size, reterr) != 0)
        return -1;
    return pull(source, size, out, reterr);
}

/* Checksum 0xd8932aac, as `printf hi | gzip -c | tail -c 8` has it too. */
static void test_an_entry_is_written_as_the_format_says(void **state)
{
    static const char wanted[] =
        /* local header */
        "PK\3\4"
        "\x0a\0\0\0\0\0\0\0\x21\0\xac\x2a\x93\xd8\2\0\0\0\2\0\0\0\5\0\0\0"
        "a.txt"
        "hi"
        /* directory */
        "PK\1\2"
        "\x14\3\x0a\0\0\0\0\0\0\0\x21\0\xac\x2a\x93\xd8\2\0\0\0\2\0\0\0\5\0\0\0"
        "\0\0\0\0\0\0\0\0\xa4\x81\0\0\0\0"
        "a.txt"
        /* end */
        "PK\5\6"
        "\0\0\0\0\1\0\1\0\x33\0\0\0\x25\0\0\0\0";
    const struct archive_entry entry = {"a.txt", 2, BYTES("hi")};
    const struct http_body_source *source;
    struct strbuf out = STRBUF_INIT;
    struct error err;
    int64_t size;
    assert_int_equal(archive_open(*state, &entry, 1, NULL, true, &source, &size, &err), 0);
    assert_int_equal(pull(source, size, &out, &err), 0);
    assert_int_equal(out.size, sizeof(wanted)); /* the last of its zeros ends the text */
    assert_memory_equal(out.text, wanted, sizeof(wanted));
    strbuf_release(&out);
}

static void test_it_is_the_same_wherever_the_bytes_lie(void **state)
{
    struct strbuf whole = STRBUF_INIT;
    struct error err;
    assert_int_equal(build(*state, NULL, true, &whole, &err), 0);
    for (size_t piece = 1; piece < 20; piece++) {
        for (int is_read_ahead = 0; is_read_ahead < 2; is_read_ahead++) {
            struct shelf shelf = {texts, piece, 0, 0};
            struct strbuf out = STRBUF_INIT;
            assert_int_equal(build(*state, &shelf, is_read_ahead, &out, &err), 0);
            assert_int_equal(out.size, whole.size);
            assert_memory_equal(out.text, whole.text, whole.size);
            strbuf_release(&out);
        }
    }
    strbuf_release(&whole);
}

static void test_an_entry_of_one_piece_is_read_once(void **state)
{
    struct shelf shelf = {texts, 100, 0, 0};
    struct strbuf out = STRBUF_INIT;
    struct error err;
    assert_int_equal(build(*state, &shelf, true, &out, &err), 0);
    assert_int_equal(shelf.calls, 3); /* one of the four is empty */
    strbuf_release(&out);

    shelf = (struct shelf){texts, 7, 0, 0};
    assert_int_equal(build(*state, &shelf, true, &out, &err), 0);
    assert_int_equal(shelf.calls, 6); /* the one of two pieces twice, first for its checksum */
    strbuf_release(&out);
}

static void test_what_cannot_be_read_fails_early_where_it_can(void **state)
{
    for (int fails_at = 1; fails_at <= 3; fails_at++) {
        struct shelf shelf = {texts, 100, 0, fails_at};
        struct strbuf out = STRBUF_INIT;
        struct error err = {0};
        assert_int_equal(build(*state, &shelf, true, &out, &err), -1);
        assert_int_equal(err.code, ERR_GONE);
        assert_int_equal(out.size > 0,
                         fails_at > 1); /* the first is read before anything is sent */
        strbuf_release(&out);
    }
}

static void test_a_reader_cannot_give_more_or_nothing(void **state)
{
    static const char *const longer[] = {"one+", "", "three and more", "4"};
    static const char *const shorter[] = {"on", "", "three and more", "4"};
    const char *const *const wrong[] = {longer, shorter};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct shelf shelf = {wrong[i], 100, 0, 0};
        struct strbuf out = STRBUF_INIT;
        struct error err = {0};
        assert_int_equal(build(*state, &shelf, true, &out, &err), -1);
        assert_int_equal(err.code, ERR_INTERNAL);
        strbuf_release(&out);
    }
}

static void test_an_archive_of_nothing_has_an_end(void **state)
{
    const struct http_body_source *source;
    struct strbuf out = STRBUF_INIT;
    struct error err;
    int64_t size;
    assert_int_equal(archive_open(*state, NULL, 0, NULL, true, &source, &size, &err), 0);
    assert_int_equal(pull(source, size, &out, &err), 0);
    assert_int_equal(out.size, 22);
    assert_memory_equal(out.text, "PK\5\6", 4);
    const void *bytes;
    size_t more;
    assert_int_equal(source->next(source->context, &bytes, &more, &err), -1);
    strbuf_release(&out);
}

/* Sizes alone are looked at: nothing is read. */
static void test_what_the_format_cannot_hold_is_refused(void **state)
{
    static const struct {
        int64_t first, second;
        int result;
    } cases[] = {
        {1000, 1000, 0},
        {ARCHIVE_BYTES_MAX - 1000, 500, 0},
        {ARCHIVE_BYTES_MAX - 1000, 1000, -1},
        {ARCHIVE_BYTES_MAX, 0, -1},
        {INT64_MAX, INT64_MAX, -1},
    };
    const struct archive_reader reader = {read_shelf, NULL};
    const struct http_body_source *source;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct archive_entry entries[] = {{"a", cases[i].first, NULL},
                                                {"b", cases[i].second, NULL}};
        struct error err = {0};
        int64_t size;
        assert_int_equal(archive_open(*state, entries, 2, &reader, false, &source, &size, &err),
                         cases[i].result);
        assert_int_equal(err.code, cases[i].result != 0 ? ERR_TOO_LARGE : ERR_NONE);
    }
}

static void test_more_entries_than_the_format_can_count_are_refused(void **state)
{
    int count = ARCHIVE_ENTRIES_MAX + 1;
    struct archive_entry *entries = arena_alloc(*state, (size_t)count * sizeof(*entries));
    const struct http_body_source *source;
    struct error err = {0};
    int64_t size;
    for (int i = 0; i < count; i++)
        entries[i] = (struct archive_entry){"a", 0, NULL};
    assert_int_equal(archive_open(*state, entries, count - 1, NULL, false, &source, &size, &err),
                     0);
    assert_int_equal(archive_open(*state, entries, count, NULL, false, &source, &size, &err), -1);
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_non_null(strstr(err.detail, "65534"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_an_entry_is_written_as_the_format_says),
        WITH_ARENA(test_it_is_the_same_wherever_the_bytes_lie),
        WITH_ARENA(test_an_entry_of_one_piece_is_read_once),
        WITH_ARENA(test_what_cannot_be_read_fails_early_where_it_can),
        WITH_ARENA(test_a_reader_cannot_give_more_or_nothing),
        WITH_ARENA(test_an_archive_of_nothing_has_an_end),
        WITH_ARENA(test_what_the_format_cannot_hold_is_refused),
        WITH_ARENA(test_more_entries_than_the_format_can_count_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
