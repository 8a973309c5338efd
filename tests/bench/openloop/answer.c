/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines are gathered, bodies are skipped: a generator that looked at every byte of a picture would
 * take the processor from what it measures.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void first_line(struct answer *a)
{
    if (strncmp(a->line, "HTTP/1.", 7) != 0 || a->line_size < 12) {
        a->part = ANSWER_BROKEN;
        return;
    }
    a->is_begun = true;
    a->is_last = a->line[7] == '0';
    a->status = (int)strtol(a->line + 9, NULL, 10);
    if (a->status < 100 || a->status > 599)
        a->part = ANSWER_BROKEN;
}

static void field(struct answer *a)
{
    if (strncasecmp(a->line, "Content-Length:", 15) == 0) {
        a->has_length = true;
        a->left = strtoull(a->line + 15, NULL, 10);
    } else if (strncasecmp(a->line, "Transfer-Encoding:", 18) == 0) {
        a->is_chunked = strcasestr(a->line + 18, "chunked") != NULL;
    } else if (strncasecmp(a->line, "Connection:", 11) == 0) {
        a->is_last = strcasestr(a->line + 11, "close") != NULL;
    }
}

static void head_ends(struct answer *a)
{
    if (a->status < 200) { /* 100 Continue: the answer itself comes behind it */
        *a = (struct answer){.has_no_body = a->has_no_body};
    } else if (a->has_no_body || a->status == 204 || a->status == 304) {
        a->part = ANSWER_DONE;
    } else if (a->is_chunked) {
        a->part = ANSWER_CHUNK_SIZE;
    } else if (a->has_length) {
        a->part = a->left > 0 ? ANSWER_LENGTH : ANSWER_DONE;
    } else {
        a->part = ANSWER_UNTIL_CLOSE;
        a->is_last = true;
    }
}

static void chunk_begins(struct answer *a)
{
    char *end;

    a->left = strtoull(a->line, &end, 16);
    if (end == a->line) {
        a->part = ANSWER_BROKEN;
    } else if (a->left == 0) {
        a->part = ANSWER_TRAILER;
    } else {
        a->part = ANSWER_CHUNK;
        a->left += 2;
    }
}

static void line_ends(struct answer *a)
{
    if (a->line_size > 0 && a->line[a->line_size - 1] == '\r')
        a->line_size--;
    a->line[a->line_size] = '\0';
    if (a->part == ANSWER_CHUNK_SIZE)
        chunk_begins(a);
    else if (a->part == ANSWER_TRAILER)
        a->part = a->line_size > 0 ? ANSWER_TRAILER : ANSWER_DONE;
    else if (!a->is_begun)
        first_line(a);
    else if (a->line_size > 0)
        field(a);
    else
        head_ends(a);
    a->line_size = 0;
}

static size_t read_line(struct answer *a, const char *bytes, size_t size)
{
    const char *end = memchr(bytes, '\n', size);
    size_t here = end != NULL ? (size_t)(end - bytes) : size;
    size_t room = sizeof(a->line) - 1 - a->line_size;

    memcpy(a->line + a->line_size, bytes, here < room ? here : room);
    a->line_size += here < room ? here : room;
    if (end == NULL)
        return size;
    line_ends(a);
    return here + 1;
}

static size_t skip(struct answer *a, size_t size)
{
    if (size > a->left)
        size = a->left;
    a->left -= size;
    if (a->left == 0)
        a->part = a->part == ANSWER_CHUNK ? ANSWER_CHUNK_SIZE : ANSWER_DONE;
    return size;
}

size_t answer_read(struct answer *a, const char *bytes, size_t size)
{
    size_t used = 0;

    while (used < size && a->part < ANSWER_DONE) {
        if (a->part == ANSWER_UNTIL_CLOSE)
            return size;
        if (a->part == ANSWER_LENGTH || a->part == ANSWER_CHUNK)
            used += skip(a, size - used);
        else
            used += read_line(a, bytes + used, size - used);
    }
    return used;
}

void answer_end(struct answer *a)
{
    a->part = a->part == ANSWER_UNTIL_CLOSE ? ANSWER_DONE : ANSWER_BROKEN;
}
