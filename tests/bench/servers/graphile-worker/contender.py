# SPDX-License-Identifier: BSD-2-Clause
"""graphile-worker: jobs in PostgreSQL, computed by node. measure.mjs is its worker and its user; it runs on
the database server of Gangsaw's stack, and only while it is measured."""

import json
import subprocess

from harness.contender import Contender, node, npm_install


class GraphileWorker(Contender):
    name = "graphile-worker"
    title = "graphile-worker"
    npm = "graphile-worker"
    settings = [
        ("concurrentJobs, maxPoolSize", "24, 25", "graphile-worker, Performance: the settings of its own figures"),
        ("localQueue.size", "500 for many jobs, none for single ones", "graphile-worker, Performance: Batching"),
        ("completeJobBatchDelay, failJobBatchDelay", "0 for many jobs, none for single ones", "graphile-worker, Performance: Batching"),
    ]  # fmt: skip

    def start(self, folder, bench):
        self.place = npm_install(self.npm)
        self.url = bench.stack.database_url.replace("/gangsaw?", "/graphile?")
        if not bench.stack.sql("SELECT FROM pg_database WHERE datname = 'graphile'"):
            bench.stack.sql("CREATE DATABASE graphile")

    def measured(self, mode, count, batch):
        done = subprocess.run([node(), "measure.mjs", mode, self.url, str(count), str(batch)], cwd=self.place,
                              stdout=subprocess.PIPE, text=True, timeout=300, check=True)  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1])

    def many(self, count, batch):
        """{"enqueue_s", "total_s"} of so many jobs that compute next to nothing."""
        return self.measured("rate", count, batch)

    def single(self, count):
        """The ms from enqueueing to starting of each of `count` jobs, one after the other."""
        return self.measured("latency", count, 1)["ms"]


CONTENDERS = [GraphileWorker]
