-- SPDX-License-Identifier: BSD-2-Clause
--
-- 0003: the trace that a job belongs to

ALTER TABLE gangsaw.job ADD COLUMN traceparent text;
ALTER TABLE gangsaw.job_done ADD COLUMN traceparent text;
COMMENT ON COLUMN gangsaw.job.traceparent IS
    'W3C Trace Context of the request that stored the job, if it had a valid one.';

CREATE OR REPLACE VIEW gangsaw.any_job AS
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, fraction, what, created_at, ready_at,
           started_at, NULL::timestamptz AS finished_at, NULL::real AS run_ms, NULL::real AS cpu_ms,
           attempts, NULL::json AS error, NULL::json AS result, NULL::json AS outputs, traceparent
    FROM gangsaw.job
    UNION ALL
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, NULL, NULL, created_at, ready_at,
           started_at, finished_at, run_ms, cpu_ms,
           attempts, error, result, outputs, traceparent
    FROM gangsaw.job_done;
