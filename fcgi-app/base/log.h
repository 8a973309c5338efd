/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - structured JSON log lines on stderr
 *
 * One line is one JSON object and one write(2):
 * {"time":"2026-01-31T12:00:00.123456Z","level":"info","process":"worker","pid":7,"message":"...",...}
 * Strings from outside are escaped, so no client can forge a line; a line ends
 * at 4 KiB (the longest strings are cut), so that lines of several processes on one pipe stay
 * whole. Only main loops log.
 *
 *     log_write(LOG_ERROR, "executor died", LOG_INT("pid", pid), LOG_STR("signal", name));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

enum log_kind {
    LOG_KIND_END,
    LOG_KIND_STR,
    LOG_KIND_INT,
    LOG_KIND_COUNT,
    LOG_KIND_FLAG,
    LOG_KIND_NUM
};

struct log_field {
    enum log_kind kind;
    const char *name; /* a constant: LOG_STR() and the others take its size from it */
    size_t name_size;
    const char *str; /* NULL: the field is left out */
    int64_t integer;
    double number;
};

/* clang-format off */
#define LOG_NAME(n) .name = "" n, .name_size = sizeof("" n) - 1
#define LOG_STR(n, v) {.kind = LOG_KIND_STR, LOG_NAME(n), .str = (v)}
#define LOG_INT(n, v) {.kind = LOG_KIND_INT, LOG_NAME(n), .integer = (v)}
#define LOG_COUNT(n, v) {.kind = LOG_KIND_COUNT, LOG_NAME(n), .integer = (v)} /* 0 is left out */
#define LOG_FLAG(n, v) {.kind = LOG_KIND_FLAG, LOG_NAME(n), .integer = (v)} /* true, or left out */
#define LOG_NUM(n, v) {.kind = LOG_KIND_NUM, LOG_NAME(n), .number = (v)} /* three decimals */
/* Both texts of a struct error; an empty cause is left out. */
#define LOG_ERR(e)                                                                                 \
    LOG_STR("detail", (e).detail), LOG_STR("cause", (e).cause[0] ? (e).cause : NULL)
#define log_write(level, message, ...)                                                            \
    log_fields((level), (message),                                                                 \
               (const struct log_field[]){__VA_ARGS__ __VA_OPT__(,) {.kind = LOG_KIND_END}})
/* clang-format on */

/* `process` is a static string, "master", "worker" …; lines below `level` are dropped. */
void log_init(const char *process, enum log_level level);
/*
 * Between the two, lines are kept as far as a write(2) on a pipe is whole, and leave together: what
 * a request says at its end is one write, and that does not keep its answer waiting. Only for the
 * moments of a request's end: whoever is killed meanwhile has not said them. An error waits for
 * nothing, and takes along what is held.
 */
void log_hold(void);
void log_release(void); /* fine without log_hold() */

void log_fields(enum log_level level, const char *message, const struct log_field *fields);

#endif
