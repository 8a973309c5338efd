/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * archive.h - several outputs as one body: a zip
 *
 * Entries are stored, not compressed: outputs are pictures and documents, which are compressed
 * already. So the size of the whole is known before the first byte, and a body is made of the bytes
 * where they lie, with headers between; nothing is copied. Every header has its entry's checksum,
 * so that readers of streams can take it: an entry that lies elsewhere is read twice if it
 * comes in more than one piece.
 *
 * The same entries give the same bytes: there are no times in it. Source of the format:
 * PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
 */
#ifndef API_ARCHIVE_H
#define API_ARCHIVE_H

#include "http/response.h"

#define ARCHIVE_BYTES_MAX 0xfffffffeLL /* of the whole: beyond it is another format, ZIP64 */
#define ARCHIVE_ENTRIES_MAX 0xfffe

struct archive_entry {
    const char *name; /* ASCII; unlike all others */
    int64_t size;
    const unsigned char *bytes; /* NULL: `read` has them */
};

/*
 * The bytes of entry number `entry` from `offset` on, as many as are at hand: at least one, and
 * none beyond its size. They stay until the next call. -1: the body is cut off.
 */
typedef int archive_read(void *context, int entry, int64_t offset, const unsigned char **ret_bytes,
                         size_t *ret_size, struct error *reterr);

struct archive_reader {
    archive_read *read; /* NULL: every entry has its bytes */
    void *context;
};

/*
 * A body of `entries`. With `is_read_ahead` the first entry's checksum is computed at once, so that
 * what fails early is still a problem. `entries` is not copied: it lives as long as `a`, which owns
 * all the rest. Errors: ERR_TOO_LARGE over ARCHIVE_BYTES_MAX or ARCHIVE_ENTRIES_MAX; the reader's.
 */
int archive_open(struct arena *a, const struct archive_entry *entries, int count,
                 const struct archive_reader *reader, bool is_read_ahead,
                 const struct http_body_source **ret_source, int64_t *ret_size,
                 struct error *reterr);

#endif
