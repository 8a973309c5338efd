/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pdf_writer.h - documents written object by object, as no program would write them
 *
 * The catalogue is number 1, the tree of pages 2, the page 3. Numbers are those of the objects in
 * the file; what is written is the caller's.
 */
#ifndef PDF_WRITER_H
#define PDF_WRITER_H

#include <glib.h>

enum { CATALOGUE = 1, PAGES, PAGE, FIRST };

struct file {
    GPtrArray *objects; /* GString, from number 1 */
};

/* A document of one page, whose dictionary has `page` too, and the catalogue `catalogue`. */
struct file *file_new(const char *catalogue, const char *page);

/* One more object; its number. */
int add(struct file *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
int add_stream(struct file *f, const char *entries, const void *bytes, size_t size);
GString *object(struct file *f, int number);

/* `count` objects, in which @ stands for the next one, ^ for the one before; then `last`. */
void add_chain(struct file *f, const char *object_of_chain, int count, const char *last);

/* `[first 0 R … ]` of `count` numbers in a row; g_free() it. */
char *references(int first, int count);

/* The file's bytes; frees the document. */
GString *file_end(struct file *f);
/* The same with all objects within one other: Poppler then reads nothing of the file for them. */
GString *file_end_packed(struct file *f);

#endif
