# SPDX-License-Identifier: BSD-2-Clause
"""What contenders have in common, so that they do the same."""

import pathlib
import subprocess

from harness import WORK

KEY = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"  # of AES-256, in hexadecimal
WIDTH = 400  # of a thumbnail


def sum_squares():
    """The C function as a shared object beside the build, for ctypes and FFI."""
    source, made = pathlib.Path(__file__).parent / "fastapi" / "sum_squares.c", WORK / "sum_squares.so"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-fPIC", "-shared", "-o", f"{made}.new", source], check=True)
        pathlib.Path(f"{made}.new").replace(made)
    return made
