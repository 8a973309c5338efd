/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - an input's bytes as Poppler reads them: until it has to end
 *
 * Poppler has no way to be interrupted, but it asks for the file's bytes all the time, a piece
 * at a time. When the run has to stop, or goes too deep, or takes too much memory, the file ends:
 * what is being done then ends within moments.
 */
#ifndef PDF_STREAM_H
#define PDF_STREAM_H

#include <gio/gio.h>

#include "tasks/task.h"

/*
 * A stream of the caller's, which must not outlive the run. It reads from the input's own bytes, at
 * most `piece` of them at a time.
 */
GInputStream *stream_new(struct run *run, const struct run_input *input, size_t piece);

/*
 * Did the file end before its end? Errors: ERR_INVALID_INPUT when something in it goes too deep or
 * takes too much memory; ERR_STOPPED.
 */
int stream_check(GInputStream *stream, struct error *reterr);

#endif
