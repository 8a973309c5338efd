/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot_file.h - the form of the file `keys`, for its two ends: snapshot.c and snapshot_writer.c
 *
 * A header and the records, in the order of their ids. What is sealed by the digest never changes
 * in a file; the members before it are shared memory. Another form gets another version.
 */
#ifndef AUTH_SNAPSHOT_FILE_H
#define AUTH_SNAPSHOT_FILE_H

#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "auth/key.h"
#include "base/config.h"

#define SNAPSHOT_NAME "keys"
#define SNAPSHOT_MAGIC "gs-keys" /* with its NUL */
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_KEYS_MAX 1000000
#define SNAPSHOT_MODE 0640
#define SNAPSHOT_BOOT_SIZE 40

struct snapshot_sealed {
    uint32_t version;
    uint32_t record_size;
    uint64_t file_size;
    uint32_t count;
    uint32_t has_keys;             /* 0 or 1 */
    char boot[SNAPSHOT_BOOT_SIZE]; /* of this host: times of another boot say nothing */
};

struct snapshot_header {
    char magic[8];
    _Atomic int64_t compared_us; /* CLOCK_BOOTTIME, which goes on while the host sleeps */
    _Atomic uint32_t is_superseded;
    uint32_t unused;
    unsigned char digest[KEY_HASH_SIZE]; /* SHA-256 of all that follows */
    struct snapshot_sealed sealed;
};

_Static_assert(sizeof(struct snapshot_header) % 8 == 0, "the records behind it are aligned");

/* A file that was checked, mapped whole. */
struct snapshot_map {
    struct snapshot_header *header; /* NULL: none */
    const struct key_record *records;
    size_t size;
    dev_t device;
    ino_t inode;
};

/* "RUN_DIR/keys"; server.run_dir is short enough. */
void snapshot_path(const struct config *cfg, char ret_path[PATH_MAX]);

/* "" when the system does not say. */
void snapshot_boot(char ret_boot[SNAPSHOT_BOOT_SIZE]);
int64_t snapshot_now_us(void);

/*
 * Map the file, writable for its writer. False when there is none that can be trusted: of another
 * form or size, torn, owned or writable by somebody else.
 */
bool snapshot_map_open(const struct config *cfg, bool is_writable, struct snapshot_map *ret_map);
void snapshot_map_close(struct snapshot_map *m);

/* Of everything behind `digest`. */
void snapshot_digest(const struct snapshot_header *h, size_t size,
                     unsigned char ret_digest[KEY_HASH_SIZE]);

#endif
