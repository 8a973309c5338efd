/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes.c - the one route table, of every pool
 *
 * nginx decides which pool a request reaches; a pool that cannot serve one of its routes says so
 * (`unavailable`). Paths below /internal/ are for nginx's own redirects: it lets nobody else in.
 */
#include "api/authorize.h"
#include "api/handlers.h"

/* clang-format off */
const struct route api_routes[] = {
    {"/livez", HTTP_GET, health_live, ACCESS_OPEN},
    {"/readyz", HTTP_GET, health_ready, ACCESS_OPEN},
    {"/metrics", HTTP_GET, metrics_show, SCOPE_ADMIN | ACCESS_METRICS},
    {"/openapi.json", HTTP_GET, openapi_show, ACCESS_ANY_KEY},
    {"/v1/tasks", HTTP_GET, tasks_list, ACCESS_ANY_KEY},
    {"/v1/tasks/{task}", HTTP_GET, tasks_show, ACCESS_ANY_KEY},
    {"/v1/tasks/{task}", HTTP_POST, tasks_run, SCOPE_RUN | SCOPE_JOBS_WRITE},
    {"/v1/jobs", HTTP_POST, jobs_create, SCOPE_JOBS_WRITE},
    {"/v1/jobs", HTTP_GET, jobs_list, SCOPE_JOBS_READ},
    {"/v1/jobs/{job}", HTTP_GET, jobs_show, SCOPE_JOBS_READ},
    {"/v1/jobs/{job}/result", HTTP_GET, jobs_result, SCOPE_JOBS_READ},
    {"/v1/jobs/{job}/outputs/{name}", HTTP_GET, jobs_output, SCOPE_JOBS_READ},
    {"/v1/jobs/{job}/events", HTTP_GET, jobs_events, SCOPE_JOBS_READ},
    {"/v1/jobs/{job}/cancel", HTTP_POST, jobs_cancel, SCOPE_JOBS_WRITE},
    {"/v1/jobs/{job}/retry", HTTP_POST, jobs_retry, SCOPE_JOBS_WRITE},
    {"/v1/blobs", HTTP_POST, blobs_create, SCOPE_RUN | SCOPE_JOBS_WRITE},
    {"/v1/blobs/{blob}", HTTP_GET, blobs_show, SCOPE_RUN | SCOPE_JOBS_READ},
    {"/internal/jobs/{job}", HTTP_GET, jobs_show, SCOPE_JOBS_READ},
    {"/internal/runs/{job}", HTTP_GET, runs_show, SCOPE_JOBS_WRITE | SCOPE_JOBS_READ},
    {"/internal/runs/{job}/replayed", HTTP_GET, runs_show_again, SCOPE_JOBS_WRITE | SCOPE_JOBS_READ},
    {NULL, 0, NULL, 0},
};
/* clang-format on */
