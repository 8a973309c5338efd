# SPDX-License-Identifier: BSD-2-Clause
"""Jobs a second, and from enqueueing to the start."""

from harness.load import percentiles
from harness.measurement import Aim, Column, Plot, Result, Row, Table, alternate, times, values
from servers.gangsaw.jobs import Queue

NAME = "jobs"
TITLE = "Jobs"
SECONDS = 0.0  # counts, not seconds
CONTENDERS = ["gangsaw", "graphile-worker", "celery"]

BATCH = 1_000
JOBS = {"gangsaw": 20_000, "graphile-worker": 20_000, "celery": 3_000}  # Celery's rate does not depend on it, its patience does
SINGLE = 300

COLUMNS = [
    Column("rate", "done", "jobs/s", 0, "higher"),
    Column("enqueued", "enqueued", "jobs/s", 0, "higher"),
    Column("p50", "single, p50", "ms", 2, "lower"),
    Column("p99", "single, p99", "ms", 2, "lower"),
]
METHOD = (
    "{jobs:,} jobs that compute next to nothing ({celery:,} for Celery), enqueued in batches of {batch:,} while the workers run, until "
    "the last is done; then {single} single ones on an idle system, 10 ms apart. {rounds} rounds. Gangsaw and graphile-worker use the "
    "same PostgreSQL server, one after the other. A time counts from before the job is sent to when its function starts."
)  # fmt: skip
NOTES = {
    "gangsaw": "over HTTP; every result is stored",
    "graphile-worker": "straight to PostgreSQL; results are not kept, the row is deleted",
    "celery": "straight to Redis; results are kept there, in memory",
}


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    queue = Queue(bench.stack)
    queues = {name: queue if name == "gangsaw" else bench.contender(name) for name in names}
    jobs = {name: 200 if options.smoke else JOBS[name] for name in CONTENDERS}
    single = 5 if options.smoke else SINGLE

    def measure(each):
        count = jobs[each.name]
        many = each.many(count, BATCH)
        return {"rate": count / many["total_s"], "enqueued": count / many["enqueue_s"], **percentiles(each.single(single))}

    try:
        if "gangsaw" in queues:
            queue.many(jobs["gangsaw"], BATCH)  # warm: executors, connections, tables; the others warm up by themselves
        got = alternate(queues, options.rounds, measure)
    finally:
        queue.close()
        bench.stop("celery")
    titles = {"gangsaw": "Gangsaw", **{name: each.title for name, each in queues.items() if name != "gangsaw"}}
    rows = [Row(name, titles[name], values(each, *(column.key for column in COLUMNS)), NOTES[name]) for name, each in got.items()]
    return Result(
        NAME, TITLE,
        "How many durable jobs a second are done, and how soon does a single one start?",
        METHOD.format(jobs=jobs["gangsaw"], celery=jobs["celery"], batch=BATCH, single=single, rounds=options.rounds),
        [Table("Jobs", COLUMNS, rows)], plots(rows), aims(rows),
    )  # fmt: skip


def ratios(rows):
    """Gangsaw's rate by that of each other."""
    rates = {row.name: row.values["rate"].median for row in rows}
    return {name: rates["gangsaw"] / rate for name, rate in rates.items() if "gangsaw" in rates and name != "gangsaw"}


def aims(rows):
    found = ratios(rows)
    return [Aim(what, found[name], aim) for name, what, aim in (
        ("graphile-worker", "jobs a second, relative to graphile-worker's", 1), ("celery", "jobs a second, relative to Celery's", 20)) if name in found]  # fmt: skip


def plots(rows):
    found = ratios(rows)
    done = next((row.values["rate"].median for row in rows if row.name == "gangsaw"), 0)
    beside = [f"{times(ratio)} {name}'s" for name, ratio in (("graphile-worker", found.get("graphile-worker")), ("Celery", found.get("celery"))) if ratio]
    says = f"{done:,.0f} durable jobs a second, results stored" + (f": {' and '.join(beside)} rate." if beside else ".")
    return [Plot("jobs", "Jobs a second", 0, "rate", log=True, says=says),
            Plot("jobs-latency", "From enqueueing a single job to its start, p50", 0, "p50")]  # fmt: skip
