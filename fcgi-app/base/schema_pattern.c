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
        if (*p == '\\')
            p++;
        else if (*p == '[')
            p = skip_bracket(p);
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
