/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot.c - the reading side; see snapshot.h
 *
 * A hub that dies between the rename and the mark leaves the old file unmarked. So a file that no
 * hub has looked after for a few seconds is compared with the name, too.
 */
#include "auth/snapshot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "auth/snapshot_file.h"
#include "base/arena.h"
#include "base/clock.h"

#define LONELY_SECONDS 3 /* the hub compares more often than that */

struct snapshot {
    struct arena *arena;
    const struct config *cfg;
    struct snapshot_map map;
    char path[PATH_MAX], boot[SNAPSHOT_BOOT_SIZE];
};

struct snapshot *snapshot_open(const struct config *cfg)
{
    struct arena *a = arena_new();
    struct snapshot *s = arena_alloc(a, sizeof(*s));
    s->arena = a;
    s->cfg = cfg;
    snapshot_path(cfg, s->path);
    snapshot_boot(s->boot);
    return s;
}

void snapshot_close(struct snapshot *s)
{
    if (!s)
        return;
    snapshot_map_close(&s->map);
    arena_free(s->arena);
}

double snapshot_age(const struct snapshot *s)
{
    if (!s->map.header || strcmp(s->map.header->sealed.boot, s->boot) != 0)
        return INFINITY;
    int64_t compared_us = atomic_load(&s->map.header->compared_us);
    int64_t now_us = snapshot_now_us();
    if (compared_us <= 0 || compared_us > now_us)
        return INFINITY;
    return (double)(now_us - compared_us) / 1e6;
}

/* Is there another file of that name? None at all is not newer than what is known. */
static bool is_replaced(const struct snapshot *s)
{
    struct stat st;
    return lstat(s->path, &st) == 0 && (st.st_dev != s->map.device || st.st_ino != s->map.inode);
}

static bool is_outdated(const struct snapshot *s)
{
    return !s->map.header || atomic_load(&s->map.header->is_superseded) != 0 ||
           (snapshot_age(s) > LONELY_SECONDS && is_replaced(s));
}

enum snapshot_state snapshot_refresh(struct snapshot *s)
{
    if (is_outdated(s)) {
        snapshot_map_close(&s->map);
        (void)snapshot_map_open(s->cfg, false, &s->map);
    }
    if (!s->map.header)
        return SNAPSHOT_UNKNOWN;
    return snapshot_age(s) <= s->cfg->auth_stale_seconds ? SNAPSHOT_FRESH : SNAPSHOT_STALE;
}

bool snapshot_has_keys(const struct snapshot *s)
{
    return s->map.header && s->map.header->sealed.has_keys != 0;
}

int snapshot_count(const struct snapshot *s)
{
    return s->map.header ? (int)s->map.header->sealed.count : 0;
}

static int compare_id(const void *id, const void *record)
{
    return strncmp(id, ((const struct key_record *)record)->id, KEY_ID_LENGTH);
}

static const struct key_record *find(const struct snapshot *s, const char *id)
{
    if (!s->map.header)
        return NULL;
    return bsearch(id, s->map.records, s->map.header->sealed.count, sizeof(*s->map.records),
                   compare_id);
}

static bool has_expired(const struct key_record *key)
{
    return key->expires_us != 0 && key->expires_us <= clock_real_us();
}

const struct key_record *snapshot_find(const struct snapshot *s, const char *text)
{
    char id[KEY_ID_LENGTH + 1];
    unsigned char hash[KEY_HASH_SIZE];
    if (!key_parse(text, id, hash))
        return NULL;
    const struct key_record *key = find(s, id);
    if (!key || CRYPTO_memcmp(key->hash, hash, sizeof(hash)) != 0)
        return NULL;
    return has_expired(key) ? NULL : key;
}

bool snapshot_is_valid(const struct snapshot *s, const char *id)
{
    const struct key_record *key = key_id_is_valid(id) ? find(s, id) : NULL;
    return key && !has_expired(key);
}

bool snapshot_has_id(const struct snapshot *s, const char *id)
{
    return key_id_is_valid(id) && find(s, id);
}
