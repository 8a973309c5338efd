/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scratch.h - a folder for the files of one test, gone afterwards
 */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
    char path[64];
};

static inline void scratch_fail(const char *what)
{
    perror(what);
    exit(99);
}

static inline void scratch_open(struct scratch *s)
{
    (void)snprintf(s->path, sizeof(s->path), "/tmp/gangsaw-test-XXXXXX");
    if (!mkdtemp(s->path))
        scratch_fail("mkdtemp");
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void scratch_close(struct scratch *s)
{
    (void)nftw(s->path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* Write `size` bytes to `name` below the folder; folders in between are made. */
static inline void scratch_write(const struct scratch *s, const char *name, const void *bytes,
                                 size_t size)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
    for (char *p = path + strlen(s->path) + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(path, 0777);
            *p = '/';
        }
    }
    FILE *file = fopen(path, "we");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        scratch_fail(path);
}

static inline void scratch_write_text(const struct scratch *s, const char *name, const char *text)
{
    scratch_write(s, name, text, strlen(text));
}

#endif
