# SPDX-License-Identifier: BSD-2-Clause
"""The ends of a batch of jobs are recorded by looking at these jobs and no others, whatever the statistics said
when the plan was made: a table of jobs is empty every now and then, and vacuumed in that moment."""

import json

import pytest
from database import queue_options, statements

RUNNING = 20_000  # of this runner; as many of another
ENDED = 100
COMPLETE = statements("db/job_complete.c")["job_complete"]
FILL = f"""
INSERT INTO gangsaw.job (lane, task, state, runner, lease, attempt)
    SELECT 'cpu/demo', 'demo.sum_squares', 'running', 1 + i % 2, 1, 1 FROM generate_series(1, {2 * RUNNING}) i;
"""
EMPTY = "DELETE FROM gangsaw.job; VACUUM (TRUNCATE off) gangsaw.job;"
RUNNER = """
INSERT INTO gangsaw.runner (id, host, pid, version, lanes, expires_at) OVERRIDING SYSTEM VALUE
    VALUES (1, 'h', 1, '1', '{}', now() + interval '1 hour');
"""


def filled(value, kind):
    return f"array_fill({value}::{kind}, ARRAY[{ENDED}])"


NUMBERS = filled(3, "bigint")
VALUES = [1, 7, ":'ids'", filled(1, "bigint"), filled("'succeeded'", "gangsaw.job_state"), NUMBERS, NUMBERS, NUMBERS,
          "NULL", filled("'{}'", "json"), "NULL", "NULL", filled(0, "bigint")]  # fmt: skip
EXECUTE = f"EXECUTE complete ({', '.join(map(str, VALUES))})"
IDS = f"""
SELECT array_agg(id ORDER BY id) AS ids
FROM (SELECT id FROM gangsaw.job WHERE runner = 1 ORDER BY id DESC LIMIT {ENDED}) j \\gset
"""


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


PLANNED_WITH = {
    "a table that was never used": "TRUNCATE gangsaw.job; VACUUM gangsaw.job;",
    "a table that is empty again": FILL + EMPTY,
    "statistics of full columns": FILL + "ANALYZE gangsaw.job;" + EMPTY,
}


@pytest.fixture(scope="module", params=PLANNED_WITH.values(), ids=PLANNED_WITH)
def plan(schema, request):
    """How ENDED of RUNNING jobs end, where the table was empty in one way or another when that was planned."""
    script = [RUNNER, request.param, f"PREPARE complete AS {COMPLETE};",
              "ALTER TABLE gangsaw.job SET (autovacuum_enabled = false);", "\\set ids {1}",
              EXECUTE + " \\g /dev/null", FILL, IDS,
              f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {EXECUTE};"]  # fmt: skip
    found = json.loads(schema.sql("\n".join(script), queue_options()))[0]["Plan"]
    done = schema.sql("SELECT count(*) FROM gangsaw.job_done")
    schema.sql("TRUNCATE gangsaw.job, gangsaw.job_done, gangsaw.runner")
    assert int(done) == ENDED
    return found


def test_a_completion_reads_only_the_jobs_that_end(plan):
    delete = next(node for node in nodes(plan) if node.get("Operation") == "Delete" and node["Relation Name"] == "job")
    scans = [node for node in nodes(delete) if node.get("Relation Name") == "job" and node is not delete]
    assert [scan["Node Type"] for scan in scans] == ["Index Scan"]
    assert scans[0]["Index Name"] == "job_pkey"
    assert scans[0]["Actual Rows"] * scans[0]["Actual Loops"] == ENDED
    assert scans[0].get("Rows Removed by Filter", 0) == 0
    assert delete["Shared Hit Blocks"] + delete["Shared Read Blocks"] < 10 * ENDED
