/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot_writer.c - the writing side; see snapshot.h
 *
 * The keys are kept here too: a file that somebody removed or cut short is written again, and its
 * pages beyond the end are never touched. Nothing is synced to the disk: after a crash of the host
 * what there is belongs to another boot, whole or torn.
 */
#include "auth/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/snapshot_file.h"

struct snapshot_writer {
    const struct config *cfg;
    char path[PATH_MAX], boot[SNAPSHOT_BOOT_SIZE];
    struct snapshot_map map;
    struct snapshot_header
        *content; /* of the file as it should be, records behind it; NULL: none */
    size_t size;
};

static struct key_record *records_of(struct snapshot_header *content)
{
    return (struct key_record *)(content + 1);
}

/* ---- what the file should hold */

static int compare_records(const void *a, const void *b)
{
    return strcmp(((const struct key_record *)a)->id, ((const struct key_record *)b)->id);
}

/* Member by member and text by text: what stands in gaps would make equal keys differ. */
static void copy_record(struct key_record *to, const struct key_record *from)
{
    (void)snprintf(to->id, sizeof(to->id), "%s", from->id);
    (void)snprintf(to->tenant, sizeof(to->tenant), "%s", from->tenant);
    memcpy(to->hash, from->hash, sizeof(to->hash));
    to->scopes = from->scopes;
    to->limits.requests_per_minute = from->limits.requests_per_minute;
    to->limits.concurrent_runs = from->limits.concurrent_runs;
    to->limits.queued_jobs = from->limits.queued_jobs;
    to->limits.body_bytes = from->limits.body_bytes;
    to->expires_us = from->expires_us;
}

static int make_content(struct snapshot_writer *w, const struct key_record *keys, int count,
                        bool has_keys, struct error *reterr)
{
    if (count > SNAPSHOT_KEYS_MAX)
        return error_internal(reterr, "keys: %d are more than %d", count, SNAPSHOT_KEYS_MAX);
    size_t size = sizeof(struct snapshot_header) + (size_t)count * sizeof(*keys);
    struct snapshot_header *h = calloc(1, size);
    if (!h)
        return error_errno(reterr, "keys: memory");
    memcpy(h->magic, SNAPSHOT_MAGIC, sizeof(h->magic));
    h->sealed = (struct snapshot_sealed){.version = SNAPSHOT_VERSION,
                                         .record_size = sizeof(*keys),
                                         .file_size = size,
                                         .count = (uint32_t)count,
                                         .has_keys = has_keys};
    memcpy(h->sealed.boot, w->boot, sizeof(h->sealed.boot));
    for (int i = 0; i < count; i++)
        copy_record(&records_of(h)[i], &keys[i]);
    qsort(records_of(h), (size_t)count, sizeof(*keys), compare_records);
    snapshot_digest(h, size, h->digest);
    free(w->content);
    w->content = h;
    w->size = size;
    return 0;
}

/* ---- the file */

static int write_all(int fd, const void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = write(fd, (const char *)bytes + done, size - done);
        if (n < 0 && errno != EINTR)
            return -1;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int write_new(const char *path, const void *bytes, size_t size, struct error *reterr)
{
    (void)unlink(path); /* of a writer that was killed */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, SNAPSHOT_MODE);
    if (fd < 0)
        return error_errno(reterr, "keys: open");
    if (fchmod(fd, SNAPSHOT_MODE) != 0 || write_all(fd, bytes, size) != 0) {
        (void)error_errno(reterr, "keys: write");
        (void)close(fd);
        (void)unlink(path);
        return -1;
    }
    if (close(fd) != 0)
        return error_errno(reterr, "keys: close");
    return 0;
}

/* Readers look at the name only when the mark tells them to: the name comes first. */
static int publish(struct snapshot_writer *w, struct error *reterr)
{
    char path[PATH_MAX + 8];
    (void)snprintf(path, sizeof(path), "%s.new", w->path);
    atomic_store(&w->content->compared_us, snapshot_now_us());
    if (write_new(path, w->content, w->size, reterr) != 0)
        return -1;
    if (rename(path, w->path) != 0)
        return error_errno(reterr, "keys: rename");
    if (w->map.header)
        atomic_store(&w->map.header->is_superseded, 1);
    snapshot_map_close(&w->map);
    if (!snapshot_map_open(w->cfg, true, &w->map))
        return error_internal(reterr, "keys: the file just written cannot be mapped");
    return 0;
}

/* Is what is mapped the file that readers find? Cut short, its pages must not be touched. */
static bool is_in_place(struct snapshot_writer *w)
{
    struct stat st;
    if (!w->map.header || lstat(w->path, &st) != 0 || st.st_dev != w->map.device ||
        st.st_ino != w->map.inode)
        return false;
    if (st.st_size == (off_t)w->map.size)
        return true;
    snapshot_map_close(&w->map);
    return false;
}

int snapshot_confirm(struct snapshot_writer *w, struct error *reterr)
{
    if (!w->content)
        return error_internal(reterr, "keys: none were written yet");
    if (!is_in_place(w) || w->map.size != w->size ||
        memcmp(w->map.header->digest, w->content->digest, sizeof(w->content->digest)) != 0)
        return publish(w, reterr);
    atomic_store(&w->map.header->compared_us, snapshot_now_us());
    return 0;
}

int snapshot_write(struct snapshot_writer *w, const struct key_record *keys, int count,
                   bool has_keys, struct error *reterr)
{
    if (make_content(w, keys, count, has_keys, reterr) != 0)
        return -1;
    return snapshot_confirm(w, reterr);
}

int snapshot_writer_open(const struct config *cfg, struct snapshot_writer **ret_writer,
                         struct error *reterr)
{
    struct snapshot_writer *w = calloc(1, sizeof(*w));
    if (!w)
        return error_errno(reterr, "keys: memory");
    w->cfg = cfg;
    snapshot_path(cfg, w->path);
    snapshot_boot(w->boot);
    (void)snapshot_map_open(cfg, true, &w->map);
    *ret_writer = w;
    return 0;
}

void snapshot_writer_close(struct snapshot_writer *w)
{
    if (!w)
        return;
    snapshot_map_close(&w->map);
    free(w->content);
    free(w);
}
