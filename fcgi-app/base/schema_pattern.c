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

/* What regcomp() makes of a pattern, as far as it has been read. */
struct level {
    size_t before;     /* characters of an open group, all before its last atom */
    bool branch_empty; /* its branch can be empty, as far as that goes */
    bool can_be_empty; /* one of the branches before can */
};

struct reader {
    struct level levels[GROUPS_MAX];
    size_t depth;
    size_t atom;     /* characters of the last atom with its repetitions written out */
    bool atom_empty; /* it can be empty; true where there is none yet */
};

/* The last atom is no more to be repeated: another one follows. */
static void next_atom(struct reader *r, size_t size, bool can_be_empty)
{
    struct level *l = &r->levels[r->depth];
    l->before += r->atom;
    l->branch_empty = l->branch_empty && r->atom_empty;
    r->atom = size;
    r->atom_empty = can_be_empty;
}

static void next_branch(struct reader *r)
{
    next_atom(r, 1, true);
    struct level *l = &r->levels[r->depth];
    l->can_be_empty = l->can_be_empty || l->branch_empty;
    l->branch_empty = true;
}

static void close_group(struct reader *r)
{
    next_branch(r);
    struct level l = r->levels[r->depth--];
    r->atom = l.before + 1;
    r->atom_empty = l.can_be_empty;
}

/* "{m,n}" at *p, which moves to its end; without n it has none. */
static void read_interval(const char **p, size_t *ret_times, bool *ret_from_none, bool *ret_endless)
{
    size_t bounds[2] = {0, 0};
    int i = 0;
    const char *c = *p + 1;
    *ret_endless = false;
    for (; *c && *c != '}'; c++) {
        bool is_digit = *c >= '0' && *c <= '9';
        if (*c == ',')
            i = 1;
        else if (is_digit && bounds[i] < WRITTEN_OUT_MAX)
            bounds[i] = bounds[i] * 10 + (size_t)(*c - '0');
        *ret_endless = *c == ',' || (*ret_endless && !is_digit);
    }
    *p = *c ? c : c - 1;
    *ret_from_none = bounds[0] == 0;
    *ret_times = bounds[0] + *ret_endless > bounds[1] ? bounds[0] + *ret_endless : bounds[1];
}

/* One of * + ? {m,n} behind an atom. False: it repeats without end what can be empty. */
static bool repeat(struct reader *r, const char **p)
{
    size_t times = 1;
    bool from_none = **p != '+', is_endless = **p != '?';
    if (**p == '{')
        read_interval(p, &times, &from_none, &is_endless);
    else if (**p == '+')
        times = 2; /* "a+" is written "aa*" */
    if (is_endless && r->atom_empty)
        return false;
    r->atom *= times > 1 ? times : 1;
    r->atom_empty = r->atom_empty || from_none;
    return true;
}

/* ^, $, \b and the like, which take no character. */
static bool takes_none(const char *p)
{
    return *p == '^' || *p == '$' || (*p == '\\' && p[1] != '\0' && strchr("bB<>`'", p[1]));
}

/*
 * regcomp() writes repetitions out: "((a{255}){255}){255}" took all the memory there is. What it
 * would write is counted here. And it takes exponential time for loops without a character in them,
 * as in "((a*|b*)+){25}". NULL: nothing of the kind.
 */
static const char *cost_flaw(const char *p)
{
    static const char too_large[] = "has more than " TEXT_OF(
        WRITTEN_OUT_MAX) " characters with its repetitions written "
                         "out, or more than " TEXT_OF(GROUPS_MAX) " groups within each other";
    struct reader r = {.levels[0].branch_empty = true, .atom_empty = true};
    for (; *p; p++) {
        if (strchr("*+?{", *p)) {
            if (!repeat(&r, &p))
                return "repeats without end what can be empty";
        } else if (*p == ')' && r.depth > 0) {
            close_group(&r);
        } else if (*p == '(') {
            next_atom(&r, 0, true);
            if (++r.depth == GROUPS_MAX)
                return too_large;
            r.levels[r.depth] = (struct level){.branch_empty = true};
        } else if (*p == '|') {
            next_branch(&r);
        } else {
            next_atom(&r, 1, takes_none(p));
            p = atom_end(p);
            if (*p == '\0')
                return NULL; /* regcomp() will say what is missing */
        }
        if (r.levels[r.depth].before + r.atom > WRITTEN_OUT_MAX)
            return too_large;
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
    if (!flaw)
        flaw = cost_flaw(text);
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
