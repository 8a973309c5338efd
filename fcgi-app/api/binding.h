/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * binding.h - a request's body and query become a task's parameters and inputs
 *
 * Three kinds of body: JSON (inputs as {"base64": …} or {"blob": id}), multipart/form-data, and the
 * bytes of one input. Parameters in the query string are taken with each of them.
 * A blob is only named here; who computes loads its bytes (the runner in pieces, a worker by
 * binding_load()).
 */
#ifndef API_BINDING_H
#define API_BINDING_H

#include "base/config.h"
#include "base/field_errors.h"
#include "db/blob.h"
#include "exec/catalog.h"
#include "exec/order.h"
#include "http/multipart.h"
#include "http/request.h"

/* An input that is a blob: inputs[input].size is 0 until its bytes are in the body. */
struct binding_blob {
    int input;           /* number of the input */
    const char *id;      /* as the client gave it */
    int64_t key;         /* by binding_resolve(); 0 before */
    int64_t size;        /* of its bytes; by binding_resolve() */
    const char *pointer; /* where it stands, for errors */
    const struct task_slot *slot;
    bool has_media_type; /* the client named one: it stands for the blob's own */
};

struct binding {
    cJSON *params;              /* validated, defaults filled in */
    bool has_format;            /* the client gave a `format` */
    struct payload *body;       /* bytes of all inputs */
    struct order_input *inputs; /* by their ranges in there */
    int input_count;
    struct binding_blob *blobs;
    int blob_count;
    cJSON *json;          /* the inputs as a JSON body has them; NULL: they came in another one */
    const char *pointer;  /* of the parameters, for errors; "" for a body of its own */
    size_t max_bytes;     /* limit of all inputs together */
    const void *received; /* the body as it came, until blobs are loaded; for its hash */
    size_t received_size;
    const struct multipart_part *parts; /* of it; NULL when it has none */
    int part_count;
};

/* The input that a body is when it is neither JSON nor a form: the task's only one, or of several
 * the one that is not optional. NULL: there is none, or more than one such. */
const struct task_slot *binding_raw_input(const struct task_desc *task);

/*
 * Read and check all of it.
 * Ownership: *ret_binding belongs to the request's arena.
 * Errors: ERR_INVALID_PARAMS with every mistake in `errors`; ERR_INVALID_REQUEST, ERR_TOO_LARGE,
 * ERR_UNSUPPORTED_MEDIA_TYPE, ERR_INVALID_INPUT for an empty input.
 */
int binding_read(struct http_request *req, const struct config *cfg, const struct task_desc *task,
                 struct binding *ret_binding, struct field_errors *errors, struct error *reterr);

/*
 * The same from one parsed JSON object: an item of a batch, or a job's stored params. Errors stand
 * at pointers below `pointer` ("/jobs/3/params"; "" for a body of its own). `root` is taken apart.
 * Errors: as binding_read(); what is wrong with parameters is only in `errors`, and -1 with
 * ERR_INVALID_PARAMS.
 */
int binding_read_json(struct arena *a, const struct config *cfg, const struct task_desc *task,
                      cJSON *root, const char *pointer, struct binding *ret_binding,
                      struct field_errors *errors, struct error *reterr);

/*
 * Look up the blobs of the tenant that bindings name (one query for all): keys, sizes, media types.
 * What is not there, or does not suit the descriptor, is an error at its pointer. Errors:
 * ERR_INVALID_PARAMS, ERR_TOO_LARGE, ERR_UNSUPPORTED_MEDIA_TYPE, ERR_INVALID_INPUT for an empty
 * one, ERR_UNAVAILABLE.
 */
int binding_resolve(struct db *db, struct arena *a, const char *tenant,
                    struct binding *const *bindings, int count, struct field_errors *errors,
                    struct error *reterr);

/* Append the bytes of all resolved blobs to the body. Errors: ERR_INVALID_PARAMS when one has
 * expired meanwhile, ERR_UNAVAILABLE. */
int binding_load(struct db *db, struct arena *a, struct binding *binding, struct error *reterr);

/* After the bytes of blob `i` were appended to the body at `offset`: sizes, media type, checks of
 * the descriptor as for any input. For the runner. */
int binding_place_blob(struct arena *a, const struct task_desc *task, struct binding *binding,
                       int i, size_t offset, const struct blob_info *info, struct error *reterr);

/* Input `i`, whose bytes are in the body, is blob `id` from now on: binding->json names it. */
void binding_name_blob(struct arena *a, const struct task_desc *task, struct binding *binding,
                       int i, const char *id);

/* Parameters and inputs as the text of a synchronous JSON body, which belongs to `a`. */
const char *binding_print(struct arena *a, const struct binding *binding);

#endif
