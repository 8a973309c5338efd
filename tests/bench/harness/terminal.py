# SPDX-License-Identifier: BSD-2-Clause
"""A result as text, while the next is measured."""


def number(value, column):
    return f"{value:,.{column.digits}f}"


def cell(value, column):
    if value is None:
        return "-"
    text = number(value.median, column)
    if value.lowest != value.highest:
        text += f" ({number(value.lowest, column)}-{number(value.highest, column)})"
    return text


def show_table(table):
    heads = [f"{column.title}, {column.unit}" if column.unit else column.title for column in table.columns]
    lines = [["", *heads]]
    lines += [[row.title, *(cell(row.values.get(each.key), each) for each in table.columns)] for row in table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads) + 1)]
    print(f"\n  {table.title}")
    for line, note in zip(lines, ["", *(row.note for row in table.rows)]):
        cells = [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:]))]
        print("  " + "  ".join(cells) + (f"  {note}" if note else ""))


def show(result):
    print(f"\n{result.title}: {result.question}\n  {result.method}")
    for table in result.tables:
        show_table(table)
    print()
    for aim in result.aims:
        sign = ">=" if aim.better == "higher" else "<="
        print(f"  {aim.what}: {aim.value:.2f} (aim {sign} {aim.aim:g}){'' if aim.is_met else ', MISSED'}")
    for note in result.notes:
        print(f"  {note}")
    print(flush=True)
