# SPDX-License-Identifier: BSD-2-Clause
"""Celery with Redis as broker and for the results, as a queue of jobs. measure.py is its user."""

import json
import os
import pathlib
import subprocess

from harness import CORES
from harness.contender import Contender
from harness.processes import Program
from stack import free_port

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
    programs = ()

    def start(self, folder, bench):
        port = free_port()
        self.env = {"REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        self.programs = [Program(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                 folder / "redis.log")]  # fmt: skip
        worker = Program(["/usr/bin/python3", "-m", "celery", "-A", "tasks", "worker", "-c", CORES, "--without-gossip",
                          "--without-mingle", "--without-heartbeat", "-l", "info"], folder / "celery.log", cwd=HERE, env=self.env)  # fmt: skip
        self.programs.append(worker)
        worker.wait_until(lambda: " ready." in worker.log.read_text(), 60)

    def stop(self):
        for each in reversed(self.programs):
            each.stop()
        self.programs = []

    def roots(self):
        return [each.pid for each in self.programs]

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
