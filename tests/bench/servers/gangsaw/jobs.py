# SPDX-License-Identifier: BSD-2-Clause
"""Gangsaw as a queue of jobs, from the side of its users: batches and single jobs over HTTP."""

import concurrent.futures
import http.client
import json
import subprocess
import time

import requests

from stack import find_psql

TASK = "demo.sum_squares"
LONGEST = 300  # s until all jobs are done


class Console:
    """One psql for many questions of one value each: a process for each question would be measured too."""

    def __init__(self, url):
        self.process = subprocess.Popen([find_psql(), "-X", "-q", "-t", "-A", url], text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip

    def ask(self, text):
        self.process.stdin.write(text + ";\n")
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Queue:
    name = "gangsaw"

    def __init__(self, stack):
        self.stack = stack
        self.console = Console(stack.database_url)

    def close(self):
        self.console.close()

    def wait_until_empty(self):
        limit = time.monotonic() + LONGEST
        while self.console.ask("SELECT EXISTS (SELECT FROM gangsaw.job)") == "t":
            assert time.monotonic() < limit, f"there are jobs left after {LONGEST} s"
            time.sleep(0.02)

    def succeeded(self):
        return int(self.console.ask("SELECT count(*) FROM gangsaw.job_done WHERE state = 'succeeded'"))

    def post_batch(self, count):
        body = json.dumps({"jobs": [{"task": TASK, "params": {"n": 1}}] * count})
        answer = requests.post(self.stack.url + "/v1/jobs", data=body, timeout=60, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202, answer.text

    def many(self, count, batch):
        """{"enqueue_s", "total_s"} of so many jobs that compute next to nothing, until the last result is
        stored."""
        before = self.succeeded()
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(2) as clients:
            list(clients.map(self.post_batch, [min(batch, count - i) for i in range(0, count, batch)]))
        enqueued = time.monotonic()
        self.wait_until_empty()
        end = time.monotonic()
        done = self.succeeded() - before
        assert done == count, f"{done} results of {count} jobs"
        return {"enqueue_s": enqueued - begin, "total_s": end - begin}

    def single(self, count):
        """The ms from before the request is sent to the start in an executor, by the clock of this
        machine, of each of `count` jobs. Without requests, which takes half a millisecond before it sends one: as
        long as the server takes to store it."""
        sent = {}
        server = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=30)
        try:
            for _ in range(count):
                begin = time.time()
                server.request("POST", f"/v1/tasks/{TASK}", b'{"n":1}', {"Content-Type": "application/json", "Prefer": "respond-async"})
                answer = server.getresponse()
                body = answer.read()
                assert answer.status == 202, body
                sent[json.loads(body)["id"]] = begin
                time.sleep(0.01)
        finally:
            server.close()
        self.wait_until_empty()
        rows = self.stack.sql("SELECT gangsaw.public_id('job', id), extract(epoch FROM started_at) "
                              f"FROM gangsaw.job_done ORDER BY id DESC LIMIT {count}")  # fmt: skip
        return [(float(started) - sent[id]) * 1e3 for id, started in rows]
