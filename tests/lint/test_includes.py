# SPDX-License-Identifier: BSD-2-Clause
"""Includes point down only: main -> pool, jobs, hub -> api -> http, exec, db, auth -> base; modules see
task.h alone."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
APP = ROOT / "fcgi-app"

# What the files of a folder may include besides their own folder's.
BELOW = {
    "base": set(),
    "http": {"base"},
    "auth": {"base"},
    "exec": {"base", "tasks/task.h"},
    "db": {"base"},
    "api": {"http", "exec", "db", "auth", "base"},
    "pool": {"api", "http", "exec", "db", "auth", "base"},
    "jobs": {"api", "http", "exec", "db", "auth", "base"},
    "hub": {"api", "http", "exec", "db", "auth", "base"},
    "main.c": {"pool", "jobs", "hub", "api", "http", "exec", "db", "auth", "base"},
}
# What a module may include besides its own folder's.
SHARED = {"ocr": {"tasks/pdf/deep.h", "tasks/pdf/document.h", "tasks/pdf/raster.h", "tasks/pdf/selection.h"}}
# The ends of libraries: who else may include them.
ONLY = {"fcgiapp.h": "http", "fcgios.h": "http", "libpq-fe.h": "db", "ini.h": "base"}

SOURCES = sorted(APP.rglob("*.[ch]"))


def includes(path):
    return re.findall(r'^\s*#\s*include\s+(["<])([^">]+)[">]', path.read_text(), re.MULTILINE)


def is_allowed(path, name):
    """May `path` include "name"?"""
    inside = path.relative_to(APP)
    folder = inside.parts[0]
    if folder == "tasks":
        if inside.name == "task.h":
            return name == "base/error.h"
        if name in SHARED.get(inside.parent.name, ()):
            return True
        return name in ("tasks/task.h", "base/error.h") or pathlib.PurePath(name).parent == inside.parent
    return name.split("/")[0] == folder or name in BELOW[folder] or name.split("/")[0] in BELOW[folder]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(APP)))
def test_includes_point_down_only(path):
    own = [name for kind, name in includes(path) if kind == '"']
    assert [name for name in own if not (APP / name).is_file()] == []
    assert [name for name in own if not is_allowed(path, name)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(APP)))
def test_one_folder_uses_each_library(path):
    folder = path.relative_to(APP).parts[0]
    assert [name for _, name in includes(path) if ONLY.get(name, folder) != folder] == []


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".c"], ids=lambda p: str(p.relative_to(APP)))
def test_a_source_includes_its_own_header_first(path):
    header = path.with_suffix(".h")
    if header.is_file():
        assert includes(path)[0] == ('"', str(header.relative_to(APP)))
