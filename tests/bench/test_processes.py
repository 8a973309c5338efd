# SPDX-License-Identifier: BSD-2-Clause
"""A server that is stopped is gone, with whatever it has started."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.contender import Contender  # noqa: E402
from harness.processes import Program, in_session, tree  # noqa: E402
from harness.session import Bench  # noqa: E402
from stack import alive, wait_until  # noqa: E402

CHILDREN = 20
MASTER = f"""
import os, time

def start():
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)

for _ in range({CHILDREN}):
    start()
while True:
    os.wait()
    start()
"""


ORPHAN = """
import os, time
for _ in range(2):
    if os.fork() > 0:
        os._exit(0)
time.sleep(60)
"""


def living(leader):
    return [pid for pid in in_session(leader) if alive(pid)]


def test_a_master_cannot_replace_children_that_are_stopped(tmp_path):
    program = Program([sys.executable, "-c", MASTER], tmp_path / "log")
    try:
        program.wait_until(lambda: len(tree([program.pid])) == CHILDREN + 1)
    finally:
        program.stop()
    wait_until(lambda: not living(program.pid), 10, "all of them gone")
    assert not alive(program.pid)


def test_what_has_lost_its_parents_is_stopped_too(tmp_path):
    """As a process pool of Python's does whose process was killed."""
    program = Program([sys.executable, "-c", ORPHAN], tmp_path / "log")
    try:
        wait_until(lambda: program.process.poll() == 0 and len(living(program.pid)) == 1)
    finally:
        program.stop()
    wait_until(lambda: not living(program.pid), 10, "all of them gone")


class Interrupted(Contender):
    """Whoever measures is sent away while it starts."""

    def start(self, folder, bench):
        self.program = bench.program = Program(["sleep", "60"], folder / "log")
        raise SystemExit(143)

    def stop(self):
        self.program.stop()


def test_a_server_that_was_interrupted_while_it_started_is_gone():
    bench = Bench(smoke=True)
    bench._all = {"interrupted": Interrupted()}
    try:
        with pytest.raises(SystemExit):
            bench.contender("interrupted")
        assert not alive(bench.program.pid)
    finally:
        bench._files.cleanup()
