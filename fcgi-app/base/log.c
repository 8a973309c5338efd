/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - see log.h
 *
 * A line is composed in a buffer on the stack and handed over in one write, so that processes
 * that share stderr do not mix their lines, and so that "out of memory" can still be said.
 * Neither the C library's time nor its floating-point formatting is used: both may allocate,
 * and the latter obeys the locale.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/redact.h"
#include "base/self.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 4096 /* with its newline */
_Static_assert(LINE_MAX_BYTES <= PIPE_BUF, "a line is written, and held, as a whole");
#define WRITE_TRIES 8
#define WRITE_WAIT_MS 50 /* for a pipe that is full: a log must not hang its writer */
#define NUMBER_MAX 1e15  /* beyond it three decimals mean nothing */
#define SECOND_SIZE 20   /* of a date and time, with the point behind it */

static struct {
    const char *process;
    enum log_level level;
} settings = {"gangsaw", LOG_INFO};

static struct {
    char text[PIPE_BUF];
    size_t size;
    bool is_holding;
} held;

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug",
    [LOG_INFO] = "info",
    [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error",
};

struct line {
    char text[LINE_MAX_BYTES];
    size_t size;
    size_t limit;        /* of size; what is left beyond it closes the line */
    size_t string_limit; /* escaped bytes that the value of a field may take */
    bool is_full;        /* something did not fit */
};

void log_init(const char *process, enum log_level level)
{
    settings.process = process;
    settings.level = level;
}

static void put(struct line *l, const char *bytes, size_t size)
{
    if (size > l->limit - l->size) {
        l->is_full = true;
        return;
    }
    memcpy(l->text + l->size, bytes, size);
    l->size += size;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* Behind ASCII, what a terminal obeys, a reader takes for the end of a line, or that is shown as
 * other text than it is: C1 controls (U+0085, U+009B), separators of lines, what turns the
 * direction of text (U+202E, U+2066), and what has no width. 0: the character is none of these. */
static unsigned steering(const unsigned char *p)
{
    if (p[0] == 0xc2 && p[1] < 0xa0)
        return p[1];
    if (p[0] == 0xd8 && p[1] == 0x9c)
        return 0x061c;
    if (p[0] == 0xe2 && p[1] == 0x80 &&
        ((p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae)))
        return 0x2000U + p[2] - 0x80;
    if (p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf)
        return 0x2040U + p[2] - 0x80;
    return p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf ? 0xfeff : 0;
}

/*
 * Escape the character at `text` into `ret`; *ret_length is what it took of the text. Besides
 * what JSON wants, DEL and what is steering() are escaped.
 */
static size_t escape(const char *text, char ret[8], size_t *ret_length)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length = utf8_length(text, strnlen(text, 4));

    *ret_length = length > 0 ? length : 1;
    if (length == 0) {
        memcpy(ret, "\xef\xbf\xbd", 3);
        return 3;
    }
    if (*p == '"' || *p == '\\') {
        ret[0] = '\\';
        ret[1] = *text;
        return 2;
    }
    if (*p < 0x20 || *p == 0x7f)
        return (size_t)snprintf(ret, 8, "\\u%04x", *p);
    unsigned code = steering(p);
    if (code)
        return (size_t)snprintf(ret, 8, "\\u%04x", code);
    memcpy(ret, text, length);
    return length;
}

/* Copy what needs no escape from here on, which is nearly all; how many characters that is. */
static size_t put_plain(struct line *l, const char *text, size_t most)
{
    static const bool is_plain[256] = {
        [' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};
    size_t length = 0, room = l->limit - l->size;
    char *to = l->text + l->size;
    if (most > room)
        most = room;
    for (; length < most && is_plain[(unsigned char)text[length]]; length++)
        to[length] = text[length];
    l->size += length;
    return length;
}

static void put_string(struct line *l, const char *text, size_t size_limit)
{
    put_text(l, "\"");
    for (size_t used = 0; *text && !l->is_full;) {
        size_t plain = put_plain(l, text, size_limit - used);
        used += plain;
        text += plain;
        if (!*text)
            break;
        char escaped[8];
        size_t length;
        size_t size = escape(text, escaped, &length);
        if (used + size > size_limit) {
            put_text(l, "\u2026");
            break;
        }
        put(l, escaped, size);
        used += size;
        text += length;
    }
    put_text(l, "\"");
}

/* Field names, levels and processes are the program's own words. */
static void put_word(struct line *l, const char *before, const char *word, const char *after)
{
    put_text(l, before);
    put_text(l, word);
    put_text(l, after);
}

/* `,"name":` */
static void put_name(struct line *l, const struct log_field *f)
{
    size_t size = f->name_size + 4;
    if (size > l->limit - l->size) {
        l->is_full = true;
        return;
    }
    char *to = l->text + l->size;
    *to++ = ',';
    *to++ = '"';
    memcpy(to, f->name, f->name_size);
    to += f->name_size;
    *to++ = '"';
    *to = ':';
    l->size += size;
}

static void put_integer(struct line *l, int64_t integer)
{
    char text[DECIMAL_SIZE];
    put(l, text, (size_t)(decimal_integer(text, integer) - text));
}

static void put_number(struct line *l, double number)
{
    char text[DECIMAL_SIZE];
    if (!isfinite(number) || fabs(number) > NUMBER_MAX) {
        put_text(l, "null"); /* JSON has no other word for it */
        return;
    }
    int64_t thousandths = (int64_t)(fabs(number) * 1000 + 0.5);
    if (number < 0)
        thousandths = -thousandths;
    put(l, text, (size_t)(decimal_thousandths(text, thousandths) - text));
}

/* "2026-01-31T12:00:00." The date by Howard Hinnant's civil_from_days, for days since 1970 that are
 * not negative. */
static void print_second(int64_t since_1970, char ret_text[SECOND_SIZE])
{
    int64_t second = since_1970 % 86400;
    int64_t days = since_1970 / 86400 + 719468; /* since 0000-03-01 */
    int64_t era = days / 146097;
    int64_t day_of_era = days % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    int year = (int)(year_of_era + era * 400 + (month <= 2 ? 1 : 0));
    const struct {
        int64_t number;
        int width;
        char end;
    } parts[] = {{year, 4, '-'},
                 {month, 2, '-'},
                 {day, 2, 'T'},
                 {second / 3600, 2, ':'},
                 {second / 60 % 60, 2, ':'},
                 {second % 60, 2, '.'}};
    char text[64], *at = text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        at = decimal_digits(at, (uint64_t)parts[i].number, parts[i].width);
        *at++ = parts[i].end;
    }
    memcpy(ret_text, text, SECOND_SIZE);
}

/* RFC 3339. Many lines are of the second of the one before. */
static void put_time(struct line *l, int64_t now_us)
{
    static struct {
        int64_t second;
        char text[SECOND_SIZE];
    } last = {.second = -1};
    char micros[8];
    if (last.second != now_us / 1000000) {
        last.second = now_us / 1000000;
        print_second(last.second, last.text);
    }
    put(l, last.text, SECOND_SIZE);
    *decimal_digits(micros, (uint64_t)now_us % 1000000, 6) = 'Z';
    put(l, micros, 7);
}

static bool is_left_out(const struct log_field *f)
{
    if (f->kind == LOG_KIND_STR)
        return !f->str;
    return (f->kind == LOG_KIND_COUNT || f->kind == LOG_KIND_FLAG) && f->integer == 0;
}

static void put_field(struct line *l, const struct log_field *f)
{
    if (is_left_out(f))
        return;
    size_t before = l->size;
    put_name(l, f);
    if (f->kind == LOG_KIND_STR)
        put_string(l, f->str, l->string_limit);
    else if (f->kind == LOG_KIND_INT || f->kind == LOG_KIND_COUNT)
        put_integer(l, f->integer);
    else if (f->kind == LOG_KIND_FLAG)
        put_text(l, "true");
    else
        put_number(l, f->number);
    if (l->is_full)
        l->size = before; /* a field is there as a whole or not at all */
}

static void compose(struct line *l, size_t string_limit, int64_t now_us, enum log_level level,
                    const char *message, const struct log_field *fields)
{
    l->size = 0;
    l->limit = sizeof(l->text) - 2;
    l->string_limit = string_limit;
    l->is_full = false;
    put_text(l, "{\"time\":\"");
    put_time(l, now_us);
    put_word(l, "\",\"level\":\"", level_names[level], "\"");
    put_word(l, ",\"process\":\"", settings.process, "\"");
    put_text(l, ",\"pid\":");
    put_integer(l, self_pid());
    put_field(l, &(const struct log_field)LOG_STR("message", message));
    for (const struct log_field *f = fields; f->kind != LOG_KIND_END && !l->is_full; f++)
        put_field(l, f);
    l->limit = sizeof(l->text);
    put_text(l, "}\n");
}

/* One write in all but name: a remainder is sent after it only where a full pipe took a part. */
static void write_lines(const char *text, size_t size)
{
    for (int i = 0; i < WRITE_TRIES && size > 0; i++) {
        ssize_t n = write(STDERR_FILENO, text, size);
        if (n >= 0) {
            text += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = STDERR_FILENO, .events = POLLOUT};
            if (poll(&pfd, 1, WRITE_WAIT_MS) == 0)
                return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

static void write_held(void)
{
    write_lines(held.text, held.size);
    held.size = 0;
}

void log_hold(void)
{
    held.is_holding = true;
}

void log_release(void)
{
    int saved = errno;
    held.is_holding = false;
    write_held();
    errno = saved;
}

static void hold(const struct line *l)
{
    if (l->size > sizeof(held.text) - held.size)
        write_held();
    memcpy(held.text + held.size, l->text, l->size);
    held.size += l->size;
}

void log_fields(enum log_level level, const char *message, const struct log_field *fields)
{
    if (level < settings.level)
        return;
    int saved = errno;
    int64_t now_us = clock_real_us();
    struct line l;
    compose(&l, LINE_MAX_BYTES, now_us, level, message, fields);
    if (l.is_full) {
        /* The largest limit on each string with which the line fits: only the longest are cut. */
        size_t fits = 0, too_large = LINE_MAX_BYTES;
        while (too_large - fits > 1) {
            size_t middle = fits + (too_large - fits) / 2;
            compose(&l, middle, now_us, level, message, fields);
            if (l.is_full)
                too_large = middle;
            else
                fits = middle;
        }
        compose(&l, fits, now_us, level, message, fields);
    }
    redact_keys(l.text, l.size);
    if (held.is_holding && level < LOG_ERROR) {
        hold(&l);
    } else { /* an error may be the last that the process says */
        write_held();
        write_lines(l.text, l.size);
    }
    errno = saved;
}
