/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - see json.h
 *
 * cJSON is lenient (bytes that are not UTF-8, control characters in strings, 01, a truncated
 * number) and tells nobody where it stopped. So the text is checked here first, in one pass that
 * allocates nothing; cJSON then only builds the tree of a text known to be good.
 */
#include "base/json.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/utf8.h"

/* cJSON reads 63 bytes of a number and stops: longer ones are rewritten. */
#define NUMBER_TEXT_MAX 60

struct scan {
    struct arena *a;
    const char *text;
    size_t size, at;
    int depth;
    size_t values;
    size_t names;   /* members so far, in the order of the text */
    size_t name_at; /* where member number `name_wanted` begins */
    size_t name_wanted;
    char *rewritten; /* a copy of the text with its long numbers shortened; NULL: none was long */
    struct error *reterr;
};

static int scan_value(struct scan *s);

static _Noreturn void out_of_memory(void)
{
    log_write(LOG_ERROR, "out of memory", LOG_STR("what", "JSON"));
    _Exit(70);
}

static int fail_at(const struct scan *s, size_t at, const char *what)
{
    size_t line = 1;
    size_t column = 1; /* in code points */
    for (size_t i = 0; i < at; i++) {
        if (s->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)s->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return error_set(s->reterr, ERR_INVALID_REQUEST,
                     "The JSON is not valid: line %zu, column %zu: %s.", line, column, what);
}

static int fail(const struct scan *s, const char *what)
{
    return fail_at(s, s->at, s->at < s->size ? what : "the text ends too early");
}

/* The next byte; -1 at the end. */
static int peek(const struct scan *s)
{
    return s->at < s->size ? (unsigned char)s->text[s->at] : -1;
}

static bool take(struct scan *s, char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

static void skip_space(struct scan *s)
{
    while (take(s, ' ') || take(s, '\t') || take(s, '\n') || take(s, '\r'))
        ;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits after \u. */
static int scan_code_unit(struct scan *s, unsigned *ret_unit)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(peek(s));
        if (digit < 0)
            return fail(s, "expected four hexadecimal digits after \\u");
        unit = unit * 16 + (unsigned)digit;
        s->at++;
    }
    *ret_unit = unit;
    return 0;
}

static int scan_unicode_escape(struct scan *s, size_t start)
{
    static const char lone[] = "half a surrogate pair stands alone";
    unsigned unit;
    if (scan_code_unit(s, &unit) < 0)
        return -1;
    if (unit == 0)
        return fail_at(s, start, "U+0000 is not allowed in a string");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail_at(s, start, lone);
    if (unit < 0xd800 || unit > 0xdbff)
        return 0;
    if (!take(s, '\\') || !take(s, 'u'))
        return fail_at(s, start, lone);
    if (scan_code_unit(s, &unit) < 0)
        return -1;
    return unit >= 0xdc00 && unit <= 0xdfff ? 0 : fail_at(s, start, lone);
}

static int scan_escape(struct scan *s)
{
    size_t start = s->at++;
    int c = peek(s);
    if (c == 'u') {
        s->at++;
        return scan_unicode_escape(s, start);
    }
    if (c <= 0 || !strchr("\"\\/bfnrt", c))
        return fail(s, "unknown escape in a string");
    s->at++;
    return 0;
}

static int scan_string(struct scan *s)
{
    s->at++;
    for (;;) {
        int c = peek(s);
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c == '\\') {
            if (scan_escape(s) < 0)
                return -1;
        } else if (c < 0x20) {
            return fail(s, "a control character has to be escaped in a string");
        } else {
            size_t length = c < 0x80 ? 1 : utf8_length(s->text + s->at, s->size - s->at);
            if (length == 0)
                return fail(s, "not valid UTF-8");
            s->at += length;
        }
    }
}

/* strtod() on a JSON number, which has no NUL behind it and knows no locale. */
static double read_number(struct arena *a, const char *token, size_t size)
{
    char small[NUMBER_TEXT_MAX + 1];
    char *copy = size < sizeof(small) ? small : arena_alloc(a, size + 1);
    memcpy(copy, token, size);
    copy[size] = '\0';
    char *point = strchr(copy, '.');
    if (point)
        *point = localeconv()->decimal_point[0];
    return strtod(copy, NULL);
}

static void rewrite_number(struct scan *s, size_t start, double number)
{
    char text[JSON_NUMBER_SIZE];
    if (!s->rewritten)
        s->rewritten = arena_memdup(s->a, s->text, s->size);
    json_format_number(number, text);
    memset(s->rewritten + start, ' ', s->at - start);
    memcpy(s->rewritten + start, text, strlen(text));
}

static int check_integer(const struct scan *s, size_t start)
{
    static const char largest[] = "9007199254740992";
    const char *digits = s->text + start;
    size_t count = s->at - start;
    if (*digits == '-') {
        digits++;
        count--;
    }
    if (count < sizeof(largest) - 1 ||
        (count == sizeof(largest) - 1 && memcmp(digits, largest, count) <= 0))
        return 0;
    return fail_at(s, start, "an integer beyond 9007199254740992 (2^53) would be rounded");
}

static bool scan_digits(struct scan *s)
{
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at > start;
}

static int scan_number(struct scan *s)
{
    size_t start = s->at;
    bool has_exponent = false;
    (void)take(s, '-');
    if (!take(s, '0') && !scan_digits(s))
        return fail(s, "expected a digit");
    size_t integer_end = s->at;
    if (take(s, '.') && !scan_digits(s))
        return fail(s, "expected a digit after the decimal point");
    if (take(s, 'e') || take(s, 'E')) {
        has_exponent = true;
        if (!take(s, '+'))
            (void)take(s, '-');
        if (!scan_digits(s))
            return fail(s, "expected a digit in the exponent");
    }
    if (s->at == integer_end)
        return check_integer(s, start);
    size_t size = s->at - start;
    if (!has_exponent && size <= NUMBER_TEXT_MAX)
        return 0;
    double number = read_number(s->a, s->text + start, size);
    if (!isfinite(number))
        return fail_at(s, start, "the number is too large");
    if (size > NUMBER_TEXT_MAX)
        rewrite_number(s, start, number);
    return 0;
}

static int scan_word(struct scan *s, const char *word)
{
    size_t size = strlen(word);
    if (s->size - s->at < size || memcmp(s->text + s->at, word, size) != 0)
        return fail_at(s, s->at, "expected a value");
    s->at += size;
    return 0;
}

static int scan_member(struct scan *s)
{
    if (peek(s) != '"')
        return fail(s, "expected a member's name in double quotes");
    if (++s->names == s->name_wanted)
        s->name_at = s->at;
    if (scan_string(s) < 0)
        return -1;
    skip_space(s);
    if (!take(s, ':'))
        return fail(s, "expected ':' after a member's name");
    return scan_value(s);
}

/* An object or an array, at its bracket. */
static int scan_container(struct scan *s, char close)
{
    bool is_object = close == '}';
    if (s->depth == JSON_DEPTH_MAX)
        return fail(s, "nested deeper than 64 levels");
    s->at++;
    s->depth++;
    skip_space(s);
    bool more = !take(s, close);
    while (more) {
        skip_space(s);
        if ((is_object ? scan_member(s) : scan_value(s)) < 0)
            return -1;
        more = take(s, ',');
        if (!more && !take(s, close))
            return fail(s, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    s->depth--;
    return 0;
}

/* A value with the white space around it. */
static int scan_value(struct scan *s)
{
    skip_space(s);
    if (++s->values > JSON_VALUES_MAX)
        return fail(s, "more than 1000000 values");
    int c = peek(s);
    int failed;
    if (c == '{')
        failed = scan_container(s, '}');
    else if (c == '[')
        failed = scan_container(s, ']');
    else if (c == '"')
        failed = scan_string(s);
    else if (c == '-' || (c >= '0' && c <= '9'))
        failed = scan_number(s);
    else if (c == 't')
        failed = scan_word(s, "true");
    else if (c == 'f')
        failed = scan_word(s, "false");
    else if (c == 'n')
        failed = scan_word(s, "null");
    else
        failed = fail(s, "expected a value");
    if (failed)
        return -1;
    skip_space(s);
    return 0;
}

static int scan_text(struct scan *s)
{
    _Static_assert(JSON_DEPTH_MAX == 64 && JSON_VALUES_MAX == 1000000, "named in the messages");
    if (s->size >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0)
        return fail(s, "a byte-order mark is not allowed");
    if (scan_value(s) < 0)
        return -1;
    return s->at == s->size ? 0 : fail(s, "text after the end of the value");
}

struct name {
    const char *text;
    size_t number;
};

struct name_check {
    struct name *stack; /* those of an object lie above those of the objects around it */
    size_t size;
    size_t names;
    size_t repeated; /* the number of a name that its object had before; 0: none */
};

static int name_compare(const void *a, const void *b)
{
    const struct name *x = a;
    const struct name *y = b;
    int order = strcmp(x->text, y->text);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

/* Sorting, since comparing each name with each other one takes minutes for a hostile megabyte. */
static void check_names(struct name_check *check, const cJSON *value)
{
    size_t base = check->size;
    for (const cJSON *child = value->child; child && !check->repeated; child = child->next) {
        if (child->string)
            check->stack[check->size++] = (struct name){child->string, ++check->names};
        if (child->child)
            check_names(check, child);
    }
    if (check->size - base > 1)
        qsort(check->stack + base, check->size - base, sizeof(*check->stack), name_compare);
    for (size_t i = base + 1; i < check->size && !check->repeated; i++) {
        if (strcmp(check->stack[i - 1].text, check->stack[i].text) == 0)
            check->repeated = check->stack[i].number;
    }
    check->size = base;
}

static int refuse_repeated_names(const struct scan *s, const cJSON *value)
{
    struct name_check check = {.stack = arena_alloc(s->a, s->names * sizeof(struct name))};
    check_names(&check, value);
    if (!check.repeated)
        return 0;
    struct scan again = {
        .a = s->a, .text = s->text, .size = s->size, .name_wanted = check.repeated};
    (void)scan_text(&again);
    return fail_at(s, again.name_at, "the name is repeated in its object");
}

static void release_value(void *value)
{
    cJSON_Delete(value);
}

int json_parse(struct arena *a, const char *text, size_t size, cJSON **ret_value,
               struct error *reterr)
{
    struct scan s = {.a = a, .text = text, .size = size, .reterr = reterr};
    if (scan_text(&s) < 0)
        return -1;
    const char *source = s.rewritten ? s.rewritten : text;
    cJSON *value = cJSON_ParseWithLengthOpts(source, size, NULL, false);
    if (!arena_own(a, value, release_value))
        return error_set(reterr, ERR_INTERNAL, "The JSON could not be taken in.");
    if (refuse_repeated_names(&s, value) < 0)
        return -1;
    *ret_value = value;
    return 0;
}

static void format_integer(double number, char ret_text[JSON_NUMBER_SIZE])
{
    char *at = ret_text;
    if (signbit(number))
        *at++ = '-'; /* of zero too */
    *decimal_digits(at, (uint64_t)fabs(number), 1) = '\0';
}

void json_format_number(double number, char ret_text[JSON_NUMBER_SIZE])
{
    char text[JSON_NUMBER_SIZE] = "null";
    bool is_large = fabs(number) > JSON_INTEGER_MAX;
    if (!is_large && number == trunc(number)) {
        format_integer(number, ret_text);
        return;
    }
    if (!isfinite(number)) {
        memcpy(ret_text, text, sizeof(text));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    char *point = strchr(text, localeconv()->decimal_point[0]);
    if (point)
        *point = '.';
    else if (is_large && !strchr(text, 'e'))
        memcpy(text + strlen(text), ".0", 3); /* as an integer json_parse() would refuse it */
    memcpy(ret_text, text, sizeof(text));
}

static void print_value(struct strbuf *sb, const cJSON *value);

static void print_children(struct strbuf *sb, const cJSON *value, char open, char close)
{
    strbuf_addch(sb, open);
    for (const cJSON *child = value->child; child; child = child->next) {
        if (child != value->child)
            strbuf_addch(sb, ',');
        if (open == '{') {
            strbuf_add_json(sb, child->string, strlen(child->string));
            strbuf_addch(sb, ':');
        }
        print_value(sb, child);
    }
    strbuf_addch(sb, close);
}

static void print_value(struct strbuf *sb, const cJSON *value)
{
    char number[JSON_NUMBER_SIZE];
    switch (value->type & 0xff) {
    case cJSON_False:
        strbuf_addstr(sb, "false");
        break;
    case cJSON_True:
        strbuf_addstr(sb, "true");
        break;
    case cJSON_Number:
        json_format_number(value->valuedouble, number);
        strbuf_addstr(sb, number);
        break;
    case cJSON_String:
        strbuf_add_json(sb, value->valuestring, strlen(value->valuestring));
        break;
    case cJSON_Raw:
        strbuf_addstr(sb, value->valuestring);
        break;
    case cJSON_Array:
        print_children(sb, value, '[', ']');
        break;
    case cJSON_Object:
        print_children(sb, value, '{', '}');
        break;
    default:
        strbuf_addstr(sb, "null");
        break;
    }
}

static void release_text(void *sb)
{
    strbuf_release(sb);
}

char *json_print(struct arena *a, const cJSON *value, size_t *ret_size)
{
    struct strbuf *sb = arena_alloc(a, sizeof(*sb));
    *sb = (struct strbuf)STRBUF_INIT;
    (void)arena_own(a, sb, release_text);
    print_value(sb, value);
    if (ret_size)
        *ret_size = sb->size;
    return sb->text;
}

cJSON *json_object(struct arena *a)
{
    cJSON *object = cJSON_CreateObject();
    if (!object)
        out_of_memory();
    return arena_own(a, object, release_value);
}

cJSON *json_copy(const cJSON *value)
{
    cJSON *copy = cJSON_Duplicate(value, true);
    if (!copy)
        out_of_memory();
    return copy;
}

cJSON *json_member(const cJSON *object, const char *name)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

bool json_is_integer(const cJSON *value)
{
    return cJSON_IsNumber(value) && fabs(value->valuedouble) <= JSON_INTEGER_MAX &&
           value->valuedouble == trunc(value->valuedouble);
}
