/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - see config.h
 *
 * The table in options.c says what there is. libinih splits the lines; it would cut long ones, join
 * indented ones and stop at a NUL without a word, so it is fed line by line, each checked first.
 */
#include "base/config.h"

#include <ctype.h>
#include <ini.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cores.h"
#include "base/file.h"
#include "base/memory_limit.h"
#include "base/options.h"

#define FILE_MAX_BYTES 262144
#define TASK_LIMITS_MAX 1000
#define SECTION_MAX 49    /* libinih cuts a longer section name */
#define NAME_MAX_BYTES 64 /* a longer name is not worth a suggestion */

struct loader {
    struct arena *arena;
    struct config *cfg;
    struct error *reterr;
    bool has_failed;
    /* Of the file: */
    const char *path, *next, *end;
    int line;
    bool seen[OPTION_COUNT_MAX];
};

/* "gangsaw.conf:12" */
static const char *line_place(struct loader *l)
{
    return arena_printf(l->arena, "%s:%d", l->path, l->line);
}

static int apply(struct loader *l, const char *place, const struct option *o, const char *text)
{
    if (option_set(o, l->arena, l->cfg, text))
        return 0;
    struct strbuf allowed = STRBUF_INIT;
    option_add_allowed(o, &allowed);
    (void)error_set(l->reterr, ERR_INTERNAL, "%s: [%s] %s is \"%.40s\"; allowed: %s", place,
                    o->section, o->name, text, allowed.text);
    strbuf_release(&allowed);
    return -1;
}

/* ---- names ---- */

/* Levenshtein's distance, case aside. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1];
    size_t width = strlen(b);

    if (width > NAME_MAX_BYTES || strlen(a) > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            bool is_same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
            size_t best = diagonal + (is_same ? 0 : 1);
            diagonal = row[j + 1];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = diagonal + 1 < best ? diagonal + 1 : best;
            row[j + 1] = best;
        }
    }
    return row[width];
}

static const struct option *find_option(const char *section, const char *name)
{
    for (size_t i = 0; options[i].name; i++) {
        if (strcmp(options[i].section, section) == 0 && strcasecmp(options[i].name, name) == 0)
            return &options[i];
    }
    return NULL;
}

static bool is_section(const char *name)
{
    for (size_t i = 0; option_sections[i].name; i++) {
        if (strcmp(option_sections[i].name, name) == 0)
            return true;
    }
    return false;
}

static int fail_section(struct loader *l, const char *name)
{
    const char *nearest = NULL;
    size_t least = 4;
    for (size_t i = 0; option_sections[i].name; i++) {
        size_t d = distance(name, option_sections[i].name);
        if (d < least) {
            least = d;
            nearest = option_sections[i].name;
        }
    }
    if (!nearest)
        return error_set(l->reterr, ERR_INTERNAL,
                         "%s: there is no section [%s]; there are server, http, api, compute, "
                         "executor and task NAME",
                         line_place(l), name);
    return error_set(l->reterr, ERR_INTERNAL, "%s: there is no section [%s]; the nearest is [%s]",
                     line_place(l), name, nearest);
}

/* The nearest option of this section, or the one of that name in another. */
static int fail_option(struct loader *l, const char *place, const char *section, const char *name)
{
    const struct option *nearest = NULL;
    size_t least = SIZE_MAX;
    for (size_t i = 0; options[i].name; i++) {
        size_t d = distance(name, options[i].name);
        if (d < SIZE_MAX && strcmp(options[i].section, section) != 0)
            d = d == 0 ? 1 : SIZE_MAX;
        if (d < least) {
            least = d;
            nearest = &options[i];
        }
    }
    if (!nearest)
        return error_set(l->reterr, ERR_INTERNAL, "%s: [%s] has no option %.40s", place, section,
                         name);
    return error_set(l->reterr, ERR_INTERNAL,
                     "%s: [%s] has no option %.40s; the nearest is [%s] %s", place, section, name,
                     nearest->section, nearest->name);
}

/* ---- limits of tasks ---- */

static int add_task_limit(struct loader *l, const char *place, const char *task, const char *name,
                          const char *text)
{
    struct config *cfg = l->cfg;
    double value;

    if (!option_parse_number(text, &value))
        return error_set(l->reterr, ERR_INTERNAL,
                         "%s: %.40s is \"%.40s\"; allowed: a number, with K, M or G for 1024s",
                         place, name, text);
    if (cfg->task_limit_count == TASK_LIMITS_MAX)
        return error_set(l->reterr, ERR_INTERNAL, "%s: over %d limits of tasks", place,
                         TASK_LIMITS_MAX);
    if (!cfg->task_limits)
        cfg->task_limits =
            arena_alloc(l->arena, TASK_LIMITS_MAX * sizeof(struct config_task_limit));
    cfg->task_limits[cfg->task_limit_count++] = (struct config_task_limit){
        .task = task ? arena_strdup(l->arena, task) : NULL,
        .name = arena_strdup(l->arena, name),
        .value = value,
        .place = place,
    };
    return 0;
}

static int add_file_limit(struct loader *l, const char *task, const char *name, const char *text)
{
    for (int i = 0; i < l->cfg->task_limit_count; i++) {
        const struct config_task_limit *t = &l->cfg->task_limits[i];
        if (strcmp(t->task, task) == 0 && strcmp(t->name, name) == 0)
            return error_set(l->reterr, ERR_INTERNAL,
                             "%s: [task %s] %s is given twice, first in %s", line_place(l), task,
                             name, t->place);
    }
    return add_task_limit(l, line_place(l), task, name, text);
}

/* ---- the file ---- */

static int fail_line(struct loader *l, const char *what)
{
    l->has_failed = true;
    return error_set(l->reterr, ERR_INTERNAL, "%s: %s", line_place(l), what);
}

/* What libinih would pass over in silence. */
static int check_line(struct loader *l, const char *line, size_t size, size_t max)
{
    for (size_t i = 0; i < size; i++) {
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
            return fail_line(l, "a control character");
    }
    if (size > max)
        return fail_line(l, arena_printf(l->arena, "over %zu bytes in one line", max));
    if (size == 0 || line[0] != '[')
        return 0;
    const char *close = memchr(line, ']', size);
    if (!close)
        return fail_line(l, "a section without its ]");
    if (close - line - 1 > SECTION_MAX)
        return fail_line(
            l, arena_printf(l->arena, "over %d bytes in the name of a section", SECTION_MAX));
    for (close++; close < line + size && (*close == ' ' || *close == '\t'); close++) {
    }
    if (close < line + size && *close != ';' && *close != '#')
        return fail_line(l, "something after the ] of a section");
    return 0;
}

/*
 * libinih's fgets(). Lines come without blanks around them: CR LF is as good as LF, and an indented
 * line is a line of its own instead of going on with the one before.
 */
static char *read_line(char *str, int num, void *stream)
{
    struct loader *l = stream;
    if (l->has_failed || l->next == l->end)
        return NULL;
    const char *line = l->next;
    const char *newline = memchr(line, '\n', (size_t)(l->end - line));
    const char *stop = newline ? newline : l->end;
    l->next = newline ? newline + 1 : l->end;
    l->line++;
    if (stop > line && stop[-1] == '\r')
        stop--;
    while (stop > line && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    while (line < stop && (*line == ' ' || *line == '\t'))
        line++;
    size_t size = (size_t)(stop - line);
    if (check_line(l, line, size, (size_t)num - 2) != 0)
        return NULL;
    memcpy(str, line, size);
    memcpy(str + size, "\n", 2);
    return str;
}

static int on_value(struct loader *l, const char *section, const char *name, const char *value)
{
    if (!*section)
        return fail_line(l, "an option before the first [section]");
    if (strncmp(section, "task ", 5) == 0)
        return add_file_limit(l, section + 5, name, value);
    if (!is_section(section))
        return fail_section(l, section);
    const struct option *o = find_option(section, name);
    if (!o || strcmp(o->name, name) != 0)
        return fail_option(l, line_place(l), section, name);
    if (l->seen[o - options])
        return error_set(l->reterr, ERR_INTERNAL, "%s: [%s] %s is given twice", line_place(l),
                         section, name);
    l->seen[o - options] = true;
    return apply(l, line_place(l), o, value);
}

static int ini_callback(void *user, const char *section, const char *name, const char *value)
{
    struct loader *l = user;
    if (!l->has_failed && on_value(l, section, name, value) != 0)
        l->has_failed = true;
    return l->has_failed ? 0 : 1;
}

static int parse_file(struct loader *l, const char *text, size_t size)
{
    size_t bom = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    l->next = text + bom;
    l->end = text + size;
    int bad_line = ini_parse_stream(read_line, l, ini_callback, l);
    if (l->has_failed)
        return -1;
    if (bad_line < 0)
        return error_set(l->reterr, ERR_INTERNAL, "%s: not enough memory to read it", l->path);
    l->line = bad_line;
    return bad_line == 0 ? 0 : fail_line(l, "neither [section] nor key = value");
}

static int read_config_file(struct loader *l, const char *path)
{
    const char *from_environment = getenv("GANGSAW_CONFIG");
    if (!path && from_environment && *from_environment)
        path = from_environment;
    l->path = path ? path : GANGSAW_SYSCONFDIR "/gangsaw.conf";

    char *text;
    size_t size;
    struct error err;
    l->cfg->path = "";
    if (file_read(l->arena, l->path, FILE_MAX_BYTES, &text, &size, &err) != 0) {
        if (!path && err.code == ERR_NOT_FOUND)
            return 0;
        return error_set(l->reterr, ERR_INTERNAL, "%s", err.detail);
    }
    l->cfg->path = arena_strdup(l->arena, l->path);
    return parse_file(l, text, size);
}

/* ---- the environment ---- */

/* What follows GANGSAW_SECTION_ in `variable`; NULL when it begins with something else. */
static const char *after_prefix(const char *variable, const char *section)
{
    if (strncmp(variable, "GANGSAW_", 8) != 0)
        return NULL;
    for (variable += 8; *section; variable++, section++) {
        if (*variable != toupper((unsigned char)*section))
            return NULL;
    }
    return *variable == '_' ? variable + 1 : NULL;
}

static int apply_variable(struct loader *l, const char *variable, const char *value)
{
    const char *limit = after_prefix(variable, "task");
    if (limit)
        return add_task_limit(l, variable, NULL, limit, value);
    for (size_t i = 0; option_sections[i].name; i++) {
        const char *name = after_prefix(variable, option_sections[i].name);
        if (!name)
            continue;
        const struct option *o = find_option(option_sections[i].name, name);
        bool has_lower = name[strcspn(name, "abcdefghijklmnopqrstuvwxyz")] != '\0';
        if (!o || has_lower)
            return fail_option(l, variable, option_sections[i].name, name);
        return apply(l, variable, o, value);
    }
    return 0;
}

static int read_environment(struct loader *l)
{
    for (char **entry = environ; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals || strncmp(*entry, "GANGSAW_", 8) != 0)
            continue;
        const char *variable = arena_strndup(l->arena, *entry, (size_t)(equals - *entry));
        if (apply_variable(l, variable, equals + 1) != 0)
            return -1;
    }
    return 0;
}

int config_load(struct arena *a, const char *path, struct config **ret_config, struct error *reterr)
{
    struct config *cfg = arena_alloc(a, sizeof(*cfg));
    struct loader l = {.arena = a, .cfg = cfg, .reterr = reterr};

    cfg->cores = cores_available();
    cfg->memory = memory_limit("");
    for (size_t i = 0; options[i].name; i++) {
        if (apply(&l, "built-in default", &options[i], options[i].fallback) != 0)
            return -1;
    }
    if (read_config_file(&l, path) != 0 || read_environment(&l) != 0)
        return -1;
    *ret_config = cfg;
    return 0;
}

/* ---- printing ---- */

static void print_task_limits(const struct config *cfg, struct strbuf *out)
{
    const char *task = "";
    for (int i = 0; i < cfg->task_limit_count; i++) {
        const struct config_task_limit *t = &cfg->task_limits[i];
        if (!t->task) { /* which task that is, the file's reader cannot know: a comment */
            strbuf_addf(out, "; %s = ", t->place);
        } else {
            if (strcmp(task, t->task) != 0)
                strbuf_addf(out, "\n[task %s]\n", t->task);
            task = t->task;
            strbuf_addf(out, "%s = ", t->name);
        }
        option_add_number(out, t->value);
        strbuf_addch(out, '\n');
    }
}

void config_print(const struct config *cfg, struct strbuf *out)
{
    for (size_t i = 0; options[i].name; i++) {
        const struct option *o = &options[i];
        if (i == 0 || strcmp(o->section, options[i - 1].section) != 0)
            strbuf_addf(out, "%s[%s]\n", i == 0 ? "" : "\n", o->section);
        strbuf_addf(out, "%s = ", o->name);
        option_add_value(o, cfg, out);
        strbuf_addch(out, '\n');
    }
    print_task_limits(cfg, out);
}
