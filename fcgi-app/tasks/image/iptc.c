/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * IPTC-IIM 4.2: datasets, each a marker, record, number, length and value. libiptcdata knows what
 * they are called and how they are written; they are read here, where they lie, because the
 * library copies each of what may be millions.
 */
#include "tasks/image/metadata.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <libiptcdata/iptc-tag.h>

#define MARKER 0x1c
#define EXTENDED 0x8000 /* the length is that of the length */
#define RESOURCE_IPTC 0x0404

struct block {
    const unsigned char *bytes;
    size_t size;
};

struct dataset {
    unsigned record, tag;
    struct block value;
};

static uint32_t read_16(const unsigned char *b)
{
    return (uint32_t)(b[0] << 8 | b[1]);
}

static uint32_t read_32(const unsigned char *b)
{
    return read_16(b) << 16 | read_16(b + 2);
}

static bool skip(struct block *b, size_t size)
{
    if (b->size < size)
        return false;
    b->bytes += size;
    b->size -= size;
    return true;
}

/* Photoshop's resources: "8BIM", number, name, size, content; name and content of even length. */
static struct block find_in_resources(struct block b)
{
    struct block none = {NULL, 0};

    while (b.size >= 12 && memcmp(b.bytes, "8BIM", 4) == 0) {
        uint32_t number = read_16(b.bytes + 4);
        size_t name = (b.bytes[6] + 2u) & ~(size_t)1;
        if (!skip(&b, 6 + name) || b.size < 4)
            return none;
        size_t size = read_32(b.bytes);
        skip(&b, 4);
        if (size > b.size)
            return none;
        if (number == RESOURCE_IPTC)
            return (struct block){b.bytes, size};
        if (!skip(&b, size + (size & 1)))
            return none;
    }
    return none;
}

/* False: here the datasets end. */
static bool next_dataset(struct block *b, struct dataset *ret)
{
    if (b->size < 5 || b->bytes[0] != MARKER)
        return false;
    struct dataset d = {.record = b->bytes[1], .tag = b->bytes[2]};
    size_t size = read_16(b->bytes + 3);
    skip(b, 5);
    if (size & EXTENDED) {
        size_t digits = size & ~(size_t)EXTENDED;
        if (digits > 4 || digits > b->size)
            return false;
        size = 0;
        for (size_t i = 0; i < digits; i++)
            size = size << 8 | b->bytes[i];
        skip(b, digits);
    }
    d.value = (struct block){b->bytes, size};
    *ret = d;
    return skip(b, size);
}

static enum charset charset_of(struct block b)
{
    struct dataset d;

    while (next_dataset(&b, &d))
        if (d.record == IPTC_RECORD_OBJECT_ENV && d.tag == IPTC_TAG_CHARACTER_SET)
            return d.value.size >= 3 && memcmp(d.value.bytes, "\x1b%G", 3) == 0 ? CHARSET_UTF_8
                                                                                : CHARSET_LATIN_1;
    return CHARSET_LATIN_1;
}

static bool is_text(IptcFormat format)
{
    return format == IPTC_FORMAT_STRING || format == IPTC_FORMAT_NUMERIC_STRING ||
           format == IPTC_FORMAT_DATE || format == IPTC_FORMAT_TIME;
}

static cJSON *value_of(const struct dataset *d, IptcFormat format, enum charset charset,
                       struct budget *b)
{
    bool is_number =
        format == IPTC_FORMAT_BYTE || format == IPTC_FORMAT_SHORT || format == IPTC_FORMAT_LONG;
    double number = 0;

    if (d->record == IPTC_RECORD_OBJECT_ENV && d->tag == IPTC_TAG_CHARACTER_SET)
        return charset == CHARSET_UTF_8
                   ? metadata_text((const unsigned char *)"UTF-8", 5, charset, b)
                   : metadata_size(d->value.size, b);
    if (is_text(format))
        return metadata_text(d->value.bytes, d->value.size, charset, b);
    if (!is_number || d->value.size == 0 || d->value.size > 4)
        return metadata_size(d->value.size, b);
    for (size_t i = 0; i < d->value.size; i++)
        number = number * 256 + d->value.bytes[i];
    return budget_take(b, sizeof(number)) ? cJSON_CreateNumber(number) : NULL;
}

/* What the standard lets repeat is an array, whether it does or not; all else once it repeats. */
static void add(cJSON *iptc, const char *name, bool is_repeatable, cJSON *value)
{
    cJSON *before = cJSON_GetObjectItemCaseSensitive(iptc, name);

    if (before == NULL && is_repeatable) {
        before = cJSON_AddArrayToObject(iptc, name);
    } else if (before == NULL) {
        cJSON_AddItemToObject(iptc, name, value);
        return;
    } else if (!cJSON_IsArray(before)) {
        cJSON *array = cJSON_CreateArray();
        cJSON_AddItemToArray(array, cJSON_DetachItemViaPointer(iptc, before));
        cJSON_AddItemToObject(iptc, name, array);
        before = array;
    }
    cJSON_AddItemToArray(before, value);
}

cJSON *metadata_iptc(const void *block, size_t size, struct budget *b)
{
    static const char photoshop[] = "Photoshop 3.0"; /* with its NUL */
    struct block left = {block, size};
    struct dataset d;

    if (size >= sizeof(photoshop) && memcmp(block, photoshop, sizeof(photoshop)) == 0) {
        skip(&left, sizeof(photoshop));
        left = find_in_resources(left);
    }
    enum charset charset = charset_of(left);
    cJSON *iptc = cJSON_CreateObject();
    while (next_dataset(&left, &d)) {
        if (b->members < 1) { /* the table below is searched row by row */
            b->omitted++;
            continue;
        }
        const IptcTagInfo *info = iptc_tag_get_info((IptcRecord)d.record, (IptcTag)d.tag);
        char unknown[8];
        snprintf(unknown, sizeof(unknown), "%u:%u", d.record & 255, d.tag & 255);
        cJSON *value = value_of(&d, info != NULL ? info->format : IPTC_FORMAT_BINARY, charset, b);
        if (value != NULL)
            add(iptc, info != NULL ? info->name : unknown,
                info != NULL && info->repeatable == IPTC_REPEATABLE, value);
    }
    if (iptc->child == NULL) {
        cJSON_Delete(iptc);
        return NULL;
    }
    return iptc;
}
