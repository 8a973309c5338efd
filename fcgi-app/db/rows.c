/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rows.c - what statements return; see db.h
 *
 * Rows and columns that are not there read as NULL: libpq says so by itself.
 */
#include "db/db_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLOAT4_OID 700
#define FLOAT8_OID 701

int db_count(const struct db_rows *rows)
{
    return PQntuples(rows->result);
}

bool db_is_null(const struct db_rows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column) != 0;
}

const char *db_get_text(const struct db_rows *rows, int row, int column)
{
    return db_is_null(rows, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

static bool is_binary(const struct db_rows *rows, int column)
{
    return PQfformat(rows->result, column) == 1;
}

/* Big-endian, 1, 2, 4 or 8 bytes. */
static uint64_t read_bits(const char *bytes, int size)
{
    uint64_t bits = 0;
    for (int i = 0; i < size && i < 8; i++)
        bits = bits << 8 | (unsigned char)bytes[i];
    return bits;
}

static int64_t read_int(const char *bytes, int size)
{
    uint64_t bits = read_bits(bytes, size);
    switch (size) {
    case 2:
        return (int16_t)bits;
    case 4:
        return (int32_t)bits;
    default:
        return (int64_t)bits;
    }
}

static double read_real(const char *bytes, int size, Oid type)
{
    if (type == FLOAT8_OID && size == 8) {
        uint64_t bits = read_bits(bytes, size);
        double value;
        memcpy(&value, &bits, sizeof(value));
        return value;
    }
    if (type == FLOAT4_OID && size == 4) {
        uint32_t bits = (uint32_t)read_bits(bytes, size);
        float value;
        memcpy(&value, &bits, sizeof(value));
        return (double)value;
    }
    return (double)read_int(bytes, size);
}

int64_t db_get_int(const struct db_rows *rows, int row, int column)
{
    const char *text = db_get_text(rows, row, column);
    if (!text)
        return 0;
    if (is_binary(rows, column))
        return read_int(text, PQgetlength(rows->result, row, column));
    return strtoll(text, NULL, 10);
}

double db_get_real(const struct db_rows *rows, int row, int column)
{
    const char *text = db_get_text(rows, row, column);
    if (!text)
        return NAN;
    if (is_binary(rows, column))
        return read_real(text, PQgetlength(rows->result, row, column),
                         PQftype(rows->result, column));
    return strtod(text, NULL);
}

bool db_get_bool(const struct db_rows *rows, int row, int column)
{
    const char *text = db_get_text(rows, row, column);
    return text && (is_binary(rows, column) ? text[0] != 0 : text[0] == 't');
}

const void *db_get_bytes(const struct db_rows *rows, int row, int column, size_t *ret_size)
{
    const char *bytes = db_get_text(rows, row, column);
    *ret_size = bytes ? (size_t)PQgetlength(rows->result, row, column) : 0;
    return bytes;
}

int db_affected(const struct db_rows *rows)
{
    return (int)strtol(PQcmdTuples(rows->result), NULL, 10);
}
