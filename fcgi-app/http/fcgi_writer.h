/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fcgi_writer.h - an answer as FastCGI records, the last of them in one piece with its end
 *
 * libfcgi's own writer can neither say what fcgi_writer_end() says of the connection, nor send more
 * than 8 KiB at a time.
 */
#ifndef HTTP_FCGI_WRITER_H
#define HTTP_FCGI_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#define FCGI_WRITER_SIZE 16384 /* of a record that is collected; what is longer is not copied */

struct fcgi_writer {
    int fd; /* blocking, with a time-out for sending */
    int request_id;
    bool is_broken; /* something could not be sent, or was not to be: nothing is any more */
    size_t size;    /* of the content collected, behind room for its header */
    unsigned char bytes[FCGI_WRITER_SIZE];
};

void fcgi_writer_begin(struct fcgi_writer *w, int fd, int request_id);

/* Add to the answer, or send what there is of it; -1 when the peer is lost, now or before. */
int fcgi_writer_add(struct fcgi_writer *w, const void *bytes, size_t size);
int fcgi_writer_flush(struct fcgi_writer *w);

/*
 * Add `bytes`, which are also the first of the file `fd`: what is long is sent from there, without
 * being copied. So nobody may change it before the peer has read all of it.
 */
int fcgi_writer_add_file(struct fcgi_writer *w, int fd, const void *bytes, size_t size);

/*
 * Send the rest and the end of the request. Without `keep`, more follows the end in the same piece,
 * and the connection has to be closed.
 *
 * nginx keeps a connection when nothing lies behind the end's padding. So the end alone says which:
 * it never puts a connection aside that is about to be closed, and sends no request into it. The
 * end is then at an odd place (padding of one byte), where none of nginx's buffers ends: all else
 * is sent in multiples of eight bytes.
 */
int fcgi_writer_end(struct fcgi_writer *w, bool keep);

/*
 * Ask the peer to close a connection that it keeps. nginx closes one that says something without
 * having been asked; what is said is an empty record of stderr, which it passes over when it has
 * sent a request in the same moment: that one has to be served.
 */
int fcgi_writer_recall(int fd, int request_id);

#endif
