/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dictionary.c - see dictionary.h
 *
 * The functions are the algorithms of RFC 8941 section 4.2, in its order. Each leaves the cursor
 * where it stopped: at the mistake, if there was one.
 */
#include "http/dictionary.h"

#include <string.h>

#include "http/field.h"

#define INTEGER_DIGITS 15
#define DECIMAL_DIGITS 12 /* before the point */
#define FRACTION_DIGITS 3
#define TEXT_OF(x) TEXT_OF_IT(x)
#define TEXT_OF_IT(x) #x

struct parser {
    struct arena *arena;
    const char *at;
    const char *excess; /* "more than 64 members"; NULL: the mistake is one of grammar */
    struct dictionary_member *members;
    int count;
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take(struct parser *p, char c)
{
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static void skip_spaces(struct parser *p)
{
    p->at += strspn(p->at, " ");
}

/* Append at most `max` digits to *number. -1: none, or more. */
static int read_digits(struct parser *p, int max, double *number)
{
    int count = 0;
    for (; is_digit(*p->at) && count < max; count++)
        *number = *number * 10 + (*p->at++ - '0');
    return count > 0 && !is_digit(*p->at) ? count : -1;
}

/* 15 digits are exact in a double, and a division by a power of ten rounds once. */
static int read_number(struct parser *p, struct dictionary_item *ret_item)
{
    static const double units[FRACTION_DIGITS + 1] = {1, 10, 100, 1000};
    double number = 0;
    bool is_negative = take(p, '-');
    int digits = read_digits(p, INTEGER_DIGITS, &number);
    if (digits < 0)
        return -1;
    ret_item->kind = DICTIONARY_INTEGER;
    if (digits <= DECIMAL_DIGITS && take(p, '.')) {
        int fraction = read_digits(p, FRACTION_DIGITS, &number);
        if (fraction < 0)
            return -1;
        ret_item->kind = DICTIONARY_DECIMAL;
        number /= units[fraction];
    }
    ret_item->number = is_negative ? -number : number;
    return 0;
}

static int read_string(struct parser *p, struct dictionary_item *ret_item)
{
    const char *start = ++p->at;
    for (; *p->at != '"'; p->at++) {
        if (*p->at == '\\' && p->at[1] != '"' && p->at[1] != '\\')
            return -1;
        p->at += *p->at == '\\';
        if (*p->at < 0x20 || *p->at > 0x7e)
            return -1;
    }
    char *text = arena_alloc(p->arena, (size_t)(p->at - start) + 1);
    ret_item->kind = DICTIONARY_STRING;
    ret_item->text = text;
    for (const char *c = start; c < p->at; c++) {
        c += *c == '\\';
        *text++ = *c;
    }
    p->at++;
    return 0;
}

static int read_token(struct parser *p, struct dictionary_item *ret_item)
{
    const char *start = p->at;
    size_t more;
    do {
        more = field_token_size(p->at) + strspn(p->at + field_token_size(p->at), ":/");
        p->at += more;
    } while (more > 0);
    ret_item->kind = DICTIONARY_TOKEN;
    ret_item->text = arena_strndup(p->arena, start, (size_t)(p->at - start));
    return 0;
}

static int read_bytes(struct parser *p, struct dictionary_item *ret_item)
{
    p->at++;
    while (is_letter(*p->at) || is_digit(*p->at) || *p->at == '+' || *p->at == '/')
        p->at++;
    p->at += strspn(p->at, "=");
    ret_item->kind = DICTIONARY_BYTES;
    return take(p, ':') ? 0 : -1;
}

static int read_boolean(struct parser *p, struct dictionary_item *ret_item)
{
    p->at++;
    ret_item->kind = DICTIONARY_BOOLEAN;
    ret_item->number = *p->at == '1';
    return take(p, '0') || take(p, '1') ? 0 : -1;
}

static int read_bare_item(struct parser *p, struct dictionary_item *ret_item)
{
    *ret_item = (struct dictionary_item){.kind = DICTIONARY_BOOLEAN};
    if (*p->at == '-' || is_digit(*p->at))
        return read_number(p, ret_item);
    if (*p->at == '"')
        return read_string(p, ret_item);
    if (*p->at == '*' || is_letter(*p->at))
        return read_token(p, ret_item);
    if (*p->at == ':')
        return read_bytes(p, ret_item);
    if (*p->at == '?')
        return read_boolean(p, ret_item);
    return -1;
}

static int read_key(struct parser *p, size_t *ret_size)
{
    const char *start = p->at;
    if (!is_lower(*p->at) && *p->at != '*')
        return -1;
    while (is_lower(*p->at) || is_digit(*p->at) || (*p->at && strchr("_-.*", *p->at)))
        p->at++;
    *ret_size = (size_t)(p->at - start);
    return 0;
}

static int skip_params(struct parser *p)
{
    struct dictionary_item value;
    size_t size;
    while (take(p, ';')) {
        skip_spaces(p);
        if (read_key(p, &size) != 0 || (take(p, '=') && read_bare_item(p, &value) != 0))
            return -1;
    }
    return 0;
}

static int read_list(struct parser *p, struct dictionary_member *member)
{
    struct dictionary_item items[DICTIONARY_ITEMS_MAX];
    int count = 0;
    p->at++;
    for (skip_spaces(p); !take(p, ')'); skip_spaces(p)) {
        if (count == DICTIONARY_ITEMS_MAX) {
            p->excess = TEXT_OF(DICTIONARY_ITEMS_MAX) " items in a list";
            return -1;
        }
        if (read_bare_item(p, &items[count++]) != 0 || skip_params(p) != 0 ||
            (*p->at != ' ' && *p->at != ')'))
            return -1;
    }
    member->item.kind = DICTIONARY_LIST;
    member->items = arena_memdup(p->arena, items, (size_t)count * sizeof(items[0]));
    member->item_count = count;
    return skip_params(p);
}

static int read_value(struct parser *p, struct dictionary_member *member)
{
    if (!take(p, '=')) {
        member->item = (struct dictionary_item){.kind = DICTIONARY_BOOLEAN, .number = 1};
        return skip_params(p);
    }
    if (*p->at == '(')
        return read_list(p, member);
    return read_bare_item(p, &member->item) != 0 ? -1 : skip_params(p);
}

/* The member of that name, or a new one; NULL when there is no room. */
static struct dictionary_member *place_for(struct parser *p, const char *name, size_t size)
{
    for (int i = 0; i < p->count; i++) {
        if (strlen(p->members[i].name) == size && memcmp(p->members[i].name, name, size) == 0)
            return &p->members[i];
    }
    if (p->count == DICTIONARY_MEMBERS_MAX) {
        p->excess = TEXT_OF(DICTIONARY_MEMBERS_MAX) " members";
        return NULL;
    }
    p->members[p->count].name = arena_strndup(p->arena, name, size);
    return &p->members[p->count++];
}

static int read_member(struct parser *p)
{
    const char *name = p->at;
    size_t size;
    if (read_key(p, &size) != 0)
        return -1;
    struct dictionary_member *place = place_for(p, name, size);
    if (!place)
        return -1;
    struct dictionary_member member = {.name = place->name};
    if (read_value(p, &member) != 0)
        return -1;
    *place = member;
    return 0;
}

static int read_members(struct parser *p)
{
    skip_spaces(p);
    while (*p->at) {
        if (read_member(p) != 0)
            return -1;
        p->at = field_skip_space(p->at);
        if (*p->at == '\0')
            return 0;
        if (!take(p, ','))
            return -1;
        p->at = field_skip_space(p->at);
        if (*p->at == '\0')
            return -1;
    }
    return 0;
}

int dictionary_parse(struct arena *a, const char *field_name, const char *field,
                     struct dictionary_member **ret_members, int *ret_count, struct error *reterr)
{
    struct parser p = {.arena = a, .at = field};
    p.members = arena_alloc(a, DICTIONARY_MEMBERS_MAX * sizeof(p.members[0]));
    int result = read_members(&p);
    if (result != 0 && p.excess)
        return error_set(reterr, ERR_INVALID_REQUEST, "The %s field has more than %s.", field_name,
                         p.excess);
    if (result != 0)
        return error_set(reterr, ERR_INVALID_REQUEST,
                         "The %s field is not well-formed at character %zu.", field_name,
                         (size_t)(p.at - field) + 1);
    *ret_members = p.members;
    *ret_count = p.count;
    return 0;
}
