/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * base64.c - see base64.h
 */
#include "base/base64.h"

#include <stdbool.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t base64_decoded_max(size_t size)
{
    return size / 4 * 3;
}

/* Four characters, of which the last `padding` are '='. */
static int decode_group(const char *text, int padding, unsigned char *out)
{
    uint32_t bits = 0;
    for (int i = 0; i < 4 - padding; i++) {
        int value = value_of((unsigned char)text[i]);
        if (value < 0)
            return -1;
        bits |= (uint32_t)value << (18 - 6 * i);
    }
    if (padding > 0 && (bits & (padding == 1 ? 0xffU : 0xffffU)) != 0)
        return -1; /* two texts for the same bytes are one too many */
    for (int i = 0; i < 3 - padding; i++)
        out[i] = (unsigned char)(bits >> (16 - 8 * i));
    return 3 - padding;
}

ptrdiff_t base64_decode(const char *text, size_t size, unsigned char *out)
{
    if (size % 4 != 0)
        return -1;
    unsigned char *at = out;
    for (size_t i = 0; i < size; i += 4) {
        bool is_last = i + 4 == size;
        int padding = !is_last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
        int count = decode_group(text + i, padding, at);
        if (count < 0)
            return -1;
        at += count;
    }
    return at - out;
}

void base64_encode(struct strbuf *out, const unsigned char *bytes, size_t size)
{
    char chunk[4096];
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= left > 2 ? bytes[i + 2] : 0;
        chunk[used++] = alphabet[bits >> 18];
        chunk[used++] = alphabet[bits >> 12 & 63];
        chunk[used++] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        chunk[used++] = left > 2 ? alphabet[bits & 63] : '=';
        if (used == sizeof(chunk)) {
            strbuf_add(out, chunk, used);
            used = 0;
        }
    }
    strbuf_add(out, chunk, used);
}
