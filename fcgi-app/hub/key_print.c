/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_print.c - what `gangsaw key` shows; see key_command.h
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/timestamp.h"
#include "hub/key_command.h"

static const char *state_of(const struct key_row *key)
{
    if (key->revoked_us != 0)
        return "revoked";
    return key->expires_us != 0 && key->expires_us <= clock_real_us() ? "expired" : "valid";
}

/* ---- the table */

static void put_number(int64_t value)
{
    if (value == 0)
        (void)printf(" %12s", "-");
    else
        (void)printf(" %12" PRId64, value);
}

/* A day is enough for people. */
static void put_day(int64_t us)
{
    char text[TIMESTAMP_SIZE] = "-";
    if (us != 0)
        timestamp_format(us, text);
    (void)printf(" %-10.10s", text);
}

void key_print_table(const struct key_row *keys, int count)
{
    int tenant_width = 6, scopes_width = 6;
    for (int i = 0; i < count; i++) {
        int tenant = (int)strlen(keys[i].tenant), scopes = (int)strlen(keys[i].scopes);
        tenant_width = tenant > tenant_width ? tenant : tenant_width;
        scopes_width = scopes > scopes_width ? scopes : scopes_width;
    }
    (void)printf("%-12s %-7s %-*s %-*s %12s %12s %12s %12s %-10s %-10s %s\n", "id", "state",
                 tenant_width, "tenant", scopes_width, "scopes", "requests/min", "runs",
                 "queued jobs", "body bytes", "created", "expires", "label");
    for (int i = 0; i < count; i++) {
        const struct key_row *k = &keys[i];
        (void)printf("%-12s %-7s %-*s %-*s", k->id, state_of(k), tenant_width, k->tenant,
                     scopes_width, k->scopes);
        put_number(k->requests_per_minute);
        put_number(k->concurrent_runs);
        put_number(k->queued_jobs);
        put_number(k->body_bytes);
        put_day(k->created_us);
        put_day(k->expires_us);
        (void)printf(" %s\n", k->label);
    }
}

/* ---- JSON */

static void add_text(struct strbuf *out, const char *name, const char *text)
{
    strbuf_addf(out, "\"%s\":", name);
    strbuf_add_json(out, text, strlen(text));
    strbuf_addch(out, ',');
}

static void add_limit(struct strbuf *out, const char *name, int64_t value, const char *end)
{
    if (value == 0)
        strbuf_addf(out, "\"%s\":null%s", name, end);
    else
        strbuf_addf(out, "\"%s\":%" PRId64 "%s", name, value, end);
}

static void add_time(struct strbuf *out, const char *name, int64_t us, const char *end)
{
    char text[TIMESTAMP_SIZE];
    if (us == 0) {
        strbuf_addf(out, "\"%s\":null%s", name, end);
        return;
    }
    timestamp_format(us, text);
    strbuf_addf(out, "\"%s\":\"%s\"%s", name, text, end);
}

/* "run jobs:read" as an array. */
static void add_scopes(struct strbuf *out, const char *scopes)
{
    strbuf_addstr(out, "\"scopes\":[");
    for (const char *at = scopes; *at;) {
        size_t size = strcspn(at, " ");
        if (at > scopes)
            strbuf_addch(out, ',');
        strbuf_add_json(out, at, size);
        at += size;
        at += *at == ' ';
    }
    strbuf_addstr(out, "],");
}

static void add_key(struct strbuf *out, const struct key_row *k)
{
    add_text(out, "id", k->id);
    add_text(out, "state", state_of(k));
    add_text(out, "tenant", k->tenant);
    add_scopes(out, k->scopes);
    add_limit(out, "requests_per_minute", k->requests_per_minute, ",");
    add_limit(out, "concurrent_runs", k->concurrent_runs, ",");
    add_limit(out, "queued_jobs", k->queued_jobs, ",");
    add_limit(out, "body_bytes", k->body_bytes, ",");
    add_text(out, "label", k->label);
    add_time(out, "created_at", k->created_us, ",");
    add_time(out, "expires_at", k->expires_us, ",");
    add_time(out, "revoked_at", k->revoked_us, "");
}

static void put(struct strbuf *out)
{
    (void)puts(out->text);
    strbuf_release(out);
}

void key_print_json(const struct key_row *keys, int count)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addstr(&out, "{\"keys\":[");
    for (int i = 0; i < count; i++) {
        strbuf_addstr(&out, i > 0 ? ",{" : "{");
        add_key(&out, &keys[i]);
        strbuf_addch(&out, '}');
    }
    strbuf_addstr(&out, "]}");
    put(&out);
}

void key_print_new_json(const struct key_row *key, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    strbuf_addch(&out, '{');
    add_text(&out, "key", text);
    add_key(&out, key);
    strbuf_addch(&out, '}');
    put(&out);
}
