/* SPDX-License-Identifier: BSD-2-Clause */
/* public_id: ids of jobs and blobs, and cursors: only what was issued is taken. */
#include "db/db.h"
#include "fuzz.h"

static const struct db_secret secret = {"0123456789abcdef0123456789abcde"};

static void check_text(const char *text)
{
    for (enum db_id_kind kind = DB_ID_JOB; kind <= DB_ID_CURSOR; kind++) {
        char id[DB_ID_SIZE];
        int64_t key;
        if (!db_id_parse(&secret, kind, "", text, &key))
            continue;
        db_id_format(&secret, kind, "", key, id);
        FUZZ_CHECK(strcmp(id, text) == 0);
    }
}

/* The ten digits of the tag: one of another value, and it is no id. */
static void check_key(int64_t key, unsigned digit)
{
    char id[DB_ID_SIZE];
    int64_t found;
    db_id_format(&secret, DB_ID_JOB, "", key, id);
    FUZZ_CHECK(db_id_parse(&secret, DB_ID_JOB, "", id, &found) && found == key);
    FUZZ_CHECK(!db_id_parse(&secret, DB_ID_JOB, "acme", id, &found));
    FUZZ_CHECK(!db_id_parse(&secret, DB_ID_BLOB, "", id, &found));
    FUZZ_CHECK(!db_id_parse(&secret, DB_ID_CURSOR, "", id, &found));
    id[digit % 10] = id[digit % 10] == '0' ? '1' : '0';
    FUZZ_CHECK(!db_id_parse(&secret, DB_ID_JOB, "", id, &found));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new();
    struct fuzz_input in = {data, data + size};
    check_text(arena_strndup(a, (const char *)data, size));
    int64_t key = (int64_t)(fuzz_number(&in, 7) % UINT64_C(999999999999999999)) + 1;
    check_key(key, (unsigned)fuzz_number(&in, 1));
    arena_free(a);
    return 0;
}
