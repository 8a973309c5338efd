# SPDX-License-Identifier: BSD-2-Clause
"""A run of the command as a file: results/NAME-DATE.json, which git ignores.

    {"when", "machine", "versions", "settings": {contender: [[what, value, why]]}, "titles": {contender: title},
     "options": {"rounds", "seconds"}, "seconds": how long all took, "results": [Result]}
"""

import dataclasses
import datetime
import json

from . import ROOT
from .measurement import Aim, Column, Plot, Result, Row, Table, Value

RESULTS = ROOT / "results"


def write(name, run, folder=RESULTS):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    plain = {**run, "results": [dataclasses.asdict(each) for each in run["results"]]}
    file.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")
    return file


def read(file):
    run = json.loads(file.read_text())
    return {**run, "results": [result_of(each) for each in run["results"]]}


def result_of(plain):
    return Result(**{**plain, "tables": [table_of(each) for each in plain["tables"]],
                     "plots": [Plot(**each) for each in plain["plots"]],
                     "aims": [Aim(**each) for each in plain["aims"]]})  # fmt: skip


def table_of(plain):
    rows = [Row(**{**row, "values": {key: value and Value(**value) for key, value in row["values"].items()}})
            for row in plain["rows"]]  # fmt: skip
    return Table(plain["title"], [Column(**each) for each in plain["columns"]], rows)
