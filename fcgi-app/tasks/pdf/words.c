/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Splits a page's text into words with boxes.
 *
 * Text and boxes go in step, a box for a character, but for the marks that Poppler puts around text
 * that runs against the direction of its line (U+202A to U+202C), and for what it could not write.
 */
#include "tasks/pdf/words.h"

#include <math.h>
#include <string.h>

#define APART 0.8      /* of a character's larger side: farther from the last one is another word */
#define PARAGRAPH 0.75 /* of a line's height: farther below the last line is another paragraph */

static bool is_mark(const char *at)
{
    return (unsigned char)at[0] == 0xe2 && (unsigned char)at[1] == 0x80 &&
           (unsigned char)at[2] >= 0xaa && (unsigned char)at[2] <= 0xac;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct word_box widened(struct word_box box, const PopplerRectangle *r)
{
    box.left = fmin(box.left, fmin(r->x1, r->x2));
    box.top = fmin(box.top, fmin(r->y1, r->y2));
    box.right = fmax(box.right, fmax(r->x1, r->x2));
    box.bottom = fmax(box.bottom, fmax(r->y1, r->y2));
    return box;
}

struct splitter {
    const PopplerRectangle *boxes, *last; /* last: of the word's last character */
    guint box_count, next_box;
    bool has_boxes_for_marks; /* the document's own marks */
    bool starts_line;
};

/* The box of the character at `at`; NULL when it has none. */
static const PopplerRectangle *peek_box(const struct splitter *s, const char *at)
{
    if (s->next_box >= s->box_count || (is_mark(at) && !s->has_boxes_for_marks))
        return NULL;
    return &s->boxes[s->next_box];
}

static const PopplerRectangle *next_box(struct splitter *s, const char *at)
{
    const PopplerRectangle *box = peek_box(s, at);
    s->next_box += box != NULL;
    return box;
}

static void skip_space(struct splitter *s, const char **at)
{
    for (; is_space(**at); (*at)++) {
        (void)next_box(s, *at);
        s->starts_line = s->starts_line || **at == '\n';
    }
}

/* Lines that Poppler takes for one have no space between their words. */
static bool stands_apart(struct splitter *s, const char *at)
{
    const PopplerRectangle *a = s->last, *b = peek_box(s, at);
    if (a == NULL || b == NULL)
        return false;
    double size = fmax(fabs(a->x2 - a->x1), fabs(a->y2 - a->y1));
    double across = fmax(b->x1 - a->x2, a->x1 - b->x2), down = fmax(b->y1 - a->y2, a->y1 - b->y2);
    if (fmax(across, down) <= APART * size)
        return false;
    s->starts_line = down > 0;
    return true;
}

/* What has no box of its own, since Poppler gave too few, stands where the last character stood. */
static struct word_box box_or_last(struct word_box box, const struct splitter *s)
{
    const PopplerRectangle *last = s->next_box > 0 ? &s->boxes[s->next_box - 1] : NULL;
    if (isfinite(box.left + box.top + box.right + box.bottom))
        return box;
    return last != NULL ? (struct word_box){last->x2, last->y1, last->x2, last->y2}
                        : (struct word_box){0};
}

static struct word read_word(struct splitter *s, const char **at)
{
    struct word word = {.text = *at, .starts_line = s->starts_line};
    struct word_box box = {INFINITY, INFINITY, -INFINITY, -INFINITY};

    s->starts_line = false;
    s->last = NULL;
    while (**at != '\0' && !is_space(**at) && !stands_apart(s, *at)) {
        const PopplerRectangle *next = next_box(s, *at);
        if (next != NULL) {
            box = widened(box, next);
            s->last = next;
        }
        word.length++;
        *at = g_utf8_next_char(*at);
    }
    word.size = (size_t)(*at - word.text);
    word.box = box_or_last(box, s);
    return word;
}

static void split(struct page_words *p, struct splitter *s)
{
    GArray *words = g_array_new(FALSE, FALSE, sizeof(struct word));
    const char *at = p->text;
    s->starts_line = true;
    for (skip_space(s, &at); *at != '\0'; skip_space(s, &at)) {
        struct word word = read_word(s, &at);
        p->characters += word.length;
        g_array_append_val(words, word);
    }
    p->count = (int)words->len;
    p->words = (struct word *)(void *)g_array_free(words, FALSE);
}

/* Form feeds end pages; a page's own would be taken for such. */
static char *clean(char *text)
{
    char *valid = g_utf8_make_valid(text != NULL ? text : "", -1);
    g_free(text);
    for (char *at = valid; (at = strchr(at, '\f')) != NULL;)
        *at = ' ';
    return valid;
}

void page_words_read(struct page_words *p, PopplerPage *page)
{
    PopplerRectangle *boxes = NULL;
    guint box_count = 0;

    *p = (struct page_words){.text = clean(poppler_page_get_text(page))};
    if (!poppler_page_get_text_layout(page, &boxes, &box_count))
        box_count = 0;
    struct splitter s = {.boxes = boxes, .box_count = box_count};
    s.has_boxes_for_marks = box_count == (guint)g_utf8_strlen(p->text, -1);
    split(p, &s);
    g_free(boxes);
}

void page_words_release(struct page_words *p)
{
    g_free(p->text);
    g_free(p->words);
    *p = (struct page_words){0};
}

/* A new paragraph: it stands off the line above, or, in the next column, not below it at all. */
static bool starts_paragraph(const struct word *last, const struct word *w)
{
    double height = fmin(last->box.bottom - last->box.top, w->box.bottom - w->box.top);
    return w->box.top - last->box.bottom > PARAGRAPH * height || w->box.bottom < last->box.top;
}

GString *page_words_reading(const struct page_words *p)
{
    GString *out = g_string_new(NULL);
    for (int i = 0; i < p->count; i++) {
        const struct word *w = &p->words[i];
        if (i > 0 && w->starts_line && starts_paragraph(w - 1, w))
            g_string_append(out, "\n\n");
        else if (i > 0)
            g_string_append_c(out, w->starts_line ? '\n' : ' ');
        g_string_append_len(out, w->text, (gssize)w->size);
    }
    if (p->count > 0)
        g_string_append_c(out, '\n');
    return out;
}
