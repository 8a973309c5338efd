# SPDX-License-Identifier: BSD-2-Clause
"""What contenders have in common, so that they do the same."""

import pathlib
import subprocess

from harness import CORES, WORK
from harness.processes import Program
from stack import free_port

KEY = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"  # of AES-256, in hexadecimal
WIDTH = 400  # of a thumbnail


def sum_squares():
    """The C function as a shared object beside the build, for ctypes and FFI."""
    source, made = pathlib.Path(__file__).parent / "fastapi" / "sum_squares.c", WORK / "sum_squares.so"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-fPIC", "-shared", "-o", f"{made}.new", source], check=True)
        pathlib.Path(f"{made}.new").replace(made)
    return made


def start_celery(programs, app, folder, cwd, env, *options):
    """A Redis that writes nothing to a disk, and a Celery worker with a process for each core; both are put into
    `programs`, and the broker's address into `env`."""
    port = free_port()
    env["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    programs.append(Program(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                            folder / f"redis-{port}.log"))  # fmt: skip
    worker = Program(["/usr/bin/python3", "-m", "celery", "-A", app, "worker", "-c", CORES, *options, "--without-gossip", "--without-mingle",
                      "--without-heartbeat", "-l", "info"], folder / f"celery-{port}.log", cwd=cwd, env=env)  # fmt: skip
    programs.append(worker)
    worker.wait_until(lambda: " ready." in worker.log.read_text(), 60)
