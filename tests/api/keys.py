# SPDX-License-Identifier: BSD-2-Clause
"""Callers with API keys, for tests of what a key may."""

import base64
import hashlib
import re
import secrets
import string

import stack as stack_module
from stack import wait_until

SUM = "demo.sum_squares"
SCOPES = ("run", "jobs:read", "jobs:write", "admin")
WORKER = SCOPES[:3]
LIMITS = ("requests_per_minute", "concurrent_runs", "queued_jobs", "body_bytes")


class Caller:
    """Requests to a stack with a key, `Authorization` included."""

    def __init__(self, stack, tenant="acme", scopes=WORKER, expires="NULL", **limits):
        alphabet = string.ascii_lowercase + string.digits
        self.stack = stack
        self.id = "".join(secrets.choice(alphabet) for _ in range(12))
        secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        self.text = f"gs_{self.id}_{secret}"
        self.authorization = {"Authorization": f"Bearer {self.text}"}
        values = ", ".join(str(limits.pop(name, "NULL")) for name in LIMITS)
        assert not limits
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        self.row = (f"('{self.id}', '{tenant}', '\\x{digest}', '{{{','.join(scopes)}}}', {values}, {expires})")

    def request(self, method, path, headers=None, **kwargs):
        return self.stack.request(method, path, headers={**self.authorization, **(headers or {})}, **kwargs)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, **kwargs):
        return self.request("POST", path, **kwargs)

    def later(self, path, headers=None, **kwargs):
        return self.stack.later(path, headers={**self.authorization, **(headers or {})}, **kwargs)

    def submit(self, task, params, headers=None):
        """The job that a POST stored."""
        answer = self.post(f"/v1/tasks/{task}", json=params, headers={"Prefer": "respond-async", **(headers or {})})
        assert answer.status_code == 202, answer.text[:2000]
        return answer.json()

    def wait_for_job(self, id, state="succeeded"):
        def reached():
            answer = self.get(f"/v1/jobs/{id}")
            assert answer.status_code == 200, answer.text[:2000]
            return answer.json() if answer.json()["state"] == state else None

        return wait_until(reached, 60, f"job {id} {state}")

    def upload(self, data):
        answer = self.post("/v1/blobs", data=data)
        assert answer.status_code == 201, answer.text[:2000]
        return answer.json()["id"]

    def revoke(self):
        self.stack.sql(f"UPDATE gangsaw.key SET revoked_at = now() WHERE id = '{self.id}'")


def add_keys(stack, *callers):
    """Store their keys, and wait until all workers of the host know them; the callers again."""
    probe = Caller(stack, "probe", ("run",))
    columns = f"id, tenant, sha256, scopes, {', '.join(LIMITS)}, expires_at"
    rows = ", ".join(caller.row for caller in (*callers, probe))
    stack.sql(f"INSERT INTO gangsaw.key ({columns}) VALUES {rows}")
    wait_until(lambda: probe.get("/v1/tasks").status_code == 200, 20, "the keys known")
    return callers


def routes():
    """(path, method) of every route that nginx lets a client reach."""
    text = (stack_module.ROOT / "fcgi-app" / "api" / "routes.c").read_text()
    found = re.findall(r'\{"(/[^"]*)", HTTP_(\w+),', text)
    assert len(found) > 10
    return [(path, method) for path, method in found if not path.startswith("/internal/")]
