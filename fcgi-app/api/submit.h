/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * submit.h - a request becomes stored jobs
 *
 * What is acknowledged is committed. A request that carries an Idempotency-Key and was answered
 * before gives the same jobs again: its request is known by a hash of all that says what to
 * compute.
 */
#ifndef API_SUBMIT_H
#define API_SUBMIT_H

#include "api/api.h"
#include "api/binding.h"
#include "db/job.h"
#include "http/multipart.h"
#include "http/prefer.h"

#define SUBMIT_WAIT_MAX 60 /* seconds that a client may wait for a job's end */

struct submission {
    struct api *api;
    struct http_request *req;
    struct job_idempotency idempotency; /* key NULL: none */
    unsigned char sha256[32];
    bool is_awaited;            /* the client is going to wait for what is stored */
    const struct job_new *jobs; /* what submit_store() stored */
    struct job_stored *stored;  /* by submit_find() or submit_store() */
    bool is_replayed;
};

/*
 * Begin: read the Idempotency-Key. Errors: as api_use_database(), ERR_INVALID_REQUEST for a key
 * that is none.
 */
int submit_begin(struct submission *s, struct api *api, struct http_request *req,
                 struct error *reterr);

/*
 * What makes two requests the same, beside path, query, media type and Gangsaw-Job. A body of parts
 * is known by them: a client that sends it again may choose another boundary.
 */
struct submit_content {
    const void *body; /* as it came */
    size_t size;
    const struct multipart_part *parts; /* of the body, instead of it; NULL: none */
    int part_count;
    const char *format;     /* that Accept or the parameters settled; NULL: none */
    double timeout_seconds; /* 0: none */
};

/*
 * The content is known: was this request answered before? Then s->stored has `count` jobs, and
 * s->is_replayed is true. Errors: ERR_INVALID_PARAMS the key was used with another request;
 * ERR_CONFLICT; ERR_UNAVAILABLE.
 */
int submit_find(struct submission *s, const struct submit_content *content, int count,
                struct error *reterr);

/* Store them, all or none, and wake this host's runner. Errors: as job_store(); a blob that has
 * just expired is ERR_INVALID_PARAMS. */
int submit_store(struct submission *s, const struct job_new *jobs, int count, struct error *reterr);

/*
 * The rows of the jobs of this request, in its order: new ones as they were stored, others as they
 * are now. Errors: ERR_GONE when some have been pruned; ERR_UNAVAILABLE.
 */
int submit_rows(struct submission *s, int count, struct job_row **ret_rows, struct error *reterr);

/* There is something to do: tell the runner of this host, if there is one. */
void submit_wake(const struct api *api);

/* POST /v1/tasks/{task} that is to run as a job. `timeout_seconds` by Gangsaw-Timeout, 0: none. */
int submit_task(struct api *api, struct http_request *req, const struct task_desc *task,
                const struct prefer *prefer, double timeout_seconds, struct http_response *res,
                struct field_errors *errors, struct error *reterr);

/* A job of `task` with `binding`, whose blobs are resolved. Texts belong to `a`. */
struct job_new submit_job(struct arena *a, const struct http_request *req,
                          const struct task_desc *task, const struct binding *binding);

/* Have the hub hold the client until the job has ended, then nginx come back to a path of ours.
 * is_awaited: it was stored so a moment ago. */
void submit_wait(const struct api *api, struct http_response *res, const char *job, bool is_awaited,
                 int seconds, const char *then);

/* Have nginx pass the request on: to a path with its query, or to a named location. */
void submit_redirect(struct http_response *res, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The key of a job's id, which is noted for the log. Errors: ERR_NOT_FOUND for what this database
 * did not issue, and as api_use_database().
 */
int jobs_find(struct api *api, const struct http_request *req, const char *id, int64_t *ret_key,
              struct error *reterr);

#endif
