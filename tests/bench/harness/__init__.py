# SPDX-License-Identifier: BSD-2-Clause
"""What the measurements stand on: contenders, loads, processes, results, and the page of them.

    measurement.py   what a measurement is, and what it gives back
    contender.py     what is measured: a server of servers/, started and stopped, asked for some work
    session.py       the contenders of one run of the command: started when they are first needed
    load.py          closed loops (wrk, hey, h2load) and an open one (openloop/)
    closed.py        a closed loop, in C, for requests that are few and slow
    processes.py     what processes use: CPU, memory
    calibrate.py     how much work takes so many milliseconds here
    machine.py       on what all of it ran
    results.py       one file for each run, as JSON
    page.py plot.py  that file as docs/benchmarks.md, its plots, and the README's three figures
    terminal.py      a result as text
    sane.py          whether a result can be true

The command is bench, beside this folder; what it measures are the files of measure/.
"""

import os
import pathlib
import sys

BENCH = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
WORK = ROOT / "build" / "bench"  # what is built or installed for measurements
CORES = len(os.sched_getaffinity(0))

sys.path[:0] = [str(BENCH), str(BENCH.parent)]  # servers/, tests/stack.py
