# SPDX-License-Identifier: BSD-2-Clause
"""A claim reads the rows that it takes and no others, however many there are, with the plan that was
made while the table was empty."""

import json
import re

import pytest
from database import ROOT, queue_options, work_options

LIMIT = 500


def claim_statement():
    """The text of the claim, from the source."""
    text = (ROOT / "fcgi-app/db/job_claim.c").read_text()
    constant = re.search(r"job_claim_sql\[\] =\s*(.*?);\n\n", text, re.DOTALL).group(1)
    assert re.fullmatch(r'\s*("(?:[^"\\]|\\.)*"\s*)+', constant), "only literals, please"
    return "".join(json.loads(literal) for literal in re.findall(r'"(?:[^"\\]|\\.)*"', constant))


EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE claim"
# Whatever a plan is made from knows of no row: it is made, and kept, while there is none.
EMPTY = """
TRUNCATE gangsaw.job;
ANALYZE gangsaw.job;
PREPARE claim AS {claim};
""" + "EXECUTE claim (1, '{{cpu/demo,cpu/image}}', 10) \\g /dev/null\n" * 7
FILL = """
ALTER TABLE gangsaw.job SET (autovacuum_enabled = false);
INSERT INTO gangsaw.job (lane, task, vtime, priority)
    SELECT 'cpu/demo', 'demo.sum_squares', i / 10, i % 3 FROM generate_series(1, 1000000) i;
INSERT INTO gangsaw.job (lane, task, vtime)
    SELECT 'cpu/video', 'video.transcode', i FROM generate_series(1, 100000) i;
INSERT INTO gangsaw.job (lane, task, vtime)
    SELECT 'cpu/image', 'image.transform', i FROM generate_series(1, 200) i;
INSERT INTO gangsaw.job (lane, task, state, ready_at)
    SELECT 'cpu/demo', 'demo.sum_squares', 'scheduled', now() + interval '1 hour'
    FROM generate_series(1, 10000) i;
"""
# Lanes, and how many jobs there are to take.
CLAIMS = [
    ("{cpu/demo}", LIMIT),
    ("{cpu/none,cpu/demo}", LIMIT),
    ("{cpu/image,cpu/demo}", LIMIT),
    ("{cpu/demo,cpu/none}", LIMIT),
    ("{cpu/none}", 0),
    ("{cpu/demo}", 1),
]


@pytest.fixture(scope="module")
def plans(schema):
    """The plans of CLAIMS, then of the first one again with fresh statistics."""
    script = ["INSERT INTO gangsaw.runner (id, host, pid, version, lanes, expires_at) "
              "OVERRIDING SYSTEM VALUE VALUES (1, 'h', 1, '1', '{}', now() + interval '1 hour');",
              EMPTY.format(claim=claim_statement()), FILL]
    for lanes, limit in CLAIMS:
        script.append(f"BEGIN; {EXPLAIN} (1, '{lanes}', {max(limit, 1)}); ROLLBACK; \\echo ,")
    script.append(f"ANALYZE gangsaw.job; BEGIN; {EXPLAIN} (1, '{{cpu/demo}}', {LIMIT}); ROLLBACK;")
    output = schema.sql("\n".join(script), queue_options())
    plans = json.loads(f"[{output}]")
    schema.sql("TRUNCATE gangsaw.job, gangsaw.runner")
    return [plan[0]["Plan"] for plan in plans]


def nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def scans(plan):
    """Scans of job that look for something to claim: those below the lock."""
    for lock in (n for n in nodes(plan) if n["Node Type"] == "LockRows"):
        yield from (n for n in nodes(lock) if n.get("Relation Name") == "job")


def rows(node):
    return node["Actual Rows"] * node["Actual Loops"]


def buffers(node):
    return node["Shared Hit Blocks"] + node["Shared Read Blocks"]


@pytest.mark.parametrize("index", range(len(CLAIMS) + 1))
def test_a_claim_reads_only_the_rows_that_it_takes(plans, index):
    limit = CLAIMS[index % len(CLAIMS)][1]
    found = list(scans(plans[index]))
    assert len(found) == 1
    scan = found[0]
    assert scan["Node Type"] == "Index Scan" and scan["Index Name"] == "job_ready", scan
    assert rows(scan) == limit
    assert scan.get("Rows Removed by Filter", 0) == 0
    assert buffers(scan) <= 3 * limit + 20 * max(scan["Actual Loops"], 1)
    assert rows(plans[index]) == limit
    assert buffers(plans[index]) <= 30 * limit + 100  # the change of six indexes included


@pytest.mark.parametrize("index", range(len(CLAIMS) + 1))
def test_a_claim_never_sorts_what_is_ready(plans, index):
    locks = [n for n in nodes(plans[index]) if n["Node Type"] == "LockRows"]
    assert not [n for lock in locks for n in nodes(lock) if "Sort" in n["Node Type"]]
    for node in nodes(plans[index]):
        if node["Node Type"] == "Sort":  # of the rows that it returns
            assert rows(node) <= LIMIT


def test_later_lanes_are_not_looked_at_once_there_are_enough(plans):
    loops = [next(scans(plans[i]))["Actual Loops"] for i in range(len(CLAIMS))]
    assert loops == [1, 2, 2, 1, 1, 1]


# ---- storing one


def store_statement():
    """The text of the statement that stores one job, from the source."""
    text = (ROOT / "fcgi-app/db/job_store_one.c").read_text().replace("JOB_CHANNEL_NEW", '"gangsaw_job"')
    literals = re.search(r'\.sql =\s*((?:"(?:[^"\\]|\\.)*"\s*)+)', text).group(1)
    return "".join(json.loads(literal) for literal in re.findall(r'"(?:[^"\\]|\\.)*"', literals))


STORE = "('', 'demo.sum_squares', 'cpu/demo', '{}', 0, 5, -1, NULL, NULL, true)"


@pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])
def test_one_job_is_stored_without_a_look_at_the_others(schema, mode):
    """Its turn is read from the ends of two indexes, with the plan that was made while the table was empty."""
    output = schema.sql(
        f"SET plan_cache_mode = {mode}; TRUNCATE gangsaw.job; ANALYZE gangsaw.job;\n"
        f"PREPARE store AS {store_statement()};\n"
        f"EXECUTE store {STORE} \\g /dev/null\n{FILL}\n"
        f"BEGIN; EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE store {STORE}; ROLLBACK;\n"
        f"BEGIN; EXECUTE store {STORE}; SELECT max(vtime) FROM gangsaw.job WHERE lane = 'cpu/demo' AND priority = 0; ROLLBACK;",
        work_options())
    schema.sql("TRUNCATE gangsaw.job")
    plan, end = json.JSONDecoder().raw_decode(output)
    plan = plan[0]["Plan"]
    assert output[end:].split()[-1] == "100000"  # behind the last one of its tenant
    for node in (n for n in nodes(plan) if n.get("Relation Name") == "job" and "Scan" in n["Node Type"]):
        assert node["Node Type"].startswith("Index") and rows(node) <= 1, node
        assert node["Index Name"] in ("job_ready", "job_turn")
    assert buffers(plan) <= 100
