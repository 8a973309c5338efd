/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * migrate.h - the numbered files of sql/, applied once each and in order
 *
 * Under an advisory lock, each in its transaction, recorded in gangsaw.schema_migration with its
 * SHA-256. A file that changed after it was applied, and a schema newer than this program, are
 * refused.
 */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include "base/config.h"
#include "db/db.h"

/* The newest migration that this program was built for. */
#define DB_SCHEMA_VERSION 5

/*
 * Apply what is missing from `directory` (0001_jobs.sql …). `report` is called for each file
 * applied. `db` has no budget (0): a migration takes its time, and waits for another one under way.
 * Errors: ERR_UNAVAILABLE, ERR_CONFLICT (checksum, newer schema, a gap in the numbers),
 * ERR_INTERNAL with the file's name and the server's message, which is for the operator to read.
 */
int db_migrate(struct db *db, const char *directory, void (*report)(const char *file),
               struct error *reterr);

/* The schema's version; 0 when there is no schema. */
int db_schema_version(struct db *db, int *ret_version, struct error *reterr);

/* `gangsaw migrate`: prints the files that it applies and the version reached. Returns the exit
 * status: 0; 78 when the configuration or the directory has to change; 1 for all else. */
int migrate_command(const struct config *cfg);

#endif
