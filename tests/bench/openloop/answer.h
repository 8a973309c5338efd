/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - the answer of an HTTP/1.1 server, read as it comes
 *
 * Only where it ends and what its status is: nothing is kept. To be set to {0} before each answer.
 */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_part {
    ANSWER_HEAD,        /* lines up to an empty one */
    ANSWER_LENGTH,      /* `left` bytes of the body */
    ANSWER_UNTIL_CLOSE, /* a body that nothing says the length of */
    ANSWER_CHUNK_SIZE,  /* a line */
    ANSWER_CHUNK,       /* `left` bytes of a chunk, the end of its line included */
    ANSWER_TRAILER,     /* lines up to an empty one */
    ANSWER_DONE,
    ANSWER_BROKEN, /* not what a server may send */
};

struct answer {
    enum answer_part part;
    int status;
    bool has_no_body; /* to be set for HEAD */
    bool is_last;     /* the server closes after it */
    bool is_chunked, has_length;
    uint64_t left;
    char line[256]; /* longer ones are cut: no line that matters is */
    size_t line_size;
    bool is_begun; /* the head's first line was there */
};

/* Read `size` bytes more. Returns how many of them belong to this answer. */
size_t answer_read(struct answer *a, const char *bytes, size_t size);

/* The server has closed. */
void answer_end(struct answer *a);

#endif
