/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assemble.h - what the two files of pdf.assemble share: what is asked for, and how it is written
 */
#ifndef PDF_ASSEMBLE_H
#define PDF_ASSEMBLE_H

#include <stdbool.h>

#include <qpdf/qpdf-c.h>

#include "tasks/pdf/source.h"
#include "tasks/task.h"

/* A page of a result. */
struct leaf {
    int source, page; /* from 0 */
    int rotate;       /* degrees clockwise, added to what the page has: 0, 90, 180, 270 */
};

struct protection {
    bool is_wanted;
    const char *user_password, *owner_password;
    bool may_print, may_print_well, may_modify, may_copy, may_annotate, may_fill_forms,
        may_assemble;
};

struct write_request {
    struct protection protection;
    bool is_linearized, is_compressed;
    enum qpdf_object_stream_e object_streams;
};

/*
 * Write `count` pages as one more output of the run. The only one (`is_alone`) is made of the
 * document that its first page comes from, with all that this has beside pages; others are new.
 * Which means that it comes last: the source is changed.
 * Errors: ERR_INVALID_INPUT, ERR_STOPPED, ERR_TOO_LARGE, ERR_INTERNAL.
 */
struct assembly {
    struct run *run;
    struct source *sources;
    int source_count;
    const struct write_request *request;
    double begin, span; /* this output's part of the run's progress */
};
int assembly_write(const struct assembly *a, const struct leaf *leaves, int count, bool is_alone,
                   struct error *reterr);

#endif
