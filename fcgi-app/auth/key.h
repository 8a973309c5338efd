/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key.h - API keys: their form, their scopes, their limits
 *
 * A key is "gs_", its public id of 12 characters, "_" and a secret of 256 bits as 43 characters
 * (base64url). Only SHA-256 of the whole text is stored anywhere; a secret of that length needs no
 * slow hash. The id finds the record, the hash is compared in constant time.
 */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"

#define KEY_ID_LENGTH 12   /* of a-z and 0-9 */
#define KEY_TEXT_LENGTH 59 /* "gs_" id "_" secret */
#define KEY_HASH_SIZE 32
#define KEY_TENANT_SIZE 65 /* 1 to 64 bytes of [A-Za-z0-9._-], and NUL; "" is who needs no key */

enum key_scope {
    SCOPE_RUN = 1 << 0,
    SCOPE_JOBS_READ = 1 << 1,
    SCOPE_JOBS_WRITE = 1 << 2,
    SCOPE_ADMIN = 1 << 3, /* metrics; implies the others */
};
#define SCOPE_ALL (SCOPE_RUN | SCOPE_JOBS_READ | SCOPE_JOBS_WRITE | SCOPE_ADMIN)

/* 0: no limit. */
struct key_limits {
    int32_t requests_per_minute;
    int32_t
        concurrent_runs; /* requests of this key that compute or wait for a slot, on this host */
    int64_t queued_jobs; /* of its tenant: queued and scheduled */
    int64_t body_bytes;
};

/* One key as workers know it. */
struct key_record {
    char id[KEY_ID_LENGTH + 1];
    char tenant[KEY_TENANT_SIZE];
    unsigned char hash[KEY_HASH_SIZE];
    uint32_t scopes;
    struct key_limits limits;
    int64_t expires_us; /* since 1970; 0: never */
};

/* Make a new key: its text, id and hash. Errors: ERR_INTERNAL no random bytes. */
int key_generate(char ret_text[KEY_TEXT_LENGTH + 1], char ret_id[KEY_ID_LENGTH + 1],
                 unsigned char ret_hash[KEY_HASH_SIZE], struct error *reterr);

/* Has `text` the form of a key? Then its id and hash. */
bool key_parse(const char *text, char ret_id[KEY_ID_LENGTH + 1],
               unsigned char ret_hash[KEY_HASH_SIZE]);

/* Has it the form of a key's id? */
bool key_id_is_valid(const char *id);

/* "run", "jobs:read" …; 0 when there is none of that name. */
uint32_t key_scope_parse(const char *name);
/* The names of all that are set, separated by spaces; appended. */
void key_scopes_print(uint32_t scopes, struct strbuf *out);
bool key_tenant_is_valid(const char *tenant);

#endif
