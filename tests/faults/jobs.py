# SPDX-License-Identifier: BSD-2-Clause
"""Jobs as the fault tests look at them: what was acknowledged, and what became of it."""

import os
import signal

import requests
from stack import descendants, wait_until

SUM = "demo.sum_squares"
FINAL = ("succeeded", "failed", "canceled")


def enqueue(stack, task, params, count=1, **options):
    """Ids of `count` jobs, stored in one request and acknowledged."""
    item = {"task": task, "params": params, **options}
    answer = requests.post(stack.url + "/v1/jobs", json={"jobs": [item] * count}, timeout=60)
    assert answer.status_code == 202, answer.text[:2000]
    return [job["id"] for job in answer.json()["jobs"]]


def job(stack, id):
    answer = requests.get(f"{stack.url}/v1/jobs/{id}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def wait_for(stack, id, *states, seconds=30):
    """The job, once it is in one of these states (any final one by default)."""
    wanted = states or FINAL

    def reached():
        found = job(stack, id)
        return found if found["state"] in wanted else None

    return wait_until(reached, seconds, f"job {id} in {wanted}; it is {job(stack, id)}")


def wait_for_tenants(stack, tenant, id, state="succeeded", seconds=30):
    """The same for a job that another tenant has: the server shows it to nobody without that one's key."""
    query = f"SELECT state FROM gangsaw.any_job WHERE id = gangsaw.key_of('job', '{id}', '{tenant}')"
    wait_until(lambda: stack.sql(query) == [[state]], seconds, f"{id} {state}; it is {stack.sql(query)}")


def live(stack):
    return int(stack.sql("SELECT count(*) FROM gangsaw.job")[0][0])


def finished(stack):
    return int(stack.sql("SELECT count(*) FROM gangsaw.job_done")[0][0])


def wait_for_all(stack, seconds=180):
    wait_until(lambda: live(stack) == 0, seconds, "no live job left")


def results(stack, ids):
    """How many results each acknowledged job has, and their states."""
    listed = ",".join(f"'{id}'" for id in ids)
    rows = stack.sql(
        "SELECT count(*), count(DISTINCT id), coalesce(string_agg(DISTINCT state::text, ','), '') "
        f"FROM gangsaw.job_done WHERE gangsaw.public_id('job', id) IN ({listed})"
    )
    return int(rows[0][0]), int(rows[0][1]), rows[0][2]


def assert_each_ended_once(stack, ids, states="succeeded"):
    assert len(set(ids)) == len(ids)
    assert results(stack, ids) == (len(ids), len(ids), states)
    assert live(stack) == 0


def executors(stack):
    """Executors of the runner."""
    return descendants(stack.pid("runner"))


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def whole(stack, *names):
    """Processes of these daemons, children first dead included."""
    return [pid for name in names for pid in [stack.pid(name), *descendants(stack.pid(name))]]
