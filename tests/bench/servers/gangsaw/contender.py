# SPDX-License-Identifier: BSD-2-Clause
"""Gangsaw: nginx, the pools, the runner, the hub and PostgreSQL, as ./dev starts them. Beside its own modules it
has one of a user's, `bench` of module/, built and installed as docs/modules.md has it."""

import pathlib
import shutil
import subprocess

from harness import ROOT, WORK
from harness.contender import Contender, Request, run_text
from servers.shared import KEY, WIDTH
from stack import BUILD, Stack

MODULE = pathlib.Path(__file__).resolve().parent / "module"


def build_module():
    """The shared object, beside the build."""
    source, made = MODULE / "bench.c", WORK / "gangsaw" / "bench.so"
    newest = max(path.stat().st_mtime for path in (source, ROOT / "fcgi-app/tasks/task.h", ROOT / "fcgi-app/base/error.h"))
    if not made.exists() or made.stat().st_mtime < newest:
        made.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden",
                        f"-I{ROOT}/fcgi-app", "-o", f"{made}.new", source, "-lcjson", "-lcrypto"], check=True)  # fmt: skip
        pathlib.Path(f"{made}.new").replace(made)
    return made


class BenchStack(Stack):
    """With the module's folders; else as ./dev starts it: slots as the machine's memory has it, connections
    kept as many as it has cores for, and a database that waits for the disk."""

    def __init__(self):
        super().__init__()
        for option in ("GANGSAW_SERVER_MEMORY", "GANGSAW_HTTP_KEPT_CONNECTIONS", "GANGSAW_FSYNC"):
            del self.env[option]
        modules, tasks = self.var / "bench-modules", self.var / "bench-tasks"
        modules.mkdir()
        tasks.mkdir()
        self.env.update(GANGSAW_SERVER_MODULES_DIR=str(modules), GANGSAW_SERVER_TASKS_DIR=str(tasks))

    def start(self):
        """The modules are there once ./dev has built them."""
        self.dev("build")
        libraries = [*BUILD.glob("modules/.libs/*.so"), build_module()]
        for library in libraries:
            shutil.copy(library, self.var / "bench-modules")
        for descriptor in [*ROOT.glob("fcgi-app/tasks/*/*.json"), *MODULE.glob("*.json")]:
            if descriptor.name.split(".")[0] in {library.stem for library in libraries}:
                shutil.copy(descriptor, self.var / "bench-tasks")
        return super().start()


class Gangsaw(Contender):
    name = "gangsaw"
    title = "Gangsaw"
    settings = [("options", "none: a slot for each core, and what else ./dev start has without a configuration", "docs/configuration.md")]

    def start(self, folder, bench):
        self.stack = BenchStack().__enter__()
        self.port = self.stack.port

    def stop(self):
        self.stack.__exit__(None)

    def roots(self):
        return [self.stack.pid(name) for name in ("nginx", "api", "compute", "hub", "runner")]

    def installed(self):
        return True, ""

    def versions(self):
        version = run_text(BUILD / "gangsaw", "version").split()[-1]
        if (ROOT / ".git").exists():
            version += ", " + run_text("git", "-C", ROOT, "rev-parse", "--short", "HEAD")
        return {"gangsaw": version}

    def request(self, work, **params):
        if work == "empty":
            return Request.json("/v1/tasks/bench.empty", {}) if params.get("through") else Request("GET", "/livez")
        if work == "squares" and params.get("way", "c") == "c":
            return Request.json("/v1/tasks/demo.sum_squares", {"n": params["n"]})
        if work == "thumbnail":
            return Request("POST", f"/v1/tasks/image.transform?width={WIDTH}&format=jpeg",
                           {"Content-Type": "image/jpeg"}, params["picture"])  # fmt: skip
        if work == "encrypt":
            return Request("POST", f"/v1/tasks/bench.encrypt?key={KEY}", {"Content-Type": "application/octet-stream"},
                           params["data"])  # fmt: skip
        if work == "stored":
            return Request.json("/v1/tasks/demo.sum_squares", {"n": params["n"]}, Prefer="respond-async, wait=30")
        return None


CONTENDERS = [Gangsaw]
