#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the generated parts of the documentation anew: run it after a change of an option, of the
problem table or of a descriptor. tests/lint/test_docs_generated.py checks that they are current.

A generated part stands between two comments: <!-- begin NAME --> and <!-- end NAME -->.
"""

import json
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->\n)", re.DOTALL)


def gangsaw(*words):
    done = subprocess.run([ROOT / "build" / "gangsaw", *words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode()


def options():
    """The tables of docs/configuration.md, one heading level below the page's."""
    return "\n" + gangsaw("config-reference").replace("\n## [", "\n### [").replace("## [", "### [", 1) + "\n"


def option_names():
    """The list in docs/operations.md: every option with its default."""
    lines = []
    for line in gangsaw("config-reference").splitlines():
        if match := re.match(r"## \[(\w+)\]", line):
            lines += ["", f"**{match[1]}**:"]
        elif match := re.match(r"\| (`\w+`) \| [^|]+ \| (`[^`]*`|[^|]*?) \|", line):
            default = f" ({match[2]})" if match[2].strip() else ""
            lines.append(f"{match[1]}{default},")
    return "\n".join(lines).replace(",\n\n", ".\n\n").rstrip(",") + ".\n\n"


def prose(text):
    return re.sub(r"([*_<|])", r"\\\1", text)


def cell(text):
    return text.replace("|", "\\|")


def code(value):
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def number(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def constraint(schema):
    """What a value may be, in words."""
    words = []
    if "enum" in schema:
        words.append("one of " + ", ".join(code(value) for value in schema["enum"]))
    elif "type" in schema:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        words.append(" or ".join(kinds))
    if "minimum" in schema and "maximum" in schema:
        words.append(f"{number(schema['minimum'])} to {number(schema['maximum'])}")
    elif "minimum" in schema:
        words.append(f"at least {number(schema['minimum'])}")
    elif "maximum" in schema:
        words.append(f"at most {number(schema['maximum'])}")
    known = {"type", "enum", "minimum", "maximum", "title", "description", "default", "examples",
             "properties", "required", "additionalProperties"}  # fmt: skip
    words += [f"{name} {code(value)}" for name, value in schema.items() if name not in known]
    return ", ".join(words)


def properties(schema, prefix=""):
    """Name, schema and whether it is required; members of an object under names of their own: crop.left."""
    for name, inner in schema.get("properties", {}).items():
        yield prefix + name, inner, name in schema.get("required", [])
        yield from properties(inner, f"{prefix}{name}.")


def rows(schema, is_result=False):
    """A table of all properties."""
    if is_result:
        table = ["| result | what it is | about |", "|---|---|---|"]
    else:
        table = ["| parameter | what it may be | default | what it does |", "|---|---|---|---|"]
    for name, inner, is_required in properties(schema):
        default = code(inner["default"]) if "default" in inner else "required" if is_required else ""
        columns = [f"`{name}`", cell(constraint(inner)), cell(default), prose(inner.get("description", ""))]
        if is_result:
            del columns[2]
        table.append(f"| {' | '.join(columns)} |")
    return table


def slot(item):
    types = ", ".join(f"`{each}`" for each in item.get("media_types", [])) or "any media type"
    size = f", up to {number(item['max_bytes'])} bytes" if "max_bytes" in item else ""
    many = f", up to {item['many']['max']} of them" if "many" in item else ""
    optional = ", may be left out" if item.get("optional") else ""
    about = f" {prose(item['description'])}" if "description" in item else ""
    return f"`{item['name']}` ({types}{size}{many}{optional}).{about}"


def task(desc):
    lines = [f"## {desc['name']}", "", prose(desc["summary"]) + "."]
    if "description" in desc:
        lines += ["", prose(desc["description"])]
    mode = ", only as a job" if desc.get("mode") == "job" else ""
    lines += ["", f"Module `{desc['module']}`, class `{desc['class']}`, version {desc['version']}{mode}."]
    for kind in ("input", "output"):
        for item in desc.get(f"{kind}s", []):
            lines += ["", f"{kind.capitalize()}: {slot(item)}"]
    table = rows(desc["params"])
    lines += ["", *table] if len(table) > 2 else ["", "No parameters."]
    table = rows(desc.get("result", {}), is_result=True)
    lines += ["", *table] if len(table) > 2 else []
    limits = ", ".join(f"`{name}` {number(value)}" for name, value in desc["limits"].items())
    lines += ["", f"Limits: {limits}."]
    if desc.get("examples"):
        lines += ["", "| example | parameters |", "|---|---|"]
        lines += [f"| {prose(each['summary'])} | {cell(code(each['params']))} |" for each in desc["examples"]]
    return "\n".join(lines) + "\n\n"


def tasks():
    """docs/tasks.md: every task of the project's own modules."""
    files = sorted((ROOT / "fcgi-app" / "tasks").glob("*/*.json"))
    return "\n" + "".join(task(json.loads(path.read_text())) for path in files)


def metrics():
    """The table of docs/operations.md: every family of the page."""
    lines = ["| metric | kind | labels | what |", "|---|---|---|---|"]
    for line in gangsaw("metrics-reference").splitlines():
        name, kind, labels, text = line.split("\t")
        named = ", ".join(f"`{label}`" for label in labels.split())
        lines.append(f"| `{name}` | {kind} | {named} | {prose(text)} |")
    return "\n" + "\n".join(lines) + "\n\n"


PARTS = {"metrics": metrics, "option-names": option_names, "options": options, "tasks": tasks}


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def generate(text):
    return PART.sub(lambda m: m[1] + PARTS[m[2]]() + m[3], text)


def main():
    for page in pages():
        old = page.read_text()
        new = generate(old)
        if new != old:
            page.write_text(new)
            print(f"written: {page.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
