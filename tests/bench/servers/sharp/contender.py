# SPDX-License-Identifier: BSD-2-Clause
"""node: sharp behind node's own http server, see server.mjs."""

import pathlib
import shutil

from harness import CORES
from harness.contender import Contender, Request, node, npm_folder
from harness.processes import Program
from stack import free_port

HERE = pathlib.Path(__file__).resolve().parent


class Sharp(Contender):
    name = "sharp"
    title = "node, sharp"
    npm = "sharp"
    processes = 1
    env = {"UV_THREADPOOL_SIZE": str(CORES)} if CORES > 4 else {}
    settings = [
        ("UV_THREADPOOL_SIZE", "the number of cores, when they are more than the default of 4", "sharp, Performance: Parallelism and concurrency"),
        ("sharp.concurrency()", "1, its default here: pictures in parallel, not parts of one", "sharp, Performance: Parallelism and concurrency"),
    ]  # fmt: skip

    def start(self, folder, bench):
        self.port = free_port()
        shutil.copy(HERE / "server.mjs", npm_folder("sharp"))  # where its imports are found
        env = {"PROCESSES": str(self.processes), **self.env}
        program = Program([node(), "server.mjs", self.port], folder / "node.log", cwd=npm_folder("sharp"), env=env)
        self.programs = [program]
        program.wait_until(lambda: program.log.read_text().count("listening") >= self.processes)

    def request(self, work, **params):
        if work == "empty":
            return Request("GET", "/")
        if work == "thumbnail":
            return Request("POST", "/thumbnail_jpeg", {"Content-Type": "image/jpeg"}, params["picture"])
        return None


class Node(Sharp):
    """For empty answers, where sharp's own threads do not help."""

    name = "node"
    title = "node, cluster"
    processes = CORES
    env = {}
    settings = [
        ("cluster.fork()", "one process for each core", "Node.js, Cluster"),
        ("log of requests", "none: node has none of its own", "Node.js, HTTP"),
    ]


CONTENDERS = [Sharp, Node]
