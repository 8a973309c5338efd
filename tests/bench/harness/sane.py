# SPDX-License-Identifier: BSD-2-Clause
"""Whether a result can be true: what a smoke test asks of it. Never how quick anything was."""

import math

UNITS = {"", "requests/s", "runs/s", "jobs/s", "ms", "s", "MB", "%", "cores"}
PERCENTILES = ("p50", "p95", "p99", "p999")


def of_value(value, column, is_ours):
    if not all(isinstance(each, (int, float)) and math.isfinite(each) for each in (value.median, *value.rounds)):
        yield "is not a finite number"
    elif not value.rounds or not value.lowest <= value.median <= value.highest:
        yield f"{value.lowest}, {value.median}, {value.highest} are not lowest, median, highest"
    elif value.lowest < 0:
        yield "is negative"
    elif column.key == "rate" and is_ours and value.median == 0:
        yield "is a rate of nothing"


def of_row(row, columns):
    for column in columns:
        if column.key not in row.values:
            yield f"{row.title}: has no {column.key}"
        elif (value := row.values[column.key]) is None:
            if not row.note:
                yield f"{row.title}: {column.key} does not apply, and no note says why"
        else:
            yield from (f"{row.title}: {column.key} {complaint}" for complaint in of_value(value, column, row.name == "gangsaw"))
    have = [(name, row.values[name].median) for name in PERCENTILES if row.values.get(name)]
    for (a, low), (b, high) in zip(have, have[1:]):
        if low > high:
            yield f"{row.title}: {a} is above {b}"


def of_table(table):
    for column in table.columns:
        if column.unit not in UNITS:
            yield f"{column.key}: what unit is {column.unit}?"
        if column.better not in ("higher", "lower", None):
            yield f"{column.key}: which end is better?"
    if not table.rows:
        yield f"{table.title}: no row"
    for row in table.rows:
        yield from of_row(row, table.columns)


def complaints(result):
    """What is wrong with it, a sentence each."""
    found = [complaint for table in result.tables for complaint in of_table(table)]
    for plot in result.plots:
        if not 0 <= plot.table < len(result.tables) or plot.key not in [each.key for each in result.tables[plot.table].columns]:
            found.append(f"the plot {plot.name} has no such column")
    for aim in result.aims:
        if not isinstance(aim.value, (int, float)) or not math.isfinite(aim.value) or aim.value < 0:
            found.append(f"the aim {aim.what!r} has no value")
    if not ((result.tables or result.notes) and result.question and result.method):
        found.append("it has no table and no reason, no question, or no method")
    return [f"{result.name}: {each}" for each in found]
