/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes.c - the one route table, of every pool
 *
 * nginx decides which pool a request reaches; a pool that cannot serve one of its routes says so
 * (`unavailable`). Paths below /internal/ are for nginx's own redirects: it lets nobody else in.
 */
#include "api/handlers.h"

/* clang-format off */
const struct route api_routes[] = {
    {"/livez", HTTP_GET, health_live},
    {"/readyz", HTTP_GET, health_ready},
    {"/metrics", HTTP_GET, metrics_show},
    {"/openapi.json", HTTP_GET, openapi_show},
    {"/v1/tasks", HTTP_GET, tasks_list},
    {"/v1/tasks/{task}", HTTP_GET, tasks_show},
    {"/v1/tasks/{task}", HTTP_POST, tasks_run},
    {"/v1/jobs", HTTP_POST, jobs_create},
    {"/v1/jobs", HTTP_GET, jobs_list},
    {"/v1/jobs/{job}", HTTP_GET, jobs_show},
    {"/v1/jobs/{job}/result", HTTP_GET, jobs_result},
    {"/v1/jobs/{job}/outputs/{name}", HTTP_GET, jobs_output},
    {"/v1/jobs/{job}/events", HTTP_GET, jobs_events},
    {"/v1/jobs/{job}/cancel", HTTP_POST, jobs_cancel},
    {"/v1/jobs/{job}/retry", HTTP_POST, jobs_retry},
    {"/v1/blobs", HTTP_POST, blobs_create},
    {"/v1/blobs/{blob}", HTTP_GET, blobs_show},
    {"/internal/runs/{job}", HTTP_GET, runs_show},
    {"/internal/runs/{job}/replayed", HTTP_GET, runs_show_again},
    {NULL, 0, NULL},
};
/* clang-format on */
