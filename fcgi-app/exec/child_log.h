/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * child_log.h - what an executor prints, as lines of the log
 *
 * Libraries print what they like, hostile input makes them print more: each line is logged with the
 * executor and the request or job it computes, and after CHILD_LOG_BURST lines a second the rest is
 * counted instead.
 */
#ifndef EXEC_CHILD_LOG_H
#define EXEC_CHILD_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_LOG_BURST 20
#define CHILD_LOG_LINE 1024

struct child_log {
    int fd;              /* read end, non-blocking; -1: none */
    const char *id_name; /* the log line's field for what it computes; NULL: "request_id" */
    size_t used;
    char line[CHILD_LOG_LINE];
    int64_t window_us; /* start of the current second */
    int logged;
    uint64_t dropped;
};

/* Read what is there, log it. At the end of the stream `fd` is closed and -1. */
void child_log_read(struct child_log *log, pid_t pid, const char *id);

/* Log what is left and close. */
void child_log_close(struct child_log *log, pid_t pid);

#endif
