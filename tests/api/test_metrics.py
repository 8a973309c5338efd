# SPDX-License-Identifier: BSD-2-Clause
"""GET /metrics: one page for all processes of the host, whose values move by exactly what was done."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest
import stack as stack_module
from stack import Later, wait_until

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text):
    """{(name, labels): value}, labels being a frozenset of pairs; strict about the format's rules."""
    kinds, values, family = {}, {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in kinds and line.split(" ", 3)[3], line
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("counter", "gauge", "histogram"), line
            kinds[name] = kind
        else:
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            suffixes = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
            assert name in [family + suffix for suffix in suffixes], line
            key = (name, frozenset(LABEL.findall(labels or "")))
            assert key not in values, line
            values[key] = float(value)
    check_histograms(kinds, values)
    return values


def check_histograms(kinds, values):
    """Buckets rise, and the last is the count."""
    buckets = {}
    for (name, labels), value in values.items():
        if name.endswith("_bucket"):
            le = dict(labels)["le"]
            rest = frozenset(each for each in labels if each[0] != "le")
            buckets.setdefault((name[:-7], rest), []).append((float(le.replace("+Inf", "inf")), value))
    for (family, labels), rows in buckets.items():
        assert kinds[family] == "histogram"
        counts = [count for _, count in sorted(rows)]
        assert counts == sorted(counts) and sorted(rows)[-1][0] == float("inf")
        assert values[(f"{family}_count", labels)] == counts[-1]
        assert (f"{family}_sum", labels) in values


def page(stack):
    answer = stack.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"
    return parse(answer.text)


def value(values, name, **labels):
    return values.get((name, frozenset(labels.items())), 0)


@pytest.fixture(scope="module")
def own():
    """A server whose figures nobody else moves."""
    with stack_module.Stack(faults=True) as running:
        yield running


class Growth:
    """What the figures grew by since it was made."""

    def __init__(self, stack):
        self.stack, self.before = stack, page(stack)

    def __call__(self, name, **labels):
        return value(page(self.stack), name, **labels) - value(self.before, name, **labels)


def test_runs_are_counted_by_task_and_outcome(own):
    grew = Growth(own)
    for n in (1, 2, 3):
        assert own.post("/v1/tasks/demo.sum_squares", json={"n": n}).status_code == 200
    assert own.post("/v1/tasks/demo.sum_squares", json={"n": "x"}).status_code == 422
    assert own.post("/v1/tasks/faults.crash", json={}).status_code == 500
    task = {"task": "demo.sum_squares"}
    assert grew("gangsaw_runs_total", outcome="ok", **task) == 3
    assert grew("gangsaw_run_duration_seconds_count", **task) == 3
    assert grew("gangsaw_run_wait_seconds_count", **task) == 3
    assert grew("gangsaw_run_cpu_seconds_total", **task) > 0
    assert grew("gangsaw_runs_total", task="faults.crash", outcome="executor-crashed") == 1
    wait_until(lambda: grew("gangsaw_executor_exits_total", reason="SIGSEGV") == 1, what="the exit counted")
    name = "gangsaw_http_request_duration_seconds_count"
    post = {"route": "/v1/tasks/{task}", "method": "POST"}
    assert [grew(name, status=each, **post) for each in ("200", "422", "500")] == [3, 1, 1]


MADE_UP_JOBS = """
INSERT INTO gangsaw.job (lane, task, state, ready_at)
SELECT 'cpu/demo', 'made.up' || n, 'queued', now() FROM generate_series(%d, %d) n
"""


def make_up(stack, first, count):
    """What a client may choose, chosen anew each time."""
    for n in range(first, first + count):
        name, traceparent = f"made-up-{n}", f"00-{n + 1:032x}-{n + 1:016x}-01"
        method = "MADE_UP_" + str(n).translate(str.maketrans("0123456789", "ABCDEFGHIJ"))  # nginx wants no digits
        head = {"User-Agent": name, "X-Request-Id": name, "traceparent": traceparent, f"X-{name}": name}
        stack.get(f"/v1/{name}?{name}={name}", headers=head)
        stack.get("/v1/tasks", headers={"Host": f"{name}.example"})
        stack.get("/v1/tasks", headers={"Authorization": f"Bearer gs_{name}"})
        stack.request(method, "/v1/tasks")
        stack.request(method, f"/v1/{name}")
        for path in (f"/v1/tasks/made.up{n}", f"/v1/jobs/{n}", f"/v1/jobs/{n}/outputs/{name}", f"/v1/blobs/{n}"):
            stack.get(path)
        stack.post(f"/v1/tasks/made.up{n}", json={name: name})
        stack.post(f"/v1/tasks/made.up{n}", json={}, headers={"Prefer": "respond-async"})
        stack.post("/v1/tasks/demo.sum_squares", json={name: 1}, headers={"Content-Type": f"text/{name}"})
        stack.post("/v1/jobs", json={"jobs": [{"task": f"made.up{n}", "params": {}, "tags": [name]}]})
    stack.sql(MADE_UP_JOBS % (first, first + count - 1))


def test_what_clients_make_up_adds_no_series(own):
    unknown = {"task": "unknown", "outcome": "not-found"}
    make_up(own, 0, 1)
    wait_until(lambda: value(page(own), "gangsaw_runs_total", **unknown) == 1, what="the unknown task counted")
    before = page(own)
    make_up(own, 1, 30)
    wait_until(lambda: value(page(own), "gangsaw_runs_total", **unknown) == 31, what="unknown tasks counted")
    after = page(own)
    assert set(after) == set(before)
    requests = "gangsaw_http_request_duration_seconds_count"
    assert value(after, requests, route="unknown", method="GET", status="404") == 31
    assert value(after, requests, route="unknown", method="OTHER", status="405") == 31
    assert value(after, "gangsaw_metrics_dropped_total") == 0


@pytest.mark.full
def test_a_stack_that_starts_from_nothing_counts_from_nothing(start_stack):
    stack = start_stack(faults=True)
    assert stack.post("/v1/tasks/faults.crash", json={}).status_code == 500
    run = {"task": "faults.crash", "outcome": "executor-crashed"}
    stack.kill("compute")
    stack.start()
    assert value(page(stack), "gangsaw_runs_total", **run) == 1
    stack.stop()
    stack.start()
    assert ("gangsaw_runs_total", frozenset(run.items())) not in page(stack)


def test_jobs_are_counted_where_they_run(own):
    grew = Growth(own)
    jobs = [own.submit("demo.sum_squares", {"n": n}) for n in range(1, 5)]
    for job in jobs:
        own.wait_for_job(job["id"] if isinstance(job, dict) else job)
    wait_until(lambda: grew("gangsaw_jobs_ended_total", result="succeeded") == 4, what="four jobs counted")
    assert grew("gangsaw_jobs_claimed_total") == 4
    assert grew("gangsaw_runs_total", task="demo.sum_squares", outcome="ok") == 4
    assert grew("gangsaw_database_statement_duration_seconds_count") > 4


def test_a_body_over_the_limit_counts_as_rejected(own):
    grew = Growth(own)
    answer = own.post("/v1/tasks/demo.sum_squares", data=b" " * (17 << 20),
                      headers={"Content-Type": "application/json"})  # fmt: skip
    assert answer.status_code == 413
    assert grew("gangsaw_rejected_total", reason="too-large") == 1


def test_both_pools_runner_and_hub_are_on_the_page(own):
    values = page(own)
    for process in ("api", "compute", "runner", "hub"):
        assert value(values, "gangsaw_process_up", process=process) == 1
    status = own.status()
    for pool in ("api", "compute"):
        workers = sum(v for (name, labels), v in values.items()
                      if name == "gangsaw_workers" and ("pool", pool) in labels)  # fmt: skip
        assert workers == len(status["pools"][pool]["workers"])
    for owner in ("compute", "runner"):
        assert value(values, "gangsaw_slots", owner=owner, **{"class": "cpu"}) > 0
    assert value(values, "gangsaw_database_up") == 1
    assert ("gangsaw_queue_depth", frozenset({("class", "cpu"), ("state", "queued")})) in values
    assert ("gangsaw_hub_clients", frozenset({("state", "waiting")})) in values
    assert [dict(labels)["version"] for name, labels in values if name == "gangsaw_build_info"]


def test_two_pages_at_once_are_whole(own):
    later = [Later(lambda: page(own)) for _ in range(6)]
    assert len({frozenset(name for name, _ in each.result()) for each in later}) >= 1


def test_promtool_has_nothing_to_say(own):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is missing: package prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=own.get("/metrics").text, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_the_documented_alerts_are_valid(tmp_path):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is missing: package prometheus")
    text = (stack_module.ROOT / "docs" / "operations.md").read_text()
    rules = re.search(r"^```yaml\n(groups:\n.*?)^```", text, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "rules.yml").write_text(rules)
    done = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout
    known = {line.split("\t")[0] for line in
             subprocess.run([stack_module.BUILD / "gangsaw", "metrics-reference"], check=True, text=True,
                            stdout=subprocess.PIPE).stdout.splitlines()}  # fmt: skip
    assert set(re.findall(r"gangsaw_\w+", rules)) <= known


def test_whatever_is_away_or_hangs_the_page_comes(start_stack):
    stack = start_stack()
    assert value(page(stack), "gangsaw_database_up") == 1
    os.kill(stack.pid("runner"), signal.SIGSTOP)
    try:
        values = page(stack)
        assert value(values, "gangsaw_process_up", process="runner") == 0
        assert value(values, "gangsaw_process_up", process="hub") == 1
    finally:
        os.kill(stack.pid("runner"), signal.SIGCONT)
    stack.kill_database()
    wait_until(lambda: value(page(stack), "gangsaw_database_up") == 0, what="the page says so")
    values = page(stack)
    assert not [name for name, _ in values if name.startswith("gangsaw_queue")]
    assert value(values, "gangsaw_process_up", process="compute") == 1


QUEUE = """
INSERT INTO gangsaw.job (lane, task, state, ready_at, created_at)
SELECT lane, 'x', state::gangsaw.job_state, now() - interval '1 hour', now() - interval '1 hour'
FROM (VALUES ('cpu/demo', 'queued'), ('cpu/image', 'queued'), ('net/x', 'queued'), ('cpu/demo', 'scheduled')) AS v (lane, state)
"""


def test_the_queue_is_counted_by_class_and_state(start_stack):
    stack = start_stack()
    stack.kill("runner")
    stack.sql(QUEUE)
    values = page(stack)

    def of(name, kind, state):
        return value(values, f"gangsaw_queue_{name}", state=state, **{"class": kind})

    rows = [("cpu", "queued", 2), ("net", "queued", 1), ("cpu", "scheduled", 1), ("net", "scheduled", 0), ("cpu", "running", 0)]
    for kind, state, count in rows:
        assert of("depth", kind, state) == count
        assert (of("oldest_seconds", kind, state) >= 3600) == (count > 0)


def ask_as(stack, address):
    """The answer's head to who comes from this address, as nginx would pass it on to the pool."""

    def record(kind, content):
        return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content

    params = {"REQUEST_METHOD": "GET", "DOCUMENT_URI": "/metrics", "QUERY_STRING": "", "SERVER_ADDR": "127.0.0.1",
              "HTTP_HOST": "localhost", "REMOTE_ADDR": address}  # fmt: skip
    pairs = (struct.pack("!BB", len(k), len(v)) + k.encode() + v.encode() for k, v in params.items())
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(60)
        peer.connect(str(stack.var / "run" / "api.sock"))
        peer.sendall(record(1, struct.pack("!HB5x", 1, 0)) + record(4, b"".join(pairs)) + record(4, b""))
        peer.sendall(record(5, b""))
        answer = b""
        while chunk := peer.recv(65536):
            answer += chunk
    return answer.decode(errors="replace")


def test_the_page_is_for_this_host_and_for_whom_it_is_opened(start_stack):
    stack = start_stack(metrics_allow="10.0.0.0/8 2001:db8::/32")
    for address in ("127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1", "10.200.0.1", "::ffff:10.0.0.1",
                    "2001:db8::7"):  # fmt: skip
        assert "gangsaw_build_info" in ask_as(stack, address), address
    for address in ("11.0.0.1", "192.0.2.1", "2001:db9::1", "::2", "", "localhost"):
        answer = ask_as(stack, address)
        assert "Status: 401" in answer and "gangsaw_" not in answer, address


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "example.net", "10.0.0.0/8,::1"])
def test_what_is_no_list_of_addresses_stops_the_start(own, text):
    own.env["GANGSAW_METRICS_ALLOW"] = text
    try:
        done = own.command("check-config", check=False)
    finally:
        del own.env["GANGSAW_METRICS_ALLOW"]
    assert done.returncode == 78
