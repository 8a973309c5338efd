# SPDX-License-Identifier: BSD-2-Clause
"""The examples of the documentation run: every curl in a block of ```sh, and the module that
docs/modules.md builds. What is only shown stands in a block of ```console."""

import os
import re
import subprocess

import pictures
import pytest
import stack as stack_module

ROOT = stack_module.ROOT
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def examples():
    for path in PAGES:
        commands = "".join(blocks(path, "sh")).replace("\\\n", " ").splitlines()
        for number, command in enumerate(commands, 1):
            yield pytest.param(command, id=f"{path.name}-{number}")


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory):
    """Where a reader would try it, with a photo.jpg."""
    place = tmp_path_factory.mktemp("examples")
    picture = pictures.png(240, 180, lambda x, y: (x, y, 100))
    answer = stack.post(
        "/v1/tasks/image.transform?format=jpeg", data=picture, headers={"Content-Type": "image/png"}
    )
    assert answer.status_code == 200, answer.text
    (place / "photo.jpg").write_bytes(answer.content)
    return place


@pytest.mark.parametrize("command", examples())
def test_an_example_does_what_it_says(stack, folder, command):
    assert command.startswith("curl ")
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    env = {**os.environ, "CURL_HOME": str(folder)}
    command = command.replace("http://127.0.0.1:8080", stack.url)
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    for output in re.findall(r" -o (\S+)", command):
        form = output.rpartition(".")[2].replace("jpg", "jpeg")
        assert pictures.look((folder / output).read_bytes())[0] == form


def test_the_module_of_the_documentation_builds_and_runs(tmp_path):
    text = (ROOT / "docs" / "modules.md").read_text()
    own = text[text.index("## A module outside of this tree") : text.index("## In this tree")]
    source = re.search(r"^```c\n(.*?)^```", own, re.MULTILINE | re.DOTALL)[1]
    descriptor = re.search(r"^```json\n(.*?)^```", own, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "words.c").write_text(source)
    (tmp_path / "words.shout.json").write_text(descriptor)
    build = re.search(r"^\$ (gcc .*)$", own, re.MULTILINE)[1]
    env = {k: v for k, v in os.environ.items() if not k.startswith("GANGSAW_")}
    env.update(GANGSAW=str(ROOT))
    subprocess.run(["sh", "-c", build.replace("-Wextra", "-Wextra -Werror")], cwd=tmp_path, env=env, check=True)

    env.update({f"GANGSAW_SERVER_{name}_DIR": str(tmp_path) for name in ("MODULES", "TASKS")})
    env.update(GANGSAW_SERVER_LIBEXEC_DIR=str(stack_module.BUILD), REQUEST_METHOD="POST", CONTENT_LENGTH="16",
               CONTENT_TYPE="text/plain", PATH_INFO="/v1/tasks/words.shout", QUERY_STRING="loud=true")  # fmt: skip
    done = subprocess.run([stack_module.BUILD / "gangsaw", "cgi"], env=env, input=b"hello wide world",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)  # fmt: skip
    assert done.stdout.startswith(b"Status: 200 OK\r\n"), done.stdout + done.stderr
    assert b'\r\nGangsaw-Result: {"words":3}\r\n' in done.stdout
    assert done.stdout.endswith(b"\r\n\r\nHELLO WIDE WORLD!\n")
