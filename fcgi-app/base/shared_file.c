/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared_file.c - see shared_file.h
 *
 * The flock is on the file itself, so whoever gets it looks whether the name still means that file.
 * Beside it, who maps the file holds a lock for reading on its first byte, of the descriptor's
 * description: the mapping keeps that, and the kernel takes it back however the process ends.
 */
#include "base/shared_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/user.h"

#define TRIES 100 /* each lost to somebody who replaced the file in the same moment */

enum found { FOUND_GOOD, FOUND_NEW, FOUND_OTHER, FOUND_MOVED };

static int fail(const char *path, struct error *reterr)
{
    return error_set(reterr, ERR_INTERNAL, "%s: %s", path, strerror(errno));
}

/* Without waiting. */
static bool lock_first_byte(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static enum found look(int fd, const char *path, const struct shared_file *file)
{
    char text[SHARED_FILE_FORM_SIZE] = {0};
    struct stat st, named;
    if (fstat(fd, &st) != 0 || lstat(path, &named) != 0 || named.st_ino != st.st_ino ||
        named.st_dev != st.st_dev)
        return FOUND_MOVED;
    bool is_ours = S_ISREG(st.st_mode) && st.st_nlink == 1 && (st.st_mode & 077) == 0 &&
                   (geteuid() == 0 || st.st_uid == geteuid());
    if (!is_ours)
        return FOUND_OTHER;
    if (st.st_size == 0)
        return FOUND_NEW;
    if ((size_t)st.st_size != file->size + SHARED_FILE_FORM_SIZE ||
        pread(fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
        return FOUND_OTHER;
    bool is_wanted = file->is_lasting || !lock_first_byte(fd, F_WRLCK);
    return is_wanted && strncmp(text, file->form, sizeof(text)) == 0 ? FOUND_GOOD : FOUND_OTHER;
}

/* The form comes last: a file without it was not finished. */
static int fill(int fd, const char *path, const struct shared_file *file, struct error *reterr)
{
    char text[SHARED_FILE_FORM_SIZE] = {0};
    (void)snprintf(text, sizeof(text), "%s", file->form);
    errno = posix_fallocate(fd, 0, (off_t)(file->size + SHARED_FILE_FORM_SIZE));
    if (errno != 0 || pwrite(fd, text, sizeof(text), 0) != (ssize_t)sizeof(text))
        return fail(path, reterr);
    return 0;
}

/* Open, locked, what is of our form by then. */
static int open_good(const char *path, const struct shared_file *file, int *ret_fd,
                     struct error *reterr)
{
    for (int i = 0; i < TRIES; i++) {
        enum found found = FOUND_OTHER;
        int result = 0;
        /* O_NONBLOCK: a FIFO of that name is no reason to hang. */
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd >= 0 && file_lock(fd) == 0)
            found = look(fd, path, file);
        else if (fd >= 0 || (errno != EACCES && errno != ELOOP))
            result = fail(path, reterr);
        if (result == 0 && found == FOUND_NEW)
            result = fill(fd, path, file, reterr);
        if (result == 0 && found == FOUND_OTHER && unlink(path) != 0 && errno != ENOENT)
            result = fail(path, reterr);
        bool is_good = found == FOUND_GOOD || found == FOUND_NEW;
        if (result == 0 && is_good && !lock_first_byte(fd, F_RDLCK))
            result = fail(path, reterr);
        if (result == 0 && is_good) {
            *ret_fd = fd;
            return 0;
        }
        if (fd >= 0)
            (void)close(fd);
        if (result != 0)
            return -1;
    }
    return error_set(reterr, ERR_INTERNAL, "%s: replaced again and again by others.", path);
}

int shared_file_open(const struct config *cfg, const struct shared_file *file, void **ret_memory,
                     int *ret_fd, struct error *reterr)
{
    char path[PATH_MAX];
    int fd = -1;
    if (snprintf(path, sizeof(path), "%s/%s", cfg->server_run_dir, file->name) >= (int)sizeof(path))
        return error_set(reterr, ERR_INTERNAL, "server.run_dir is too long for a file's name.");
    if (open_good(path, file, &fd, reterr) != 0)
        return -1;
    int result = user_give_descriptor(cfg->server_user, fd, reterr);
    void *memory = MAP_FAILED;
    if (result == 0) {
        memory = mmap(NULL, file->size + SHARED_FILE_FORM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                      fd, 0);
        result = memory == MAP_FAILED ? fail(path, reterr) : 0;
    }
    (void)flock(fd, LOCK_UN); /* the mapping would keep it */
    if (result == 0)
        *ret_memory = (char *)memory + SHARED_FILE_FORM_SIZE;
    if (result == 0 && ret_fd)
        *ret_fd = fd;
    else
        (void)close(fd);
    return result;
}

void shared_file_close(void *memory, size_t size)
{
    if (memory)
        (void)munmap((char *)memory - SHARED_FILE_FORM_SIZE, size + SHARED_FILE_FORM_SIZE);
}
