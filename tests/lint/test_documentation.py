# SPDX-License-Identifier: BSD-2-Clause
"""The documentation says what the code has: generated parts are current, tables are complete."""

import json
import re
import sys

import pytest

import stack

sys.path.insert(0, str(stack.ROOT / "docs"))
import generate  # noqa: E402

APP = stack.ROOT / "fcgi-app"
PAGES = generate.pages()


def page(name):
    return (stack.ROOT / "docs" / name).read_text()


def name_of(path):
    return str(path.relative_to(stack.ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_generated_parts_are_current(path):
    text = path.read_text()
    assert generate.generate(text) == text, "run docs/generate.py"


def test_the_problem_table_is_that_of_the_code():
    listed = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page("api.md"), re.MULTILINE)
    lines = generate.gangsaw("problems").splitlines()
    assert listed == [tuple(line.split("\t")[:2]) for line in lines]


def test_every_route_is_documented():
    routes = re.findall(r'\{"(/[^"]*)", HTTP_(\w+)', (APP / "api" / "routes.c").read_text())
    assert len(routes) >= 5
    documented = page("api.md").replace("NAME", "{task}")
    assert [route for route in routes if f"`{route[1]} {route[0]}`" not in documented] == []


def test_every_log_line_is_documented():
    sources = [path.read_text() for path in APP.rglob("*.c")]
    messages = {m for text in sources for m in re.findall(r'log_write\([^"]*?"([^"]+)"', text)}
    assert "ready" in messages and "request" in messages
    assert sorted(m for m in messages if m not in page("operations.md")) == []


def test_every_member_of_the_status_is_documented():
    sources = [*APP.glob("pool/status.c"), *APP.glob("jobs/*status*.c"), *APP.glob("hub/*status*.c")]
    text = "".join(path.read_text() for path in sources)
    members = set(re.findall(r'\\"(\w+)\\":', text)) | set(re.findall(r'add_text\(out, "(\w+)"', text))
    assert {"slots", "fraction", "backlog"} <= members
    words = set(re.findall(r"\w+", page("operations.md")))
    assert sorted(members - words) == []


def test_every_member_of_a_descriptor_is_documented():
    text = (APP / "exec" / "descriptor.c").read_text()
    members = set(re.findall(r'\{"(\w+)", (?:TEXT|INTEGER|NUMBER|BOOLEAN|ARRAY|OBJECT),', text))
    members |= set(re.findall(r'^    \{"(\w+)", [\d.]+,', text, re.MULTILINE))
    assert {"name", "max_bytes", "memory_mb"} <= members
    missing = {name for name in members if f"`{name}`" not in page("modules.md")}
    assert missing <= {"max"}  # it stands in {"max": 500}


def test_every_keyword_of_the_schema_is_documented():
    keywords = re.findall(r'\{"(\w+)", compile_', (APP / "base" / "schema_compile.c").read_text())
    assert len(keywords) >= 26
    assert [name for name in keywords if f"`{name}`" not in page("modules.md")] == []


def anchors(text):
    """As code hosts make them of headings."""
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there.read_text()), target


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_json_in_the_documentation_is_json(path):
    for block in re.findall(r"^```json\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL):
        json.loads(block)


def option_names():
    """section.name of every option."""
    section = None
    for line in generate.gangsaw("config-reference").splitlines():
        if line.startswith("## ["):
            section = line[4:-1]
        elif line.startswith("| `"):
            yield f"{section}.{line[3:].partition('`')[0]}"


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_options_in_the_documentation_exist(path):
    sections = {name.partition(".")[0] for name in option_names()}
    used = set(re.findall(rf"`((?:{'|'.join(sections)})\.[a-z_]+)`", path.read_text()))
    files = {f"{name}.{kind}" for name in ("api", "compute", "hub") for kind in ("sock", "status")}
    assert sorted(used - files - set(option_names())) == []
