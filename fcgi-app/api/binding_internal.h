/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding_internal.h - what the files of binding share
 */
#ifndef API_BINDING_INTERNAL_H
#define API_BINDING_INTERNAL_H

#include "api/binding.h"

struct reader {
    struct http_request *req; /* NULL: one JSON object alone */
    struct arena *arena;
    const struct config *config;
    const struct task_desc *task;
    const char *pointer; /* of the parameters */
    struct field_errors *errors;
    struct binding *out;
    int input_capacity, blob_capacity;
    int text_count; /* parameters from the query and from form fields */
    /* Arrays whose items come one by one, from the query or from the form, and texts that may
     * become such; it is another value that would be given twice. */
    cJSON **lists;
    int list_count, list_capacity;
    bool is_object; /* false: it is no JSON object, nothing else can be said of it */
};

/* NULL when the task has none of that name. */
const struct task_slot *reader_find_input(const struct reader *r, const char *name);

/* An input whose bytes lie in the body at `offset`. */
int reader_add_input(struct reader *r, const struct task_slot *slot, const char *media_type,
                     const char *file_name, size_t offset, size_t size, struct error *reterr);

/* An input that is a blob. */
int reader_add_blob(struct reader *r, const struct task_slot *slot, const char *media_type,
                    const char *file_name, const char *id, const char *pointer,
                    struct error *reterr);

/* Check what has been read as a whole, and with the schema. */
int reader_finish(struct reader *r, struct error *reterr);

/* Every member of `object` becomes a parameter; those named like an input stay in it. */
void reader_take_members(struct reader *r, cJSON *object);

/* The inputs of a JSON object, which are what reader_take_members() left. */
int reader_take_inputs(struct reader *r, cJSON *root, struct error *reterr);

/* "" and application/octet-stream say nothing: the module looks at the bytes. Errors:
 * ERR_UNSUPPORTED_MEDIA_TYPE. */
int binding_check_media_type(struct arena *a, const struct task_slot *slot, const char **media_type,
                             struct error *reterr);

/* Errors: ERR_TOO_LARGE, ERR_INVALID_INPUT. */
int binding_check_size(const struct task_slot *slot, size_t size, struct error *reterr);

#endif
