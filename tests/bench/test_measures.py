# SPDX-License-Identifier: BSD-2-Clause
"""What measurements make of what they saw: when a server was idle, when it was whole again, whose memory it is."""

import os
import pathlib
import re
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from harness import ROOT, sane  # noqa: E402
from harness.contender import load_file  # noqa: E402
from harness.measurement import Options  # noqa: E402

disconnect, recovery, memory, mix, thumbnail = (
    load_file(HERE / "measure" / f"{name}.py") for name in ("disconnect", "recovery", "memory", "mix", "thumbnail")
)


def looks(*cores):
    """What watch() sees of a server that uses so many cores in each tenth of a second."""
    seen, used = [(0.0, 5.0)], 5.0
    for i, each in enumerate(cores):
        used += each / 10
        seen.append(((i + 1) / 10, used))
    return seen


@pytest.mark.parametrize(
    ("cores", "idle"),
    [
        ([0] * 20, 0.0),
        ([2] * 10 + [0] * 10, 1.0),
        ([2] * 20, None),
        ([0] * 10 + [1] * 10, None),  # it only waited
        ([1] * 5 + [0] * 8 + [1] * 2 + [0] * 10, 1.5),
    ],
)
def test_idle_is_when_no_work_follows(cores, idle):
    found = disconnect.idle_after(looks(*cores))
    assert found == idle if idle is None else found == pytest.approx(idle, abs=0.15)


def test_cores_are_the_mean_of_the_seconds_asked_for():
    assert disconnect.used_cores(looks(*[2] * 10, *[0] * 10), 1.0) == pytest.approx(2.0)
    assert disconnect.used_cores(looks(*[2] * 10, *[0] * 10), 2.0) == pytest.approx(1.0)


def requests(failed):
    """One each hundredth of a second for six seconds; those fail that were planned in one of the stretches."""
    planned = [i / 100 for i in range(600)]
    return [(at, 5.0, 500 if any(begin <= at < end for begin, end in failed) else 200) for at in planned]


@pytest.mark.parametrize(
    ("failed", "back"),
    [
        ([], 0.0),
        ([(2.0, 2.05)], 0.0),  # less than a tenth of a window
        ([(2.0, 3.0)], 0.9),
        ([(2.0, 6.0)], None),
        ([(2.0, 2.5), (4.0, 5.0)], 2.9),
        ([(1.0, 1.9)], 0.0),  # before
    ],
)
def test_back_is_when_enough_is_answered_from_then_on(failed, back):
    found = recovery.back_after(requests(failed), 2.0, 6.0)
    assert found == back if back is None else found == pytest.approx(back, abs=0.02)


def test_a_process_is_one_parts_memory_only():
    found = memory.memory_of({"first": {os.getpid()}, "second": {os.getpid()}})
    assert found["first"] > 0 and found["second"] == 0 and found["all"] == found["first"]


def test_what_is_refused_is_counted_apart_from_what_is_given_up():
    class Bench:
        cores = 2

    one = {"p50": 1, "p95": 2, "p99": 3, "p999": 4, "generator_cores": 0.1, "given_up": 5, "errors": 0}
    light = {**one, "offered": 100, "good": 95, "rate": 9, "statuses": {"200": 95}, "by_status": {}}
    heavy = {**one, "offered": 40, "good": 15, "rate": 15, "statuses": {"200": 15, "503": 19, "502": 1},
             "by_status": {"503": {"p99": 7}, "502": {"p99": 9}}}  # fmt: skip
    found = mix.figures({"light": light, "heavy": heavy}, Bench)
    assert (found["answered"], found["goodput"], found["share"]) == (95, 15, 75)
    assert (found["refused"], found["refusal_p99"]) == (50, 7)


def test_without_the_photograph_the_others_are_measured():
    class Bench:
        photograph = None

        def available(self, names):
            return names

    found = thumbnail.run(Options(), Bench())
    assert found.notes and not found.tables and sane.complaints(found) == []


def test_php_has_the_buffers_of_the_location_by_which_requests_are_passed_on():
    php = load_file(HERE / "servers" / "php" / "contender.py")
    configuration = (ROOT / "nginx" / "gangsaw-server.conf.in").read_text()
    location = re.search(r"^location / \{(.*?)^\}", configuration, re.MULTILINE | re.DOTALL)[1]
    ours = dict(re.findall(r"^ *(\w+) +(.+);", location, re.MULTILINE))
    theirs = php.nginx_settings((*php.SERVER, *php.FASTCGI))
    assert "client_body_buffer_size" in theirs
    assert [name for name in theirs if theirs[name] != ours.get(name, theirs[name])] == []
