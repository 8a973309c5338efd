/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metadata.h - what a file says about itself, as JSON
 *
 * Each function takes a block as it lies in the file and gives an object, or NULL when the block
 * holds nothing that can be read. The blocks come from strangers: each is walked once, nothing in
 * it is believed, and a budget bounds what becomes of it. What had no room, or could not be read,
 * is counted. To add a kind: a file with its function, a row in inspect.c.
 */
#ifndef IMAGE_METADATA_H
#define IMAGE_METADATA_H

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* What the result may still take, over all kinds. */
struct budget {
    double members, bytes;
    int omitted;
};

/* May one more member with so many bytes of value come in? If not, it counts as omitted. */
bool budget_take(struct budget *b, size_t bytes);

/* What the bytes of a text are when they are no valid UTF-8. */
enum charset { CHARSET_LATIN_1, CHARSET_UTF_8, CHARSET_UTF_16_LE, CHARSET_UTF_16_BE };

/*
 * A string of valid UTF-8: trailing NULs and spaces dropped, other control characters but line
 * ends and tabs made spaces, what cannot be decoded made U+FFFD. NULL: over the budget.
 */
struct cJSON *metadata_text(const unsigned char *bytes, size_t size, enum charset charset,
                            struct budget *b);

/* What has no form in JSON, or a too long one: {"bytes": size}. NULL: over the budget. */
struct cJSON *metadata_size(size_t size, struct budget *b);

/*
 * exif.c: groups `image`, `photo`, `gps`, `interoperability`, `thumbnail`, with the standard's
 * names of tags. A block begins with a TIFF header, with or without "Exif\0\0"; `is_file` says that
 * it is a TIFF file, whose second directory is a page and no thumbnail.
 */
struct cJSON *metadata_exif(const void *block, size_t size, bool is_file, struct budget *b);

/* iptc.c: datasets of IIM 4.2, bare or within the resources that Photoshop wrote. */
struct cJSON *metadata_iptc(const void *block, size_t size, struct budget *b);

/* xmp.c: properties by their names, "dc:title". */
struct cJSON *metadata_xmp(const void *block, size_t size, struct budget *b);

/* icc.c: a profile's name and header (ICC.1:2010). */
struct cJSON *metadata_icc(const void *block, size_t size, struct budget *b);

#endif
