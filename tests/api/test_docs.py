# SPDX-License-Identifier: BSD-2-Clause
"""What README.md and docs/ show is run as it stands there.

A fenced block marked `sh` whose first word is curl, or marked `python` and naming the address, is an
example: it talks to http://127.0.0.1:8080, for which this puts its own server, and finds a
photo.jpg, one.pdf and two.pdf beside it. Blocks marked `console` show what somebody sees, and are not run.
"""

import re
import subprocess
import sys
import zipfile

import documents
import pictures
import pytest
import stack as stack_module

ADDRESS = "http://127.0.0.1:8080"
PAGES = [stack_module.ROOT / "README.md", *sorted((stack_module.ROOT / "docs").glob("*.md"))]
# An answer that is a problem fails the example.
CURL = 'set -eu\ncurl() { command curl -sS --max-time 60 --fail-with-body "$@"; }\n'


def examples():
    """Kind, text, and the block behind it, of every example; their ids say where they stand."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^```(sh|python)\n(.*?)^```$\n*(?:^```http\n(.*?)^```$)?", text, re.MULTILINE | re.DOTALL):
            kind, code, answer = match.groups()
            if code.startswith("curl ") if kind == "sh" else ADDRESS in code:
                line = text.count("\n", 0, match.start()) + 2
                found.append(pytest.param(kind, code, answer, id=f"{page.relative_to(stack_module.ROOT)}:{line}"))
    return found


@pytest.fixture(scope="module")
def photo(stack):
    picture = pictures.png(128, 128, pictures.gradient)
    params = {"width": 800, "height": 600, "fit": "fill", "enlarge": "true", "format": "jpeg"}
    answer = stack.post("/v1/tasks/image.transform", params=params, data=picture, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200, answer.text
    return answer.content


def run(kind, code, stack, folder):
    """Its output, once it has succeeded."""
    assert ADDRESS in code
    code = code.replace(ADDRESS, stack.url)
    command = ["sh", "-c", CURL + code] if kind == "sh" else [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return done.stdout.decode()


@pytest.mark.parametrize(("kind", "code", "answer"), examples())
def test_an_example_works_as_it_is_written(stack, photo, tmp_path, kind, code, answer):
    for task in re.findall(r"/v1/tasks/([\w.]+)", code):
        stack_module.skip_without_module(task)
    given = {"photo.jpg": photo, "one.pdf": documents.document("one"), "two.pdf": documents.document("two", "three")}
    for name, data in given.items():
        (tmp_path / name).write_bytes(data)
    output = run(kind, code, stack, tmp_path)
    made = [path for path in tmp_path.iterdir() if path.name not in given]
    assert kind == "python" or output or made
    for path in made:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                assert archive.testzip() is None and "result.json" in archive.namelist()
            continue
        if path.suffix == ".pdf":
            assert path.read_bytes().startswith(b"%PDF-")
            continue
        wanted = {"jpg": "jpeg"}.get(path.suffix[1:], path.suffix[1:])
        assert pictures.look(path.read_bytes())[0] == wanted
    if answer:  # what it is said to give; the fields of the header differ from run to run
        assert output.partition("\r\n\r\n")[2].strip() == answer.partition("\n\n")[2].strip()
        assert output.splitlines()[0] == answer.splitlines()[0]


def test_the_pages_have_examples_to_run():
    pages = {each.id.partition(":")[0] for each in examples()}
    assert {"README.md", "docs/api.md"} <= pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_the_pages_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
