# SPDX-License-Identifier: BSD-2-Clause
"""The Celery worker behind FastAPI: tasks with a result, Redis as broker and result store at REDIS_URL.

Bytes travel by pickle, which Celery's guide allows where only the own services can write to the broker: JSON
would make base64 of them. `--prefetch-multiplier=1` is what its guide has for tasks that take a while.
"""

import os

import work
from celery import Celery

app = Celery("celery_tasks", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(task_serializer="pickle", result_serializer="pickle", accept_content=["pickle"], result_expires=60,
                broker_connection_retry_on_startup=True)  # fmt: skip


@app.task
def nothing():
    pass


@app.task
def squares(way, n):
    return work.SQUARES[way](n)


@app.task
def thumbnail(picture):
    return work.thumbnail(picture)


@app.task
def encrypt(plain):
    return work.encrypt(plain)
