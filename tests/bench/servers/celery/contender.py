# SPDX-License-Identifier: BSD-2-Clause
"""Celery with Redis as broker and for the results, as a queue of jobs. measure.py is its user."""

import json
import os
import pathlib
import subprocess

from harness.contender import Contender
from servers.shared import start_celery

HERE = pathlib.Path(__file__).resolve().parent


class Celery(Contender):
    name = "celery"
    title = "Celery, Redis"
    packages = ("python3-celery", "python3-redis", "redis-server")
    settings = [
        ("celery worker -c", "one process for each core, the default", "Celery, Workers Guide: Concurrency"),
        ("worker_prefetch_multiplier", "64", "Celery, Optimizing: Prefetch Limits, for many short tasks"),
        ("celery worker --without-gossip --without-mingle --without-heartbeat", "one worker has nobody to talk to", "Celery, Workers Guide"),
        ("redis-server --save \"\"", "nothing is written to a disk", "Redis, Persistence"),
    ]  # fmt: skip

    def start(self, folder, bench):
        self.env, self.programs = {}, []
        start_celery(self.programs, "tasks", folder, HERE, self.env)

    def measured(self, mode, count):
        done = subprocess.run(["/usr/bin/python3", "measure.py", mode, str(count)], cwd=HERE, stdout=subprocess.PIPE, text=True,
                              timeout=300, check=True, env={**os.environ, **self.env, "PYTHONDONTWRITEBYTECODE": "1"})  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])

    def many(self, count, batch):
        """{"enqueue_s", "total_s"} of so many jobs that compute next to nothing; Celery has no batches."""
        return self.measured("rate", count)

    def single(self, count):
        """The ms from enqueueing to starting of each of `count` jobs, one after the other."""
        return self.measured("latency", count)["ms"]


CONTENDERS = [Celery]
