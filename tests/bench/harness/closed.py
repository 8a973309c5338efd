# SPDX-License-Identifier: BSD-2-Clause
"""The highest rate of each contender at the same work: closed loops in alternating rounds.

By wrk, which drops what is not answered when its time is over: too much of it where a request takes long. There the
clients are processes of servers/loops/client.c, each of which counts its last answer, with the time that it took.
"""

import tempfile

from servers.loops.loops import Loops, build_loop

from .load import percentiles, wrk
from .measurement import Column, Row, Table, alternate, values
from .processes import cpu_seconds, tree

COLUMNS = [
    Column("rate", "rate", "requests/s", 1, "higher"),
    Column("p50", "p50", "ms", 2, "lower"),
    Column("p95", "p95", "ms", 2, "lower"),
    Column("p99", "p99", "ms", 2, "lower"),
    Column("p999", "p99.9", "ms", 2, "lower"),
    Column("cpu_ms", "CPU a request", "ms", 3, "lower"),
]
KEYS = [column.key for column in COLUMNS]


class Load:
    """So many clients who ask a contender for the same. `is_slow`: a request takes long. `is_refused`: the
    answer is to be an error."""

    def __init__(self, name, title, contender, request, clients, note="", is_slow=False, is_refused=False):
        self.name, self.title, self.contender, self.request = name, title, contender, request
        self.clients, self.note, self.is_slow, self.is_refused = clients, note, is_slow, is_refused

    def measure(self, seconds):
        roots = self.contender.roots()
        pids = tree(roots)
        before = cpu_seconds(pids)
        got = self.by_clients(seconds) if self.is_slow else self.by_wrk(seconds)
        used = cpu_seconds(pids | tree(roots)) - before
        return {**got, "cpu_ms": used / got["answers"] * 1e3}

    def warm_up(self):
        if not self.is_refused:
            self.by_clients(0)

    def by_wrk(self, seconds):
        got = wrk(self.request, self.contender.port, self.clients, seconds)
        if self.is_refused:
            got["rate"], got["errors"] = got["errors"] / seconds, round(got["rate"] * seconds)
        assert not got["errors"], f"{self.title}: {got['errors']} wrong answers, {got['rate']:.0f} right ones a second"
        assert got["rate"], f"{self.title}: no answer within {seconds} s"
        return {**got, "answers": got["rate"] * seconds}

    def by_clients(self, seconds):
        """A client that gets no answer, or a wrong one, says so and ends, which is an error here too."""
        with tempfile.NamedTemporaryFile(prefix="gangsaw-request-") as file:
            file.write(self.request.whole())
            file.flush()
            with Loops(build_loop("client"), "post", self.contender.port, file.name, count=self.clients) as clients:
                got = clients.measure(seconds)
        return {"rate": got["rate"], "answers": got["runs"] + self.clients, **percentiles(got["ms"])}


def choose_clients(loads, counts):
    """The number with which each is quickest, by a run of a second with each."""
    rates = {}
    for count in counts:
        for each in loads:
            each.clients = count
            rates[each.name, count] = each.measure(1)["rate"]
    for each in loads:
        each.clients = max(counts, key=lambda count: rates[each.name, count])


def measure(loads, options):
    """Of each all the rounds, once all of its processes have computed something."""
    if options.smoke:
        make_short(loads)
    else:
        for each in loads:
            each.warm_up()
    return alternate({each.name: each for each in loads}, options.rounds, lambda each: each.measure(options.seconds))


def make_short(loads):
    """For a smoke test: few clients, and only one of the contenders by wrk, which may see no answer of a slow one."""
    for i, each in enumerate(loads):
        each.clients = min(each.clients, 2)
        each.is_slow = each.is_slow or (i > 0 and not each.is_refused)


def table(title, loads, got, columns=COLUMNS):
    keys = [column.key for column in columns]
    return Table(title, columns, [Row(each.name, each.title, values(got[each.name], *keys), each.note) for each in loads])


def median(table, name, key="rate"):
    """Of a row's figure; None without the row."""
    found = [row.values[key].median for row in table.rows if row.name == name and row.values.get(key)]
    return found[0] if found else None


def best(table, prefix, key="rate"):
    """The highest of the rows whose names begin so."""
    return max((row.values[key].median for row in table.rows if row.name.startswith(prefix) and row.values.get(key)), default=None)


def clients_note(loads):
    """Who was measured with how many."""
    return "Clients: " + ", ".join(f"{each.title} {each.clients}" for each in loads) + "."
