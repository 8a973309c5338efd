/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * EXIF (CIPA DC-008): a TIFF of up to five directories. libexif, which knows the names of the tags,
 * does not read them here: it copies each value, and some thousand entries that all point to the
 * same 64 KB make it take hundreds of megabytes. This walk goes to each of the five at most once,
 * whatever points where, and looks at a value only when there is room for it.
 */
#include "tasks/image/metadata.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <libexif/exif-format.h>
#include <libexif/exif-tag.h>

#define ENTRY_SIZE 12
#define NUMBERS_MAX 64 /* of one tag: tables of the sensor and of the file's strips are longer */
#define CODE_SIZE 8    /* of the name of a character set before a text */

struct reader {
    const unsigned char *bytes;
    size_t size;
    bool is_big; /* "MM": big-endian */
    struct budget *budget;
};

/* What leads from one directory to others; 0: to none. */
struct links {
    uint32_t photo, gps, interoperability, next;
};

struct entry {
    unsigned tag;
    ExifFormat format;
    uint32_t count;
    const unsigned char *value;
    size_t size;
};

static uint32_t read_16(const struct reader *r, const unsigned char *b)
{
    return r->is_big ? (uint32_t)(b[0] << 8 | b[1]) : (uint32_t)(b[1] << 8 | b[0]);
}

static uint32_t read_32(const struct reader *r, const unsigned char *b)
{
    uint32_t first = read_16(r, b), second = read_16(r, b + 2);
    return r->is_big ? first << 16 | second : second << 16 | first;
}

static double ratio(double numerator, double denominator)
{
    return denominator == 0 ? NAN : numerator / denominator;
}

static double read_float(const struct reader *r, const unsigned char *b)
{
    uint32_t bits = read_32(r, b);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return (double)value;
}

static double read_double(const struct reader *r, const unsigned char *b)
{
    uint64_t high = read_32(r, b + (r->is_big ? 0 : 4)), low = read_32(r, b + (r->is_big ? 4 : 0));
    uint64_t bits = high << 32 | low;
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The i-th number of a value; what is no number (0/0) becomes null. */
static double number_at(const struct reader *r, const struct entry *e, size_t i)
{
    const unsigned char *b = e->value + i * exif_format_get_size(e->format);

    switch (e->format) {
    case EXIF_FORMAT_SBYTE:
        return (int8_t)*b;
    case EXIF_FORMAT_SHORT:
        return read_16(r, b);
    case EXIF_FORMAT_SSHORT:
        return (int16_t)read_16(r, b);
    case EXIF_FORMAT_LONG:
        return read_32(r, b);
    case EXIF_FORMAT_SLONG:
        return (int32_t)read_32(r, b);
    case EXIF_FORMAT_RATIONAL:
        return ratio(read_32(r, b), read_32(r, b + 4));
    case EXIF_FORMAT_SRATIONAL:
        return ratio((int32_t)read_32(r, b), (int32_t)read_32(r, b + 4));
    case EXIF_FORMAT_FLOAT:
        return read_float(r, b);
    case EXIF_FORMAT_DOUBLE:
        return read_double(r, b);
    default:
        return *b;
    }
}

static cJSON *numbers(const struct reader *r, const struct entry *e)
{
    if (e->count == 0 || e->count > NUMBERS_MAX)
        return metadata_size(e->size, r->budget);
    if (!budget_take(r->budget, e->count * sizeof(double)))
        return NULL;
    if (e->count == 1)
        return cJSON_CreateNumber(number_at(r, e, 0));
    cJSON *array = cJSON_CreateArray();
    for (uint32_t i = 0; i < e->count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(number_at(r, e, i)));
    return array;
}

/* As it stands on cameras: "1/200", "0.8", "30". */
static cJSON *exposure_time(const struct reader *r, const struct entry *e)
{
    double seconds = number_at(r, e, 0);
    char text[32];

    if (!budget_take(r->budget, sizeof(text)))
        return NULL;
    if (!(seconds > 0))
        return cJSON_CreateNumber(seconds);
    if (seconds < 0.3)
        snprintf(text, sizeof(text), "1/%.0f", 1 / seconds);
    else
        snprintf(text, sizeof(text), "%.4g", seconds);
    return cJSON_CreateString(text);
}

/* A text whose first eight bytes name its character set. */
static cJSON *coded_text(const struct reader *r, const struct entry *e)
{
    enum charset charset = CHARSET_LATIN_1;

    if (e->size < CODE_SIZE)
        return metadata_size(e->size, r->budget);
    if (memcmp(e->value, "JIS", 4) == 0)
        return metadata_size(e->size, r->budget);
    if (memcmp(e->value, "UNICODE", CODE_SIZE) == 0)
        charset = r->is_big ? CHARSET_UTF_16_BE : CHARSET_UTF_16_LE;
    return metadata_text(e->value + CODE_SIZE, e->size - CODE_SIZE, charset, r->budget);
}

/* Tags whose form the format alone does not tell. */
static cJSON *undefined(const struct reader *r, const struct entry *e)
{
    switch (e->tag) {
    case EXIF_TAG_EXIF_VERSION:
    case EXIF_TAG_FLASH_PIX_VERSION:
    case EXIF_TAG_INTEROPERABILITY_VERSION:
        return metadata_text(e->value, e->size, CHARSET_LATIN_1, r->budget);
    case EXIF_TAG_USER_COMMENT:
    case EXIF_TAG_GPS_PROCESSING_METHOD:
    case EXIF_TAG_GPS_AREA_INFORMATION:
        return coded_text(r, e);
    case EXIF_TAG_COMPONENTS_CONFIGURATION:
    case EXIF_TAG_FILE_SOURCE:
    case EXIF_TAG_SCENE_TYPE:
        return numbers(r, e);
    default:
        return metadata_size(e->size, r->budget);
    }
}

static cJSON *value_of(const struct reader *r, const struct entry *e, ExifIfd ifd)
{
    bool is_windows_text = e->format == EXIF_FORMAT_BYTE && e->tag >= EXIF_TAG_XP_TITLE &&
                           e->tag <= EXIF_TAG_XP_SUBJECT;

    if (e->format == EXIF_FORMAT_ASCII)
        return metadata_text(e->value, e->size, CHARSET_LATIN_1, r->budget);
    if (is_windows_text)
        return metadata_text(e->value, e->size, CHARSET_UTF_16_LE, r->budget);
    if (e->tag == EXIF_TAG_MAKER_NOTE)
        return metadata_size(e->size, r->budget);
    if (e->format == EXIF_FORMAT_UNDEFINED)
        return undefined(r, e);
    if (e->tag == EXIF_TAG_EXPOSURE_TIME && ifd == EXIF_IFD_EXIF && e->count == 1)
        return exposure_time(r, e);
    return numbers(r, e);
}

/* False: the value does not lie within the block, or is of no format of the standard. */
static bool read_entry(const struct reader *r, const unsigned char *at, struct entry *ret_entry)
{
    struct entry e = {.tag = read_16(r, at),
                      .format = (ExifFormat)read_16(r, at + 2),
                      .count = read_32(r, at + 4)};
    uint64_t unit = exif_format_get_size(e.format), size = unit * e.count;

    if (unit == 0)
        return false;
    e.value = at + 8;
    if (size > 4) {
        uint64_t offset = read_32(r, at + 8);
        if (offset + size > r->size)
            return false;
        e.value = r->bytes + offset;
    }
    e.size = (size_t)size;
    *ret_entry = e;
    return true;
}

static bool follow(const struct reader *r, const struct entry *e, ExifIfd ifd, struct links *links)
{
    bool is_pointer = e->format == EXIF_FORMAT_LONG && e->count == 1;

    if (!is_pointer)
        return false;
    if (ifd == EXIF_IFD_0 && e->tag == EXIF_TAG_EXIF_IFD_POINTER)
        links->photo = read_32(r, e->value);
    else if (ifd == EXIF_IFD_0 && e->tag == EXIF_TAG_GPS_INFO_IFD_POINTER)
        links->gps = read_32(r, e->value);
    else if (ifd == EXIF_IFD_EXIF && e->tag == EXIF_TAG_INTEROPERABILITY_IFD_POINTER)
        links->interoperability = read_32(r, e->value);
    else
        return false;
    return true;
}

/* Cameras put tags into directories that the standard does not have them in. */
static const char *name_of(unsigned tag, ExifIfd ifd, char unknown[8])
{
    const char *name = exif_tag_get_name_in_ifd((ExifTag)tag, ifd);

    if (name == NULL && ifd != EXIF_IFD_GPS && ifd != EXIF_IFD_INTEROPERABILITY)
        name = exif_tag_get_name((ExifTag)tag);
    if (name != NULL && *name != '\0')
        return name;
    snprintf(unknown, 8, "0x%04x", tag);
    return unknown;
}

/* Adds the directory at `offset` to `exif` under `group`. Of tags that come twice the first counts.
 */
static void read_ifd(const struct reader *r, uint32_t offset, ExifIfd ifd, const char *group,
                     cJSON *exif, struct links *links)
{
    unsigned char seen[65536 / 8] = {0};
    cJSON *object = cJSON_CreateObject();

    if (offset == 0 || r->size < 2 || offset > r->size - 2) {
        cJSON_Delete(object);
        return;
    }
    const unsigned char *at = r->bytes + offset;
    size_t claimed = read_16(r, at), room = (r->size - offset - 2) / ENTRY_SIZE;
    size_t count = claimed < room ? claimed : room;
    r->budget->omitted += (int)(claimed - count);
    at += 2;
    for (size_t i = 0; i < count; i++, at += ENTRY_SIZE) {
        struct entry e;
        char unknown[8];
        if (!read_entry(r, at, &e)) {
            r->budget->omitted++;
            continue;
        }
        if ((seen[e.tag / 8] & 1 << e.tag % 8) != 0 || follow(r, &e, ifd, links))
            continue;
        seen[e.tag / 8] = (unsigned char)(seen[e.tag / 8] | 1 << e.tag % 8);
        cJSON *value = value_of(r, &e, ifd);
        if (value != NULL)
            cJSON_AddItemToObject(object, name_of(e.tag, ifd, unknown), value);
    }
    if (claimed <= room && (size_t)(r->bytes + r->size - at) >= 4)
        links->next = read_32(r, at);
    if (object->child != NULL)
        cJSON_AddItemToObject(exif, group, object);
    else
        cJSON_Delete(object);
}

/* Degrees, minutes and seconds, and on which side: decimal degrees; NAN when they are none. */
static double degrees(const cJSON *gps, const char *name, const char *ref_name, char negative,
                      double limit)
{
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(gps, name), *part;
    const char *ref = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(gps, ref_name));
    double value = 0, unit = 1;

    if (!cJSON_IsArray(parts) || cJSON_GetArraySize(parts) != 3 || ref == NULL)
        return NAN;
    cJSON_ArrayForEach(part, parts)
    {
        /* Some write degrees and minutes alone, the rest as 0/0. */
        double number = cJSON_GetNumberValue(part);
        value += isfinite(number) || unit == 1 ? number / unit : 0;
        unit *= 60;
    }
    if (!(value >= 0 && value <= limit))
        return NAN;
    return *ref == negative ? -value : value;
}

static void add_position(cJSON *gps)
{
    double latitude = degrees(gps, "GPSLatitude", "GPSLatitudeRef", 'S', 90);
    double longitude = degrees(gps, "GPSLongitude", "GPSLongitudeRef", 'W', 180);
    const cJSON *altitude = cJSON_GetObjectItemCaseSensitive(gps, "GPSAltitude");
    const cJSON *below = cJSON_GetObjectItemCaseSensitive(gps, "GPSAltitudeRef");

    if (isfinite(latitude))
        cJSON_AddNumberToObject(gps, "latitude", latitude);
    if (isfinite(longitude))
        cJSON_AddNumberToObject(gps, "longitude", longitude);
    if (cJSON_IsNumber(altitude) && isfinite(altitude->valuedouble))
        cJSON_AddNumberToObject(gps, "altitude",
                                cJSON_IsNumber(below) && below->valueint == 1
                                    ? -altitude->valuedouble
                                    : altitude->valuedouble);
}

cJSON *metadata_exif(const void *block, size_t size, bool is_file, struct budget *b)
{
    struct reader r = {.bytes = block, .size = size, .budget = b};
    struct links links = {0};

    if (r.size >= 6 && memcmp(r.bytes, "Exif\0\0", 6) == 0) {
        r.bytes += 6;
        r.size -= 6;
    }
    r.is_big = r.size >= 8 && memcmp(r.bytes, "MM\0*", 4) == 0;
    if (r.size < 8 || (!r.is_big && memcmp(r.bytes, "II*\0", 4) != 0))
        return NULL;

    cJSON *exif = cJSON_CreateObject();
    read_ifd(&r, read_32(&r, r.bytes + 4), EXIF_IFD_0, "image", exif, &links);
    uint32_t thumbnail = is_file ? 0 : links.next;
    read_ifd(&r, links.photo, EXIF_IFD_EXIF, "photo", exif, &links);
    read_ifd(&r, links.gps, EXIF_IFD_GPS, "gps", exif, &links);
    read_ifd(&r, links.interoperability, EXIF_IFD_INTEROPERABILITY, "interoperability", exif,
             &links);
    read_ifd(&r, thumbnail, EXIF_IFD_1, "thumbnail", exif, &links);
    cJSON *gps = cJSON_GetObjectItemCaseSensitive(exif, "gps");
    if (gps != NULL)
        add_position(gps);
    if (exif->child == NULL) {
        cJSON_Delete(exif);
        return NULL;
    }
    return exif;
}
