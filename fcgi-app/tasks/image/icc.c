/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ICC profile's name: the tag `desc`, which is ASCII in version 2 and UTF-16 in version 4.
 */
#include "tasks/image/metadata.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#define HEADER_SIZE 128
#define TAGS_MAX 1000 /* a profile has about ten */

struct profile {
    const unsigned char *bytes;
    size_t size;
};

static uint32_t read_32(const struct profile *p, size_t at)
{
    const unsigned char *b = p->bytes + at;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* The tag's content; size 0: there is none within the profile. */
static struct profile find_tag(const struct profile *p, const char *name)
{
    uint32_t count = read_32(p, HEADER_SIZE);

    for (uint32_t i = 0; i < count && i < TAGS_MAX; i++) {
        size_t at = HEADER_SIZE + 4 + (size_t)i * 12;
        if (at + 12 > p->size)
            break;
        uint64_t offset = read_32(p, at + 4), size = read_32(p, at + 8);
        if (memcmp(p->bytes + at, name, 4) == 0 && offset + size <= p->size)
            return (struct profile){p->bytes + offset, (size_t)size};
    }
    return (struct profile){NULL, 0};
}

static cJSON *name_of(const struct profile *p, struct budget *b)
{
    struct profile tag = find_tag(p, "desc");

    if (tag.size > 12 && memcmp(tag.bytes, "desc", 4) == 0) {
        size_t length = read_32(&tag, 8);
        return metadata_text(tag.bytes + 12, length < tag.size - 12 ? length : tag.size - 12,
                             CHARSET_LATIN_1, b);
    }
    /* Names in several languages: the first, which is English in most. */
    if (tag.size >= 28 && memcmp(tag.bytes, "mluc", 4) == 0 && read_32(&tag, 8) > 0) {
        uint64_t length = read_32(&tag, 20), offset = read_32(&tag, 24);
        if (offset + length <= tag.size)
            return metadata_text(tag.bytes + offset, (size_t)length, CHARSET_UTF_16_BE, b);
    }
    return NULL;
}

cJSON *metadata_icc(const void *block, size_t size, struct budget *b)
{
    struct profile p = {block, size};
    char version[16];

    if (size < HEADER_SIZE + 4 || memcmp(p.bytes + 36, "acsp", 4) != 0)
        return NULL;
    cJSON *icc = cJSON_CreateObject();
    cJSON *name = name_of(&p, b);
    if (name != NULL)
        cJSON_AddItemToObject(icc, "name", name);
    cJSON *space = metadata_text(p.bytes + 16, 4, CHARSET_LATIN_1, b);
    if (space != NULL)
        cJSON_AddItemToObject(icc, "colour_space", space);
    snprintf(version, sizeof(version), "%u.%u", p.bytes[8], (unsigned)p.bytes[9] >> 4);
    cJSON_AddStringToObject(icc, "version", version);
    cJSON_AddNumberToObject(icc, "bytes", (double)size);
    return icc;
}
