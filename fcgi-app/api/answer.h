/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * answer.h - what a run gave becomes the answer's body
 *
 * Of a run that has just been computed (answer_build()), or of what was stored of a job, piece by
 * piece with the other functions.
 */
#ifndef API_ANSWER_H
#define API_ANSWER_H

#include "api/archive.h"
#include "exec/compute.h"
#include "http/accept.h"
#include "http/response.h"

#define ANSWER_RESULT_HEADER_MAX 4096     /* bytes of Gangsaw-Result, which is ASCII */
#define ANSWER_RESULT_ENTRY "result.json" /* in a zip; descriptors have no output of that name */

/*
 * In the form that negotiate_form() chooses: the bytes of the one output under its media type, with
 * the result in the Gangsaw-Result header when it is short; or {"task", "result", "outputs":
 * [{name, media_type, size, sha256, base64}]}; or a zip. Errors: ERR_NOT_ACCEPTABLE; ERR_TOO_LARGE
 * when the base64 of all outputs is over `base64_max`.
 */
int answer_build(struct http_response *res, const struct task_desc *task,
                 const struct compute_outcome *outcome, const struct accept *accept,
                 size_t base64_max, struct error *reterr);

struct answer_output {
    const char *name, *media_type;
    const char *sha256;         /* hexadecimal; NULL: computed from the bytes */
    const unsigned char *bytes; /* NULL in a zip: its reader has them */
    size_t size;
    int fd; /* a file that begins with the bytes, as in compute_output; -1: none */
};

struct answer {
    const char *task;
    const char *result; /* JSON text; NULL: none */
    bool has_outputs;   /* the task may have some */
    struct answer_output *outputs;
    int output_count;
};

/* May the outputs be answered as base64? Looks at sizes alone; `instead` is the sentence that says
 * what to ask for otherwise. Errors: ERR_TOO_LARGE. */
int answer_check_base64(const struct answer *answer, size_t base64_max, const char *instead,
                        struct error *reterr);

/* The answer in JSON, unchecked. */
void answer_as_json(struct http_response *res, const struct answer *answer);

/*
 * The answer as a zip: an entry for each output, as download_file_name() calls it, and
 * `result.json` if there is a result. `reader` NULL: the outputs have their bytes. What `answer`
 * points to lives as long as the request. Errors: as archive_open().
 */
int answer_as_zip(struct http_response *res, const struct answer *answer,
                  const struct archive_reader *reader, bool is_read_ahead, struct error *reterr);

/* Add Gangsaw-Result, when the JSON text `result` is short. */
void answer_add_result(struct http_response *res, const char *result);

#endif
