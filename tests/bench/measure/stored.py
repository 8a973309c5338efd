# SPDX-License-Identifier: BSD-2-Clause
"""Mixed work: a millisecond of computing, then the result is written to PostgreSQL before the answer."""

import json

from harness.calibrate import terms
from harness.closed import Load, measure, table
from harness.measurement import Plot, Result

NAME = "stored"
TITLE = "Computed, and stored before the answer"
SECONDS = 2.0
CONTENDERS = ["gangsaw", "fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery", "php-fpm"]

RUN_MS = 1
DATABASE = "bench_stored"
METHOD = (
    "The C function for {ms} ms, then the sum is in PostgreSQL, then comes the answer. The others INSERT a row into a table of their own; Gangsaw "
    "runs a durable job and its client waits for it (Prefer: respond-async, wait=30): a row before the run and one after it. The same "
    "PostgreSQL for all, synchronous_commit on. Closed loops (wrk) of {clients} clients, {seconds:g} s, {rounds} rounds in turn."
)  # fmt: skip


TABLE = """
CREATE TABLE result (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sum double precision NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
"""


def make_database(stack):
    """The URL of one with the table, new each time."""
    stack.sql(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    stack.sql(f"CREATE DATABASE {DATABASE}")
    stack.sql(f"\\connect {DATABASE}\n{TABLE}")
    return stack.database_url.replace("/gangsaw?", f"/{DATABASE}?")


def stored_sums(stack, name):
    """All that the contender has stored so far; of Gangsaw's jobs, and of the table that the others share."""
    if name == "gangsaw":
        return [row[0] for row in stack.sql("SELECT result->>'sum' FROM gangsaw.job_done WHERE state = 'succeeded'")]
    return [row[0] for row in stack.sql(f"\\connect {DATABASE}\nSELECT sum FROM result")]


def check(stack, load, n):
    """One request, one row with the right sum."""
    before = stored_sums(stack, load.name)
    answer = json.loads(load.request.answer(load.contender.port))
    wanted = (n - 1) * n * (2 * n - 1) // 6
    for sum in (answer.get("result", answer)["sum"], *set(stored_sums(stack, load.name))):
        assert abs(float(sum) - wanted) <= 1e-9 * wanted, f"{load.title}: {sum}, which should be {wanted}"
    assert len(stored_sums(stack, load.name)) == len(before) + 1, f"{load.title}: not one row more"


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    n, clients = terms(RUN_MS), 4 * bench.cores
    url = make_database(bench.stack)
    loads = []
    for name in names:
        contender = bench.contender(name)
        contender.use_database(url)
        loads.append(Load(name, contender.title, contender, contender.request("stored", n=n), clients,
                          "a durable job" if name == "gangsaw" else ""))  # fmt: skip
        check(bench.stack, loads[-1], n)
    got = measure(loads, options)
    for each in loads:
        if each.name != "gangsaw":
            bench.stop(each.name)  # or they would keep the database's connections
    return Result(
        NAME, TITLE, "What does it cost when each result has to be in the database before the answer?",
        METHOD.format(ms=RUN_MS, clients=clients, seconds=options.seconds, rounds=options.rounds),
        [table(f"{RUN_MS} ms, and a row", loads, got)], [Plot("stored", "Computed for 1 ms and stored", 0, "rate")],
    )  # fmt: skip
