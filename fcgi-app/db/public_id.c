/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * public_id.c - ids that nobody can guess or count; see db.h
 *
 * gangsaw.public_id() in SQL computes the same.
 */
#include "db/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#define TAG_DIGITS 10
#define KEY_DIGITS_MAX 18

static const char *const kinds[] = {
    [DB_ID_JOB] = "job",
    [DB_ID_BLOB] = "blob",
    [DB_ID_CURSOR] = "cursor",
};

/* Each job that is shown has an id: looking the algorithm up every time would take longer than the
 * hash. */
static void compute_sha256(const void *bytes, size_t size, const char *tenant,
                           unsigned char ret_hash[EVP_MAX_MD_SIZE])
{
    static EVP_MD *sha256;
    static EVP_MD_CTX *ctx;
    if (!ctx) {
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
        ctx = EVP_MD_CTX_new();
    }
    if (EVP_DigestInit_ex2(ctx, sha256, NULL) != 1 || EVP_DigestUpdate(ctx, bytes, size) != 1 ||
        EVP_DigestUpdate(ctx, tenant, strlen(tenant)) != 1 ||
        EVP_DigestFinal_ex(ctx, ret_hash, NULL) != 1)
        abort();
}

static void compute_tag(const struct db_secret *s, enum db_id_kind kind, const char *tenant,
                        int64_t key, char ret_tag[TAG_DIGITS])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char text[sizeof(s->bytes) + 16 + sizeof(key)], hash[EVP_MAX_MD_SIZE];
    size_t size = strlen(kinds[kind]) + 1; /* with its NUL */

    memcpy(text, s->bytes, sizeof(s->bytes));
    memcpy(text + sizeof(s->bytes), kinds[kind], size);
    size += sizeof(s->bytes);
    for (int shift = 56; shift >= 0; shift -= 8)
        text[size++] = (unsigned char)((uint64_t)key >> shift);
    compute_sha256(text, size, tenant, hash);
    for (int i = 0; i < TAG_DIGITS; i++)
        ret_tag[i] = digits[i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15];
}

void db_id_format(const struct db_secret *s, enum db_id_kind kind, const char *tenant, int64_t key,
                  char ret_id[DB_ID_SIZE])
{
    compute_tag(s, kind, tenant, key, ret_id);
    (void)snprintf(ret_id + TAG_DIGITS, DB_ID_SIZE - TAG_DIGITS, "%" PRId64, key);
}

static bool parse_key(const char *text, int64_t *ret_key)
{
    int64_t key = 0;
    int count = 0;
    for (; text[count] >= '0' && text[count] <= '9' && count < KEY_DIGITS_MAX; count++)
        key = key * 10 + (text[count] - '0');
    *ret_key = key;
    return count > 0 && text[0] != '0' && text[count] == '\0';
}

bool db_id_parse(const struct db_secret *s, enum db_id_kind kind, const char *tenant,
                 const char *id, int64_t *ret_key)
{
    char tag[TAG_DIGITS];
    unsigned difference = 0;
    int64_t key;

    if (strnlen(id, TAG_DIGITS) < TAG_DIGITS || !parse_key(id + TAG_DIGITS, &key))
        return false;
    compute_tag(s, kind, tenant, key, tag);
    for (int i = 0; i < TAG_DIGITS; i++)
        difference |= (unsigned)(tag[i] ^ id[i]);
    if (difference != 0)
        return false;
    *ret_key = key;
    return true;
}
