/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text as it stands on paper, since Poppler's GLib interface has none of pdftotext's modes.
 *
 * Words at one height are a row; those of a row that follow each other closely are a segment. A
 * segment goes to the column right of all segments of the page that end left of it, so that what
 * begins at one place in several rows begins in one column. All of it is sorted and swept once:
 * a page may have a million words.
 */
#include "tasks/pdf/words.h"

#include <math.h>
#include <stdlib.h>

#define SEGMENT_GAP 0.8  /* of the words' height: more than a space, however it is justified */
#define SAME_ROW 0.5     /* of the lower word's height, between two words' middles */
#define COLUMNS_MAX 1000 /* where a segment may begin, if its row leaves it the choice */
#define EMPTY_LINES_MAX 4

struct segment {
    int first, count; /* words in the order of rows */
    int row, length;  /* length in characters, a space between words */
    int column;
    struct word_box box;
};

struct layout {
    const struct word **words; /* row by row, each from left to right */
    int *rows;                 /* of each of them */
    struct segment *segments;  /* row by row, each from left to right */
    int word_count, segment_count;
    double unit; /* width of a column: the page's mean character */
};

static double middle(const struct word *w)
{
    return (w->box.top + w->box.bottom) / 2;
}

static double height(const struct word_box *box)
{
    return fmax(box->bottom - box->top, 0.1);
}

static int by_middle(const void *a, const void *b)
{
    const struct word *x = *(const struct word *const *)a, *y = *(const struct word *const *)b;
    return (middle(x) > middle(y)) - (middle(x) < middle(y));
}

static int by_left(const void *a, const void *b)
{
    const struct word *x = *(const struct word *const *)a, *y = *(const struct word *const *)b;
    return (x->box.left > y->box.left) - (x->box.left < y->box.left);
}

/* Sorts each row by itself, once its words are known. */
static void find_rows(struct layout *l)
{
    int row = 0, begin = 0;
    qsort(l->words, (size_t)l->word_count, sizeof(*l->words), by_middle);
    for (int i = 1; i <= l->word_count; i++) {
        const struct word *last = l->words[i - 1], *next = i < l->word_count ? l->words[i] : NULL;
        double lower = next != NULL ? fmin(height(&last->box), height(&next->box)) : 0;
        l->rows[i - 1] = row;
        if (next != NULL && middle(next) - middle(l->words[begin]) <= SAME_ROW * lower)
            continue;
        qsort(l->words + begin, (size_t)(i - begin), sizeof(*l->words), by_left);
        begin = i;
        row++;
    }
}

static void add_word(struct segment *s, const struct word *w)
{
    s->length += (s->count++ > 0) + w->length;
    s->box.top = fmin(s->box.top, w->box.top);
    s->box.right = fmax(s->box.right, w->box.right);
    s->box.bottom = fmax(s->box.bottom, w->box.bottom);
}

static bool belongs(const struct segment *s, int row, const struct word *w)
{
    double lower = fmin(height(&s->box), height(&w->box));
    return s->row == row && w->box.left - s->box.right <= SEGMENT_GAP * lower;
}

static void find_segments(struct layout *l)
{
    struct segment *s = NULL;
    double width = 0, length = 0;
    for (int i = 0; i < l->word_count; i++) {
        const struct word *w = l->words[i];
        if (s == NULL || !belongs(s, l->rows[i], w)) {
            s = &l->segments[l->segment_count++];
            *s = (struct segment){.first = i, .row = l->rows[i], .box = w->box};
        }
        add_word(s, w);
        width += w->box.right - w->box.left;
        length += w->length;
    }
    l->unit = fmax(width / fmax(length, 1), 0.5);
}

/* Columns. */

static const struct segment *const *segment_at(const void *a)
{
    return (const struct segment *const *)a;
}

static int segments_by_left(const void *a, const void *b)
{
    double x = (*segment_at(a))->box.left, y = (*segment_at(b))->box.left;
    return (x > y) - (x < y);
}

static int segments_by_right(const void *a, const void *b)
{
    double x = (*segment_at(a))->box.right, y = (*segment_at(b))->box.right;
    return (x > y) - (x < y);
}

/* How far right of its place on a grid of units a segment ends. */
static double shift_after(const struct layout *l, const struct segment *s)
{
    return s->column + s->length - s->box.right / l->unit;
}

static void find_columns(struct layout *l)
{
    size_t count = (size_t)l->segment_count;
    struct segment **lefts = g_new(struct segment *, count), **rights;
    for (size_t i = 0; i < count; i++)
        lefts[i] = &l->segments[i];
    rights = g_memdup2(lefts, count * sizeof(*lefts));
    qsort(lefts, count, sizeof(*lefts), segments_by_left);
    qsort(rights, count, sizeof(*rights), segments_by_right);

    double shift = -lefts[0]->box.left / l->unit;
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        double left = lefts[i]->box.left;
        /* Only what began before has its column: a segment without width ends where it begins. */
        while (ended < count && rights[ended]->box.right <= left && rights[ended]->box.left < left)
            shift = fmax(shift, shift_after(l, rights[ended++]));
        double column = ceil(left / l->unit + shift - 0.01);
        lefts[i]->column = (int)fmin(fmax(column, 0), COLUMNS_MAX);
    }
    g_free(rights);
    g_free(lefts);
}

/* Writing. */

static void write_padding(GString *out, char c, int count)
{
    for (int i = 0; i < count; i++)
        g_string_append_c(out, c);
}

static bool is_right_to_left(const struct word *w)
{
    gunichar c = g_utf8_get_char(w->text);
    if (c >= 0x202a && c <= 0x202c && w->length > 1) /* what it is wrapped in */
        c = g_utf8_get_char(g_utf8_next_char(w->text));
    return (c >= 0x590 && c <= 0x8ff) || (c >= 0xfb1d && c <= 0xfdff) ||
           (c >= 0xfe70 && c <= 0xfeff);
}

/* Hebrew and Arabic are read, and written to a file, from right to left. */
static void write_segment(GString *out, const struct layout *l, const struct segment *s)
{
    int backwards = 0;
    for (int i = 0; i < s->count; i++)
        backwards += is_right_to_left(l->words[s->first + i]) ? 1 : -1;
    for (int i = 0; i < s->count; i++) {
        const struct word *w = l->words[s->first + (backwards > 0 ? s->count - 1 - i : i)];
        if (i > 0)
            g_string_append_c(out, ' ');
        g_string_append_len(out, w->text, (gssize)w->size);
    }
}

/* Line feeds between two rows: as many as lines of the lower one's height would fit. */
static int feeds_between(const struct segment *above, const struct segment *below)
{
    double lower = fmin(height(&above->box), height(&below->box));
    double feeds = (below->box.bottom - above->box.bottom) / (lower * 1.1);
    return (int)fmin(fmax(floor(feeds), 1), 1 + EMPTY_LINES_MAX);
}

static GString *write_all(const struct layout *l)
{
    GString *out = g_string_new(NULL);
    int column = 0;
    for (int i = 0; i < l->segment_count; i++) {
        const struct segment *s = &l->segments[i], *last = i > 0 ? s - 1 : NULL;
        if (last != NULL && last->row == s->row) {
            write_padding(out, ' ', MAX(s->column - column, 1));
            column = MAX(s->column, column + 1);
        } else {
            write_padding(out, '\n', last != NULL ? feeds_between(last, s) : 0);
            write_padding(out, ' ', s->column);
            column = s->column;
        }
        write_segment(out, l, s);
        column += s->length;
    }
    if (l->segment_count > 0)
        g_string_append_c(out, '\n');
    return out;
}

GString *page_words_layout(const struct page_words *p)
{
    struct layout l = {.word_count = p->count};
    size_t count = (size_t)p->count;
    if (count == 0)
        return g_string_new(NULL);
    l.words = g_new(const struct word *, count);
    l.rows = g_new(int, count);
    l.segments = g_new(struct segment, count);
    for (int i = 0; i < p->count; i++)
        l.words[i] = &p->words[i];
    find_rows(&l);
    find_segments(&l);
    find_columns(&l);
    GString *out = write_all(&l);
    g_free(l.segments);
    g_free(l.rows);
    g_free(l.words);
    return out;
}
