# SPDX-License-Identifier: BSD-2-Clause
"""A private stack for tests: real nginx, real pools, a real PostgreSQL, started by ./dev beside any
other.

    with Stack(compute_slots=2) as stack:
        stack.post("/v1/tasks/demo.sum_squares", json={"n": 1})
        job = stack.submit("demo.sum_squares", {"n": 1})
        stack.wait_for_job(job["id"])

Its files lie in a folder of its own, in memory where there is room (unless TMPDIR names a place), since
a new database is a thousand files; its port is a free one. GANGSAW_BUILD=asan runs
the build with sanitizers; a report of theirs in a log fails the test that closes the stack.
"""

import contextlib
import csv
import glob
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import requests

ROOT = pathlib.Path(__file__).resolve().parent.parent
VARIANT = os.environ.get("GANGSAW_BUILD", "")
BUILD = ROOT / "build" / "asan" if VARIANT == "asan" else ROOT / "build"
SANITIZED = VARIANT == "asan"
SHARED_DATA = pathlib.Path(os.environ.get("GANGSAW_SHARED_DATA", ROOT / ".." / "shared" / "data"))

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak|UndefinedBehavior)Sanitizer|runtime error: |LeakSanitizer: "
)


MODULES = {path.name for path in (ROOT / "fcgi-app" / "tasks").iterdir() if path.is_dir()}
FINAL_STATES = ("succeeded", "failed", "canceled")
DAEMONS = ("nginx", "hub", "runner", "compute", "api", "postgres")
# What nginx tells a pool of a request from this host: for tests that speak FastCGI themselves.
FROM_HERE = {"SERVER_ADDR": "127.0.0.1", "REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
MEMORY_FOR_FILES = 3 << 30  # several stacks at a time, each with a log of the database's of up to 1 GiB
KEPT_CONNECTIONS = 2  # http.kept_connections where a test says nothing else: workers beyond those it counts
NO_VALUE = "(null)"  # what psql prints for NULL


def find_psql():
    """The real one: Debian's wrapper in the PATH asks many files first."""
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    return max((f"{each}/psql" for each in folders), default="psql", key=lambda path: int(path.split("/")[4]))


def wait_until(condition, seconds=30.0, what=None):
    """Wait for `condition()` to be true, and return what it returned. Who has waited long is not in a
    hurry: asking is work, often a program's, for cores that others need."""
    begin = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begin
        assert waited < seconds, f"not within {seconds} s: {what or condition}"
        time.sleep(min(max(waited / 10, 0.01), 0.15))


def place_of_files():
    """Where a stack's folder is made; None: where temporary files are."""
    memory = pathlib.Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(memory, os.W_OK):
        return None
    return memory if shutil.disk_usage(memory).free >= MEMORY_FOR_FILES else None


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def process_state(pid):
    """The fields of /proc/PID/stat after the program's name; None when the process is gone."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields


def alive(pid):
    return process_state(pid) is not None


def cpu_seconds(pid):
    fields = process_state(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def children(pid):
    """Living direct children of a process."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = process_state(entry.name)
            if fields and int(fields[1]) == pid:
                found.append(int(entry.name))
    return sorted(found)


def problem_of(answer, name, status):
    """The problem (RFC 9457) that an answer of requests' has to be, complete."""
    assert answer.status_code == status, answer.text[:2000]
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{name}", problem
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    return problem


def field_errors_of(answer):
    """Detail by JSON Pointer, of an answer that has to be `invalid-params`."""
    errors = problem_of(answer, "invalid-params", 422)["errors"]
    details = {each["pointer"]: each["detail"] for each in errors}
    assert len(details) == len(errors), f"two errors of one place: {errors}"
    return details


def descendants(pid):
    """Living children of a process, theirs, and so on."""
    found = children(pid)
    return found + [each for child in found for each in descendants(child)]


def skip_without_module(task):
    """A test of a task whose module was left out of the build, for want of its library, is skipped."""
    module = task.partition(".")[0]
    if module in MODULES and not (BUILD / f"modules/.libs/{module}.so").exists():
        import pytest # for measurements, which use this file too, it need not be there

        pytest.skip(f"the module {module} is not built: its libraries are missing")


def skip_without_modules(path, kwargs):
    """The same for whatever a request is about."""
    if match := re.match(r"/v1/tasks/([\w.]+)", path):
        skip_without_module(match[1])
    if path.startswith("/v1/jobs") and isinstance(kwargs.get("json"), dict):
        for job in kwargs["json"].get("jobs") or []:
            if isinstance(job, dict) and isinstance(job.get("task"), str):
                skip_without_module(job["task"])


class Later:
    """What `function` returns, from a thread of its own: a request that goes on meanwhile."""

    def __init__(self, function):
        self._function = function
        self._result = self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._result = self._function()
        except BaseException as error:  # for result() to raise where the test can see it
            self._error = error

    @property
    def done(self):
        return not self._thread.is_alive()

    def result(self, seconds=60):
        self._thread.join(seconds)
        assert self.done, f"not answered within {seconds} s"
        if self._error:
            raise self._error
        return self._result


class Stack:
    """`faults` adds the misbehaving module of tests/faults; `config` is the text of a
    configuration file; every other option is one of the server's: compute_slots=2."""

    _built = False  # in this process

    def __init__(self, faults=False, config="", **options):
        self.var = pathlib.Path(tempfile.mkdtemp(prefix="gangsaw-", dir=place_of_files()))
        self.var.chmod(0o755)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("GANGSAW_")}
        self.env.update(GANGSAW_VAR=str(self.var), GANGSAW_PORT=str(self.port))
        # No test has the machine lose its power; and from processes that die, files are safe without.
        self.env["GANGSAW_FSYNC"] = "off"
        # As many slots as are asked for, whatever the memory of the machine.
        options = {"server_memory": "1024G", "http_kept_connections": KEPT_CONNECTIONS, **options}
        self.env.update({f"GANGSAW_{k.upper()}": str(v) for k, v in options.items()})
        if VARIANT:
            self.env["GANGSAW_BUILD"] = VARIANT
        (self.var / "gangsaw.conf").write_text(config)
        if faults:
            self._add_faults()
        self.session = requests.Session()

    def _add_faults(self):
        """Modules and descriptors in folders of this stack's: the real ones and `faults`."""
        folders = {"modules": ROOT, "tasks": ROOT}
        for name in folders:
            (self.var / f"test-{name}").mkdir()
        libraries = [*BUILD.glob("modules/.libs/*.so"), *BUILD.glob("tests/modules/.libs/*.so")]
        for library in libraries:
            (self.var / "test-modules" / library.name).symlink_to(library)
        have = {library.stem for library in libraries}
        for descriptor in [*ROOT.glob("fcgi-app/tasks/*/*.json"), *ROOT.glob("tests/faults/module/*.json")]:
            if descriptor.name.split(".")[0] in have:
                (self.var / "test-tasks" / descriptor.name).symlink_to(descriptor)
        self.env["GANGSAW_SERVER_MODULES_DIR"] = str(self.var / "test-modules")
        self.env["GANGSAW_SERVER_TASKS_DIR"] = str(self.var / "test-tasks")

    def __enter__(self):
        try:
            self.start()
        except BaseException:  # some of it may run already
            with contextlib.suppress(Exception):
                self.dev("stop", check=False)
            shutil.rmtree(self.var, ignore_errors=True)
            raise
        return self

    def __exit__(self, kind, *_):
        self.session.close()
        try:
            self.stop()
            reports = self.sanitizer_reports()
        finally:
            shutil.rmtree(self.var, ignore_errors=True)
        if kind is None:
            assert not reports, reports

    def dev(self, *words, check=True, **env):
        """Run ./dev for this stack. Its output ends with it: no daemon may keep the pipe."""
        done = subprocess.run(
            [ROOT / "dev", *words], env={**self.env, **env}, stdin=subprocess.DEVNULL, timeout=300,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout
        return done

    def start(self):
        """The first start of this process brings the build up to date."""
        done = self.dev("start", GANGSAW_MAKE="0" if Stack._built else "1")
        Stack._built = True
        return done

    def stop(self):
        return self.dev("stop")

    def pid(self, name):
        """The process of `nginx`, `runner`, `hub` or `postgres`, or the master of the pool `api` or
        `compute`."""
        return int((self.var / "pid" / name).read_text().split()[0])

    def signal(self, name, number=signal.SIGTERM):
        os.kill(self.pid(name), number)

    def kill(self, *names):
        """SIGKILL to daemons and to all their processes, and wait for the last to be gone."""
        victims = [pid for name in names for pid in (self.pid(name), *descendants(self.pid(name)))]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(alive(pid) for pid in victims), what=f"{names} killed")

    def kill_database(self):
        """As when its host loses power: nothing is written any more. start() brings it back."""
        self.kill("postgres")

    def command(self, *words, check=True):
        """Run `gangsaw WORD …` with this stack's configuration."""
        env = {**self.env, "GANGSAW_SERVER_RUN_DIR": str(self.var / "run"),
               "GANGSAW_CONFIG": str(self.var / "gangsaw.conf"),
               "GANGSAW_DATABASE_URL": self.database_url}  # fmt: skip
        return subprocess.run([BUILD / "gangsaw", *words], env=env, timeout=60, text=True,
                              stdout=subprocess.PIPE, check=check)  # fmt: skip

    def status(self):
        """`gangsaw status --json`: "pools" by name, "runner", "hub"; null for what does not run."""
        return json.loads(self.command("status", "--json", check=False).stdout)

    @property
    def database_url(self):
        """Of the database that this stack was given, or of its own."""
        own = f"postgresql://gangsaw@/gangsaw?host={self.var}/run&port=5432"
        return self.env.get("GANGSAW_DATABASE_URL", own)

    def sql(self, text):
        """Run SQL in the database: rows as lists of text, None for NULL, of all statements in it."""
        done = subprocess.run(
            [find_psql(), "-X", "-q", "-t", "--csv", "-v", "ON_ERROR_STOP=1", "-P", f"null={NO_VALUE}",
             "-f", "-", self.database_url],
            input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = csv.reader(io.StringIO(done.stdout))
        return [[None if field == NO_VALUE else field for field in row] for row in rows]

    def submit(self, task, params, prefer="respond-async", **kwargs):
        """Store a job by a POST to its task; the job as the answer has it. `kwargs` are those of
        requests': headers={"Gangsaw-Job": "priority=5"}."""
        headers = {"Prefer": prefer, **kwargs.pop("headers", {})}
        answer = self.post(f"/v1/tasks/{task}", json=params, headers=headers, **kwargs)
        assert answer.status_code == 202, answer.text[:2000]
        return answer.json()

    def job(self, id):
        """The job as it is now."""
        answer = self.get(f"/v1/jobs/{id}")
        assert answer.status_code == 200, answer.text[:2000]
        return answer.json()

    def wait_for_job(self, id, states=FINAL_STATES, seconds=60):
        """The job, once it is in one of `states` (or in the one that is named)."""
        wanted = (states,) if isinstance(states, str) else states
        found = []

        def reached():
            found[:] = [self.job(id)]
            return found[0]["state"] in wanted

        try:
            wait_until(reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"not {' or '.join(wanted)} within {seconds} s: {found}") from error
        return found[0]

    def log(self, name, message=None):
        """Lines of one of the daemons; those with this message alone."""
        lines = (self.var / "log" / f"{name}.log").read_text(errors="replace").splitlines()
        return [line for line in lines if message is None or f'"message":"{message}"' in line]

    def log_line(self, name, answer, message="request"):
        """The line that a pool logs for a request once it was answered; or for its "run"."""
        wanted = answer.headers["X-Request-Id"]

        def found():
            return [line for line in self.log(name, message) if wanted in line]

        lines = wait_until(found, what=f"a line of {wanted} in {name}.log")
        assert len(lines) == 1, lines
        return json.loads(lines[0])

    def settle(self):
        """Wait until every worker and executor is idle, the runner's too: all that was asked is
        answered and logged."""

        def busy():
            status = self.status()
            if None in status["pools"].values():
                return True # one has so much to do that it did not answer
            everyone = [each for pool in status["pools"].values() for each in pool["workers"] + pool["executors"]]
            everyone += status["runner"]["executors"] if status["runner"] else []
            return [each for each in everyone if each["state"] != "idle"]

        wait_until(lambda: not busy(), 60, "all idle")

    def sanitizer_reports(self):
        texts = [p.read_text(errors="replace") for p in sorted((self.var / "log").glob("*.log"))]
        return "\n".join(text[:20000] for text in texts if SANITIZER_REPORT.search(text))

    def request(self, method, path, **kwargs):
        skip_without_modules(path, kwargs)
        kwargs.setdefault("timeout", 60)
        return self.session.request(method, self.url + path, **kwargs)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.request("POST", path, **kwargs)

    def later(self, path, **kwargs):
        """A POST on a connection of its own, whose answer is waited for with result()."""
        skip_without_modules(path, kwargs)
        kwargs.setdefault("timeout", 120)
        return Later(lambda: requests.post(self.url + path, **kwargs))

    def leaver(self, path, parameters):
        """A POST whose client leaves when the socket that this returns is closed."""
        body = json.dumps(parameters).encode()
        s = self.connect()
        s.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
        return s

    def pool(self):
        """The status of the pool `compute`; one that is about to start many processes may take a moment."""
        return wait_until(lambda: self.status()["pools"]["compute"], 30, "the status of the pool compute")

    def runner(self):
        """The status of the runner."""
        return wait_until(lambda: self.status()["runner"], 30, "the status of the runner")

    def wait_for_load(self, busy, waiting=0, kind="cpu", seconds=20):
        """Wait until so many runs of a class are computed, and so many wait."""

        def load():
            now = self.pool()["classes"][kind]
            return (now["busy"], now["waiting"]) == (busy, waiting)

        wait_until(load, seconds, f"{busy} busy and {waiting} waiting; it is {self.pool()['classes']}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def raw(self, data):
        """Send bytes as they are; the answer until the server closes. It resets who then keeps it
        waiting for the rest of a body."""
        if match := re.match(rb"POST (/v1/tasks/[\w.]+)", data):
            skip_without_modules(match[1].decode(), {})
        with self.connect() as s:
            s.sendall(data)
            answer = b""
            try:
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                assert answer, "reset without an answer"
        return answer
