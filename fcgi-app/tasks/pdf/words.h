/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * words.h - the text of a page, and where its words stand
 *
 * Poppler gives a page's text in reading order, and a box for each character of it. Words are what
 * stands between its white space, and what stands apart though there is none.
 */
#ifndef PDF_WORDS_H
#define PDF_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include <poppler.h>

/* A rectangle in points; from the top left of the page as it is shown. */
struct word_box {
    double left, top, right, bottom;
};

struct word {
    const char *text; /* within the page's text; not terminated */
    size_t size;
    int length; /* in characters */
    struct word_box box;
    bool starts_line;
};

struct page_words {
    char *text;         /* Poppler's */
    int characters;     /* of all words */
    struct word *words; /* in reading order */
    int count;
};

/* Release it with page_words_release(). Takes as long as drawing the page: it cannot be stopped. */
void page_words_read(struct page_words *p, PopplerPage *page);
void page_words_release(struct page_words *p);

/* The text in reading order, valid UTF-8 without form feeds: a line each, paragraphs set apart. */
GString *page_words_reading(const struct page_words *p);

/* The text of the words as pdftotext -layout shows it: lines and columns where they are on paper.
 */
GString *page_words_layout(const struct page_words *p);

#endif
