# SPDX-License-Identifier: BSD-2-Clause
"""The memory of all processes, at rest and while they make thumbnails.

The proportional set size: a page that several processes share counts once among them.
"""

import threading
import time

from harness.contender import registry
from harness.load import wrk
from harness.measurement import Aim, Column, Plot, Result, Row, Table, values
from harness.processes import memory_mb, tree

NAME = "memory"
TITLE = "Memory"
SECONDS = 4.0  # of the load
CONTENDERS = ["gangsaw", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

SETTLE = 1.0  # s after the first requests
LOOK = 0.25  # s between two looks while it works
CLIENTS = 2  # a core

COLUMNS = [
    Column("rest", "at rest", "MB", 1, "lower"),
    Column("peak", "peak, thumbnails", "MB", 1, "lower"),
    Column("after", "after the load", "MB", 1, "lower"),
    Column("processes", "processes at rest", "", 0),
]


def each_pss(pids):
    return {pid: memory_mb(pid, "smaps_rollup", "Pss") for pid in pids}


class Watch(threading.Thread):
    """Every now and then looks at the memory of `parts()`, {name: pids}: the largest of each, and of their sum."""

    def __init__(self, parts):
        super().__init__(daemon=True)
        self.parts, self.peaks, self.ended = parts, {}, threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            for name, megabytes in memory_of(self.parts()).items():
                self.peaks[name] = max(self.peaks.get(name, 0), megabytes)
            self.ended.wait(LOOK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(30)


def memory_of(parts):
    """MB of each part and of `all` of them; of processes that appear in several, the first's."""
    found, seen = {}, set()
    for name, pids in parts.items():
        found[name] = sum(each_pss(set(pids) - seen).values())
        seen |= set(pids)
    return {**found, "all": sum(found.values())}


def parts_of_gangsaw(contender):
    """All but PostgreSQL."""
    stack = contender.stack
    found = {}
    pools = {name: tree([stack.pid(name)]) for name in ("api", "compute", "runner")}
    executors = {name: {pid for pid in pids if is_executor(pid)} for name, pids in pools.items()}
    found["nginx"] = tree([stack.pid("nginx")])
    found["api"] = pools["api"]
    found["compute"] = pools["compute"] - executors["compute"]
    found["compute executors"] = executors["compute"]
    found["runner"] = pools["runner"] - executors["runner"]
    found["runner executors"] = executors["runner"]
    found["hub"] = tree([stack.pid("hub")])
    return found


def is_executor(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")[0].endswith(b"gangsaw-executor")
    except OSError:
        return False


def parts_of(contender):
    if contender.name == "gangsaw":
        return {**parts_of_gangsaw(contender), "PostgreSQL": tree([contender.stack.pid("postgres")])}
    return {"server": tree(contender.roots())}


def settled(parts):
    time.sleep(SETTLE)
    return memory_of(parts())


def measure(bench, name, seconds):
    """{"rest", "peak", "after"}: MB by part."""
    picture = bench.photograph.read_bytes() if bench.photograph else None
    with bench.fresh(name) as contender:

        def parts():
            return parts_of(contender)

        for _ in range(4 * bench.cores):
            contender.request("empty").answer(contender.port)
        found = {"rest": settled(parts), "processes": {part: len(pids) for part, pids in parts().items()}}
        found["processes"]["all"] = sum(found["processes"].values())
        if picture:
            request = contender.request("thumbnail", picture=picture)
            request.answer(contender.port)
            with Watch(parts) as watch:
                load = wrk(request, contender.port, CLIENTS * bench.cores, seconds)
            assert load["rate"] > 0 and not load["errors"], f"{name}: {load}"
            found["peak"], found["after"] = watch.peaks, settled(parts)
    assert found["rest"]["all"] > 1, f"{name}: {found['rest']}"
    return found


def row(name, title, found, *parts, note=""):
    """The sum of some parts; for the peak, the peaks of each: an upper bound where there are several."""
    figures = {key: sum(found[key].get(part, 0) for part in parts) if key in found else None
               for key in ("rest", "peak", "after", "processes")}  # fmt: skip
    if figures["peak"] is None:
        note += f"{'; ' if note else ''}without the photograph no load"
    return Row(name, title, values([figures], *figures), note)


TITLES = {
    "nginx": "nginx", "api": "pool api", "compute": "pool compute without executors", "compute executors": "its executors, one a core",
    "runner": "runner without executors", "runner executors": "its executors, one a core", "hub": "hub", "PostgreSQL": "PostgreSQL",
}  # fmt: skip
WITHOUT = [part for part in TITLES if part != "PostgreSQL"]


def rows_of(got):
    rows = []
    for name, found in got.items():
        title = registry()[name].title
        if name == "gangsaw":
            rows.append(row(name, title, found, *WITHOUT, note="with all that jobs need but PostgreSQL; compare with arrangements that keep no jobs"))
            rows.append(row(f"{name}-postgresql", f"{title} and PostgreSQL", found, *TITLES,
                            note="jobs, results and files are kept; compare with Celery and Redis"))  # fmt: skip
        else:
            rows.append(row(name, title, found, "all", note="Redis included; results are not on a disk" if name == "fastapi-celery" else ""))
    return rows


def aims_of(rows):
    rest = {each.name: each.values["rest"].median for each in rows}
    pairs = [("gangsaw", "fastapi-processes", "memory at rest, relative to FastAPI's process pool with as many processes"),
             ("gangsaw-postgresql", "fastapi-celery", "memory at rest with PostgreSQL, relative to FastAPI with Celery and Redis")]  # fmt: skip
    return [Aim(what, rest[ours] / rest[theirs], 0.5, "lower") for ours, theirs, what in pairs if ours in rest and theirs in rest]


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    if options.smoke:
        names = [name for name in names if name in ("gangsaw", "fastapi-processes")]
    got = {name: measure(bench, name, options.seconds) for name in names}
    rows = rows_of(got)
    tables = [Table("All processes of a server", COLUMNS, rows)]
    if "gangsaw" in got:
        tables.append(Table("Gangsaw's processes", COLUMNS, [row(part, TITLES[part], got["gangsaw"], part) for part in TITLES]))
    notes = [] if bench.photograph else ["The photograph is missing (shared data): memory at rest only."]
    return Result(
        NAME, TITLE, "What does a server occupy that waits, and one that works?",
        f"The proportional set size (smaps_rollup) of all processes, started anew: at rest {SETTLE:g} s after {4 * bench.cores} light requests, before any module "
        f"or picture library was used by a request; the largest of looks every {LOOK:g} s while {CLIENTS * bench.cores} clients have thumbnails made of a "
        f"photograph for {options.seconds:g} s; and {SETTLE:g} s after that. Each has one computing process (or {bench.cores} uvicorn workers) for each of "
        f"{bench.cores} cores; Gangsaw as many again for jobs, PHP-FPM two.",
        tables, [Plot("memory-rest", "memory of all processes at rest", 0, "rest")], aims_of(rows), notes)  # fmt: skip
