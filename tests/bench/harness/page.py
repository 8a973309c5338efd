# SPDX-License-Identifier: BSD-2-Clause
"""docs/benchmarks.md, its plots and the README's section, from the results of one run."""

import re

from . import ROOT, plot

BEGIN, END = "<!-- ./dev bench writes from here -->", "<!-- to here -->"
# Measurements whose first plot the README shows; the sentence below it is the plot's `says`, else made of its figures.
TELLING = ("mix", "empty", "jobs")

INTRODUCTION = """# Measured against what people would use instead

`./dev bench` has written this page: every figure on it is from one run of that command, on {date}, which took
{minutes} minutes. Run it on a machine of yours: it installs what it compares with, and writes the page anew.
`./dev bench NAME` measures one thing, and prints it.

What is compared stands side by side in one session: rounds alternate between the contenders, so that a slow minute
of the machine is everybody's. A figure is the median of {rounds} rounds, with the lowest and the highest behind it.
Load generators run on the same cores as what they measure, and take the same from everybody. *Closed* loops (wrk; hey
and h2load as a check) have clients that send the next request when the answer is there; they find the highest
rate. *Open* loops (`tests/bench/openloop`) send requests at a constant rate whatever the server does, and count
an answer's time from when its request was planned, so that a stall is counted for all who would have waited. Ratios
carry over to other machines better than rates do. The database's files are in memory where there is room, for all
alike: what is compared is the work of processors.
"""

def number(value, digits):
    return f"{value:,.{digits}f}"


def cell(value, column):
    if value is None:
        return "–"
    text = number(value.median, column.digits)
    if number(value.lowest, column.digits) != number(value.highest, column.digits):
        text += f" ({number(value.lowest, column.digits)}–{number(value.highest, column.digits)})"
    return text


def escaped(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


def markdown_table(heads, lines, right=()):
    marks = ["---:" if i in right else "---" for i in range(len(heads))]
    return "\n".join("| " + " | ".join(escaped(each) for each in line) + " |" for line in [heads, marks, *lines])


# ---- parts of the page


def verdict(aim):
    """Met, or missed and by how much: as a share of the aim."""
    if aim.is_met:
        return "met"
    distance = (aim.aim - aim.value) / aim.aim if aim.better == "higher" else (aim.value - aim.aim) / aim.aim
    return f"**missed** by {max(1, round(distance * 100))} %"


def ratio(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def aims(run):
    lines = [(f"[{result.title}](#{anchor(result.title)}): {aim.what}", ratio(aim.value),
              f"{'≥' if aim.better == 'higher' else '≤'} {aim.aim:g}", verdict(aim))
             for result in run["results"] for aim in result.aims]  # fmt: skip
    missed = sum(1 for result in run["results"] for aim in result.aims if not aim.is_met)
    said = f"{len(lines) - missed} of {len(lines)} aims are met." if missed else "All aims are met."
    return f"## Aims\n\nRatios of this run. {said}\n\n" + markdown_table(["what", "measured", "aim", ""], lines, (1, 2))


def machine(run):
    of, versions = run["machine"], run["versions"]
    lines = [("when", run["when"]), ("processor", f"{of['processor']}, {of['cores']} cores"), ("memory", f"{of['memory_gb']} GB"),
             ("system", f"{of['system']}, Linux {of['kernel']}"), ("load before", of["load_before"]),
             ("load generators", listed(versions["generators"])), ("used by all", listed(versions["common"]))]  # fmt: skip
    return "## The machine\n\n" + markdown_table(["", ""], lines)


def listed(versions):
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def contenders(run):
    parts = ["## The contenders, and how they are set\n\nEach has what its documentation recommends for the cores of the machine."]
    for name, title in run["titles"].items():
        parts.append(f"### {title}\n\n" + (listed(run["versions"].get(name) or {}) or "no packages of its own"))
        if run["settings"].get(name):
            parts[-1] += "\n\n" + markdown_table(["setting", "value", "why"], run["settings"][name])
    return "\n\n".join(parts)


def is_ours(row):
    return row.name.startswith("gangsaw")


def advantage(table, plots):
    """How many times better Gangsaw is than each other row, by the figure that is drawn, else by the first that
    has a better end: (its column, a text for each row); None: nothing to compare."""
    ours = next((row for row in table.rows if is_ours(row)), None)
    keys = [each.key for each in plots] + [each.key for each in table.columns]
    column = next((each for key in keys for each in table.columns if each.key == key and each.better), None)
    if not ours or not column or not ours.values.get(column.key) or all(map(is_ours, table.rows)):
        return None
    base = ours.values[column.key].median

    def of(row):
        value = row.values.get(column.key)
        if is_ours(row) or value is None:
            return "–"
        up, down = (base, value.median) if column.better == "higher" else (value.median, base)
        return ratio(up / down) if down else "–"

    return column, [of(row) for row in table.rows]


def shown_table(table, plots):
    heads = ["", *(f"{each.title}, {each.unit}" if each.unit else each.title for each in table.columns)]
    lines = [[f"**{row.title}**" if is_ours(row) else row.title,
              *(cell(row.values.get(each.key), each) for each in table.columns)] for row in table.rows]  # fmt: skip
    better = advantage(table, plots)
    if better:
        column, shares = better
        heads.append(f"Gangsaw is so many times better, by {column.title}")
        lines = [[*line, share] for line, share in zip(lines, shares)]
    width = len(heads)
    if any(row.note for row in table.rows):
        heads.append("")
        lines = [[*line, row.note] for line, row in zip(lines, table.rows)]
    return f"{table.title}:\n\n" + markdown_table(heads, lines, range(1, width))


def measurement(result):
    parts = [f"## {result.title}", f"{result.question} {result.method}"]
    parts += [shown_table(table, [each for each in result.plots if each.table == i]) for i, table in enumerate(result.tables)]
    parts += [f"![{each.title}](benchmarks/{each.name}.svg)" for each in result.plots]
    if result.notes:
        parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(parts)


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page(run):
    date = run["when"].partition("T")[0]
    introduction = INTRODUCTION.format(date=date, minutes=max(1, round(run["seconds"] / 60)), rounds=run["options"]["rounds"])
    parts = [introduction.rstrip("\n"), aims(run), machine(run), *(measurement(each) for each in run["results"]), contenders(run)]
    return "\n\n".join(parts) + "\n"


def sentence(drawn, result):
    """What the plot shows, with its figures: Gangsaw's, and that of the best of the others."""
    table = result.tables[drawn.table]
    column = next(each for each in table.columns if each.key == drawn.key)
    rows = [row for row in table.rows if row.values.get(drawn.key)]
    ours = next((row for row in rows if is_ours(row)), None)
    others = sorted((row for row in rows if not is_ours(row)), key=lambda row: row.values[drawn.key].median)
    if drawn.says or not ours or not others:
        return drawn.says or result.question
    best = others[-1] if column.better == "higher" else others[0]
    ours, theirs = (f"{plot.short(row.values[drawn.key].median)} {column.unit}".strip() for row in (ours, best))
    return f"{drawn.title}: {ours} of Gangsaw, {theirs} of the best of the others ({best.title})."


def readme_section(run):
    by_name = {each.name: each for each in run["results"]}
    shown = [(each, each.plots[0]) for name in TELLING if (each := by_name.get(name)) and each.plots]
    parts = [f"![{drawn.title}](docs/benchmarks/{drawn.name}.svg)\n\n{sentence(drawn, result)}" for result, drawn in shown]
    of = run["machine"]
    parts.append(f"One run of `./dev bench`, on {run['when'].partition('T')[0]}, {of['cores']} cores ({of['processor']}). "
                 "[docs/benchmarks.md](docs/benchmarks.md) has the rest: what was measured and how, every setting, and which aims were met.")  # fmt: skip
    return "\n\n".join(parts)


# ---- files


def write(run, root=ROOT):
    """Into docs/ of `root`, and its README."""
    plots = root / "docs" / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    drawn = {f"{each.name}.svg": plot.bars(each, result.tables[each.table]) for result in run["results"] for each in result.plots}
    assert len(drawn) == sum(len(result.plots) for result in run["results"]), "two plots have one name"
    for file in plots.glob("*.svg"):
        if file.name not in drawn:
            file.unlink()
    for name, content in drawn.items():
        (plots / name).write_text(content)
    (root / "docs" / "benchmarks.md").write_text(page(run))
    readme = root / "README.md"
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, f"{readme} has no place for the figures: {BEGIN} … {END}"
    readme.write_text(f"{before}{BEGIN}\n\n{readme_section(run)}\n\n{END}{after}")
