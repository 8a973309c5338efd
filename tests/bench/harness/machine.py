# SPDX-License-Identifier: BSD-2-Clause
"""On what it was measured."""

import datetime
import os
import pathlib
import platform
import re

from . import CORES
from .contender import debian_versions

GENERATORS = ("wrk", "hey", "nghttp2-client")
COMMON = ("nginx", "postgresql-15", "python3", "gcc")


def member(file, pattern, default):
    try:
        found = re.search(pattern, pathlib.Path(file).read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1) if found else default


def machine():
    return {
        "processor": member("/proc/cpuinfo", r"^model name\s*: (.*)", platform.machine()),
        "cores": CORES,
        "memory_gb": round(int(member("/proc/meminfo", r"^MemTotal: +(\d+)", "0")) / 2**20),
        "kernel": platform.release().partition("-")[0],
        "system": member("/etc/os-release", r'^PRETTY_NAME="(.*)"', platform.system()),
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(contenders):
    """Of the contenders, by name, of what all of them use, and of the load generators."""
    found = {each.name: each.versions() for each in contenders}
    return {**found, "common": debian_versions(COMMON), "generators": debian_versions(GENERATORS)}


def now():
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
