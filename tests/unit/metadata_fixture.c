/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metadata_fixture.c - see metadata_fixture.h
 */
#include "metadata_fixture.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX ((size_t)8 << 20)

const struct budget plenty = {.members = 2000, .bytes = 262144};

void put(struct block *b, const void *bytes, size_t size)
{
    assert_true(b->size + size <= BLOCK_MAX);
    if (size == 0)
        return;
    if (b->size + size > b->room) {
        b->room = 2 * (b->size + size);
        b->bytes = realloc(b->bytes, b->room);
        assert_non_null(b->bytes);
    }
    memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
}

void finish(struct block *b)
{
    b->room = b->size;
    b->bytes = realloc(b->bytes, b->size > 0 ? b->size : 1);
    assert_non_null(b->bytes);
}

void put_number(struct block *b, uint32_t value, int digits)
{
    for (int i = 0; i < digits; i++) {
        unsigned char byte = (unsigned char)(value >> 8 * (b->is_big ? digits - 1 - i : i));
        put(b, &byte, 1);
    }
}

void put_text(struct block *b, const char *text)
{
    put(b, text, strlen(text));
}

void put_entry(struct block *b, unsigned tag, unsigned format, uint32_t count, uint32_t value)
{
    put_number(b, tag, 2);
    put_number(b, format, 2);
    put_number(b, count, 4);
    if (format == 3 && count == 1 && b->is_big)
        value <<= 16; /* a short lies at the start of its four bytes */
    put_number(b, value, 4);
}

struct block exif_header(bool is_big)
{
    struct block b = {.is_big = is_big};
    put_text(&b, is_big ? "MM" : "II");
    put_number(&b, 42, 2);
    put_number(&b, 8, 4);
    return b;
}

char *print(cJSON *object)
{
    char *text = object != NULL ? cJSON_PrintUnformatted(object) : strdup("");
    assert_non_null(text);
    cJSON_Delete(object);
    return text;
}
