/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot_file.c - see snapshot_file.h
 *
 * The digest is for files that were torn by a crash of the host or changed by accident. Whoever can
 * write server.run_dir on purpose is the server.
 */
#include "auth/snapshot_file.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <openssl/sha.h>

#define SEALED_AT offsetof(struct snapshot_header, sealed)
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"

void snapshot_path(const struct config *cfg, char ret_path[PATH_MAX])
{
    (void)snprintf(ret_path, PATH_MAX, "%s/%s", cfg->server_run_dir, SNAPSHOT_NAME);
}

void snapshot_boot(char ret_boot[SNAPSHOT_BOOT_SIZE])
{
    memset(ret_boot, 0, SNAPSHOT_BOOT_SIZE);
    int fd = open(BOOT_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, ret_boot, SNAPSHOT_BOOT_SIZE - 1) < 0)
        ret_boot[0] = '\0';
    ret_boot[strcspn(ret_boot, "\n")] = '\0';
    (void)close(fd);
}

int64_t snapshot_now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail */
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void snapshot_digest(const struct snapshot_header *h, size_t size,
                     unsigned char ret_digest[KEY_HASH_SIZE])
{
    (void)SHA256((const unsigned char *)h + SEALED_AT, size - SEALED_AT, ret_digest);
}

/* Ours, root's, or of whoever owns the directory and could put there what he likes anyway. */
static bool is_trusted(const struct config *cfg, const struct stat *st)
{
    struct stat directory;
    if (!S_ISREG(st->st_mode) || (st->st_mode & (S_IWGRP | S_IWOTH)))
        return false;
    return st->st_uid == 0 || st->st_uid == geteuid() ||
           (stat(cfg->server_run_dir, &directory) == 0 && directory.st_uid == st->st_uid);
}

static bool is_record(const struct key_record *r)
{
    return memchr(r->id, '\0', sizeof(r->id)) == r->id + KEY_ID_LENGTH && key_id_is_valid(r->id) &&
           memchr(r->tenant, '\0', sizeof(r->tenant)) && key_tenant_is_valid(r->tenant);
}

static bool is_header(const struct snapshot_header *h, size_t size)
{
    const struct snapshot_sealed *s = &h->sealed;
    return memcmp(h->magic, SNAPSHOT_MAGIC, sizeof(h->magic)) == 0 &&
           s->version == SNAPSHOT_VERSION && s->record_size == sizeof(struct key_record) &&
           s->file_size == size && s->count <= SNAPSHOT_KEYS_MAX &&
           size == sizeof(*h) + s->count * sizeof(struct key_record);
}

/* The order matters to the search. */
static bool is_whole(const struct snapshot_map *m)
{
    const struct snapshot_header *h = m->header;
    unsigned char digest[KEY_HASH_SIZE];
    if (!is_header(h, m->size))
        return false;
    snapshot_digest(h, m->size, digest);
    if (memcmp(digest, h->digest, sizeof(digest)) != 0 ||
        !memchr(h->sealed.boot, '\0', sizeof(h->sealed.boot)))
        return false;
    for (uint32_t i = 0; i < h->sealed.count; i++) {
        const struct key_record *r = &m->records[i];
        if (!is_record(r) || (i > 0 && strcmp(r[-1].id, r->id) >= 0))
            return false;
    }
    return true;
}

static bool map(int fd, const struct config *cfg, bool is_writable, struct snapshot_map *ret_map)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !is_trusted(cfg, &st) ||
        st.st_size < (off_t)sizeof(struct snapshot_header))
        return false;
    struct snapshot_map m = {.size = (size_t)st.st_size, .device = st.st_dev, .inode = st.st_ino};
    void *memory =
        mmap(NULL, m.size, is_writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return false;
    m.header = memory;
    m.records = (const struct key_record *)(m.header + 1);
    if (!is_whole(&m)) {
        snapshot_map_close(&m);
        return false;
    }
    *ret_map = m;
    return true;
}

bool snapshot_map_open(const struct config *cfg, bool is_writable, struct snapshot_map *ret_map)
{
    char path[PATH_MAX];
    snapshot_path(cfg, path);
    /* Without O_NONBLOCK a FIFO of that name would hang the open. */
    int fd = open(path, (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool is_mapped = map(fd, cfg, is_writable, ret_map);
    (void)close(fd);
    return is_mapped;
}

void snapshot_map_close(struct snapshot_map *m)
{
    if (m->header)
        (void)munmap(m->header, m->size);
    *m = (struct snapshot_map){0};
}
