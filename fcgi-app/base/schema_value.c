/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schema_value.c - when two JSON values are equal, and when a number is a multiple
 *
 * Equality goes by a canonical text. Comparing trees instead would cost n² for n items, or for n
 * members in another order; texts are sorted.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/schema_internal.h"

unsigned schema_type_of(const cJSON *value)
{
    switch (value->type & 0xff) {
    case cJSON_NULL:
        return SCHEMA_NULL;
    case cJSON_True:
    case cJSON_False:
        return SCHEMA_BOOLEAN;
    case cJSON_Number:
        return json_is_integer(value) ? SCHEMA_INTEGER : SCHEMA_FRACTION;
    case cJSON_String:
        return SCHEMA_STRING;
    case cJSON_Array:
        return SCHEMA_ARRAY;
    case cJSON_Object:
        return SCHEMA_OBJECT;
    default:
        return 0;
    }
}

static int name_compare(const void *a, const void *b)
{
    const cJSON *const *x = a;
    const cJSON *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

static void canonical_object(struct strbuf *sb, struct arena *scratch, const cJSON *object)
{
    size_t count = (size_t)cJSON_GetArraySize(object);
    const cJSON **members = arena_alloc(scratch, count * sizeof(*members));
    size_t at = 0;
    for (const cJSON *member = object->child; member; member = member->next)
        members[at++] = member;
    qsort(members, count, sizeof(*members), name_compare);
    for (size_t i = 0; i < count; i++) {
        strbuf_add_json(sb, members[i]->string, strlen(members[i]->string));
        strbuf_addch(sb, ':');
        schema_canonical(sb, scratch, members[i]);
        strbuf_addch(sb, ',');
    }
}

void schema_canonical(struct strbuf *sb, struct arena *scratch, const cJSON *value)
{
    char number[JSON_NUMBER_SIZE];
    switch (schema_type_of(value)) {
    case SCHEMA_NULL:
        strbuf_addstr(sb, "null");
        break;
    case SCHEMA_BOOLEAN:
        strbuf_addstr(sb, cJSON_IsTrue(value) ? "true" : "false");
        break;
    case SCHEMA_INTEGER:
    case SCHEMA_FRACTION:
        json_format_number(value->valuedouble + 0.0, number); /* −0 becomes 0 */
        strbuf_addstr(sb, number);
        break;
    case SCHEMA_STRING:
        strbuf_add_json(sb, value->valuestring, strlen(value->valuestring));
        break;
    case SCHEMA_ARRAY:
        strbuf_addch(sb, '[');
        for (const cJSON *item = value->child; item; item = item->next) {
            schema_canonical(sb, scratch, item);
            strbuf_addch(sb, ',');
        }
        strbuf_addch(sb, ']');
        break;
    case SCHEMA_OBJECT:
        strbuf_addch(sb, '{');
        canonical_object(sb, scratch, value);
        strbuf_addch(sb, '}');
        break;
    default:
        break;
    }
}

struct item {
    size_t begin, size; /* in the buffer of canonical texts */
    const char *text;
    size_t index;
};

static int item_compare_text(const struct item *x, const struct item *y)
{
    int order = memcmp(x->text, y->text, x->size < y->size ? x->size : y->size);
    return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static int item_compare(const void *a, const void *b)
{
    const struct item *x = a;
    const struct item *y = b;
    int order = item_compare_text(x, y);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

bool schema_find_equal_items(struct arena *scratch, const cJSON *array, size_t *ret_first,
                             size_t *ret_second)
{
    struct strbuf sb = STRBUF_INIT;
    size_t count = (size_t)cJSON_GetArraySize(array);
    struct item *items = arena_alloc(scratch, count * sizeof(*items));
    size_t at = 0;
    for (const cJSON *value = array->child; value; value = value->next, at++) {
        items[at].begin = sb.size;
        schema_canonical(&sb, scratch, value);
        items[at].size = sb.size - items[at].begin;
        items[at].index = at;
    }
    for (size_t i = 0; i < count; i++)
        items[i].text = sb.text + items[i].begin;
    qsort(items, count, sizeof(*items), item_compare);
    size_t second = 0;
    for (size_t i = 1; i < count && second == 0; i++) {
        if (item_compare_text(&items[i - 1], &items[i]) == 0)
            second = i;
    }
    strbuf_release(&sb);
    if (second == 0)
        return false;
    *ret_first = items[second - 1].index;
    *ret_second = items[second].index;
    return true;
}

struct schema_decimal schema_decimal(double number)
{
    char text[JSON_NUMBER_SIZE];
    struct schema_decimal decimal = {0, 0};
    int precision = 14; /* digits after the first; as json_format_number() has it */
    for (;; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, fabs(number));
        if (precision == 16 || strtod(text, NULL) == fabs(number))
            break;
    }
    const char *p = text;
    for (; *p && *p != 'e'; p++) { /* the locale's decimal point is skipped, whatever it is */
        if (*p >= '0' && *p <= '9')
            decimal.digits = decimal.digits * 10 + (uint64_t)(*p - '0');
    }
    if (*p == 'e')
        decimal.exponent = (int)strtol(p + 1, NULL, 10) - precision;
    return decimal;
}

/* 10^exponent modulo m, by squaring: the exponent may be several hundred. */
static uint64_t power_of_ten_mod(int exponent, uint64_t m)
{
    unsigned __int128 result = 1 % m;
    unsigned __int128 base = 10 % m;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1)
            result = result * base % m;
        base = base * base % m;
    }
    return (uint64_t)result;
}

/*
 * In decimals, as the client wrote them: 0.07 is 7 × 0.01, though the doubles' quotient is
 * 7.000000000000001. With d digits and e exponents, number / unit is whole if and only if
 * d_unit divides d_number × 10^(e_number − e_unit).
 */
bool schema_is_multiple(double number, const struct schema_decimal *unit)
{
    if (number == 0)
        return true;
    struct schema_decimal x = schema_decimal(number);
    int shift = x.exponent - unit->exponent;
    if (shift >= 0) {
        unsigned __int128 rest = x.digits % unit->digits;
        return rest * power_of_ten_mod(shift, unit->digits) % unit->digits == 0;
    }
    if (shift < -17) /* 10^18 > x.digits */
        return false;
    unsigned __int128 divisor = unit->digits;
    for (; shift < 0; shift++)
        divisor *= 10;
    return x.digits % divisor == 0;
}
