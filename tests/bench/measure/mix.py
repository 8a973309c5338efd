# SPDX-License-Identifier: BSD-2-Clause
"""Nine light requests for each heavy one, up to ten times as many heavy ones as the cores can compute.

The load is open, since users do not wait for each other, and every contender is started anew for each load:
some would go on with the last one for minutes. A queue without an end shows only when it has grown beyond
the clients' patience: hence one that is short beside the run.
"""

import contextlib

from harness.calibrate import terms
from harness.contender import Request, registry
from harness.load import open_loop
from harness.measurement import Aim, Column, Plot, Result, Row, Table, alternate, values

NAME = "mix"
TITLE = "Light requests beside heavy ones"
SECONDS = 5.0
FASTAPI = ["fastapi-inline", "fastapi-threads", "fastapi-processes", "fastapi-celery"]
CONTENDERS = ["gangsaw", *FASTAPI, "php-fpm"]
SMOKE = ["gangsaw", "fastapi-processes", "php-fpm"]  # the others answer the same requests in other measurements

RUN_MS = 100
LIGHTS = 9  # for each heavy request
LOADS = (1, 4, 10)  # heavy requests, of what the cores can compute
PATIENCE = 2.0
WARM = 1 / 6  # of each run; not counted
ROUNDS = 2  # at most: six contenders at three loads
SHORTEST = 0.6  # s: below, there is no heavy request in a run
ASIDE_RATE = 20  # of each kind of request beside the mix

FIGURES = ("light_p50", "light_p95", "light_p99", "light_p999", "answered", "heavy_p50", "heavy_p95", "heavy_p99", "heavy_p999",
           "goodput", "share", "refused", "refusal_p99", "generator")  # fmt: skip
COLUMNS = [
    Column("light_p50", "light p50", "ms", 2, "lower"),
    Column("light_p95", "light p95", "ms", 1, "lower"),
    Column("light_p99", "light p99", "ms", 1, "lower"),
    Column("light_p999", "light p99.9", "ms", 1, "lower"),
    Column("answered", "lights answered", "%", 1, "higher"),
    Column("heavy_p50", "heavy p50", "ms", 0, "lower"),
    Column("heavy_p95", "heavy p95", "ms", 0, "lower"),
    Column("heavy_p99", "heavy p99", "ms", 0, "lower"),
    Column("heavy_p999", "heavy p99.9", "ms", 0, "lower"),
    Column("goodput", "heavy goodput", "runs/s", 1, "higher"),
    Column("share", "of the capacity", "%", 0, "higher"),
    Column("refused", "heavy refused", "%", 0),
    Column("refusal_p99", "refusal p99", "ms", 1, "lower"),
    Column("generator", "load generator", "cores", 2),
]
PLOTS = [
    ("mix-light", "p99 of light requests, heavy ones at four times the capacity", 4, "light_p99", True),
    ("mix-goodput", "goodput of heavy requests at ten times the capacity", 10, "share", False),
]


def capacity(bench):
    return bench.cores * 1000 / RUN_MS


def started(bench, name):
    """As it is when nobody has asked for anything; in a smoke test one is enough for all loads."""
    return contextlib.nullcontext(bench.contender(name)) if bench.smoke else bench.fresh(name)


def warm_up(contender, heavy, bench):
    for _ in range(2 * bench.cores):
        contender.request("empty").answer(contender.port)
        heavy.answer(contender.port)


def offer(bench, name, load, seconds):
    """One run: the figures of both kinds of requests."""
    rate = load * capacity(bench)
    with started(bench, name) as contender:
        light, heavy = contender.request("empty"), contender.request("squares", n=terms(RUN_MS), way="c")
        warm_up(contender, heavy, bench)
        got = open_loop({"light": (light, contender.port, LIGHTS * rate), "heavy": (heavy, contender.port, rate)},
                        seconds, PATIENCE, warm=WARM * seconds)  # fmt: skip
    check(name, got, (1 - WARM) * seconds * rate)
    return figures(got, bench)


def check(name, got, planned):
    """What would make every other figure worthless."""
    for stream, count in (("light", LIGHTS * planned), ("heavy", planned)):
        one = got[stream]
        assert abs(one["offered"] - count) <= 2 + count / 100, f"{name}: {one['offered']} {stream} requests instead of {count:.0f}"
        known = one["given_up"] + one["errors"] + sum(one["statuses"].values())
        assert known == one["offered"], f"{name}: {known} outcomes of {one['offered']}"
    assert name != "gangsaw" or got["light"]["good"] > 0, f"{name}: no light request was answered: {got['light']}"


def figures(got, bench):
    light, heavy = got["light"], got["heavy"]
    refusals = {status: count for status, count in heavy["statuses"].items() if not status.startswith("2")}
    found = {f"{kind}_{key}": got[kind][key] for kind in got for key in ("p50", "p95", "p99", "p999")}
    return {
        **found,
        "answered": 100 * light["good"] / light["offered"],
        "goodput": heavy["rate"],
        "share": 100 * heavy["rate"] / capacity(bench),
        "refused": 100 * sum(refusals.values()) / heavy["offered"],
        "refusal_p99": heavy["by_status"][max(refusals, key=refusals.get)]["p99"] if refusals else None,
        "generator": light["generator_cores"],
    }


def note_of(found):
    notes = ["refuses nothing"] if found["refusal_p99"] is None else []
    notes += [f"no {kind} request was answered, nor given up" for kind in ("light", "heavy") if found[f"{kind}_p50"] is None]
    return "; ".join(notes)


def table_of(load, got, bench):
    rows = []
    for name, loads in got.items():
        found = values([each[load] for each in loads], *FIGURES)
        rows.append(Row(name, registry()[name].title, found, note_of(found)))
    kind = f"{load:g} times the capacity" if load > 1 else "the capacity"
    return Table(f"Heavy requests at {kind}: {load * capacity(bench):.0f} a second, and {LIGHTS} light ones for each", COLUMNS, rows)


# ---- what else Gangsaw answers while all slots compute

ASIDE = {
    "livez": ("GET /livez", "empty", {}),
    "catalogue": ("GET /v1/tasks, the catalogue", "catalogue", {}),
    "missing": ("POST of a task that there is not: 404", "missing", {}),
    "small": ("POST of a run of a millionth of a heavy one", "squares", {"n": 1, "way": "c"}),
}


def aside_request(contender, work, params):
    """Beside the works that all contenders have, what Gangsaw's own answers are."""
    if work == "catalogue":
        return Request("GET", "/v1/tasks")
    if work == "missing":
        return Request.json("/v1/tasks/no.such", {})
    return contender.request(work, **params)


def aside(bench, load, seconds):
    with started(bench, "gangsaw") as contender:
        heavy = contender.request("squares", n=terms(RUN_MS), way="c")
        warm_up(contender, heavy, bench)
        streams = {name: (aside_request(contender, work, params), contender.port, ASIDE_RATE)
                   for name, (_, work, params) in ASIDE.items()}  # fmt: skip
        if load:
            streams["heavy"] = (heavy, contender.port, load * capacity(bench))
        got = open_loop(streams, seconds, PATIENCE, warm=WARM * seconds)
    wanted = {"missing": "404"}
    found = {}
    for name in ASIDE:
        status = got[name]["by_status"].get(wanted.get(name, "200"), {})
        found[name] = {f"{key}_{'busy' if load else 'idle'}": status.get(key) for key in ("p50", "p99")}
    return found


def aside_table(bench, seconds):
    idle, busy = aside(bench, 0, seconds), aside(bench, 4, seconds)
    columns = [Column(f"{key}_{state}", f"{key}, {'all slots compute' if state == 'busy' else 'idle'}", "ms", 2, "lower")
               for state in ("idle", "busy") for key in ("p50", "p99")]  # fmt: skip
    rows = []
    for name, (title, _, _) in ASIDE.items():
        found = values([{**idle[name], **busy[name]}], *(each.key for each in columns))
        note = "its turn comes after the heavy ones before it; one that finds no place is refused and not counted" if name == "small" else ""
        if None in found.values():
            note += "; none was answered"
        rows.append(Row(name, title, found, note))
    return Table(f"Gangsaw's other answers, {ASIDE_RATE} of each a second, beside heavy requests at four times the capacity", columns, rows)


# ---- all of it


def aims(tables, loads):
    found = []
    at_four = {row.name: row.values["light_p99"] for row in tables[loads.index(4)].rows} if 4 in loads else {}
    best = [value.median for name, value in at_four.items() if name in FASTAPI and value]
    if best and at_four.get("gangsaw"):
        found.append(Aim("p99 of light requests at four times the capacity, relative to FastAPI's best", at_four["gangsaw"].median / min(best), 0.5, "lower"))
    return found


def says(tables, loads):
    """The sentence below the README's figure."""
    if 4 not in loads or 10 not in loads:
        return ""
    lights = {row.name: row for row in tables[loads.index(4)].rows}
    heavies = {row.name: row for row in tables[loads.index(10)].rows}
    others = [name for name in FASTAPI if name in lights and lights[name].values["light_p99"]]
    if not others or "gangsaw" not in lights:
        return ""
    best = min(others, key=lambda name: lights[name].values["light_p99"].median)
    most = max(others, key=lambda name: heavies[name].values["share"].median)
    return (f"99 % of light requests are answered in {lights['gangsaw'].values['light_p99'].median:,.1f} ms while four times as many heavy ones come "
            f"as the cores can compute; {lights[best].title}, the best of FastAPI's arrangements, takes {lights[best].values['light_p99'].median:,.1f} ms. "
            f"At ten times, {heavies['gangsaw'].values['share'].median:.0f} % of the capacity is still answered in time, beside "
            f"{heavies[most].values['share'].median:.0f} % ({heavies[most].title}).")  # fmt: skip


def run(options, bench):
    names = bench.available(options.wanted(SMOKE if options.smoke else CONTENDERS))
    loads = LOADS[:1] if options.smoke else LOADS
    seconds, rounds = max(options.seconds, SHORTEST), min(options.rounds, ROUNDS)
    got = alternate({name: name for name in names}, rounds,
                    lambda name: {load: offer(bench, name, load, seconds) for load in loads})  # fmt: skip
    tables = [table_of(load, got, bench) for load in loads]
    plots = [Plot(name, title, loads.index(load), key, log=log) for name, title, load, key, log in PLOTS if load in loads]
    if plots:
        plots[0].says = says(tables, loads)
    found = aims(tables, loads)
    if "gangsaw" in names:
        tables.append(aside_table(bench, seconds / 2 if not options.smoke else SHORTEST))
    return Result(
        NAME, TITLE,
        "What does a health check or a page wait while others compute, and what is computed when more is asked for than can be?",
        f"Open loop, times from the plan. Heavy: the sum of {terms(RUN_MS):,} squares in C, {RUN_MS} ms of a core; light: an empty "
        f"answer. The capacity is {capacity(bench):.0f} runs a second, {bench.cores} cores and nothing else on them. {seconds:g} s a run, the first "
        f"{WARM * seconds:.2g} s not counted; {rounds} rounds. A client leaves after {PATIENCE:g} s; goodput is what is answered with 200 before, while the load "
        "lasts. Started anew for each load. Who was given up counts with the patience. Load and server share the cores.",
        tables, plots, found)  # fmt: skip
