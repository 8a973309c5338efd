# SPDX-License-Identifier: BSD-2-Clause
"""One process that computes is killed in the middle of a load at half of the capacity.

As the kernel's out-of-memory killer does it, or a library that crashes. Nobody repairs anything.
"""

import os
import signal
import threading
import time

from harness.calibrate import terms
from harness.contender import registry
from harness.load import open_loop
from harness.measurement import Column, Plot, Result, Row, Table, values
from harness.processes import cpu_seconds, tree
from stack import process_state

NAME = "recovery"
TITLE = "When a process is killed"
SECONDS = 6.0
CONTENDERS = ["gangsaw", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

RUN_MS = 100
LIGHTS = 9  # for each heavy request
LOAD = 0.5  # of the capacity
KILL_AT = 1 / 3  # of the run
PATIENCE = 2.0
WINDOW = 1.0  # s, over which goodput is looked at
GOOD_AGAIN = 0.9  # of what is asked for
START = 0.3  # s that the generator may have taken to start: its times count from then
BUSY = 0.3  # who has used so much of what the busiest process has is one that computes

COLUMNS = [
    Column("failed_light", "light requests failed", "", 0, "lower"),
    Column("failed_heavy", "heavy requests failed", "", 0, "lower"),
    Column("share_heavy", "heavy answered after the kill", "%", 0, "higher"),
    Column("back", f"back at {100 * GOOD_AGAIN:.0f} % after", "s", 1, "lower"),
    Column("slowest_light", "slowest light after the kill", "ms", 0, "lower"),
]


# ---- whom to kill


def used(pids):
    return {pid: cpu_seconds([pid]) for pid in pids}


def computing(contender):
    """A process that computes at this moment, one of those that do so most of the time."""
    limit = time.monotonic() + 2
    while time.monotonic() < limit:
        consumed = used(tree(contender.roots()))
        most = max(consumed.values())
        for pid, seconds in sorted(consumed.items(), key=lambda item: -item[1]):
            state = process_state(pid)
            if seconds >= BUSY * most and state and state[0] == "R":
                return pid
        time.sleep(0.002)
    raise RuntimeError(f"no process of {contender.name} computes")


def parent_of_computing(contender):
    return int(process_state(computing(contender))[1])


def busy_worker(contender):
    """Of Gangsaw's: it admits a request and waits for its run."""
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        for each in contender.stack.pool()["workers"]:
            if each["state"] != "idle" and process_state(each["pid"]):
                return each["pid"]
    raise RuntimeError("no worker has a request")


CASES = [
    ("gangsaw", "an executor", computing),
    ("gangsaw", "a worker of the pool compute", busy_worker),
    ("fastapi-inline", "a uvicorn worker", computing),
    ("fastapi-threads", "a uvicorn worker", computing),
    ("fastapi-processes", "a process of the pool", computing),
    ("fastapi-processes", "a uvicorn worker", parent_of_computing),
    ("fastapi-celery", "a process of the Celery worker", computing),
    ("php-fpm", "a child", computing),
]


# ---- the run


class Killer(threading.Thread):
    """Kills one process, `seconds` after it was made."""

    def __init__(self, contender, find, seconds):
        super().__init__(daemon=True)
        self.contender, self.find, self.at = contender, find, time.monotonic() + seconds
        self.killed = self.error = None
        self.start()

    def run(self):
        try:
            time.sleep(max(0.0, self.at - time.monotonic()))
            victim = self.find(self.contender)
            os.kill(victim, signal.SIGKILL)
            self.killed = time.monotonic()
        except Exception as error:
            self.error = error


def is_good(one):
    return 200 <= one[2] < 300


def back_after(requests, killed, end):
    """Seconds until a request was planned from which on enough are good, in every window that follows."""
    later = sorted(one for one in requests if one[0] >= killed)
    found = None
    for i, (planned, _, _) in enumerate(later):
        window = [is_good(one) for one in later[i:] if one[0] < planned + WINDOW]
        if planned + WINDOW > end and found is not None:
            break
        if sum(window) < GOOD_AGAIN * len(window):
            found = None
        elif found is None:
            found = planned - killed
    return found


def measure(bench, name, find, seconds):
    rate = LOAD * bench.cores * 1000 / RUN_MS
    with bench.fresh(name) as contender:
        light, heavy = contender.request("empty"), contender.request("squares", n=terms(RUN_MS), way="c")
        for _ in range(2 * bench.cores):
            light.answer(contender.port)
            heavy.answer(contender.port)
        begin = time.monotonic()
        killer = Killer(contender, find, KILL_AT * seconds)
        got = open_loop({"light": (light, contender.port, LIGHTS * rate), "heavy": (heavy, contender.port, rate)},
                        seconds, PATIENCE, trace=True)  # fmt: skip
        killer.join(10)
    assert killer.killed, f"{name}: nothing was killed: {killer.error}"
    return figures(got, killer.killed - begin, seconds)


def figures(got, killed, seconds):
    light, heavy = got["light"]["trace"], got["heavy"]["trace"]
    after = [one for one in heavy if one[0] >= killed]
    back = [back_after(each, killed, seconds) for each in (light, heavy)]
    slowest = [one[1] for one in light if one[0] >= killed - 0.1]
    return {
        "failed_light": sum(not is_good(one) for one in light),
        "failed_heavy": sum(not is_good(one) for one in heavy),
        "share_heavy": 100 * sum(map(is_good, after)) / len(after) if after else None,
        "back": None if None in back else max(back),
        "slowest_light": max(slowest) if slowest else None,
        "failed_before": sum(not is_good(one) for one in light + heavy if one[0] + one[1] / 1e3 < killed - START),
    }


def note_of(found, seconds):
    notes = []
    if found["back"] is None:
        notes.append(f"never, in the {(1 - KILL_AT) * seconds:.2g} s that were left")
    if found["failed_before"]:
        notes.append(f"{found['failed_before']} had failed before")
    return "; ".join(notes)


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    seconds = max(options.seconds, 1.5)
    cases = [case for case in CASES if case[0] in names and not (options.smoke and case[1:] not in [CASES[0][1:], CASES[4][1:]])]
    rows = []
    for name, what, find in cases:
        found = measure(bench, name, find, seconds)
        assert found["failed_light"] + found["failed_heavy"] <= (LIGHTS + 1) * LOAD * bench.cores * 1000 / RUN_MS * seconds + 2
        rows.append(Row(f"{name} {what}", f"{registry()[name].title}: {what}", values([found], *(each.key for each in COLUMNS)),
                        note_of(found, seconds)))  # fmt: skip
    table = Table("One process gets SIGKILL", COLUMNS, rows)
    return Result(
        NAME, TITLE, "What does a crash cost, and is the server whole again by itself?",
        f"Open loop at {LOAD:g} of the capacity: {LOAD * bench.cores * 1000 / RUN_MS:g} runs of {RUN_MS} ms a second and {LIGHTS} light requests for each, "
        f"{seconds:g} s; after {KILL_AT * seconds:.1f} s SIGKILL goes to one process. Failed is what has no answer of 2xx within {PATIENCE:g} s. Back: from then on, in "
        f"every window of {WINDOW:g} s, {100 * GOOD_AGAIN:.0f} % of both kinds are answered. Once each, started anew; no supervisor but the server's own.",
        [table], [Plot("recovery-heavy", "heavy requests answered after one process was killed", 0, "share_heavy")])  # fmt: skip
