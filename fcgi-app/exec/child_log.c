/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * child_log.c - see child_log.h
 */
#include "exec/child_log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define READS_AT_ONCE 16 /* a flood must not keep its parent from other work */

static void report_dropped(struct child_log *log, pid_t pid)
{
    if (log->dropped > 0)
        log_write(LOG_WARNING, "executor output dropped", LOG_INT("executor", pid),
                  LOG_INT("lines", (int64_t)log->dropped));
    log->dropped = 0;
}

static void emit(struct child_log *log, pid_t pid, const char *id)
{
    log->line[log->used] = '\0';
    size_t used = log->used;
    log->used = 0;
    if (used == 0)
        return;
    int64_t now_us = clock_us();
    if (now_us - log->window_us >= 1000000) {
        report_dropped(log, pid);
        log->window_us = now_us;
        log->logged = 0;
    }
    if (log->logged >= CHILD_LOG_BURST) {
        log->dropped++;
        return;
    }
    log->logged++;
    const char *name = log->id_name ? log->id_name : "request_id";
    log_write(LOG_WARNING, "executor output", LOG_INT("executor", pid),
              {.kind = LOG_KIND_STR, .name = name, .name_size = strlen(name), .str = id},
              LOG_STR("text", log->line));
}

static void take(struct child_log *log, const char *bytes, size_t size, pid_t pid, const char *id)
{
    while (size > 0) {
        const char *end = memchr(bytes, '\n', size);
        size_t length = end ? (size_t)(end - bytes) : size;
        size_t room = sizeof(log->line) - 1 - log->used;
        size_t kept = length < room ? length : room; /* the rest of an endless line is dropped */
        memcpy(log->line + log->used, bytes, kept);
        log->used += kept;
        if (end)
            emit(log, pid, id);
        bytes += length + (end != NULL);
        size -= length + (end != NULL);
    }
}

void child_log_read(struct child_log *log, pid_t pid, const char *id)
{
    static char bytes[65536];
    for (int i = 0; i < READS_AT_ONCE && log->fd >= 0; i++) {
        ssize_t size = read(log->fd, bytes, sizeof(bytes));
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size > 0) {
            take(log, bytes, (size_t)size, pid, id);
            continue;
        }
        (void)close(log->fd);
        log->fd = -1;
    }
}

void child_log_close(struct child_log *log, pid_t pid)
{
    child_log_read(log, pid, NULL);
    emit(log, pid, NULL);
    report_dropped(log, pid);
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
}
