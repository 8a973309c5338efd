# SPDX-License-Identifier: BSD-2-Clause
"""The sum of squares: runs of a millisecond and of ten, in the language's own way and by the same C function."""

import json

from harness.calibrate import terms
from harness.closed import Load, choose_clients, clients_note, measure, median, table
from harness.measurement import Aim, Plot, Result
from servers.loops.loops import Loops, build_loop
from servers.shared import sum_squares

NAME = "squares"
TITLE = "Computing: the sum of squares"
SECONDS = 1.0
FASTAPI = ["fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery"]
CONTENDERS = ["gangsaw", *FASTAPI, "php-fpm"]

RUNS_MS = (1, 10)
NATIVE = f"The language's own loop, as many terms as C's in {RUNS_MS[0]} ms"
AIMS = {1: 0.90, 10: 0.97}
SLOW_MS = 10
SMOKE_MS = 0.1  # for the language's own loop, which takes a hundred times as long
PER_CORE = (2, 8)  # clients
METHOD = (
    "So many terms that the C function takes 1 ms and 10 ms on an idle core ({terms}). Closed loops, {seconds:g} s, {rounds} rounds in turn; "
    "each contender has {clients} clients, as it is quickest; {few} for its own loop. The bare loop is the same object in a process for each core, "
    "without a server. From Python the function is called by ctypes, from PHP by FFI; Gangsaw's task demo.sum_squares is the same loop."
)  # fmt: skip


class Bare(Load):
    """The C function on all cores."""

    def __init__(self, n):
        super().__init__("loop", "the bare loop", None, None, 0, "no server, no clients, and so no time of a request", is_slow=True)
        self.loops = Loops(build_loop("squares"), "run", sum_squares(), n)

    def measure(self, seconds):
        return self.loops.measure(seconds)

    def warm_up(self):
        """It is."""

    def close(self):
        self.loops.close()


def check(contender, request, n):
    answer = json.loads(request.answer(contender.port))
    got, wanted = float(answer.get("result", answer)["sum"]), (n - 1) * n * (2 * n - 1) // 6
    assert abs(got - wanted) <= 1e-9 * wanted, f"{contender.title}: {got}, which should be {wanted}"


def loads_of(bench, names, n, way, is_slow):
    loads = []
    for name in names:
        contender = bench.contender(name)
        request = contender.request("squares", n=n, way=way)
        if request:
            check(contender, request, n)
            loads.append(Load(name, contender.title, contender, request, PER_CORE[0] * bench.cores, is_slow=is_slow))
    return loads


def measure_c(ms, loads, options):
    """The table of runs of one length, with the bare loop."""
    bare = Bare(terms(ms))
    try:
        got = measure([bare, *loads], options)
    finally:
        bare.close()
    return table(f"The C function, runs of {ms} ms", [bare, *loads], got)


def run(options, bench):
    names = bench.available(options.wanted(CONTENDERS))
    loads = {ms: loads_of(bench, names, terms(ms), "c", ms >= SLOW_MS) for ms in RUNS_MS}
    native = loads_of(bench, names, terms(SMOKE_MS if options.smoke else RUNS_MS[0]), "native", True)
    if not options.smoke:
        choose_clients(loads[RUNS_MS[0]], [each * bench.cores for each in PER_CORE])
    clients = {each.name: each.clients for each in loads[RUNS_MS[0]]}
    for each in loads[RUNS_MS[1]]:
        each.clients = clients[each.name]
    tables = [measure_c(ms, loads[ms], options) for ms in RUNS_MS]
    plots = [Plot(f"squares-{ms}ms", found.title, i, "rate") for i, (ms, found) in enumerate(zip(RUNS_MS, tables))]
    if native:
        plots.append(Plot("squares-native", NATIVE, len(tables), "rate", log=True))
        tables.append(table(NATIVE, native, measure(native, options)))
    aims = [Aim(f"runs of {ms} ms, relative to the bare loop", median(found, "gangsaw") / median(found, "loop"), AIMS[ms])
            for ms, found in zip(RUNS_MS, tables) if median(found, "gangsaw")]  # fmt: skip
    return Result(
        NAME, TITLE, "How much of the cores is left for the work, and how much does the language take?",
        METHOD.format(terms=" and ".join(f"{terms(ms):,}" for ms in RUNS_MS), seconds=options.seconds, rounds=options.rounds,
                      clients=" or ".join(str(each * bench.cores) for each in PER_CORE), few=PER_CORE[0] * bench.cores),
        tables, plots, aims, [clients_note(loads[RUNS_MS[0]])],
    )  # fmt: skip
