/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf_writer.c - see pdf_writer.h
 */
#include "pdf_writer.h"

#include <stdarg.h>

int add(struct file *f, const char *format, ...)
{
    GString *object = g_string_new(NULL);
    va_list arguments;
    va_start(arguments, format);
    g_string_append_vprintf(object, format, arguments);
    va_end(arguments);
    g_ptr_array_add(f->objects, object);
    return (int)f->objects->len;
}

GString *object(struct file *f, int number)
{
    return f->objects->pdata[number - 1];
}

int add_stream(struct file *f, const char *entries, const void *bytes, size_t size)
{
    int number = add(f, "<< /Length %zu %s >>\nstream\n", size, entries);
    g_string_append_len(object(f, number), bytes, (gssize)size);
    g_string_append(object(f, number), "\nendstream");
    return number;
}

struct file *file_new(const char *catalogue, const char *page)
{
    struct file *f = g_new0(struct file, 1);
    f->objects = g_ptr_array_new();
    add(f, "<< /Type /Catalog /Pages 2 0 R %s >>", catalogue);
    add(f, "<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    add(f, "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 200] %s >>", page);
    return f;
}

void add_chain(struct file *f, const char *object_of_chain, int count, const char *last)
{
    for (int i = 0; i < count; i++) {
        int number = add(f, "%s", "");
        for (const char *at = object_of_chain; *at != '\0'; at++) {
            if (*at == '@' || *at == '^')
                g_string_append_printf(object(f, number), "%d 0 R",
                                       *at == '@' ? number + 1 : number - 1);
            else
                g_string_append_c(object(f, number), *at);
        }
    }
    add(f, "%s", last);
}

char *references(int first, int count)
{
    GString *list = g_string_new("[");
    for (int i = 0; i < count; i++)
        g_string_append_printf(list, "%d 0 R ", first + i);
    g_string_append(list, "]");
    return g_string_free(list, FALSE);
}

static void file_free(struct file *f)
{
    for (guint i = 0; i < f->objects->len; i++)
        g_string_free(f->objects->pdata[i], TRUE);
    g_ptr_array_free(f->objects, TRUE);
    g_free(f);
}

GString *file_end(struct file *f)
{
    GString *out = g_string_new("%PDF-1.7\n"), *table = g_string_new(NULL);
    for (guint i = 0; i < f->objects->len; i++) {
        const GString *each = f->objects->pdata[i];
        g_string_append_printf(table, "%010zu 00000 n \n", out->len);
        g_string_append_printf(out, "%u 0 obj\n", i + 1);
        g_string_append_len(out, each->str, (gssize)each->len);
        g_string_append(out, "\nendobj\n");
    }
    size_t start = out->len;
    g_string_append_printf(out,
                           "xref\n0 %u\n0000000000 65535 f \n%strailer\n<< /Size %u /Root 1 0 R "
                           ">>\nstartxref\n%zu\n%%%%EOF\n",
                           f->objects->len + 1, table->str, f->objects->len + 1, start);
    g_string_free(table, TRUE);
    file_free(f);
    return out;
}

/* A row of a table of references: type, offset or stream, index within it; 1, 4 and 4 bytes. */
static void add_row(GString *rows, int type, size_t where, guint index)
{
    guint32 numbers[2] = {GUINT32_TO_BE((guint32)where), GUINT32_TO_BE(index)};
    g_string_append_c(rows, (char)type);
    g_string_append_len(rows, (const char *)numbers, sizeof(numbers));
}

GString *file_end_packed(struct file *f)
{
    GString *out = g_string_new("%PDF-1.7\n"), *rows = g_string_new(NULL);
    GString *index = g_string_new(NULL), *body = g_string_new(NULL);
    guint count = f->objects->len, pack = count + 1, table = count + 2;

    add_row(rows, 0, 0, 0);
    for (guint i = 0; i < count; i++) {
        const GString *each = f->objects->pdata[i];
        g_string_append_printf(index, "%u %zu ", i + 1, body->len);
        g_string_append_printf(body, "%s\n", each->str);
        add_row(rows, 2, pack, i);
    }
    add_row(rows, 1, out->len, 0);
    g_string_append_printf(out,
                           "%u 0 obj\n<< /Type /ObjStm /N %u /First %zu /Length %zu >>\nstream\n",
                           pack, count, index->len, index->len + body->len);
    g_string_append_printf(out, "%s%s\nendstream\nendobj\n", index->str, body->str);
    size_t start = out->len;
    add_row(rows, 1, start, 0);
    g_string_append_printf(
        out, "%u 0 obj\n<< /Type /XRef /Size %u /W [1 4 4] /Root 1 0 R /Length %zu >>\nstream\n",
        table, table + 1, rows->len);
    g_string_append_len(out, rows->str, (gssize)rows->len);
    g_string_append_printf(out, "\nendstream\nendobj\nstartxref\n%zu\n%%%%EOF\n", start);
    g_string_free(rows, TRUE);
    g_string_free(index, TRUE);
    g_string_free(body, TRUE);
    file_free(f);
    return out;
}
