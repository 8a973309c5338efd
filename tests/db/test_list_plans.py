# SPDX-License-Identifier: BSD-2-Clause
"""A list reads the jobs of its tenant that it shows and a few more, however many others there are, with
plans that were made while the tables were empty too."""

import json

import pytest
from database import statements, work_options

LIMIT = 50
MINE = 60  # of each state
OTHERS = 1_000
RUNNING = 100  # at most, of each tenant: that index is of all


STATEMENTS = {name: sql for name, sql in statements("db/job_read.c").items() if name.startswith("job_list")}
EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON)"
ANY_ID = 9_000_000_000


def execute(name, tenant):
    extra = {"task": ", 'demo.rare'", "tag": ", 'rare'", "both": ", 'demo.rare', 'rare'"}
    kind = name.removeprefix("job_list").strip("_").split("_")[0]
    return f"EXECUTE {name} ({ANY_ID}, {LIMIT}, '{tenant}'{extra.get(kind, '')})"


def fill(tenant, count, task, tag):
    """Jobs of all states, the same number of each."""
    live = "INSERT INTO gangsaw.job (lane, tenant, task, tags, vtime, state, ready_at, runner)"
    done = ("INSERT INTO gangsaw.job_done (id, lease, created_at, ready_at, finished_at, state, attempt, crashes, "
            "max_attempts, priority, lane, task, tenant, params, tags)")  # fmt: skip
    text = "".join(
        f"{live} SELECT 'cpu/demo', '{tenant}', '{task}', '{{{tag}}}', i, '{state}', now(), {runner} "
        f"FROM generate_series(1, {total}) i;\n"
        for state, runner, total in
        (("queued", "NULL", count), ("scheduled", "NULL", count), ("running", "1", min(count, RUNNING)))
    )  # fmt: skip
    text += "".join(
        f"{done} SELECT nextval('gangsaw.job_id'), 1, now(), now(), now(), '{state}', 1, 0, 5, 0, 'cpu/demo', "
        f"'{task}', '{tenant}', '{{}}', '{{{tag}}}' FROM generate_series(1, {count}) i;\n"
        for state in ("failed", "canceled", "succeeded")
    )
    return text + (f"INSERT INTO gangsaw.job_tag (tenant, tag, job) SELECT '{tenant}', '{tag}', id "
                   f"FROM gangsaw.any_job WHERE tenant = '{tenant}';\n")  # fmt: skip


@pytest.fixture(scope="module", params=["auto", "force_generic_plan"])
def plans(schema, request):
    """Plans of all lists: of a tenant with few jobs, older than many of others, and of those."""
    script = [f"SET plan_cache_mode = {request.param};",
              "ALTER TABLE gangsaw.job SET (autovacuum_enabled = false);"]  # fmt: skip
    for name, sql in STATEMENTS.items():
        script += [f"PREPARE {name} AS {sql};"] + [f"{execute(name, 'mine')} \\g /dev/null"] * 7
    script += [fill("mine", MINE, "demo.rare", "rare"), fill("others", OTHERS, "demo.rare", "rare")]
    questions = [(name, tenant) for name in STATEMENTS for tenant in ("mine", "others", "nobody")]
    script += [f"{EXPLAIN} {execute(*question)}; \\echo ," for question in questions]
    output = schema.sql("\n".join(script), work_options())
    schema.sql("TRUNCATE gangsaw.job, gangsaw.job_done, gangsaw.job_tag")
    found = json.loads(f"[{output.rstrip().removesuffix(',')}]")
    return {question: plan[0]["Plan"] for question, plan in zip(questions, found)}


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def rows_removed(plan):
    return sum(node.get("Rows Removed by Filter", 0) * node["Actual Loops"] for node in nodes(plan))


def buffers(plan):
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_there_is_a_list_for_every_filter():
    assert len(STATEMENTS) == 4 * 7


@pytest.mark.parametrize("tenant", ["mine", "others", "nobody"])
def test_a_list_reads_its_tenants_jobs_alone(plans, tenant):
    found = {name: plan for (name, who), plan in plans.items() if who == tenant}
    wanted = 0 if tenant == "nobody" else LIMIT
    assert {name: plan["Actual Rows"] for name, plan in found.items() if plan["Actual Rows"] != wanted} == {}
    # By tag alone each job is looked up, in every partition.
    most = 25 * LIMIT + 200
    assert {name: buffers(plan) for name, plan in found.items() if buffers(plan) > most} == {}
    # What a tenant has in other states it may have to pass by, as long as the planner knows nothing.
    most = {"mine": 6 * MINE, "nobody": 2 * RUNNING, "others": 6 * OTHERS}[tenant]
    removed = {name: rows_removed(plan) for name, plan in found.items()}
    assert {name: rows for name, rows in removed.items() if rows > most} == {}
