/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot: any bytes as the file of keys that workers map: what a broken disk or another version
 * left there must not take them down. With the first byte odd, sizes and digest are made right, so
 * that the records are looked at.
 */
#include "auth/snapshot.h"

#include <fcntl.h>

#include "auth/snapshot_file.h"
#include "fuzz.h"

#define RECORD_SIZE sizeof(struct key_record)

/* A new file each time, as rename(2) makes: the reader may have the old one mapped. */
static void write_file(const void *bytes, size_t size)
{
    int fd = open("keys.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, SNAPSHOT_MODE);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    (void)close(fd);
    FUZZ_CHECK(rename("keys.new", SNAPSHOT_NAME) == 0);
}

/* Cut to whole records; the boot is this one. */
static size_t repair(struct snapshot_header *h, size_t size)
{
    size_t count = (size - sizeof(*h)) / RECORD_SIZE;
    size = sizeof(*h) + count * RECORD_SIZE;
    memcpy(h->magic, SNAPSHOT_MAGIC, sizeof(h->magic));
    h->sealed.version = SNAPSHOT_VERSION;
    h->sealed.record_size = RECORD_SIZE;
    h->sealed.file_size = size;
    h->sealed.count = (uint32_t)count;
    snapshot_boot(h->sealed.boot);
    snapshot_digest(h, size, h->digest);
    return size;
}

static void check_snapshot(const struct config *cfg, const struct snapshot_header *h)
{
    static const char text[] = "gs_abcdefghijkl_0123456789012345678901234567890123456789012";
    const struct key_record *records = (const struct key_record *)(h + 1);
    struct snapshot *s = snapshot_open(cfg);
    enum snapshot_state state = snapshot_refresh(s);
    FUZZ_CHECK(snapshot_find(s, text) == NULL || state != SNAPSHOT_UNKNOWN);
    FUZZ_CHECK(snapshot_age(s) >= 0);
    for (size_t i = 0; state != SNAPSHOT_UNKNOWN && i < h->sealed.count; i++) {
        FUZZ_CHECK(memchr(records[i].tenant, '\0', KEY_TENANT_SIZE) != NULL);
        FUZZ_CHECK(key_tenant_is_valid(records[i].tenant));
        FUZZ_CHECK(snapshot_has_id(s, records[i].id));
    }
    FUZZ_CHECK(!snapshot_has_keys(s) || state != SNAPSHOT_UNKNOWN);
    snapshot_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config cfg = {
        .server_run_dir = ".", .server_user = "nobody", .auth_stale_seconds = 20};
    struct fuzz_input in = {data, data + size};
    bool is_right = fuzz_number(&in, 1) % 2 == 1;
    size = fuzz_rest(&in);
    size_t room = size < sizeof(struct snapshot_header) ? sizeof(struct snapshot_header) : size;
    struct arena *a = arena_new();
    struct snapshot_header *h = arena_alloc(a, room);
    int before = fuzz_free_descriptor();
    if (size > 0)
        memcpy(h, in.at, size);
    if (is_right)
        size = repair(h, room);
    write_file(h, size);
    check_snapshot(&cfg, h);
    arena_free(a);
    FUZZ_CHECK(fuzz_free_descriptor() == before);
    return 0;
}
