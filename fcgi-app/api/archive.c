/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * archive.c - see archive.h
 *
 * Written here, since libminizip and libzip write to what they can seek in: they come back to
 * headers with sizes and checksums, which are known here. Three fixed records are the whole format.
 */
#include "api/archive.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include "base/strbuf.h"

#define LOCAL_HEADER_SIZE 30 /* of each, without the name */
#define CENTRAL_HEADER_SIZE 46
#define END_SIZE 22

#define VERSION_NEEDED 10            /* 1.0: stored */
#define MADE_BY (3 << 8 | 20)        /* Unix, version 2.0 */
#define DATE_1980 (1 << 5 | 1)       /* 1 January, the first day that the format knows */
#define ATTRIBUTES (0100644UL << 16) /* a file, rw-r--r-- */

struct archive {
    struct http_body_source source;
    const struct archive_entry *entries;
    int count;
    struct archive_reader reader;
    uint32_t *checksums, *offsets; /* of the entries that were begun */
    struct strbuf head;            /* of the current entry; after the last: the directory */
    bool is_head_sent;
    int current;  /* entry; count: the directory */
    int64_t sent; /* of the current entry's bytes */
    uint32_t position;
    const unsigned char *held; /* what the reader gave last, of the current entry */
    int64_t held_offset;
    size_t held_size;
};

static void add_number(struct strbuf *out, size_t bytes, uint64_t value)
{
    for (size_t i = 0; i < bytes; i++)
        strbuf_addch(out, (char)(value >> (8 * i) & 0xff));
}

/* What local and central header have in common, from the version needed on. */
static void add_description(struct strbuf *out, const struct archive_entry *e, uint32_t checksum)
{
    add_number(out, 2, VERSION_NEEDED);
    add_number(out, 2, 0); /* flags */
    add_number(out, 2, 0); /* method: stored */
    add_number(out, 2, 0); /* time */
    add_number(out, 2, DATE_1980);
    add_number(out, 4, checksum);
    add_number(out, 4, (uint64_t)e->size);
    add_number(out, 4, (uint64_t)e->size);
    add_number(out, 2, strlen(e->name));
    add_number(out, 2, 0); /* extra fields */
}

static void add_local_header(struct archive *z, const struct archive_entry *e, uint32_t checksum)
{
    add_number(&z->head, 4, 0x04034b50);
    add_description(&z->head, e, checksum);
    strbuf_addstr(&z->head, e->name);
}

static void add_central_header(struct archive *z, int i)
{
    const struct archive_entry *e = &z->entries[i];
    add_number(&z->head, 4, 0x02014b50);
    add_number(&z->head, 2, MADE_BY);
    add_description(&z->head, e, z->checksums[i]);
    add_number(&z->head, 2, 0); /* comment */
    add_number(&z->head, 2, 0); /* disk */
    add_number(&z->head, 2, 0); /* internal attributes */
    add_number(&z->head, 4, ATTRIBUTES);
    add_number(&z->head, 4, z->offsets[i]);
    strbuf_addstr(&z->head, e->name);
}

static void add_directory(struct archive *z)
{
    for (int i = 0; i < z->count; i++)
        add_central_header(z, i);
    size_t size = z->head.size;
    add_number(&z->head, 4, 0x06054b50);
    add_number(&z->head, 4, 0); /* disks */
    add_number(&z->head, 2, (uint64_t)z->count);
    add_number(&z->head, 2, (uint64_t)z->count);
    add_number(&z->head, 4, size);
    add_number(&z->head, 4, z->position);
    add_number(&z->head, 2, 0); /* comment */
}

/* The current entry's bytes from `offset` on. */
static int read_entry(struct archive *z, int64_t offset, const unsigned char **ret_bytes,
                      size_t *ret_size, struct error *reterr)
{
    const struct archive_entry *e = &z->entries[z->current];
    if (e->bytes) {
        *ret_bytes = e->bytes + offset;
        *ret_size = (size_t)(e->size - offset);
        return 0;
    }
    if (!z->held || offset != z->held_offset) {
        z->held = NULL;
        if (z->reader.read(z->reader.context, z->current, offset, &z->held, &z->held_size,
                           reterr) != 0)
            return -1;
        if (z->held_size == 0 || (uint64_t)z->held_size > (uint64_t)(e->size - offset))
            return error_internal(reterr, "entry %d of an archive: %zu bytes at %lld of %lld",
                                  z->current, z->held_size, (long long)offset, (long long)e->size);
        z->held_offset = offset;
    }
    *ret_bytes = z->held;
    *ret_size = z->held_size;
    return 0;
}

static int compute_checksum(struct archive *z, uint32_t *ret_checksum, struct error *reterr)
{
    const unsigned char *bytes;
    size_t size;
    uLong crc = crc32_z(0, NULL, 0);
    for (int64_t offset = 0; offset < z->entries[z->current].size; offset += (int64_t)size) {
        if (read_entry(z, offset, &bytes, &size, reterr) != 0)
            return -1;
        crc = crc32_z(crc, bytes, size);
    }
    *ret_checksum = (uint32_t)crc;
    return 0;
}

/* Make the head of what is current now. */
static int begin(struct archive *z, struct error *reterr)
{
    strbuf_reset(&z->head);
    z->is_head_sent = false;
    z->sent = 0;
    z->held = NULL;
    if (z->current == z->count) {
        add_directory(z);
        return 0;
    }
    const struct archive_entry *e = &z->entries[z->current];
    if (compute_checksum(z, &z->checksums[z->current], reterr) != 0)
        return -1;
    add_local_header(z, e, z->checksums[z->current]);
    z->offsets[z->current] = z->position;
    z->position += (uint32_t)(z->head.size + (size_t)e->size);
    return 0;
}

static int next_piece(void *context, const void **ret_bytes, size_t *ret_size, struct error *reterr)
{
    struct archive *z = context;
    if (z->is_head_sent && z->current == z->count)
        return error_internal(reterr, "an archive is read beyond its end");
    bool is_done = z->is_head_sent && z->sent == z->entries[z->current].size;
    bool is_new = z->head.size == 0; /* nothing was read ahead */
    z->current += is_done;
    if ((is_done || is_new) && begin(z, reterr) != 0)
        return -1;
    if (!z->is_head_sent) {
        z->is_head_sent = true;
        *ret_bytes = z->head.text;
        *ret_size = z->head.size;
        return 0;
    }
    const unsigned char *bytes;
    if (read_entry(z, z->sent, &bytes, ret_size, reterr) != 0)
        return -1;
    *ret_bytes = bytes;
    z->sent += (int64_t)*ret_size;
    return 0;
}

static int measure(const struct archive_entry *entries, int count, int64_t *ret_size,
                   struct error *reterr)
{
    int64_t size = END_SIZE;
    for (int i = 0; i < count && size <= ARCHIVE_BYTES_MAX; i++) {
        size_t names = 2 * strlen(entries[i].name);
        size += entries[i].size > ARCHIVE_BYTES_MAX ? ARCHIVE_BYTES_MAX : entries[i].size;
        size += LOCAL_HEADER_SIZE + CENTRAL_HEADER_SIZE + (int64_t)names;
    }
    *ret_size = size;
    if (size <= ARCHIVE_BYTES_MAX && count <= ARCHIVE_ENTRIES_MAX)
        return 0;
    return error_set(reterr, ERR_TOO_LARGE,
                     "The outputs do not go into application/zip: it has at most %d entries and "
                     "%lld bytes here.",
                     ARCHIVE_ENTRIES_MAX, ARCHIVE_BYTES_MAX);
}

static void release_head(void *object)
{
    strbuf_release(object);
}

int archive_open(struct arena *a, const struct archive_entry *entries, int count,
                 const struct archive_reader *reader, bool is_read_ahead,
                 const struct http_body_source **ret_source, int64_t *ret_size,
                 struct error *reterr)
{
    if (measure(entries, count, ret_size, reterr) != 0)
        return -1;
    struct archive *z = arena_alloc(a, sizeof(*z));
    *z = (struct archive){.entries = entries, .count = count, .head = STRBUF_INIT};
    if (reader)
        z->reader = *reader;
    z->checksums = arena_alloc(a, (size_t)count * sizeof(*z->checksums));
    z->offsets = arena_alloc(a, (size_t)count * sizeof(*z->offsets));
    z->source = (struct http_body_source){next_piece, z};
    (void)arena_own(a, &z->head, release_head);
    if (is_read_ahead && begin(z, reterr) != 0)
        return -1;
    *ret_source = &z->source;
    return 0;
}
