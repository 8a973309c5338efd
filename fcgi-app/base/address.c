/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * address.c - see address.h
 */
#include "base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96 */

struct address {
    unsigned char bytes[16]; /* of IPv6 */
};

struct network {
    struct address address;
    int bits;
};

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool parse_address(const char *text, bool *ret_is_v4, struct address *ret_address)
{
    struct address a;
    *ret_is_v4 = inet_pton(AF_INET, text, a.bytes + sizeof(mapped)) == 1;
    if (*ret_is_v4)
        memcpy(a.bytes, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, text, a.bytes) != 1)
        return false;
    *ret_address = a;
    return true;
}

static bool is_within(const struct address *a, const struct network *n)
{
    size_t whole = (size_t)n->bits / 8;
    int rest = n->bits % 8;
    if (memcmp(a->bytes, n->address.bytes, whole) != 0)
        return false;
    return rest == 0 || (a->bytes[whole] ^ n->address.bytes[whole]) >> (8 - rest) == 0;
}

/* "24": the bits of a prefix, up to `max`; -1 when it is none. */
static int parse_bits(const char *text, int max)
{
    int bits = 0;
    if (!*text || strlen(text) > 3 || (text[0] == '0' && text[1]))
        return -1;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text))
            return -1;
        bits = 10 * bits + (*text - '0');
    }
    return bits <= max ? bits : -1;
}

static bool is_zero_behind(const struct network *n)
{
    struct network host = *n;
    for (int i = n->bits; i < 128; i++)
        host.address.bytes[i / 8] &= (unsigned char)~(0x80 >> i % 8);
    return memcmp(&host.address, &n->address, sizeof(host.address)) == 0;
}

static bool parse_network(const char *text, size_t size, struct network *ret_network)
{
    char copy[64];
    struct network n = {.bits = 128};
    bool is_v4;
    if (size >= sizeof(copy))
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    char *slash = strchr(copy, '/');
    if (slash)
        *slash = '\0';
    if (!parse_address(copy, &is_v4, &n.address))
        return false;
    if (slash)
        n.bits = parse_bits(slash + 1, is_v4 ? 32 : 128);
    if (n.bits < 0)
        return false;
    if (slash && is_v4)
        n.bits += MAPPED_BITS;
    *ret_network = n;
    return is_zero_behind(&n);
}

/* The next word of a list; false at its end. */
static bool next_word(const char **at, const char **ret_word, size_t *ret_size)
{
    *at += strspn(*at, " ");
    *ret_word = *at;
    *ret_size = strcspn(*at, " ");
    *at += *ret_size;
    return *ret_size > 0;
}

bool address_is_in(const char *text, const char *list)
{
    struct address address;
    struct network network;
    const char *word;
    size_t size;
    bool is_v4;
    if (!text || !parse_address(text, &is_v4, &address))
        return false;
    while (next_word(&list, &word, &size)) {
        if (parse_network(word, size, &network) && is_within(&address, &network))
            return true;
    }
    return false;
}

bool address_is_loopback(const char *text)
{
    static const struct address v6 = {{[15] = 1}};
    struct address a;
    bool is_v4;
    if (!text || !parse_address(text, &is_v4, &a))
        return false;
    bool is_v4_network = memcmp(a.bytes, mapped, sizeof(mapped)) == 0 && a.bytes[12] == 127;
    return is_v4_network || memcmp(&a, &v6, sizeof(a)) == 0;
}

bool address_list_is_valid(const char *list)
{
    struct network network;
    const char *word;
    size_t size;
    while (next_word(&list, &word, &size)) {
        if (!parse_network(word, size, &network))
            return false;
    }
    return true;
}
