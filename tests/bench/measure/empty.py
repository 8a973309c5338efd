# SPDX-License-Identifier: BSD-2-Clause
"""What it costs to answer at all: from the process that takes the request, and through to where it computes."""

import json
import shutil

from harness.closed import Load, best, measure, median, table
from harness.contender import Request
from harness.load import h2load, hey
from harness.measurement import Aim, Column, Plot, Result, Row, Table, Value, times

NAME = "empty"
TITLE = "An empty answer"
SECONDS = 2.0
FASTAPI = ["fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery"]
SILENT = {"silent-fastapi": "no line for a request, and not among FastAPI's best", "node": "no line for a request"}
CONTENDERS = ["gangsaw", *FASTAPI, "php-fpm", *SILENT]

CLIENTS = 16
METHOD = (
    "A closed loop of {clients} clients (wrk), {seconds:g} s, {rounds} rounds in turn. First each contender's lightest answer, a few bytes of JSON "
    "from the process that takes the request; then an empty one from where the contender computes: Gangsaw's executor, FastAPI's "
    "thread, process of the pool, Celery's worker. Where both are the same process, the figure stands in both tables. "
    "Each server writes a line for each request, as it does by default; two do not, to show what it costs."
)  # fmt: skip
REFUSED = Request.json("/v1/tasks/demo.sum_squares", {"n": -1})
OTHERS = ("gangsaw", "gangsaw-executor", "fastapi-inline", "php-fpm", "node")  # whom other generators measure too
GENERATOR_COLUMNS = [Column(key, key, "requests/s", 0, "higher") for key in ("wrk", "hey", "h2load")]


def light(bench, names):
    loads = []
    for name in names:
        each = bench.contender(name)
        if name == "gangsaw":
            loads.append(Load(name, "Gangsaw, a worker", each, each.request("empty"), CLIENTS, "GET /livez"))
            loads.append(Load("gangsaw-refusal", "Gangsaw, a refusal", each, REFUSED, CLIENTS,
                              "a worker of the computing pool answers 422 to a wrong parameter", is_refused=True))  # fmt: skip
        elif name not in ("fastapi-processes", "fastapi-celery"):  # whose handler is fastapi-inline's
            loads.append(Load(name, each.title, each, each.request("empty"), CLIENTS, SILENT.get(name, "")))
    return loads


def through(bench, names):
    loads = []
    for name in names:
        each = bench.contender(name)
        if name == "gangsaw":
            loads.append(Load("gangsaw-executor", "Gangsaw, an executor", each, each.request("empty", through=True), CLIENTS, "POST, a task that does nothing"))
        elif name in ("fastapi-processes", "fastapi-celery"):
            loads.append(Load(name, each.title, each, each.request("empty", through=True), CLIENTS))
    return loads


def generators(loads, figures, seconds):
    """Is it the generator that was measured? Two others, once."""
    rows = []
    for each in loads:
        if each.name in OTHERS:
            found = {"wrk": median(figures, each.name)}
            for function in (hey, h2load):
                if not shutil.which(function.__name__):  # in a smoke test
                    continue
                got = function(each.request, each.contender.port, each.clients, seconds)
                assert not got["errors"], f"{each.title}: {got['errors']} errors by {function.__name__}"
                found[function.__name__] = got["rate"]
            rates = {key: Value.of(found[key]) if key in found else None for key in ("wrk", "hey", "h2load")}
            rows.append(Row(each.name, each.title, rates, "" if all(rates.values()) else "a generator is not installed"))
    return Table("The same by other load generators, once", GENERATOR_COLUMNS, rows)


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    lights, throughs = light(bench, names), through(bench, names)
    for each in (*lights, *throughs):
        if not each.is_refused:
            assert isinstance(json.loads(each.request.answer(each.contender.port)), dict), each.title
    got = measure([*lights, *throughs], options)
    alone = table("From the process that takes the request", lights, got)
    same = [each for each in lights if not each.name.startswith("gangsaw")]  # they compute where they answer
    computing = table("From where it computes", [*throughs, *same], got)
    every = table("", [*lights, *throughs], got)
    return Result(
        NAME, TITLE, "What does it cost to take a request and answer it, when there is nothing to do?",
        METHOD.format(clients=CLIENTS, seconds=options.seconds, rounds=options.rounds),
        [alone, computing, generators([*lights, *throughs][: 1 if options.smoke else None], every, options.seconds)],
        [Plot("empty", "Empty answers a second, from the process that takes the request", 0, "rate", says=says(alone, computing)),
         Plot("empty-computing", "Empty answers a second, from where it computes", 1, "rate")],
        list(aims(alone, computing)),
    )  # fmt: skip


def says(alone, computing):
    worker, executor = median(alone, "gangsaw"), median(computing, "gangsaw-executor")
    if not worker or not executor:
        return ""
    beside = [f"{times(worker / rate)} {name}'s" for name, rate in (("FastAPI", best(alone, "fastapi")), ("PHP-FPM", median(alone, "php-fpm"))) if rate]
    return (f"{worker:,.0f} empty answers a second" + (f": {' and '.join(beside)} rate, all with a log of requests" if beside else "")
            + f"; {executor:,.0f} from a process of their own in a sandbox.")  # fmt: skip


def aims(alone, computing):
    fastapi = best(alone, "fastapi")
    for what, ours, theirs, aim in (
        ("rate of a worker alone, relative to FastAPI's best", median(alone, "gangsaw"), fastapi, 2.2),
        ("rate of a worker alone, relative to PHP-FPM's", median(alone, "gangsaw"), median(alone, "php-fpm"), 1.3),
        ("rate through an executor, relative to FastAPI's best", median(computing, "gangsaw-executor"), fastapi, 1.8),
        ("rate through an executor, relative to PHP-FPM's", median(computing, "gangsaw-executor"), median(alone, "php-fpm"), 1.0),
    ):
        if ours and theirs:
            yield Aim(what, ours / theirs, aim)
