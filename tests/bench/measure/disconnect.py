# SPDX-License-Identifier: BSD-2-Clause
"""A hundred clients ask for two seconds of computing each and leave after half a second.

What a server computes from then on is for nobody, and whoever comes next waits behind it.
"""

import concurrent.futures
import socket
import time

from harness.calibrate import terms
from harness.contender import registry
from harness.measurement import Aim, Column, Plot, Result, Row, Table, alternate, values
from harness.processes import cpu_seconds, tree

NAME = "disconnect"
TITLE = "When clients leave"
SECONDS = 5.0  # of which the CPU use after they left is the mean
CONTENDERS = ["gangsaw", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

CLIENTS = 100
RUN_MS = 2000
STAY = 0.5
NEXT_AFTER = 1.0  # s after they left, somebody else comes
NEXT_MS = 100  # what that one has computed
LIMIT = 10.0  # nobody looks longer
LOOK = 0.1
IDLE_CORES = 0.05  # less over IDLE_SECONDS is idle
IDLE_SECONDS = 0.5

COLUMNS = [
    Column("accepted", "clients not refused at once", "", 0),
    Column("cores", "computing for nobody", "cores", 2, "lower"),
    Column("idle", "idle after", "s", 1, "lower"),
    Column("light", "next light request", "ms", 1, "lower"),
    Column("heavy", f"next run of {NEXT_MS} ms", "ms", 0, "lower"),
]


def leave_together(port, request, clients, stay):
    """How many had no answer yet when they left, all at once."""
    sockets = []
    for _ in range(clients):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request.whole())
        sockets.append(one)
    time.sleep(stay)
    waiting = 0
    for one in sockets:
        one.setblocking(False)
        try:
            one.recv(1)
        except BlockingIOError:
            waiting += 1
    for one in sockets:
        one.close()
    return waiting


def milliseconds(request, port, limit):
    """Until the answer; the limit, if there is none before."""
    begin = time.monotonic()
    try:
        request.answer(port, limit)
    except OSError:  # a time-out, or an answer other than 200: the next attempt would not fare better
        return limit * 1e3
    return (time.monotonic() - begin) * 1e3


def watch(contender, begin, limit):
    """[(seconds since `begin`, CPU seconds so far), …] until the limit."""
    seen = []
    while (now := time.monotonic() - begin) < limit:
        seen.append((now, cpu_seconds(tree(contender.roots()))))
        time.sleep(LOOK)
    return seen


def idle_after(seen):
    """When a stretch without work began that did not end any more; None: it never did."""
    found = None
    for i, (begin, used) in enumerate(seen):
        later = next(((at, cpu) for at, cpu in seen[i:] if at >= begin + IDLE_SECONDS), None)
        if not later:
            break
        is_idle = later[1] - used < IDLE_CORES * (later[0] - begin)
        found = (begin if found is None else found) if is_idle else None
    return found


def used_cores(seen, seconds):
    """The mean over the first of them."""
    last = [each for each in seen if each[0] <= seconds][-1]
    return (last[1] - seen[0][1]) / max(last[0] - seen[0][0], LOOK)


def measure(bench, name, seconds):
    clients, run_ms, stay, limit = (4, 300, 0.05, 1.5) if bench.smoke else (CLIENTS, RUN_MS, STAY, max(LIMIT, seconds))
    with bench.fresh(name) as contender, concurrent.futures.ThreadPoolExecutor() as threads:
        for _ in range(2 * bench.cores):
            contender.request("squares", n=1, way="c").answer(contender.port)
        accepted = leave_together(contender.port, contender.request("squares", n=terms(run_ms), way="c"), clients, stay)
        begin = time.monotonic()

        def come(request):
            time.sleep(max(0.0, begin + min(NEXT_AFTER, limit / 3) - time.monotonic()))
            return milliseconds(request, contender.port, LIMIT - NEXT_AFTER)

        light = threads.submit(come, contender.request("empty"))
        heavy = threads.submit(come, contender.request("squares", n=terms(NEXT_MS), way="c"))
        seen = watch(contender, begin, limit)
        idle = idle_after(seen)
        return {"accepted": accepted, "cores": used_cores(seen, seconds), "idle": limit if idle is None else idle,
                "light": light.result(), "heavy": heavy.result()}  # fmt: skip


def note_of(found):
    bounds = []
    if found["idle"].highest >= LIMIT:
        bounds.append(f"at work for {LIMIT:g} s and more")
    longest = (LIMIT - NEXT_AFTER) * 1e3
    for key in ("light", "heavy"):
        if found[key].highest >= longest:
            bounds.append(f"the next {key} request had no answer in {longest / 1e3:g} s")
    return "; ".join(bounds)


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    if options.smoke:
        names = [name for name in names if name in ("gangsaw", "fastapi-processes")]
    got = alternate({name: name for name in names}, 1, lambda name: measure(bench, name, options.seconds))
    rows = []
    for name, measured in got.items():
        found = values(measured, *(column.key for column in COLUMNS))
        assert 0 <= found["cores"].median <= bench.cores * 1.2, f"{name}: {found['cores'].median} cores of {bench.cores}"
        rows.append(Row(name, registry()[name].title, found, note_of(found)))
    table = Table(f"{CLIENTS} clients start {RUN_MS / 1e3:g} s of computing each and leave after {STAY:g} s", COLUMNS, rows)
    ours = {row.name: row for row in rows}.get("gangsaw")
    aims = [Aim("cores that compute for nobody, as a share of all", ours.values["cores"].median / bench.cores, 0.1, "lower")] if ours else []
    return Result(
        NAME, TITLE, "Does work end when nobody waits for it any more?",
        f"{CLIENTS} clients send a request for {RUN_MS / 1e3:g} s of a core (the sum of {terms(RUN_MS):,} squares in C) at the same time, and all close "
        f"their connections {STAY:g} s later. From then on: CPU time of all of the server's processes over {options.seconds:g} s; when it has become idle "
        f"(less than {IDLE_CORES:g} cores for {IDLE_SECONDS:g} s), looked at for {LIMIT:g} s; and what a new client waits that comes {NEXT_AFTER:g} s later. "
        "Once each, started anew. Gangsaw refuses with 503 whom it has no place for.",
        [table], [Plot("disconnect-cores", "cores that compute for nobody after 100 clients left", 0, "cores")], aims)  # fmt: skip
