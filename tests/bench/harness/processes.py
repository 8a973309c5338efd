# SPDX-License-Identifier: BSD-2-Clause
"""Processes: what all of a server's use, and starting and ending one."""

import os
import pathlib
import re
import signal
import subprocess

from stack import process_state, wait_until

TICK = os.sysconf("SC_CLK_TCK")


def all_processes():
    """{pid: what process_state() has}"""
    return {int(path.name): fields for path in pathlib.Path("/proc").iterdir()
            if path.name.isdigit() and (fields := process_state(path.name))}  # fmt: skip


def tree(roots):
    """These processes and all their descendants, as a set."""
    parents = {pid: int(fields[1]) for pid, fields in all_processes().items()}
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def in_session(leader):
    """Those too whose parent has ended."""
    return {pid for pid, fields in all_processes().items() if int(fields[3]) == leader}


def cpu_seconds(pids):
    """Of these processes, and of their children that have ended."""
    states = [process_state(pid) for pid in pids]
    return sum(sum(map(int, each[11:15])) for each in states if each) / TICK


def memory_mb(pid, file, member):
    try:
        found = re.search(rf"^{member}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    except OSError:  # it has ended
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def pss_mb(pids):
    """What they occupy together: shared pages are counted once."""
    return sum(memory_mb(pid, "smaps_rollup", "Pss") for pid in pids)


def peak_mb(pid):
    """The most resident memory that a process ever had."""
    return memory_mb(pid, "status", "VmHWM")


def kill(pids, number=signal.SIGKILL):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def kill_session(leader):
    """With all descendants, and what it started behind them. They are halted first: a master starts anew what it
    loses."""
    halted = set()
    while more := tree(in_session(leader)) - halted:
        kill(more, signal.SIGSTOP)
        halted |= more
    kill(halted)


class Program:
    """A process whose output goes to `log`. What it has started ends with it. Its session is its own, as a daemon's
    would be: the kernel may share out cores by sessions, and the load is in another."""

    def __init__(self, command, log, cwd=None, env=None):
        self.log = pathlib.Path(log)
        with open(self.log, "ab") as output:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})})  # fmt: skip
        self.pid = self.process.pid

    def wait_until(self, condition, seconds=30.0):
        """Until `condition()` is true; the end of the log is the error's text."""

        def looked():
            assert self.process.poll() is None, "it has ended"
            return condition()

        try:
            wait_until(looked, seconds)
        except AssertionError as error:
            self.stop()
            raise RuntimeError(f"{self.process.args[0]}: {error}\n{self.tail()}") from error

    def tail(self):
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self):
        """Killed: some servers would first wait for their clients, others compute on for nobody."""
        kill_session(self.pid)
        self.process.wait()
