/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Texts and budget of metadata. Writers of EXIF and IPTC call anything ASCII: what is valid UTF-8
 * is taken for that, all else for Latin-1, in which every byte means something.
 */
#include "tasks/image/metadata.h"

#include <cjson/cJSON.h>
#include <glib.h>

bool budget_take(struct budget *b, size_t bytes)
{
    if (b->members < 1 || b->bytes < (double)bytes) {
        b->omitted++;
        return false;
    }
    b->members--;
    b->bytes -= (double)bytes;
    return true;
}

static void append(GString *text, gunichar c)
{
    bool is_control = c < 0x20 || (c >= 0x7f && c < 0xa0);
    if (!g_unichar_validate(c))
        c = 0xfffd;
    else if (is_control && c != '\n' && c != '\r' && c != '\t')
        c = ' ';
    g_string_append_unichar(text, c);
}

static void append_utf_8(GString *text, const char *s, size_t size)
{
    for (const char *end = s + size; s < end;) {
        gunichar c = g_utf8_get_char_validated(s, end - s);
        bool is_valid = c != (gunichar)-1 && c != (gunichar)-2;
        append(text, is_valid ? c : 0xfffd);
        s = is_valid ? g_utf8_next_char(s) : s + 1;
    }
}

static void append_utf_16(GString *text, const unsigned char *s, size_t size, bool is_big)
{
    gunichar high = 0;

    for (size_t i = 0; i + 1 < size; i += 2) {
        gunichar unit =
            is_big ? (gunichar)(s[i] << 8 | s[i + 1]) : (gunichar)(s[i + 1] << 8 | s[i]);
        bool is_low = unit >= 0xdc00 && unit < 0xe000;
        if (high != 0 && !is_low)
            append(text, 0xfffd);
        if (is_low)
            append(text, high != 0 ? 0x10000 + ((high & 0x3ff) << 10) + (unit & 0x3ff) : 0xfffd);
        high = unit >= 0xd800 && unit < 0xdc00 ? unit : 0;
        if (high == 0 && !is_low)
            append(text, unit);
    }
    if (high != 0)
        append(text, 0xfffd);
}

static GString *decode(const unsigned char *bytes, size_t size, enum charset charset)
{
    GString *text = g_string_sized_new(size + 1);

    if (charset == CHARSET_UTF_16_LE || charset == CHARSET_UTF_16_BE)
        append_utf_16(text, bytes, size, charset == CHARSET_UTF_16_BE);
    else if (charset == CHARSET_UTF_8 || g_utf8_validate((const char *)bytes, (gssize)size, NULL))
        append_utf_8(text, (const char *)bytes, size);
    else
        for (size_t i = 0; i < size; i++)
            append(text, bytes[i]);
    return text;
}

/* In UTF-16 a unit goes as a whole. */
static size_t trimmed(const unsigned char *bytes, size_t size, enum charset charset)
{
    size_t unit = charset == CHARSET_UTF_16_LE || charset == CHARSET_UTF_16_BE ? 2 : 1;
    size_t low = charset == CHARSET_UTF_16_BE ? 1 : 0;

    size -= size % unit;
    while (size >= unit && (unit == 1 || bytes[size - 1 - low] == 0) &&
           (bytes[size - unit + low] == 0 || bytes[size - unit + low] == ' '))
        size -= unit;
    return size;
}

cJSON *metadata_text(const unsigned char *bytes, size_t size, enum charset charset,
                     struct budget *b)
{
    size = trimmed(bytes, size, charset);
    if (!budget_take(b, size))
        return NULL;
    GString *text = decode(bytes, size, charset);
    cJSON *string = cJSON_CreateString(text->str);
    g_string_free(text, TRUE);
    return string;
}

cJSON *metadata_size(size_t size, struct budget *b)
{
    if (!budget_take(b, sizeof(size)))
        return NULL;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "bytes", (double)size);
    return object;
}
