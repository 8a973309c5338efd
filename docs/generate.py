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


def cell(text):
    return str(text).replace("|", "\\|").replace("\n", " ")


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


def rows(schema, prefix=""):
    """One row per property, members of an object under their own names: crop.left."""
    for name, inner in schema.get("properties", {}).items():
        default = "required" if name in schema.get("required", []) else ""
        if "default" in inner:
            default = code(inner["default"])
        yield f"| `{prefix}{name}` | {cell(constraint(inner))} | {cell(default)} | {cell(inner.get('description', ''))} |"
        yield from rows(inner, f"{prefix}{name}.")


def slot(item):
    types = ", ".join(f"`{each}`" for each in item.get("media_types", [])) or "any media type"
    size = f", up to {number(item['max_bytes'])} bytes" if "max_bytes" in item else ""
    many = f", up to {item['many']['max']} of them" if "many" in item else ""
    optional = ", may be left out" if item.get("optional") else ""
    about = f" {item['description']}" if "description" in item else ""
    return f"`{item['name']}` ({types}{size}{many}{optional}).{about}"


def task(desc):
    lines = [f"## {desc['name']}", "", desc["summary"] + "."]
    if "description" in desc:
        lines += ["", desc["description"]]
    mode = ", only as a job" if desc.get("mode") == "job" else ""
    lines += ["", f"Module `{desc['module']}`, class `{desc['class']}`, version {desc['version']}{mode}."]
    lines += ["", *(f"Input: {slot(item)}" for item in desc.get("inputs", []))] if desc.get("inputs") else []
    lines += ["", *(f"Output: {slot(item)}" for item in desc.get("outputs", []))] if desc.get("outputs") else []
    table = list(rows(desc["params"]))
    lines += ["", "| parameter | what it may be | default | what it does |", "|---|---|---|---|", *table] if table else [
        "", "No parameters."]  # fmt: skip
    table = [row.replace(" | required | ", " | ") if " | required | " in row else row.replace(" |  | ", " | ", 1)
             for row in rows(desc.get("result", {}))]  # fmt: skip
    lines += ["", "| result | what it is | about |", "|---|---|---|", *table] if table else []
    limits = ", ".join(f"`{name}` {number(value)}" for name, value in desc["limits"].items())
    lines += ["", f"Limits: {limits}."]
    if desc.get("examples"):
        lines += ["", "Examples of parameters:", ""]
        lines += [f"- {each['summary']}: {code(each['params'])}" for each in desc["examples"]]
    return "\n".join(lines) + "\n\n"


def tasks():
    """docs/tasks.md: every task of the project's own modules."""
    files = sorted((ROOT / "fcgi-app" / "tasks").glob("*/*.json"))
    return "\n" + "".join(task(json.loads(path.read_text())) for path in files)


PARTS = {"options": options, "tasks": tasks}


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
