# SPDX-License-Identifier: BSD-2-Clause
"""The programs beside this file: the same work over and over in as many processes as there are cores, without
a server around it. What it costs to serve is the difference."""

import functools
import json
import os
import pathlib
import subprocess

from harness import CORES, ROOT, WORK

HERE = pathlib.Path(__file__).resolve().parent

# What else each is made of: packages of pkg-config, flags, sources.
PARTS = {
    "client": [],
    "command": [],
    "squares": [],
    "module": ["libcjson", "-ldl", "-rdynamic", *(ROOT / each for each in ("tests/unit/fake_run.c", "fcgi-app/base/error.c", "fcgi-app/base/utf8.c"))],
    "image": ["vips", HERE / "vips.c"],
    "ocr": ["tesseract", "lept"],
    "pdf": ["poppler-glib", "cairo", "libqpdf", "vips", HERE / "vips.c"],
}  # fmt: skip


@functools.lru_cache(maxsize=None)
def build_loop(name):
    """The program, beside the build; None when its libraries are missing."""
    program = WORK / "loops" / name
    sources = [HERE / "loop.c", HERE / f"{name}.c", *(each for each in PARTS[name] if isinstance(each, pathlib.Path))]
    if program.exists() and program.stat().st_mtime > max(each.stat().st_mtime for each in [*sources, HERE / "loop.h"]):
        return program
    flags = [each for each in PARTS[name] if isinstance(each, str) and each.startswith("-")]
    packages = [each for each in PARTS[name] if isinstance(each, str) and not each.startswith("-")]
    if packages:
        found = subprocess.run(["pkg-config", "--cflags", "--libs", *packages], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)  # fmt: skip
        if found.returncode != 0:
            return None
        flags += found.stdout.split()
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", f"-I{ROOT}/fcgi-app", f"-I{ROOT}/tests/unit",
                    "-o", f"{program}.new", *sources, *flags], check=True)  # fmt: skip
    pathlib.Path(f"{program}.new").replace(program)
    return program


class Loops:
    """As many processes of a program as there are cores; all are warm when this is made."""

    def __init__(self, program, *words, count=CORES):
        env = {**os.environ, "OMP_THREAD_LIMIT": "1", "srcdir": str(ROOT)}
        self.what = f"{program.name} {' '.join(map(str, words))[:200]}"
        self.processes = [subprocess.Popen([program, *map(str, words)], env=env, text=True, bufsize=1, stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE) for _ in range(count)]  # fmt: skip
        if [each.stdout.readline() for each in self.processes] != ["ready\n"] * count:
            self.close()
            raise RuntimeError(f"{self.what} does not work")

    def measure(self, seconds):
        for each in self.processes:
            each.stdin.write(f"{seconds}\n")
        lines = [each.stdout.readline() for each in self.processes]
        assert all(lines), f"{self.what} ended"
        got = [json.loads(line) for line in lines]
        runs = sum(each["runs"] for each in got)
        return {"rate": sum(each["runs"] / each["seconds"] for each in got), "runs": runs,
                "cpu_ms": sum(each["cpu"] for each in got) / runs * 1e3,
                "peak_mb": max(each["peak_kb"] for each in got) / 1024,
                "ms": [ms for each in got for ms in each["ms"]]}  # fmt: skip

    def close(self):
        for each in self.processes:
            each.stdin.close()
            each.wait()
            each.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
