/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key.c - see key.h
 */
#include "auth/key.h"

#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/base64.h"

#define PREFIX "gs_"
#define PREFIX_LENGTH 3
#define SECRET_SIZE 32
#define SECRET_LENGTH 43 /* of base64url without padding */
#define SECRET_AT (PREFIX_LENGTH + KEY_ID_LENGTH + 1)

_Static_assert(SECRET_AT + SECRET_LENGTH == KEY_TEXT_LENGTH, "the parts make the whole");
_Static_assert(SHA256_DIGEST_LENGTH == KEY_HASH_SIZE, "the hash is SHA-256");

static const char id_alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789";
#define ID_ALPHABET_SIZE (sizeof(id_alphabet) - 1)

static const struct {
    const char *name;
    uint32_t bit;
} scopes_by_name[] = {
    {"run", SCOPE_RUN},
    {"jobs:read", SCOPE_JOBS_READ},
    {"jobs:write", SCOPE_JOBS_WRITE},
    {"admin", SCOPE_ADMIN},
};
#define SCOPE_COUNT (sizeof(scopes_by_name) / sizeof(scopes_by_name[0]))

/* ---- making one */

static int fill_random(unsigned char *bytes, size_t size, struct error *reterr)
{
    /* Up to 256 bytes come whole. */
    if (getrandom(bytes, size, 0) != (ssize_t)size)
        return error_errno(reterr, "key: getrandom");
    return 0;
}

/* Bytes that would make some characters likelier than others are passed over. */
static int make_id(char ret_id[KEY_ID_LENGTH + 1], struct error *reterr)
{
    const unsigned fair_end = 256 / ID_ALPHABET_SIZE * ID_ALPHABET_SIZE;
    int length = 0;
    while (length < KEY_ID_LENGTH) {
        unsigned char bytes[2 * KEY_ID_LENGTH];
        if (fill_random(bytes, sizeof(bytes), reterr) != 0)
            return -1;
        for (size_t i = 0; i < sizeof(bytes) && length < KEY_ID_LENGTH; i++) {
            if (bytes[i] < fair_end)
                ret_id[length++] = id_alphabet[bytes[i] % ID_ALPHABET_SIZE];
        }
    }
    ret_id[length] = '\0';
    return 0;
}

static void hash_text(const char *text, unsigned char ret_hash[KEY_HASH_SIZE])
{
    (void)SHA256((const unsigned char *)text, KEY_TEXT_LENGTH, ret_hash);
}

static void add_secret(char *at, const unsigned char bytes[SECRET_SIZE])
{
    struct strbuf secret = STRBUF_INIT;
    base64_encode(&secret, bytes, SECRET_SIZE);
    for (int i = 0; i < SECRET_LENGTH; i++) {
        char c = secret.text[i];
        at[i] = c == '+' ? '-' : c == '/' ? '_' : c;
    }
    at[SECRET_LENGTH] = '\0';
    OPENSSL_cleanse(secret.text, secret.size);
    strbuf_release(&secret);
}

int key_generate(char ret_text[KEY_TEXT_LENGTH + 1], char ret_id[KEY_ID_LENGTH + 1],
                 unsigned char ret_hash[KEY_HASH_SIZE], struct error *reterr)
{
    unsigned char bytes[SECRET_SIZE];
    char id[KEY_ID_LENGTH + 1];
    if (make_id(id, reterr) != 0 || fill_random(bytes, sizeof(bytes), reterr) != 0)
        return -1;
    memcpy(ret_text, PREFIX, PREFIX_LENGTH);
    memcpy(ret_text + PREFIX_LENGTH, id, KEY_ID_LENGTH);
    ret_text[SECRET_AT - 1] = '_';
    add_secret(ret_text + SECRET_AT, bytes);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    memcpy(ret_id, id, sizeof(id));
    hash_text(ret_text, ret_hash);
    return 0;
}

/* ---- reading one */

static bool is_id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_secret_character(char c)
{
    return is_id_character(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

bool key_id_is_valid(const char *id)
{
    for (int i = 0; i < KEY_ID_LENGTH; i++) {
        if (!is_id_character(id[i]))
            return false;
    }
    return id[KEY_ID_LENGTH] == '\0';
}

bool key_parse(const char *text, char ret_id[KEY_ID_LENGTH + 1],
               unsigned char ret_hash[KEY_HASH_SIZE])
{
    char id[KEY_ID_LENGTH + 1] = "";
    if (strnlen(text, KEY_TEXT_LENGTH + 1) != KEY_TEXT_LENGTH ||
        strncmp(text, PREFIX, PREFIX_LENGTH) != 0 || text[SECRET_AT - 1] != '_')
        return false;
    memcpy(id, text + PREFIX_LENGTH, KEY_ID_LENGTH);
    if (!key_id_is_valid(id))
        return false;
    for (int i = SECRET_AT; i < KEY_TEXT_LENGTH; i++) {
        if (!is_secret_character(text[i]))
            return false;
    }
    memcpy(ret_id, id, sizeof(id));
    hash_text(text, ret_hash);
    return true;
}

/* ---- scopes and tenants */

uint32_t key_scope_parse(const char *name)
{
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (strcmp(scopes_by_name[i].name, name) == 0)
            return scopes_by_name[i].bit;
    }
    return 0;
}

void key_scopes_print(uint32_t scopes, struct strbuf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < SCOPE_COUNT; i++) {
        if (!(scopes & scopes_by_name[i].bit))
            continue;
        if (!is_first)
            strbuf_addch(out, ' ');
        strbuf_addstr(out, scopes_by_name[i].name);
        is_first = false;
    }
}

bool key_tenant_is_valid(const char *tenant)
{
    size_t size = strnlen(tenant, KEY_TENANT_SIZE);
    if (size == 0 || size >= KEY_TENANT_SIZE)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!is_secret_character(tenant[i]) && tenant[i] != '.')
            return false;
    }
    return true;
}
