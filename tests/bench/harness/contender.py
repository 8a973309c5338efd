# SPDX-License-Identifier: BSD-2-Clause
"""What is measured. A folder of servers/ has a contender.py with a list CONTENDERS of classes.

Works, and what a contender makes of them (None where it cannot):

    empty                        an answer of next to nothing
    squares    n, way            the sum of n squares: "native", the language's usual way, or "c"
    thumbnail  picture           400 pixels wide, JPEG of quality 80
    encrypt    data              AES-256-GCM
    stored     n                 the sum, by the same C, stored in PostgreSQL before the answer
"""

import dataclasses
import functools
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import urllib.request

from . import BENCH, WORK

NODE_AT_LEAST = (18, 17)  # what sharp and graphile-worker need


@dataclasses.dataclass
class Request:
    method: str
    path: str
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def json(cls, path, value, **headers):
        body = json.dumps(value, separators=(",", ":")).encode()
        return cls("POST", path, {"Content-Type": "application/json", **headers}, body)

    def whole(self):
        """As it is sent, over a connection that is kept."""
        length = {"Content-Length": len(self.body)} if self.body or self.method != "GET" else {}
        fields = {"Host": "127.0.0.1", **self.headers, **length}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body

    def answer(self, port, seconds=60):
        """Sent once: the body of the answer. An error when it is not 200."""
        request = urllib.request.Request(f"http://127.0.0.1:{port}{self.path}", self.body or None, self.headers,
                                         method=self.method)  # fmt: skip
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            assert answer.status == 200, answer.status
            return answer.read()


class Contender:
    name = ""
    title = ""
    packages = ()  # of Debian
    npm = None  # its folder of servers/ has a package.json and a lockfile
    settings = ()  # (what, value, why: the guide that recommends it)
    port = None
    programs = ()  # what runs of it, in the order of their start: a Program each

    def start(self, folder, bench):
        """Until it answers; `folder` is its own, empty."""
        raise NotImplementedError

    def stop(self):
        """The programs, the last one first. It may be started again."""
        for each in reversed(self.programs):
            each.stop()
        self.programs = []

    def roots(self):
        """Processes of which all of the contender's descend."""
        return [each.pid for each in self.programs]

    def request(self, work, **params):
        """A Request; None: it cannot do that work."""
        return None

    def use_database(self, url):
        """Before "stored", where PostgreSQL is not the contender's own: the database with the table `result`."""

    def installed(self):
        """(whether, what is missing)"""
        missing = [name for name in self.needs() if name not in debian_versions(tuple(self.needs()))]
        if self.npm and not npm_installed(self.npm):
            missing.append(f"npm's packages of {self.npm}")
        return not missing, ", ".join(missing)

    def needs(self):
        """Debian's packages, those of node among them when the PATH has none that is new enough."""
        return [*self.packages, *(["nodejs", "npm"] if self.npm and not in_path_is_node() else [])]

    def install(self):
        """What is not Debian's; ./dev has installed that."""
        if self.npm:
            npm_install(self.npm)

    def versions(self):
        found = dict(debian_versions(tuple(self.packages)))
        if self.npm:
            found["node"] = run_text(node(), "--version").lstrip("v")
            wanted = json.loads((BENCH / "servers" / self.npm / "package.json").read_text())["dependencies"]
            found.update(wanted)
        return found


def run_text(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@functools.lru_cache(maxsize=None)
def debian_versions(packages):
    """Of those that are installed: {name: version}, without Debian's own part."""
    if not packages or not shutil.which("dpkg-query"):
        return {}
    lines = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *packages],
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout  # fmt: skip
    found = re.findall(r"^installed (\S+) (?:\d+:)?(\S+?)(?:-[^-\s]*)?$", lines, re.MULTILINE)
    return dict(found)


# ---- node


def node_version(program):
    try:
        found = re.match(r"v(\d+)\.(\d+)", run_text(program, "--version"))
    except (OSError, subprocess.CalledProcessError):
        return (0, 0)
    return tuple(map(int, found.groups())) if found else (0, 0)


@functools.lru_cache(maxsize=None)
def in_path_is_node():
    """Is the PATH's node new enough, and npm there?"""
    return bool(shutil.which("npm")) and node_version("node") >= NODE_AT_LEAST


def node():
    return shutil.which("node") if in_path_is_node() else "/usr/bin/node"


def npm_folder(name):
    return WORK / name


def npm_lock(name):
    """The lockfile by which it is installed, and the copy of it that says that it was."""
    return (BENCH / "servers" / name / "package-lock.json").read_text(), npm_folder(name) / "node_modules" / ".lock"


def npm_installed(name):
    lock, copy = npm_lock(name)
    return copy.is_file() and copy.read_text() == lock


def npm_install(name):
    """A folder of servers/ beside the build, with the packages of its lockfile."""
    place = npm_folder(name)
    place.mkdir(parents=True, exist_ok=True)
    for file in (BENCH / "servers" / name).iterdir():
        if file.suffix in (".json", ".mjs"):
            shutil.copy(file, place)
    if not npm_installed(name):
        npm = shutil.which("npm") if in_path_is_node() else "/usr/bin/npm"
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=place, check=True)
        lock, copy = npm_lock(name)
        copy.write_text(lock)
    return place


# ---- all of them


def load_file(path):
    """A module of a folder whose name Python would not take: graphile-worker."""
    name = f"{path.parent.name}_{path.stem}".replace("-", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=None)
def registry():
    """Every contender, one of each, not started: {name: Contender}."""
    files = sorted(pathlib.Path(BENCH / "servers").glob("*/contender.py"))
    made = [kind() for file in files for kind in load_file(file).CONTENDERS]
    return {each.name: each for each in made}
