/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_pattern.c - POSIX extended regular expressions that a hostile string cannot slow down
 *
 * glibc's regexec() is linear only for some expressions; what is compiled here is brought into
 * that form or refused, and the string's length is bounded as well.
 */
#include <stdio.h>
#include <string.h>

#include "base/schema_internal.h"

#define WRITTEN_OUT_MAX 1000 /* characters of a pattern without its repetitions */
#define GROUPS_MAX 100       /* one within the other */
#define TEXT_OF(x) TEXT_OF_IT(x)
#define TEXT_OF_IT(x) #x

/* From the '[' of a bracket expression, "[^]a[:digit:]]", to its last ']' or the text's end. */
static const char *skip_bracket(const char *p)
{
    p += p[1] == '^' ? 2 : 1;
    if (*p == ']')
        p++;
    for (; *p && *p != ']'; p++) {
        if (*p == '[' && (p[1] == ':' || p[1] == '.' || p[1] == '=')) {
            const char end[] = {p[1], ']', '\0'};
            const char *close = strstr(p + 2, end);
            p = close ? close + 1 : p;
        }
    }
    return p;
}

/* The last character of what stands at `p`: a bracket expression, an escaped character, itself. */
static const char *atom_end(const char *p)
{
    if (*p == '[')
        return skip_bracket(p);
    return *p == '\\' && p[1] != '\0' ? p + 1 : p;
}

/*
 * What glibc takes beyond the standard and we do not: it reads \1 as a back-reference, which
 * costs exponential time, and a ')' that closes nothing as itself. NULL: nothing of the kind.
 */
static const char *pattern_flaw(const char *p)
{
    int depth = 0;
    for (; *p; p++) {
        if (*p == '[') {
            p = skip_bracket(p);
            if (*p == '\0')
                return NULL; /* regcomp() will say it */
        } else if (*p == '\\' && p[1] != '\0') {
            if (p[1] >= '1' && p[1] <= '9')
                return "back-references are not supported";
            p++;
        } else if (*p == '(') {
            depth++;
        } else if (*p == ')' && --depth < 0) {
            return "has a ')' without its '('";
        }
    }
    return NULL;
}

/* How often "{m,n}" at *p repeats; *p moves to its end. */
static size_t read_interval(const char **p)
{
    size_t bounds[2] = {0, 0};
    int i = 0;
    const char *c = *p + 1;
    for (; *c && *c != '}'; c++) {
        if (*c == ',')
            i = 1;
        else if (*c >= '0' && *c <= '9' && bounds[i] < WRITTEN_OUT_MAX)
            bounds[i] = bounds[i] * 10 + (size_t)(*c - '0');
    }
    *p = *c ? c : c - 1;
    size_t times = bounds[0] > bounds[1] ? bounds[0] : bounds[1];
    return times > 1 ? times : 1;
}

/*
 * regcomp() writes repetitions out: "((a{255}){255}){255}" took all the memory there is. What it
 * would write is counted here.
 */
static bool is_too_large(const char *p)
{
    size_t before[GROUPS_MAX] = {0}; /* in each open group: all before its last atom */
    size_t atom = 0, depth = 0;
    for (; *p; p++) {
        if (*p == '{') {
            atom *= read_interval(&p);
        } else if (*p == ')' && depth > 0) {
            atom += before[depth--] + 1;
        } else if (*p == '(') {
            before[depth++] += atom;
            if (depth == GROUPS_MAX)
                return true;
            before[depth] = atom = 0;
        } else if (!strchr("*+?", *p)) {
            before[depth] += atom;
            atom = 1;
            p = atom_end(p);
            if (*p == '\0')
                return false; /* regcomp() will say what is missing */
        }
        if (before[depth] + atom > WRITTEN_OUT_MAX)
            return true;
    }
    return false;
}

static void release_pattern(void *object)
{
    struct schema_pattern *pattern = object;
    regfree(&pattern->regex);
    if (pattern->locale)
        freelocale(pattern->locale);
}

/*
 * regexec() starts afresh at each character of a string: for a+b and 64 KiB of "a" that took 7 s.
 * Anchored it runs once through: "^.*(PATTERN)" asks the same and took 2 ms. Inside, ^ and $ become
 * GNU's \` and \', since glibc takes a ^ in the middle to match behind a newline as well.
 */
static void add_anchored(struct strbuf *sb, const char *p)
{
    strbuf_addstr(sb, "^.*(");
    for (; *p; p++) {
        const char *begin = p;
        if (*p == '^' || *p == '$') {
            strbuf_addstr(sb, *p == '^' ? "\\`" : "\\'");
            continue;
        }
        p = atom_end(p);
        strbuf_add(sb, begin, (size_t)(p - begin) + 1);
    }
    strbuf_addch(sb, ')');
}

/* First as it stands, for its mistakes: add_anchored() relies on closed brackets. */
static int compile_regex(regex_t *regex, const char *text)
{
    int failed = regcomp(regex, text, REG_EXTENDED | REG_NOSUB);
    if (failed)
        return failed;
    regfree(regex);
    struct strbuf sb = STRBUF_INIT;
    add_anchored(&sb, text);
    failed = regcomp(regex, sb.text, REG_EXTENDED | REG_NOSUB);
    strbuf_release(&sb);
    return failed;
}

const struct schema_pattern *schema_pattern_compile(struct arena *a, const char *text,
                                                    char ret_why[SCHEMA_WHY_SIZE])
{
    const char *flaw = pattern_flaw(text);
    if (!flaw && is_too_large(text))
        flaw = "has more than " TEXT_OF(
            WRITTEN_OUT_MAX) " characters with its repetitions written "
                             "out, or more than " TEXT_OF(GROUPS_MAX) " groups within each other";
    if (flaw) {
        (void)snprintf(ret_why, SCHEMA_WHY_SIZE, "%s", flaw);
        return NULL;
    }
    struct schema_pattern *pattern = arena_alloc(a, sizeof(*pattern));
    pattern->shown = schema_cut(a, text);
    pattern->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = uselocale(pattern->locale);
    int failed = compile_regex(&pattern->regex, text);
    (void)uselocale(before);
    if (!failed)
        return arena_own(a, pattern, release_pattern);
    char why[SCHEMA_WHY_SIZE / 2];
    (void)regerror(failed, &pattern->regex, why, sizeof(why));
    (void)snprintf(ret_why, SCHEMA_WHY_SIZE, "is not a POSIX extended regular expression: %s", why);
    if (pattern->locale)
        freelocale(pattern->locale);
    return NULL;
}

bool schema_pattern_matches(const struct schema_pattern *pattern, const char *text)
{
    locale_t before = uselocale(pattern->locale);
    int failed = regexec(&pattern->regex, text, 0, NULL, 0);
    (void)uselocale(before);
    return failed == 0;
}
