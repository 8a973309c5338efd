# SPDX-License-Identifier: BSD-2-Clause
"""How the files look: licence, format, shell, nothing unfinished, nothing forgotten by the build."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SKIPPED = {".git", "build", "results", "var", "m4", "build-aux", "autom4te.cache", "__pycache__", ".pytest_cache"}
SKIPPED |= {"corpus", "crashers"}  # of tests/fuzz: inputs
GENERATED = {"configure", "configure~", "aclocal.m4", "config.h.in", "Makefile.in"}


def project_files():
    """Everything that belongs to the project, whether it is in git or only in a source archive."""
    found = []
    folders = [ROOT]
    while folders:
        for entry in sorted(folders.pop().iterdir()):
            if entry.is_dir():
                if entry.name not in SKIPPED:
                    folders.append(entry)
            elif entry.name not in GENERATED or entry.parent != ROOT:
                found.append(entry)
    return sorted(found)


FILES = project_files()
C_FILES = [path for path in FILES if path.suffix in (".c", ".h")]
COMMENTED = {".c", ".h", ".py", ".sh", ".ac", ".am", ".conf", ".in", ".css", ".html", ".sql"}


def name_of(path):
    return str(path.relative_to(ROOT))


def is_script(path):
    return path.suffix == "" and path.read_bytes()[:2] == b"#!"


def is_text(path):
    return b"\0" not in path.read_bytes()[:4096]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.suffix in COMMENTED or is_script(p)], ids=name_of
)
def test_a_file_begins_with_its_licence(path):
    lines = path.read_text().splitlines()
    first = lines[1] if lines[0].startswith(("#!", "<!doctype")) else lines[0]
    assert re.fullmatch(r"(#|/\*|<!--|--|//) SPDX-License-Identifier: BSD-2-Clause( \*/| -->)?", first)


@pytest.mark.parametrize("path", [p for p in C_FILES if p.suffix == ".c"], ids=name_of)
def test_a_source_says_what_it_is_for(path):
    assert path.read_text().splitlines()[1].startswith("/*")


def test_c_is_formatted():
    tool = shutil.which("clang-format")
    assert tool, "clang-format is missing"
    done = subprocess.run(
        [tool, "--dry-run", "-Werror", *C_FILES], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[:5000]


def test_shell_scripts_pass_shellcheck():
    tool = shutil.which("shellcheck")
    assert tool, "shellcheck is missing"
    scripts = [p for p in FILES if p.suffix == ".sh" or is_script(p) and b"sh\n" in p.read_bytes()[:32]]
    assert ROOT / "dev" in scripts
    done = subprocess.run([tool, *scripts], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[:5000]


@pytest.mark.parametrize("path", [p for p in FILES if is_text(p) and p != pathlib.Path(__file__).resolve()], ids=name_of)
def test_nothing_is_left_unfinished(path):
    text = path.read_text(errors="replace")
    assert re.findall(r"\b(?:TODO|FIXME|XXX)\b", text) == []
    assert re.findall(r"(?<![\w.~<])/(?:root|home)/\w+", text) == []


@pytest.mark.parametrize("path", [p for p in C_FILES if "fcgi-app" in p.parts], ids=name_of)
def test_a_file_is_one_unit(path):
    assert len(path.read_text().splitlines()) < 700


def makefile_words():
    text = (ROOT / "Makefile.am").read_text()
    return set(re.split(r"[\s\\=]+", text))


def test_the_build_knows_every_source_and_descriptor():
    wanted = [p for p in C_FILES if not {"bench", "fuzz"} & set(p.parts)]
    wanted += [p for p in FILES if "tasks" in p.parts and p.suffix == ".json"]
    words = makefile_words()
    unknown = [name_of(p) for p in wanted if name_of(p) not in words]
    programs = {word + ".c" for word in words if word.startswith("tests/unit/test_")}
    assert [name for name in unknown if name not in programs] == []


def test_a_source_archive_has_every_file():
    words = makefile_words()
    missing = []
    for path in FILES:
        name = name_of(path)
        covered = {name, *(str(p) for p in path.relative_to(ROOT).parents)} & words
        is_source = path.suffix in (".c", ".h") and name.removesuffix(".c").startswith("tests/unit/test_")
        if not covered and not is_source and name not in ("Makefile.am", "configure.ac", ".gitignore"):
            missing.append(name)
    assert missing == []
