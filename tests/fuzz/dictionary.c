/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dictionary: a structured field, and what Gangsaw-Job makes of it. What was understood, written as
 * a field again, is understood as the same.
 */
#include "http/dictionary.h"

#include <math.h>

#include "api/job_options.h"
#include "base/strbuf.h"
#include "fuzz.h"

static bool print_item(struct strbuf *out, const struct dictionary_item *item)
{
    switch (item->kind) {
    case DICTIONARY_INTEGER:
        strbuf_addf(out, "%.0f", item->number);
        return true;
    case DICTIONARY_DECIMAL:
        strbuf_addf(out, "%.3f", item->number);
        return true;
    case DICTIONARY_BOOLEAN:
        strbuf_addf(out, "?%d", item->number != 0);
        return true;
    case DICTIONARY_TOKEN:
        strbuf_addstr(out, item->text);
        return true;
    case DICTIONARY_STRING:
        strbuf_addch(out, '"');
        for (const char *c = item->text; *c; c++)
            strbuf_addf(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
        strbuf_addch(out, '"');
        return true;
    default:
        return false; /* bytes are not kept */
    }
}

static bool print_member(struct strbuf *out, const struct dictionary_member *m)
{
    strbuf_addf(out, "%s=", m->name);
    if (m->item.kind != DICTIONARY_LIST)
        return print_item(out, &m->item);
    bool is_whole = true;
    strbuf_addch(out, '(');
    for (int i = 0; i < m->item_count; i++) {
        strbuf_addstr(out, i > 0 ? " " : "");
        is_whole = print_item(out, &m->items[i]) && is_whole;
    }
    strbuf_addch(out, ')');
    return is_whole;
}

/* NULL when there are values that are only parsed. */
static const char *print_members(struct arena *a, const struct dictionary_member *members,
                                 int count)
{
    struct strbuf out = STRBUF_INIT;
    bool is_whole = true;
    for (int i = 0; i < count; i++) {
        strbuf_addstr(&out, i > 0 ? ", " : "");
        is_whole = print_member(&out, &members[i]) && is_whole;
    }
    const char *text = is_whole ? arena_strdup(a, out.text) : NULL;
    strbuf_release(&out);
    return text;
}

static void check_members(struct arena *a, const struct dictionary_member *members, int count)
{
    struct dictionary_member *again;
    struct error err;
    int again_count;
    FUZZ_CHECK(count >= 0 && count <= DICTIONARY_MEMBERS_MAX);
    for (int i = 0; i < count; i++) {
        FUZZ_CHECK(members[i].name[0] != '\0' && fabs(members[i].item.number) < 1e15);
        FUZZ_CHECK(members[i].item_count <= DICTIONARY_ITEMS_MAX);
        for (int k = 0; k < i; k++)
            FUZZ_CHECK(strcmp(members[i].name, members[k].name) != 0);
    }
    const char *printed = print_members(a, members, count);
    if (!printed)
        return;
    FUZZ_CHECK(dictionary_parse(a, "Again", printed, &again, &again_count, &err) == 0);
    FUZZ_CHECK(again_count == count);
    FUZZ_CHECK(strcmp(print_members(a, again, count), printed) == 0);
}

static void check_options(const struct job_options *o, const struct config *cfg)
{
    FUZZ_CHECK(abs(o->priority) <= JOB_PRIORITY_MAX);
    FUZZ_CHECK(o->max_attempts >= 1 && o->max_attempts <= JOB_ATTEMPTS_MAX);
    FUZZ_CHECK(o->delay_seconds >= 0 && o->run_at_us >= 0);
    FUZZ_CHECK(o->timeout_seconds >= 0 && o->timeout_seconds <= cfg->jobs_max_timeout_seconds);
    FUZZ_CHECK(o->tag_count >= 0 && o->tag_count <= JOB_TAGS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct config cfg = {.jobs_max_timeout_seconds = 3600};
    struct arena *a = arena_new();
    struct dictionary_member *members;
    struct job_options options;
    struct error err;
    int count;
    const char *field = arena_strndup(a, (const char *)data, size);
    int status = dictionary_parse(a, "Gangsaw-Job", field, &members, &count, &err);
    if (status != 0)
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    else
        check_members(a, members, count);
    if (job_options_read_field(a, &cfg, field, &options, &err) != 0)
        fuzz_check_error(&err, ERR_INVALID_REQUEST);
    else
        check_options(&options, &cfg);
    arena_free(a);
    return 0;
}
