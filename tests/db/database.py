# SPDX-License-Identifier: BSD-2-Clause
"""psql, for tests that talk to PostgreSQL itself."""

import json
import os
import pathlib
import re
import select
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 60
PSQL = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"]


def url_of(name):
    url = os.environ["GANGSAW_TEST_DATABASE"]
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}dbname={name}" if url.startswith("postgres") else f"{url} dbname={name}"


def options(name):
    """What a define of job.h sets for a session, from the source."""
    text = (ROOT / "fcgi-app/db/job.h").read_text()
    define = re.search(rf"#define {name}((?:[^\n]*\\\n)*[^\n]*)", text)
    return "".join(re.findall(r'"([^"]*)"', define.group(1)))


def queue_options():
    """The options of a runner's session."""
    return options("DB_QUEUE_OPTIONS")


def work_options():
    """The options of a worker's session."""
    return options("DB_WORK_OPTIONS")


def statements(file):
    """The text of every statement of a source file, by its name, as the compiler sees it."""
    compiler = shutil.which("cc") or "gcc"
    done = subprocess.run([compiler, "-E", "-P", "-I", ROOT / "fcgi-app", "-I", "/usr/include/cjson",
                           ROOT / "fcgi-app" / file], capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    literals = r'((?:\s*"(?:[^"\\]|\\.)*")+)'
    found = re.findall(rf"\.name ={literals}\s*,\s*\.sql ={literals}", done.stdout)
    joined = [["".join(json.loads(each) for each in re.findall(r'"(?:[^"\\]|\\.)*"', text)) for text in pair]
              for pair in found]  # fmt: skip
    return dict(joined)


class Session:
    """A psql that stays, for transactions that are open while others do something."""

    def __init__(self, url):
        self.process = subprocess.Popen(PSQL + ["-d", url], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.buffer = b""

    def send(self, sql):
        self.process.stdin.write(f"{sql};\n\\echo =end=\n".encode())
        self.process.stdin.flush()

    def wait(self, limit_seconds=LIMIT_SECONDS):
        end = time.monotonic() + limit_seconds
        while b"=end=\n" not in self.buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"no answer within {limit_seconds} s: {self.buffer}"
            part = os.read(self.process.stdout.fileno(), 65536)
            assert part, self.buffer.decode()
            self.buffer += part
        answer, self.buffer = self.buffer.split(b"=end=\n", 1)
        return answer.decode().strip()

    def sql(self, sql):
        self.send(sql)
        return self.wait()

    def close(self):
        self.process.stdin.close()
        self.process.wait(LIMIT_SECONDS)
        self.process.stdout.close()


class Database:
    def __init__(self, name):
        self.url = url_of(name)
        self.sessions = []

    def run(self, script, options=""):
        """What psql makes of a script: (exit status, output, errors)."""
        done = subprocess.run(PSQL + ["-d", self.url], input=script, text=True, capture_output=True,
                              timeout=300, env=os.environ | {"PGOPTIONS": options}, check=False)
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    def sql(self, script, options=""):
        status, output, errors = self.run(script, options)
        assert status == 0, errors
        return output

    def wait_for(self, query, answer):
        end = time.monotonic() + LIMIT_SECONDS
        while self.sql(query) != answer:
            assert time.monotonic() < end, f"{query}: not {answer}"

    def error(self, script):
        status, output, errors = self.run(script)
        assert status != 0, output
        return errors

    def session(self):
        self.sessions.append(Session(self.url))
        return self.sessions[-1]

    def close_sessions(self):
        for session in self.sessions:
            session.close()
        self.sessions = []
