/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - an input's bytes as Poppler reads them: until the run is told to stop
 *
 * Poppler has no way to be interrupted, but it asks for the file's bytes all the time, a kilobyte
 * at a time. When the run has to stop, the file ends: what is being drawn then ends within moments.
 */
#ifndef PDF_STREAM_H
#define PDF_STREAM_H

#include <gio/gio.h>

#include "tasks/task.h"

/* A stream of the caller's, which must not outlive the run. It reads from the input's own bytes. */
GInputStream *stream_new(struct run *run, const struct run_input *input);

#endif
