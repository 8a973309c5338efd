# SPDX-License-Identifier: BSD-2-Clause
"""The tasks of a Celery worker with Redis as broker and result store: REDIS_URL."""

import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
# What Celery's guide on optimising recommends for many short tasks: prefetch much.
app.conf.update(worker_prefetch_multiplier=64, task_ignore_result=False, result_expires=3600,
                broker_connection_retry_on_startup=True)  # fmt: skip


@app.task
def sum_squares(n):
    sum(k * k for k in range(1, n + 1))
    return {"started": time.time()}
