/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * encode.h - pixels that cairo has drawn, as an output of a run
 */
#ifndef PDF_ENCODE_H
#define PDF_ENCODE_H

#include <stdbool.h>

#include <cairo.h>

#include "tasks/task.h"

enum encode_format { ENCODE_PNG, ENCODE_JPEG, ENCODE_WEBP, ENCODE_FORMAT_COUNT };

struct encode_request {
    const char *output; /* of the descriptor */
    enum encode_format format;
    int quality; /* 1 to 100; png has none */
    bool is_gray;
    double dpi;         /* what the file says of itself */
    double begin, span; /* this picture's part of the run's progress */
};

/* Once, when the module is loaded. */
int encode_init(struct error *reterr);

enum encode_format encode_format_find(const char *name); /* ENCODE_FORMAT_COUNT: there is none */
int encode_side_max(enum encode_format format);          /* pixels along either side */

/*
 * Write a surface of format RGB24 or ARGB32 as one more output of the run.
 * Errors: ERR_STOPPED, ERR_TOO_LARGE, ERR_INTERNAL.
 */
int encode_surface(struct run *run, cairo_surface_t *surface, const struct encode_request *request,
                   struct error *reterr);

#endif
