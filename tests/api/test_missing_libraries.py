# SPDX-License-Identifier: BSD-2-Clause
"""Without the libraries of a module the rest is built, and serves what it has."""

import json
import os
import pathlib
import re
import subprocess

import pytest
import stack as stack_module

ROOT = stack_module.ROOT
# What configure asks pkg-config for, and a module cannot do without.
LIBRARIES = {"image": "vips", "pdf": "libqpdf", "ocr": "tesseract"}
pytestmark = pytest.mark.full  # it configures and builds


def run(*words, folder, **env):
    done = subprocess.run(words, cwd=folder, env={**os.environ, **env}, stdin=subprocess.DEVNULL, timeout=1200,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def configure(folder, *options, **env):
    """What it says of each module."""
    folder.mkdir(exist_ok=True)
    said = run(ROOT / "configure", "CFLAGS=-O0 -g0", f"--cache-file={folder.parent}/cache", *options, folder=folder, **env)
    lines = re.findall(r"^ +module (\w+): +(.*)$", said, re.MULTILINE)
    assert len({name for name, _ in lines}) == len(lines), lines
    return dict(lines)


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """A folder of pkg-config's with all libraries of this machine but those of the modules."""
    folder = tmp_path_factory.mktemp("pkgconfig")
    path = run("pkg-config", "--variable", "pc_path", "pkg-config", folder=folder).strip()
    for place in reversed(path.split(":")):
        for file in pathlib.Path(place).glob("*.pc"):
            (folder / file.name).unlink(missing_ok=True)
            (folder / file.name).symlink_to(file)
    for name in LIBRARIES.values():
        (folder / f"{name}.pc").unlink(missing_ok=True)
    return str(folder)


@pytest.fixture(scope="module")
def installed(tmp_path_factory, others):
    """The root of an installation that was built without them; and what configure said."""
    folder = tmp_path_factory.mktemp("without")
    said = configure(folder / "build", PKG_CONFIG_LIBDIR=others)
    run("make", "-s", f"-j{os.cpu_count()}", folder=folder / "build")
    run("make", "-s", "install", f"DESTDIR={folder}/root", folder=folder / "build")
    return folder / "root" / "usr" / "local", said


def test_a_module_whose_library_is_missing_is_left_out_with_one_line(installed):
    _, said = installed
    assert said["demo"] == "yes"
    for name in LIBRARIES:
        assert re.fullmatch(r"left out: .* not found \(Debian: lib.*-dev\)", said[name])


def test_a_server_without_them_has_the_tasks_of_the_others(installed, tmp_path):
    root, _ = installed
    assert [path.name for path in (root / "lib" / "gangsaw").iterdir()] == ["demo.so"]
    (tmp_path / "gangsaw.conf").write_text("")
    env = {"GANGSAW_CONFIG": str(tmp_path / "gangsaw.conf"), "GANGSAW_SERVER_USER": "nobody",
           "GANGSAW_SERVER_TASKS_DIR": str(root / "share" / "gangsaw" / "tasks"),
           "REQUEST_METHOD": "GET", "PATH_INFO": "/v1/tasks", "REQUEST_URI": "/v1/tasks"}  # fmt: skip
    answer = run(root / "bin" / "gangsaw", "cgi", folder=tmp_path, **env)
    catalogue, _ = json.JSONDecoder().raw_decode(answer[answer.index('{"tasks"') :])  # the log comes behind it
    assert [task["name"] for task in catalogue["tasks"]] == ["demo.sum_squares"]


def test_a_module_is_left_out_when_asked(tmp_path):
    said = configure(tmp_path / "build", "--without-vips", "--without-pdf", "--without-ocr")
    assert {said[name] for name in LIBRARIES} == {"left out, as asked"}


def test_a_library_that_is_insisted_on_and_missing_ends_configure(tmp_path, others):
    with pytest.raises(AssertionError, match="libvips-dev"):
        configure(tmp_path / "build", "--with-vips", PKG_CONFIG_LIBDIR=others)
