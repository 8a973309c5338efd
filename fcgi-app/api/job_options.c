/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * job_options.c - see job_options.h
 *
 * Both notations become a struct value, which one function per option takes.
 */
#include "api/job_options.h"

#include <string.h>

#include "base/clock.h"
#include "base/timestamp.h"
#include "http/dictionary.h"

#define DAY_SECONDS 86400
#define SECOND_US INT64_C(1000000)
#define AHEAD_SECONDS (JOB_AHEAD_DAYS * DAY_SECONDS)

enum value_kind { VALUE_OTHER, VALUE_NUMBER, VALUE_TEXT, VALUE_TEXTS };

struct value {
    enum value_kind kind; /* OTHER: of a type that no option has */
    bool is_integer;
    double number;
    const char *text;
    const char *const *texts;
    int count;
};

struct taker {
    struct arena *arena;
    const struct config *config;
    struct job_options *options;
};

/* ---- one function per option: NULL, or what is wrong with the value */

static const char *take_priority(const struct taker *t, const struct value *v)
{
    if (!v->is_integer || v->number < -JOB_PRIORITY_MAX || v->number > JOB_PRIORITY_MAX)
        return arena_printf(t->arena, "must be an integer from -%d to %d", JOB_PRIORITY_MAX,
                            JOB_PRIORITY_MAX);
    t->options->priority = (int)v->number;
    return NULL;
}

static const char *take_max_attempts(const struct taker *t, const struct value *v)
{
    if (!v->is_integer || v->number < 1 || v->number > JOB_ATTEMPTS_MAX)
        return arena_printf(t->arena, "must be an integer from 1 to %d", JOB_ATTEMPTS_MAX);
    t->options->max_attempts = (int)v->number;
    return NULL;
}

static const char *take_delay(const struct taker *t, const struct value *v)
{
    if (v->kind != VALUE_NUMBER || !(v->number >= 0) || v->number > AHEAD_SECONDS)
        return arena_printf(t->arena, "must be a number of seconds from 0 to %d (%d days)",
                            AHEAD_SECONDS, JOB_AHEAD_DAYS);
    t->options->delay_seconds = v->number;
    return NULL;
}

static const char *take_timeout(const struct taker *t, const struct value *v)
{
    double max = t->config->jobs_max_timeout_seconds;
    if (v->kind != VALUE_NUMBER || !(v->number >= JOB_OPTIONS_SECONDS_MIN) || v->number > max)
        return arena_printf(t->arena,
                            "must be a number of seconds from %g to jobs.max_timeout_seconds = "
                            "%.15g",
                            JOB_OPTIONS_SECONDS_MIN, max);
    t->options->timeout_seconds = v->number;
    return NULL;
}

/* A moment that has just passed, by the client's clock or on its way here, is now. */
static const char *take_run_at(const struct taker *t, const struct value *v)
{
    int64_t run_at_us, now_us = clock_real_us();
    if (v->kind != VALUE_TEXT || !timestamp_parse(v->text, &run_at_us))
        return "must be a time like 2030-01-31T12:00:00Z (RFC 3339)";
    if (run_at_us < now_us - DAY_SECONDS * SECOND_US)
        return "lies in the past";
    if (run_at_us > now_us + AHEAD_SECONDS * SECOND_US)
        return arena_printf(t->arena, "must be within the next %d days", JOB_AHEAD_DAYS);
    t->options->run_at_us = run_at_us > now_us ? run_at_us : 0;
    return NULL;
}

/* Code points of valid UTF-8. */
static int count_characters(const char *text)
{
    int count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_within(const char *text, int max)
{
    return *text && strnlen(text, (size_t)max * 4 + 1) <= (size_t)max * 4 &&
           count_characters(text) <= max;
}

static const char *take_unique(const struct taker *t, const struct value *v)
{
    if (v->kind != VALUE_TEXT || !is_within(v->text, JOB_UNIQUE_MAX))
        return arena_printf(t->arena, "must be a string of 1 to %d characters", JOB_UNIQUE_MAX);
    t->options->unique_key = v->text;
    return NULL;
}

static const char *take_tags(const struct taker *t, const struct value *v)
{
    bool is_good = v->kind == VALUE_TEXTS && v->count <= JOB_TAGS_MAX;
    for (int i = 0; is_good && i < v->count; i++)
        is_good = v->texts[i] && is_within(v->texts[i], JOB_TAG_MAX);
    if (!is_good)
        return arena_printf(t->arena, "must be a list of at most %d strings of 1 to %d characters",
                            JOB_TAGS_MAX, JOB_TAG_MAX);
    t->options->tags = v->texts;
    t->options->tag_count = v->count;
    return NULL;
}

static const struct option {
    const char *member, *field; /* its name in a batch and in the header field */
    const char *(*take)(const struct taker *t, const struct value *v);
} options[] = {
    {"priority", "priority", take_priority},
    {"run_at", "run-at", take_run_at},
    {"delay_seconds", "delay", take_delay},
    {"max_attempts", "max-attempts", take_max_attempts},
    {"timeout_seconds", "timeout", take_timeout},
    {"unique_key", "unique", take_unique},
    {"tags", "tags", take_tags},
};
#define OPTION_COUNT ((int)(sizeof(options) / sizeof(options[0])))

struct job_options job_options_default(void)
{
    return (struct job_options){.max_attempts = JOB_ATTEMPTS_DEFAULT};
}

/* ---- the header field */

static struct value value_of_member(struct arena *a, const struct dictionary_member *m)
{
    struct value v = {.kind = VALUE_OTHER};
    if (m->item.kind == DICTIONARY_INTEGER || m->item.kind == DICTIONARY_DECIMAL) {
        v.kind = VALUE_NUMBER;
        v.is_integer = m->item.kind == DICTIONARY_INTEGER;
        v.number = m->item.number;
    } else if (m->item.kind == DICTIONARY_STRING) {
        v.kind = VALUE_TEXT;
        v.text = m->item.text;
    } else if (m->item.kind == DICTIONARY_LIST) {
        const char **texts = arena_alloc(a, (size_t)m->item_count * sizeof(*texts));
        for (int i = 0; i < m->item_count; i++)
            texts[i] = m->items[i].kind == DICTIONARY_STRING ? m->items[i].text : NULL;
        v = (struct value){.kind = VALUE_TEXTS, .texts = texts, .count = m->item_count};
    }
    return v;
}

static const char *list_fields(struct arena *a)
{
    const char *list = options[0].field;
    for (int i = 1; i < OPTION_COUNT; i++)
        list = arena_printf(a, "%s, %s", list, options[i].field);
    return list;
}

static int take_field(const struct taker *t, const struct dictionary_member *m,
                      struct error *reterr)
{
    int i = 0;
    while (i < OPTION_COUNT && strcmp(options[i].field, m->name) != 0)
        i++;
    if (i == OPTION_COUNT)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         JOB_OPTIONS_HEADER ": there is no '%.40s'; there are %s.", m->name,
                         list_fields(t->arena));
    struct value v = value_of_member(t->arena, m);
    const char *wrong = options[i].take(t, &v);
    if (wrong)
        return error_set(reterr, ERR_INVALID_REQUEST, JOB_OPTIONS_HEADER ": '%s' %s.", m->name,
                         wrong);
    return 0;
}

static bool has_field(const struct dictionary_member *members, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0)
            return true;
    }
    return false;
}

int job_options_read_field(struct arena *a, const struct config *cfg, const char *field,
                           struct job_options *ret_options, struct error *reterr)
{
    struct dictionary_member *members;
    int count;
    struct job_options read = job_options_default();
    const struct taker t = {a, cfg, &read};
    *ret_options = read;
    if (!field)
        return 0;
    if (dictionary_parse(a, JOB_OPTIONS_HEADER, field, &members, &count, reterr) != 0)
        return -1;
    for (int i = 0; i < count; i++) {
        if (take_field(&t, &members[i], reterr) != 0)
            return -1;
    }
    if (has_field(members, count, "run-at") && has_field(members, count, "delay"))
        return error_set(reterr, ERR_INVALID_REQUEST,
                         JOB_OPTIONS_HEADER ": 'run-at' and 'delay' exclude each other.");
    *ret_options = read;
    return 0;
}

/* ---- an item of a batch */

static struct value value_of_json(struct arena *a, const cJSON *item)
{
    struct value v = {.kind = VALUE_OTHER};
    if (cJSON_IsNumber(item)) {
        v.kind = VALUE_NUMBER;
        v.is_integer = json_is_integer(item);
        v.number = item->valuedouble;
    } else if (cJSON_IsString(item)) {
        v.kind = VALUE_TEXT;
        v.text = item->valuestring;
    } else if (cJSON_IsArray(item)) {
        int count = cJSON_GetArraySize(item), n = 0;
        const char **texts = arena_alloc(a, (size_t)count * sizeof(*texts));
        for (const cJSON *each = item->child; each; each = each->next)
            texts[n++] = cJSON_GetStringValue(each);
        v = (struct value){.kind = VALUE_TEXTS, .texts = texts, .count = count};
    }
    return v;
}

static const struct option *find_member(const char *name)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(options[i].member, name) == 0)
            return &options[i];
    }
    return NULL;
}

bool job_options_has(const char *name)
{
    return find_member(name) != NULL;
}

void job_options_read_item(struct arena *a, const struct config *cfg, const cJSON *item,
                           const char *pointer, struct job_options *ret_options,
                           struct field_errors *errors)
{
    bool has_time = false;
    const struct taker t = {a, cfg, ret_options};
    *ret_options = job_options_default();
    for (const cJSON *m = item->child; m; m = m->next) {
        const struct option *o = find_member(m->string);
        if (!o)
            continue;
        struct value v = value_of_json(a, m);
        const char *wrong = o->take(&t, &v);
        bool is_time = o->take == take_run_at || o->take == take_delay;
        if (!wrong && is_time && has_time)
            wrong = "cannot be given together with the other of run_at and delay_seconds";
        has_time = has_time || is_time;
        if (wrong)
            field_errors_add(errors, json_pointer_join(a, pointer, m->string), "%s", wrong);
    }
}

void job_options_apply(const struct job_options *o, struct job_new *job)
{
    job->priority = o->priority;
    job->run_at_us = o->run_at_us;
    job->delay_seconds = o->delay_seconds;
    job->max_attempts = o->max_attempts;
    job->timeout_seconds = o->timeout_seconds;
    job->unique_key = o->unique_key;
    job->tags = o->tags;
    job->tag_count = o->tag_count;
}
