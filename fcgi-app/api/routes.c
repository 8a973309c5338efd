/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes.c - the one route table, of every pool
 *
 * nginx decides which pool a request reaches; a pool that cannot serve one of its routes says so
 * (`unavailable`).
 */
#include "api/handlers.h"

/* clang-format off */
const struct route api_routes[] = {
    {"/livez", HTTP_GET, health_live},
    {"/readyz", HTTP_GET, health_ready},
    {"/openapi.json", HTTP_GET, openapi_show},
    {"/v1/tasks", HTTP_GET, tasks_list},
    {"/v1/tasks/{task}", HTTP_GET, tasks_show},
    {"/v1/tasks/{task}", HTTP_POST, tasks_run},
    {NULL, 0, NULL},
};
/* clang-format on */
