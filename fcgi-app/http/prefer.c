/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prefer.c - see prefer.h
 *
 * A preference is only a wish: each is read by itself, and one that is broken costs nothing but
 * itself.
 */
#include "http/prefer.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "http/field.h"

struct preference {
    const char *name, *value; /* into the field; an empty value is none */
    size_t name_size, value_size;
};

/* Where the preference at `p` ends: at a comma outside of quotes, or at the end. */
static const char *find_end(const char *p)
{
    bool is_quoted = false;
    for (; *p && (is_quoted || *p != ','); p++) {
        if (*p == '"')
            is_quoted = !is_quoted;
        else if (is_quoted && *p == '\\' && p[1])
            p++;
    }
    return p;
}

/* token [ BWS "=" BWS word ]; a ';' with parameters may follow, which nothing of ours has. */
static bool read_preference(const char *p, const char *end, struct preference *ret_preference)
{
    struct preference found = {.name = p, .name_size = field_token_size(p), .value = ""};
    p = field_skip_space(p + found.name_size);
    if (found.name_size > 0 && *p == '=') {
        p = field_skip_space(p + 1);
        bool is_quoted = *p == '"';
        found.value = p + is_quoted;
        found.value_size = field_token_size(found.value);
        p = found.value + found.value_size;
        if (is_quoted && *p++ != '"')
            return false;
        if (!is_quoted && found.value_size == 0)
            return false;
        p = field_skip_space(p);
    }
    *ret_preference = found;
    return found.name_size > 0 && (p == end || *p == ';');
}

static bool is_named(const struct preference *preference, const char *name)
{
    return strlen(name) == preference->name_size &&
           strncasecmp(preference->name, name, preference->name_size) == 0;
}

/* delta-seconds; the largest int stands for all that are larger. -1 when it is not a number. */
static int read_seconds(const struct preference *preference)
{
    int seconds = preference->value_size > 0 ? 0 : -1;
    for (size_t i = 0; i < preference->value_size; i++) {
        char c = preference->value[i];
        if (c < '0' || c > '9')
            return -1;
        seconds = seconds > (INT_MAX - 9) / 10 ? INT_MAX : seconds * 10 + (c - '0');
    }
    return seconds;
}

struct prefer prefer_parse(const char *field)
{
    struct prefer prefer = {.wait_seconds = -1};
    const char *p = field ? field : "";
    while (p += strspn(p, " \t,"), *p) {
        const char *end = find_end(p);
        struct preference found;
        if (read_preference(p, end, &found)) {
            if (is_named(&found, "respond-async") && found.value_size == 0)
                prefer.respond_async = true;
            else if (is_named(&found, "wait") && prefer.wait_seconds < 0)
                prefer.wait_seconds = read_seconds(&found);
        }
        p = end;
    }
    return prefer;
}
