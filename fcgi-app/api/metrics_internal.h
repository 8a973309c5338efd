/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics_internal.h - what /metrics says of the database; for metrics.c and metrics_database.c
 */
#ifndef API_METRICS_INTERNAL_H
#define API_METRICS_INTERNAL_H

#include "api/api.h"

/*
 * What is known now, from what was found out less than a second ago or by asking, within half a
 * second. The queue is counted less often, the longer it takes. Of a pool's workers one at a time
 * asks. Only with a database.
 */
void metrics_database_look(const struct api *api, struct api_figures *ret_figures);

/* "queued" … for i < API_QUEUE_STATES */
const char *metrics_queue_state(int i);

#endif
