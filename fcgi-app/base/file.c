/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.c - see file.h
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, struct error *reterr)
{
    int saved = errno;
    return error_set(reterr, saved == ENOENT ? ERR_NOT_FOUND : ERR_INTERNAL, "%s: %s", path,
                     strerror(saved));
}

static int check(int fd, const char *path, size_t max_bytes, size_t *ret_size, struct error *reterr)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail(path, reterr);
    if (!S_ISREG(st.st_mode))
        return error_set(reterr, ERR_INTERNAL, "%s: not a regular file", path);
    if ((size_t)st.st_size > max_bytes)
        return error_set(reterr, ERR_INTERNAL, "%s: over %zu bytes", path, max_bytes);
    *ret_size = (size_t)st.st_size;
    return 0;
}

static int read_all(int fd, const char *path, char *text, size_t *size, struct error *reterr)
{
    size_t done = 0;
    while (done < *size) {
        ssize_t n = read(fd, text + done, *size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(path, reterr);
        if (n == 0)
            break; /* it shrank since fstat() */
        done += (size_t)n;
    }
    *size = done;
    return 0;
}

int file_read(struct arena *a, const char *path, size_t max_bytes, char **ret_text,
              size_t *ret_size, struct error *reterr)
{
    /* Without O_NONBLOCK a FIFO of that name would hang the open. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail(path, reterr);
    size_t size = 0;
    int result = -1;
    if (check(fd, path, max_bytes, &size, reterr) == 0) {
        char *text = arena_alloc(a, size + 1);
        result = read_all(fd, path, text, &size, reterr);
        if (result == 0) {
            *ret_text = text;
            *ret_size = size;
        }
    }
    (void)close(fd);
    return result;
}

int file_lock(int fd)
{
    int result;
    do
        result = flock(fd, LOCK_EX);
    while (result != 0 && errno == EINTR);
    return result;
}
