# SPDX-License-Identifier: BSD-2-Clause
"""A server that is stopped is gone, with whatever it has started."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness.contender import Contender  # noqa: E402
from harness.processes import Program, tree  # noqa: E402
from harness.session import Bench  # noqa: E402
from stack import alive, process_state, wait_until  # noqa: E402

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


def in_session(leader):
    """Living processes of a session: those too whose parent has ended."""
    states = {int(path.name): process_state(path.name) for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()}
    return [pid for pid, fields in states.items() if fields and int(fields[3]) == leader]


def test_a_master_cannot_replace_children_that_are_stopped(tmp_path):
    program = Program([sys.executable, "-c", MASTER], tmp_path / "log")
    try:
        program.wait_until(lambda: len(tree([program.pid])) == CHILDREN + 1)
    finally:
        program.stop()
    wait_until(lambda: not in_session(program.pid), 10, "all of them gone")
    assert not alive(program.pid)


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
