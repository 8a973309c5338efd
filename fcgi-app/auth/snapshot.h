/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot.h - all valid keys, in a file that the hub writes and every worker maps
 *
 * The hub replaces the file `keys` in server.run_dir by rename(2) when the keys change, marks the
 * one it replaces as superseded, and notes in the current one, in shared memory, when it last
 * compared it with the database. So a worker's look at a key is a binary search in memory, works
 * while the database is away, and knows how old its answer is. The file outlives the hub.
 */
#ifndef AUTH_SNAPSHOT_H
#define AUTH_SNAPSHOT_H

#include "auth/key.h"
#include "base/config.h"

enum snapshot_state {
    SNAPSHOT_FRESH,
    SNAPSHOT_STALE,   /* not compared with the database for auth.stale_seconds, or never */
    SNAPSHOT_UNKNOWN, /* no file, or not one of this form: no hub of this version has run yet */
};

/* ---- the reading side: one for each worker */

struct snapshot;

/* Never fails: what cannot be mapped now is tried again at each look. */
struct snapshot *snapshot_open(const struct config *cfg);
void snapshot_close(struct snapshot *s); /* NULL is fine */

/* Look whether there is a newer file; costs a read of memory when there is none. Before each
 * request. */
enum snapshot_state snapshot_refresh(struct snapshot *s);

/*
 * Is there any key in the database? Those that were revoked or have expired count too: otherwise
 * the end of the last key would open the server to who has none, and bring that key back to life.
 * False also where nothing is known.
 */
bool snapshot_has_keys(const struct snapshot *s);

/* How many keys it holds; 0 also where nothing is known. Not whether there are any: see above. */
int snapshot_count(const struct snapshot *s);

/* Seconds since the hub compared it with the database; infinite when it never did. */
double snapshot_age(const struct snapshot *s);

/*
 * The record of a key's text; NULL when it is not valid: malformed, unknown, revoked, expired or
 * another secret. Valid until the next refresh.
 */
const struct key_record *snapshot_find(const struct snapshot *s, const char *text);

/* Is the key of that id, which was found before, valid still? */
bool snapshot_is_valid(const struct snapshot *s, const char *id);

/* Is a key of that id in it? For who has made or revoked it, and waits for the workers to know. */
bool snapshot_has_id(const struct snapshot *s, const char *id);

/* ---- the writing side: the hub */

struct snapshot_writer;

/* Takes over what file there is. Errors: ERR_INTERNAL. */
int snapshot_writer_open(const struct config *cfg, struct snapshot_writer **ret_writer,
                         struct error *reterr);
void snapshot_writer_close(struct snapshot_writer *w); /* the file stays. NULL is fine */

/*
 * These are the valid keys as of now, each id once, in any order: a new file when they differ, else
 * the time alone is noted. `has_keys` as in snapshot_has_keys(). Errors: ERR_INTERNAL; what was
 * there stays, and ages.
 */
int snapshot_write(struct snapshot_writer *w, const struct key_record *keys, int count,
                   bool has_keys, struct error *reterr);

/* The last ones are still the valid keys as of now. Errors: as above, also when there are none. */
int snapshot_confirm(struct snapshot_writer *w, struct error *reterr);

#endif
