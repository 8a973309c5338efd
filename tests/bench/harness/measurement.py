# SPDX-License-Identifier: BSD-2-Clause
"""What a measurement is: a module of measure/ with

    NAME = "empty"                       its file's name, and its word for ./dev bench
    TITLE = "An empty answer"            its heading on the page
    SECONDS = 3.0                        of each run, unless -s says else
    CONTENDERS = ["gangsaw", …]          what it starts: whose packages ./dev bench installs
    def run(options, bench) -> Result    bench is a session.Bench

It knows neither the page nor other measurements. What it gives back are numbers with their names and
units; the page, the plots and the terminal are made of them elsewhere.
"""

import dataclasses
import statistics


@dataclasses.dataclass
class Options:
    rounds: int = 3
    seconds: float = 3.0  # of each run
    smoke: bool = False  # does it work at all: short runs, small counts, only what is installed
    only: list = None  # names of contenders; None: all

    def wanted(self, names):
        return [name for name in names if self.only is None or name in self.only]


@dataclasses.dataclass
class Value:
    """A figure of some rounds; of one that was measured once all members are the same."""

    median: float
    lowest: float
    highest: float
    rounds: list

    @classmethod
    def of(cls, rounds):
        rounds = [rounds] if isinstance(rounds, (int, float)) else list(rounds)
        return cls(statistics.median(rounds), min(rounds), max(rounds), rounds)


@dataclasses.dataclass
class Column:
    key: str
    title: str
    unit: str = ""  # "requests/s", "ms", "MB", "%", "cores", "s"
    digits: int = 0  # after the point
    better: str = None  # "higher", "lower"


@dataclasses.dataclass
class Row:
    name: str  # of the contender, or whatever the row is about
    title: str
    values: dict  # by a column's key: a Value; None: does not apply, and the note says why
    note: str = ""


@dataclasses.dataclass
class Table:
    title: str
    columns: list
    rows: list


@dataclasses.dataclass
class Plot:
    """Bars of one column of a table."""

    name: str  # of the file, unique among all measurements
    title: str
    table: int  # which of the result's
    key: str
    kind: str = "bars"
    log: bool = False
    says: str = ""  # the sentence below it in the README, with its figures


@dataclasses.dataclass
class Aim:
    """A ratio that was measured, beside the one that was aimed at."""

    what: str
    value: float
    aim: float
    better: str = "higher"

    @property
    def is_met(self):
        return self.value >= self.aim if self.better == "higher" else self.value <= self.aim


@dataclasses.dataclass
class Result:
    name: str
    title: str
    question: str  # one sentence for a reader
    method: str  # loads, seconds, rounds, settings
    tables: list
    plots: list = dataclasses.field(default_factory=list)
    aims: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)


def alternate(contenders, rounds, function):
    """`rounds` times each contender in turn, so that a slow minute of the machine's is everybody's:
    {name: [what function(contender) returned, …]}. `contenders` are Contenders, or a dict of anything by
    name."""
    named = contenders if isinstance(contenders, dict) else {each.name: each for each in contenders}
    got = {name: [] for name in named}
    for _ in range(rounds):
        for name, each in named.items():
            got[name].append(function(each))
    return got


def values(rounds, *keys):
    """The Values of some figures of what alternate() gave for a contender: {key: Value}. A figure that a
    round does not have, or has as None, is left out of it; None when no round has it."""
    found = {}
    for key in keys:
        have = [each[key] for each in rounds if each.get(key) is not None]
        found[key] = Value.of(have) if have else None
    return found


def times(ratio):
    """In words, for a sentence: with a digit more where rounding would hide which of both is the better."""
    return f"{ratio:.{2 if 0.9 < ratio < 1.1 else 1}f} times"
