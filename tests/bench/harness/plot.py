# SPDX-License-Identifier: BSD-2-Clause
"""Bars as SVG, written by hand: the same figures give the same few kilobytes on every machine.

Gangsaw's bars have the one colour, so that who cannot tell colours apart finds them too: they are darker,
and their labels are bold. A thin line is the spread of the rounds.
"""

import math
from html import escape

ACCENT, GREY, INK, FAINT = "#0b63a5", "#b4b8bd", "#1d2126", "#dfe2e5"
WIDTH, BAR, STEP, TOP = 760, 18, 28, 58
CHARACTER = 7.1  # of the labels' font, on average, with room to spare


def short(value):
    """A figure beside its bar or at the axis: three digits that count."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def steps(highest):
    """Round numbers from 0 to above the highest: 4 to 6 of them."""
    rough = highest / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(each * size for each in (1, 2, 2.5, 5, 10) if each * size >= rough)
    return [step * i for i in range(math.ceil(highest / step) + 1)]


def powers(lowest, highest):
    """1, 2, 5, 10 … from below the lowest to above the highest; of many, the powers of ten and the ends."""
    ladder = [each * 10.0**i for i in range(-9, 13) for each in (1, 2, 5)]
    first = max(i for i, each in enumerate(ladder) if each < lowest)
    last = min(i for i, each in enumerate(ladder) if each >= highest)
    found = ladder[first : last + 1]
    return found if len(found) <= 7 else [each for i, each in enumerate(found) if (first + i) % 3 == 0 or i in (0, len(found) - 1)]


class Axis:
    """Where on the page a figure is."""

    def __init__(self, values, log, left, right):
        positive = [each.lowest for each in values if each.lowest > 0]
        highest = max((each.highest for each in values), default=0) or 1
        self.log = log and bool(positive)
        self.ticks = powers(min(positive), highest) if self.log else steps(highest)
        self.left, self.right = left, right

    def place(self, value):
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            value, low, high = (math.log10(max(each, low)) for each in (value, low, high))
        share = (value - low) / (high - low) if high > low else 1
        return self.left + min(share, 1) * (self.right - self.left)


def text(x, y, content, anchor="start", size=13, weight="normal", colour=INK):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
            f'fill="{colour}">{escape(content)}</text>')  # fmt: skip


def line(x1, y1, x2, y2, colour=INK, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def bar(axis, y, row, value):
    ours = row.name.startswith("gangsaw")
    end, middle = axis.place(value.median), y + BAR / 2
    drawn = [text(axis.left - 8, middle + 4.5, row.title, "end", weight="bold" if ours else "normal"),
             f'<rect x="{axis.left:.1f}" y="{y:.1f}" width="{max(1.0, end - axis.left):.1f}" height="{BAR}" '
             f'fill="{ACCENT if ours else GREY}"/>']  # fmt: skip
    reach = end
    if value.lowest != value.highest:
        reach = axis.place(value.highest)
        drawn.append(line(axis.place(value.lowest), middle, reach, middle, INK, 1.5))
    drawn.append(text(max(end, reach) + 6, middle + 4.5, short(value.median), weight="bold" if ours else "normal"))
    return drawn


def bars(plot, table):
    """The SVG of a plot. Rows to which its figure does not apply are left out."""
    column = next(each for each in table.columns if each.key == plot.key)
    rows = [(row, row.values[plot.key]) for row in table.rows if row.values.get(plot.key) is not None]
    left = max([len(row.title) for row, _ in rows] + [8]) * CHARACTER + 20
    axis = Axis([value for _, value in rows], plot.log, left, WIDTH - 80)
    bottom = TOP + STEP * len(rows)
    drawn = [text(10, 22, plot.title, size=16, weight="bold"), text(10, 42, caption(column, axis.log), size=12, colour="#555b61")]
    for tick in axis.ticks:
        x = axis.place(tick)
        drawn += [line(x, TOP - 6, x, bottom, FAINT), text(x, bottom + 15, short(tick), "middle", 11, colour="#555b61")]
    for i, (row, value) in enumerate(rows):
        drawn += bar(axis, TOP + STEP * i, row, value)
    drawn.append(line(left, TOP - 6, left, bottom))
    height = bottom + 28
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            f'font-family="system-ui, -apple-system, \'Segoe UI\', \'DejaVu Sans\', sans-serif" role="img">\n'
            f'<title>{escape(plot.title)}</title>\n<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            + "\n".join(drawn) + "\n</svg>\n")  # fmt: skip


def caption(column, is_log):
    words = [column.title + (f", {column.unit}" if column.unit else "")]
    words += [f"{column.better} is better"] if column.better else []
    return "; ".join(words + (["logarithmic axis"] if is_log else []))
