# SPDX-License-Identifier: BSD-2-Clause
"""FastAPI on uvicorn, in the four arrangements that its users compute with. One file each: inline.py,
threads.py, processes.py, celery_app.py; what they compute is work.py. An "empty" answer comes from the handler
alone, or with through=True from where the arrangement computes.
"""

import pathlib

from harness import CORES
from harness.contender import Contender, Request
from harness.processes import Program
from servers.shared import KEY, start_celery, sum_squares
from stack import free_port

HERE = pathlib.Path(__file__).resolve().parent
STARTED = "Application startup complete."

WEB = ("python3-fastapi", "uvicorn", "python3-uvloop", "python3-httptools")
LIBRARIES = ("python3-pil", "python3-cryptography", "python3-asyncpg", "python3-psycopg2")

UVICORN = [
    ("uvicorn --workers", "one for each core", "FastAPI, Deployment: Server Workers; uvicorn, Deployment"),
    ("uvicorn --loop uvloop --http httptools", "instead of Python's own", "uvicorn, Settings: what uvicorn[standard] brings"),
    ("uvicorn's access log", "on, the default: Gangsaw's workers log each request too", "uvicorn, Settings: Logging"),
]  # fmt: skip

PICTURES = ("thumbnails", "Image.draft(), then thumbnail()", "Pillow, Image.draft(): the decoder shrinks, which is quicker and costs some quality")


class Fastapi(Contender):
    packages = (*WEB, *LIBRARIES)
    app = ""
    options = ()

    def start(self, folder, bench):
        self.folder, self.port = folder, free_port()
        self.env = {"SUM_SQUARES": str(sum_squares()), "CIPHER_KEY": KEY}
        self.launch()

    def launch(self):
        """Until all of uvicorn's workers have started."""
        self.programs = []
        try:
            self.start_behind()
            web = self.run(["/usr/bin/python3", "-m", "uvicorn", f"{self.app}:app", "--port", self.port, "--workers", CORES,
                            "--loop", "uvloop", "--http", "httptools", *self.options], "uvicorn")  # fmt: skip
            web.wait_until(lambda: web.log.read_text().count(STARTED) >= CORES and self.answers(), 60)
        except BaseException:
            self.stop()
            raise

    def answers(self):
        """A worker listens a moment after it says that it has started."""
        try:
            return self.request("empty").answer(self.port, 5)
        except OSError:
            return False

    def start_behind(self):
        """What uvicorn needs."""

    def run(self, command, name):
        log = self.folder / f"{name}-{len(list(self.folder.iterdir()))}.log"
        program = Program(command, log, cwd=HERE, env=self.env)
        self.programs.append(program)
        return program

    def use_database(self, url):
        self.stop()
        self.env["DATABASE_URL"] = url
        self.launch()

    def request(self, work, **params):
        if work == "empty":
            return Request("GET", "/through" if params.get("through") else "/empty")
        if work == "squares":
            return Request.json(f"/squares/{params.get('way', 'c')}", {"n": params["n"]})
        if work == "thumbnail":
            return Request("POST", "/thumbnail", {"Content-Type": "image/jpeg"}, params["picture"])
        if work == "encrypt":
            return Request("POST", "/encrypt", {"Content-Type": "application/octet-stream"}, params["data"])
        if work == "stored":
            return Request.json("/stored", {"n": params["n"]})
        return None


class Inline(Fastapi):
    name = "fastapi-inline"
    title = "FastAPI, async def"
    app = "inline"
    settings = [
        *UVICORN,
        PICTURES,
        ("PostgreSQL", "asyncpg.create_pool()", "asyncpg, Usage: Connection Pools"),
    ]


class Silent(Inline):
    """What the access log costs. Nobody else goes without, and its name is no FastAPI's among which the best is looked for."""

    name = "silent-fastapi"
    title = "FastAPI, async def, without a log"
    options = ("--no-access-log",)
    settings = [("uvicorn --no-access-log", "what the access log costs", "uvicorn, Settings: Logging")]


class Threads(Fastapi):
    name = "fastapi-threads"
    title = "FastAPI, def (threads)"
    app = "threads"
    settings = [
        *UVICORN,
        ("threads", "40 in each worker, FastAPI's default", "FastAPI, Concurrency and async / await: what to do in a hurry"),
        PICTURES,
        ("PostgreSQL", "psycopg2's ThreadedConnectionPool", "psycopg2, Connections pooling"),
    ]  # fmt: skip


class Processes(Fastapi):
    name = "fastapi-processes"
    title = "FastAPI, process pool"
    app = "processes"
    settings = [
        *UVICORN,
        ("ProcessPoolExecutor", "as many processes as cores, over all workers of uvicorn; quicker than the default of as many in each, which was tried too",
         "Python, Developing with asyncio: Running Blocking Code"),
        PICTURES,
        ("PostgreSQL", "asyncpg.create_pool()", "asyncpg, Usage: Connection Pools"),
    ]  # fmt: skip

    def start(self, folder, bench):
        self.folder, self.port = folder, free_port()
        self.env = {"SUM_SQUARES": str(sum_squares()), "CIPHER_KEY": KEY, "POOL": "1"}
        self.launch()


class Celery(Fastapi):
    name = "fastapi-celery"
    title = "FastAPI, Celery and Redis"
    packages = (*WEB, *LIBRARIES, "python3-celery", "python3-redis", "redis-server")
    app = "celery_app"
    settings = [
        *UVICORN,
        ("celery worker -c", "one process for each core, the default", "Celery, Workers Guide: Concurrency"),
        ("celery worker --prefetch-multiplier", "1", "Celery, Optimizing: Prefetch Limits"),
        ("celery worker --without-gossip --without-mingle --without-heartbeat", "one worker has nobody to talk to",
         "Celery, Workers Guide"),
        ("a result", "looked for every 5 ms, without blocking the event loop", "Celery has no interface for asyncio"),
        PICTURES,
        ("redis-server --save \"\"", "nothing is written to a disk", "Redis, Persistence"),
        ("PostgreSQL", "asyncpg.create_pool()", "asyncpg, Usage: Connection Pools"),
    ]  # fmt: skip

    def start_behind(self):
        self.env["C_FORCE_ROOT"] = "1"  # or Celery refuses pickle to root; only this machine can reach the broker
        start_celery(self.programs, "celery_tasks", self.folder, HERE, self.env, "--prefetch-multiplier", "1")


CONTENDERS = [Inline, Silent, Threads, Processes, Celery]
