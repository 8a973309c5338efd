# SPDX-License-Identifier: BSD-2-Clause
"""Loads. Closed loops (wrk, hey, h2load): each client sends its next request when its answer is there;
they find the highest rate. An open one: requests come at a constant rate whatever the server does, and an
answer's time counts from when its request was planned; it finds what a user waits.

All of them run on the cores of what they measure. Times are milliseconds.
"""

import csv
import io
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import tempfile

from . import BENCH, WORK

LONGEST = 30  # s to wait for a first answer

WRK_REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{"requests": %d, "us": %d, "bytes": %d, "p50": %f, "p95": %f, "p99": %f, "p999": %f, "errors": %d}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50) / 1e3, latency:percentile(95) / 1e3,
    latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def percentile(values, share):
    """Of values in order: the smallest that `share` of them do not exceed."""
    return values[max(0, math.ceil(len(values) * share) - 1)] if values else None


def percentiles(milliseconds):
    ordered = sorted(milliseconds)
    return {name: percentile(ordered, share)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))}  # fmt: skip


def lua(text):
    return '"' + "".join(c if c.isalnum() or c in " /-_.:;=,?&" else f"\\{ord(c):03d}" for c in text) + '"'


def printed_after(command, seconds):
    """What wrk prints. It counts in whole seconds, but reports too when it is interrupted."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            return process.communicate(timeout=None if seconds == int(seconds) else seconds)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            text = process.communicate()[0]
    # It had not begun yet, and is given its whole seconds.
    return text if process.returncode == 0 else subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def wrk(request, port, clients, seconds, threads=1):
    """{"rate", "p50", "p95", "p99", "p999", "errors", "bytes"}"""
    with tempfile.TemporaryDirectory(prefix="gangsaw-wrk-") as folder:
        body, script = pathlib.Path(folder, "body"), pathlib.Path(folder, "wrk.lua")
        body.write_bytes(request.body)
        lines = [f"wrk.method = {lua(request.method)}"]
        lines += [f"wrk.headers[{lua(name)}] = {lua(value)}" for name, value in request.headers.items()]
        lines += [f'wrk.body = io.open({lua(str(body))}, "rb"):read("*a")'] if request.body else []
        script.write_text("\n".join(lines) + WRK_REPORT)
        command = ["wrk", f"-t{threads}", f"-c{clients}", f"-d{math.ceil(seconds)}s", "--timeout", "60s",
                   "-s", script, f"http://127.0.0.1:{port}{request.path}"]  # fmt: skip
        text = printed_after(command, seconds)
    got = json.loads(text.splitlines()[-1])
    if got["requests"] == 0 and seconds < LONGEST:  # too short for a single answer
        return wrk(request, port, clients, 2 * math.ceil(seconds), threads)
    good = got["requests"] - got["errors"]
    return {"rate": good * 1e6 / got["us"], **{key: got[key] for key in ("p50", "p95", "p99", "p999", "errors", "bytes")}}


def hey(request, port, clients, seconds):
    """The same by hey, but for the bytes."""
    with tempfile.NamedTemporaryFile(prefix="gangsaw-hey-") as body:
        body.write(request.body)
        body.flush()
        command = ["hey", "-z", f"{round(seconds * 1e3)}ms", "-c", str(clients), "-m", request.method, "-t", "60", "-o", "csv"]
        for name, value in request.headers.items():
            command += ["-T", value] if name.lower() == "content-type" else ["-H", f"{name}: {value}"]
        command += ["-D", body.name] if request.body else []
        command.append(f"http://127.0.0.1:{port}{request.path}")
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    good = [row for row in rows if row["status-code"].startswith("2")]
    return {"rate": len(good) / seconds, **percentiles([float(row["response-time"]) * 1e3 for row in good]),
            "errors": len(rows) - len(good), "bytes": None}  # fmt: skip


def h2load(request, port, clients, seconds):
    """The same by h2load, over HTTP/1.1."""
    with tempfile.TemporaryDirectory(prefix="gangsaw-h2load-") as folder:
        body, log = pathlib.Path(folder, "body"), pathlib.Path(folder, "log")
        body.write_bytes(request.body)
        command = ["h2load", "--h1", "-t1", f"-c{clients}", f"-D{max(1, round(seconds))}", f"--log-file={log}"]
        for name, value in request.headers.items():
            command += ["-H", f"{name}: {value}"]
        command += ["-d", body] if request.body else []
        command.append(f"http://127.0.0.1:{port}{request.path}")
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        # Start (us since the epoch), status, time (us).
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    good = [int(row[2]) / 1e3 for row in rows if row[1].startswith("2")]
    total = int(re.search(r"traffic: .*?\((\d+)\) total", text).group(1))
    return {"rate": len(good) / max(1, round(seconds)), **percentiles(good), "errors": len(rows) - len(good), "bytes": total}


def build_openloop():
    """The program of openloop/, beside the build."""
    sources, program = sorted((BENCH / "openloop").glob("*.[ch]")), WORK / "openloop"
    if not program.exists() or program.stat().st_mtime < max(each.stat().st_mtime for each in sources):
        WORK.mkdir(parents=True, exist_ok=True)
        made = WORK / f"openloop.{os.getpid()}"  # two runs may build it at the same time
        subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-o", made,
                        *(each for each in sources if each.suffix == ".c")], check=True)  # fmt: skip
        made.replace(program)
    return program


def open_loop(streams, seconds, patience, warm=0.0, trace=False):
    """`streams` is {name: (Request, port, rate)}, requests a second; who has no answer after `patience`
    seconds leaves; what was planned in the first `warm` seconds is not counted. {name: {"offered", "good", "rate",
    "p50", "p95", "p99", "p999", "statuses": {code: count}, "by_status": {code: {"p50", …}}, "late", "given_up",
    "errors", "generator_cores"}}, all of which openloop.c explains; with `trace` also "trace": [(seconds of the plan,
    ms, status: 0 given up, -1 an error), …]."""
    with tempfile.TemporaryDirectory(prefix="gangsaw-openloop-") as folder:
        plan, file_of_trace = [], pathlib.Path(folder, "trace")
        for i, (name, (request, port, rate)) in enumerate(streams.items()):
            file = pathlib.Path(folder, str(i))
            file.write_bytes(request.whole())
            plan.append(f"{name} {rate:.6f} {port} {file}\n")
        words = [build_openloop(), str(seconds), str(patience), str(warm), *([file_of_trace] if trace else [])]
        done = subprocess.run(words, input="".join(plan), stdout=subprocess.PIPE, text=True, check=True,
                              timeout=seconds + patience + 30)  # fmt: skip
        got = json.loads(done.stdout)
        if trace:
            for each in got.values():
                each["trace"] = []
            for name, planned, ms, status in csv.reader(file_of_trace.read_text().splitlines()):
                got[name]["trace"].append((float(planned), float(ms), int(status)))
    return got
