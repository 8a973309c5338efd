/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metadata_fixture.h - blocks of metadata, written by hand
 */
#ifndef TESTS_METADATA_FIXTURE_H
#define TESTS_METADATA_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "tasks/image/metadata.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct block {
    unsigned char *bytes;
    size_t size, room;
    bool is_big;
};

/* A budget that no honest block exceeds. */
extern const struct budget plenty;

/* Append to a block: bytes, a number in the block's byte order, a text without its end. */
void put(struct block *b, const void *bytes, size_t size);
void put_number(struct block *b, uint32_t value, int digits);
void put_text(struct block *b, const char *text);

/* An EXIF block begins with its header, and has directories of entries. */
struct block exif_header(bool is_big);
void put_entry(struct block *b, unsigned tag, unsigned format, uint32_t count, uint32_t value);

/* No byte more than its size, so that a sanitizer sees one too far. */
void finish(struct block *b);

/* As JSON text; of the caller. "" when there is none. */
char *print(cJSON *object);

#endif
