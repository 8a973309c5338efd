/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timestamp.c - see timestamp.h
 *
 * Days are counted in the proleptic Gregorian calendar, as PostgreSQL does; neither the C library's
 * locale nor its time zone has a part in it.
 */
#include "base/timestamp.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define YEAR_1_US (INT64_C(-62135596800) * SECOND_US)
#define YEAR_9999_US (INT64_C(253402300799) * SECOND_US)

void timestamp_format(int64_t us, char ret_text[TIMESTAMP_SIZE])
{
    struct tm tm = {.tm_mday = 1};
    us = us < YEAR_1_US ? YEAR_1_US : us > YEAR_9999_US ? YEAR_9999_US : us;
    int64_t fraction = us % SECOND_US;
    if (fraction < 0)
        fraction += SECOND_US;
    time_t seconds = (time_t)((us - fraction) / SECOND_US);
    (void)gmtime_r(&seconds, &tm);
    (void)snprintf(ret_text, TIMESTAMP_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
                   (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                   (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                   (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100,
                   (unsigned)fraction % 1000000);
}

/* `count` digits; -1 when there are other characters. */
static int take_number(const char **p, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        number = number * 10 + (**p - '0');
    }
    return number;
}

static bool take_char(const char **p, const char *set)
{
    if (**p == '\0' || !strchr(set, **p))
        return false;
    (*p)++;
    return true;
}

/* Days since 1970-01-01. Years begin in March here: the leap day is then a year's last. */
static int64_t count_days(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 719469;
}

static bool take_date(const char **p, int64_t *ret_days)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_number(p, 4);
    if (year < 1 || !take_char(p, "-"))
        return false;
    int month = take_number(p, 2);
    if (month < 1 || month > 12 || !take_char(p, "-"))
        return false;
    int day = take_number(p, 2);
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day < 1 || day > lengths[month - 1] + (month == 2 && is_leap))
        return false;
    *ret_days = count_days(year, month, day);
    return true;
}

static bool take_time(const char **p, int64_t *ret_us)
{
    int hour = take_number(p, 2);
    if (hour < 0 || hour > 23 || !take_char(p, ":"))
        return false;
    int minute = take_number(p, 2);
    if (minute < 0 || minute > 59 || !take_char(p, ":"))
        return false;
    int second = take_number(p, 2);
    if (second < 0 || second > 60)
        return false;
    *ret_us = ((hour * 60 + minute) * INT64_C(60) + second) * SECOND_US;
    if (!take_char(p, "."))
        return true;
    int64_t unit = SECOND_US;
    const char *start = *p;
    for (; **p >= '0' && **p <= '9'; (*p)++) {
        unit /= 10;
        *ret_us += (**p - '0') * unit;
    }
    return *p > start;
}

static bool take_offset(const char **p, int64_t *ret_us)
{
    *ret_us = 0;
    if (take_char(p, "Zz"))
        return true;
    int sign = **p == '-' ? -1 : 1;
    if (!take_char(p, "+-"))
        return false;
    int hours = take_number(p, 2);
    if (hours < 0 || hours > 23 || !take_char(p, ":"))
        return false;
    int minutes = take_number(p, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret_us = sign * (hours * 60 + minutes) * 60 * SECOND_US;
    return true;
}

bool timestamp_parse(const char *text, int64_t *ret_us)
{
    int64_t days, time_us, offset_us;
    if (!take_date(&text, &days) || !take_char(&text, "Tt ") || !take_time(&text, &time_us) ||
        !take_offset(&text, &offset_us) || *text)
        return false;
    *ret_us = days * 86400 * SECOND_US + time_us - offset_us;
    return true;
}
