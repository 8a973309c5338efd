-- SPDX-License-Identifier: BSD-2-Clause
--
-- 0004: a tenant sees what is its own
--
-- Ids prove whose they are; lists walk the rows of one tenant alone.

-- ---- public ids

-- Those of the tenant '' are what they were. The key has eight bytes: what follows needs no separator.
DROP FUNCTION gangsaw.public_id(text, bigint);
CREATE FUNCTION gangsaw.public_id(kind text, key bigint, tenant text DEFAULT '') RETURNS text
    LANGUAGE sql STABLE STRICT
    AS $$
        SELECT substr(encode(sha256(s.bytes || convert_to(kind, 'UTF8') || '\x00'::bytea
                                    || int8send(key) || convert_to(tenant, 'UTF8')), 'hex'), 1, 10)
               || key::text
        FROM gangsaw.secret s
    $$;
COMMENT ON FUNCTION gangsaw.public_id IS
    '40 bits of SHA-256 over secret, kind, NUL, key and tenant, as 10 hexadecimal digits; then the '
    'key. So an id that was given to one tenant is none of another''s, even when its row is gone.';

-- The key of a public id; NULL for anything that is not one of this tenant.
DROP FUNCTION gangsaw.key_of(text, text);
CREATE FUNCTION gangsaw.key_of(kind text, id text, tenant text DEFAULT '') RETURNS bigint
    LANGUAGE sql STABLE STRICT
    AS $$
        SELECT k.key
        FROM (SELECT CASE WHEN id ~ '^[0-9a-f]{10}[1-9][0-9]{0,17}$'
                          THEN substr(id, 11)::bigint END AS key) k
        WHERE gangsaw.public_id(kind, k.key, tenant) = id
    $$;

-- ---- lists

-- As many indexes as before for a live job, and one more for a finished one.
DROP INDEX gangsaw.job_queued_id, gangsaw.job_scheduled_id, gangsaw.job_scheduled_tenant;
CREATE INDEX job_queued_tenant ON gangsaw.job (tenant, id) WHERE state = 'queued';
CREATE INDEX job_scheduled_tenant ON gangsaw.job (tenant, id) WHERE state = 'scheduled';
CREATE INDEX job_done_tenant ON gangsaw.job_done (tenant, id);
CREATE INDEX job_done_tenant_task ON gangsaw.job_done (tenant, task, id);
CREATE INDEX job_done_tenant_unsuccessful ON gangsaw.job_done (tenant, state, id)
    WHERE state <> 'succeeded';
DROP INDEX gangsaw.job_done_task, gangsaw.job_done_unsuccessful;

CREATE VIEW gangsaw.any_job_by_state AS
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, fraction, what, created_at, ready_at,
           started_at, NULL::timestamptz AS finished_at, NULL::real AS run_ms, NULL::real AS cpu_ms,
           attempts, NULL::json AS error, NULL::json AS result, NULL::json AS outputs, traceparent
    FROM gangsaw.job WHERE state = 'queued'
    UNION ALL
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, fraction, what, created_at, ready_at,
           started_at, NULL::timestamptz, NULL::real, NULL::real,
           attempts, NULL::json, NULL::json, NULL::json, traceparent
    FROM gangsaw.job WHERE state = 'scheduled'
    UNION ALL
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, fraction, what, created_at, ready_at,
           started_at, NULL::timestamptz, NULL::real, NULL::real,
           attempts, NULL::json, NULL::json, NULL::json, traceparent
    FROM gangsaw.job WHERE state = 'running'
    UNION ALL
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, NULL, NULL, created_at, ready_at,
           started_at, finished_at, run_ms, cpu_ms,
           attempts, error, result, outputs, traceparent
    FROM gangsaw.job_done;
COMMENT ON VIEW gangsaw.any_job_by_state IS
    'As any_job, for lists of all states: each part has an index of its own in the order of ids.';

ALTER TABLE gangsaw.job_tag ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '';
UPDATE gangsaw.job_tag t SET tenant = a.tenant
FROM gangsaw.any_job a WHERE a.id = t.job AND a.tenant <> '';
ALTER TABLE gangsaw.job_tag DROP CONSTRAINT job_tag_pkey, ADD PRIMARY KEY (tenant, tag, job);

-- ---- functions that say whose it is: the same otherwise

CREATE OR REPLACE FUNCTION gangsaw.enqueue(
    task text,
    params jsonb DEFAULT '{}',
    priority integer DEFAULT 0,
    run_at timestamptz DEFAULT NULL,
    max_attempts integer DEFAULT 5,
    timeout_seconds double precision DEFAULT NULL,
    unique_key text DEFAULT NULL,
    tags text[] DEFAULT NULL,
    tenant text DEFAULT ''
) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off
    AS $$
    #variable_conflict use_column
    DECLARE
        job_key bigint;
        job_lane text;
        job_blobs bigint[];
        job_tags text[];
        is_later boolean := coalesce(enqueue.run_at > now(), false);
        params_text text := enqueue.params::text;
    BEGIN
        IF enqueue.task IS NULL OR enqueue.task !~ '^[a-z][a-z0-9_]*([.][a-z][a-z0-9_]*)+$'
           OR length(enqueue.task) > 64 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'task must be the name of a task, like image.transform';
        ELSIF enqueue.params IS NULL OR jsonb_typeof(enqueue.params) <> 'object' THEN
            RAISE invalid_parameter_value USING MESSAGE = 'params must be a JSON object';
        ELSIF octet_length(params_text) > 16777216 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'params must have at most 16 MiB (16777216 bytes) as text';
        ELSIF enqueue.priority IS NULL OR enqueue.priority NOT BETWEEN -100 AND 100 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'priority must be from -100 to 100';
        ELSIF enqueue.run_at > now() + interval '366 days' OR enqueue.run_at < now() - interval '1 day' THEN
            RAISE invalid_parameter_value USING MESSAGE = 'run_at must be within the next 366 days';
        ELSIF enqueue.max_attempts IS NULL OR enqueue.max_attempts NOT BETWEEN 1 AND 100 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'max_attempts must be from 1 to 100';
        ELSIF enqueue.timeout_seconds NOT BETWEEN 0.001 AND 86400 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'timeout_seconds must be from 0.001 to 86400';
        ELSIF enqueue.unique_key = '' OR length(enqueue.unique_key) > 255 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'unique_key must have 1 to 255 characters';
        ELSIF enqueue.tenant IS NULL OR length(enqueue.tenant) > 64 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'tenant must have at most 64 characters';
        ELSIF cardinality(enqueue.tags) > 20 OR EXISTS (
            SELECT FROM unnest(enqueue.tags) AS t (tag)
            WHERE t.tag IS NULL OR length(t.tag) NOT BETWEEN 1 AND 64) THEN
            RAISE invalid_parameter_value USING MESSAGE = 'tags must be at most 20 texts of 1 to 64 characters';
        END IF;

        SELECT t.lane INTO job_lane FROM gangsaw.task t WHERE t.name = enqueue.task;
        job_lane := coalesce(job_lane, 'unknown');
        SELECT array_agg(t.tag) INTO job_tags FROM unnest(enqueue.tags) AS t (tag);
        -- Blobs that are there are kept for the job, locked so that none is pruned before the job
        -- holds it; the runner tells of those that are not.
        SELECT array_agg(DISTINCT coalesce(gangsaw.key_of('blob', ref.id #>> '{}', enqueue.tenant),
                                           gangsaw.key_of('blob', ref.id #>> '{}')))
        INTO job_blobs
        FROM jsonb_path_query(enqueue.params, 'lax $.*[*].blob') AS ref (id);
        IF job_blobs IS NOT NULL THEN
            SELECT array_agg(k.id) INTO job_blobs
            FROM (SELECT b.id FROM gangsaw.blob b
                  WHERE b.id = ANY (job_blobs) AND b.tenant IN ('', enqueue.tenant)
                    AND (b.expires_at > now()
                         OR EXISTS (SELECT FROM gangsaw.job_blob l WHERE l.blob = b.id))
                  ORDER BY b.id FOR KEY SHARE) k;
        END IF;

        LOOP
            INSERT INTO gangsaw.job (lane, task, tenant, params, priority, vtime, state, ready_at,
                                     max_attempts, timeout_seconds, unique_key, tags, blobs)
            VALUES (job_lane, enqueue.task, enqueue.tenant, params_text::json, enqueue.priority,
                    CASE WHEN is_later THEN 0
                         ELSE gangsaw.next_vtime(job_lane, enqueue.priority, enqueue.tenant) END,
                    CASE WHEN is_later THEN 'scheduled' ELSE 'queued' END::gangsaw.job_state,
                    CASE WHEN is_later THEN enqueue.run_at ELSE now() END,
                    enqueue.max_attempts, enqueue.timeout_seconds, enqueue.unique_key,
                    job_tags, job_blobs)
            ON CONFLICT (tenant, task, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
            RETURNING id INTO job_key;
            EXIT WHEN job_key IS NOT NULL;
            SELECT j.id INTO job_key FROM gangsaw.job j
            WHERE j.tenant = enqueue.tenant AND j.task = enqueue.task
              AND j.unique_key = enqueue.unique_key;
            IF job_key IS NOT NULL THEN
                RETURN gangsaw.public_id('job', job_key, enqueue.tenant);
            END IF;
        END LOOP; -- the one that held the key has just ended

        -- This keeps them whatever their expiry says; an update of it would lock out the end of
        -- other jobs that use them for as long as the caller's transaction lasts.
        INSERT INTO gangsaw.job_blob (blob, job) SELECT b, job_key FROM unnest(job_blobs) AS u (b);
        INSERT INTO gangsaw.job_tag (tenant, tag, job)
        SELECT DISTINCT enqueue.tenant, t.tag, job_key FROM unnest(job_tags) AS t (tag);
        IF NOT is_later THEN
            PERFORM gangsaw.wake();
        END IF;
        RETURN gangsaw.public_id('job', job_key, enqueue.tenant);
    END
    $$;

CREATE OR REPLACE FUNCTION gangsaw.forget_tags(part text) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan = off
    AS $$
    DECLARE
        forgotten bigint;
    BEGIN
        EXECUTE format(
            'WITH few AS MATERIALIZED ('
            '    SELECT d.id, d.tenant, d.tags FROM gangsaw.%1$I d WHERE d.tags IS NOT NULL '
            '    ORDER BY d.id LIMIT 5000), '
            'forgotten AS ('
            '    DELETE FROM gangsaw.job_tag t '
            '    USING (SELECT f.tenant, u.tag, f.id FROM few f CROSS JOIN LATERAL unnest(f.tags) AS u (tag)) g '
            '    WHERE t.tenant = g.tenant AND t.tag = g.tag AND t.job = g.id), '
            'cleared AS ('
            '    UPDATE gangsaw.%1$I d SET tags = NULL '
            '    WHERE d.id = ANY (ARRAY(SELECT f.id FROM few f)) AND d.tags IS NOT NULL) '
            'SELECT count(*) FROM few', part) INTO forgotten;
        RETURN forgotten;
    END
    $$;

CREATE OR REPLACE FUNCTION gangsaw.delete_stray_rows(retention_days double precision) RETURNS bigint
    LANGUAGE sql
    AS $$
        WITH jobs AS (
            DELETE FROM gangsaw.job_done_other
            WHERE ctid IN (SELECT d.ctid FROM gangsaw.job_done_other d
                           WHERE gangsaw.kept_until(d.finished_at, retention_days) <= now()
                           LIMIT 1000)
            RETURNING id, tenant, tags),
        tags AS (
            DELETE FROM gangsaw.job_tag t
            USING (SELECT j.tenant, u.tag, j.id FROM jobs j CROSS JOIN LATERAL unnest(j.tags) AS u (tag)) g
            WHERE t.tenant = g.tenant AND t.tag = g.tag AND t.job = g.id),
        chunks AS (
            DELETE FROM gangsaw.blob_chunk_other
            WHERE ctid IN (SELECT c.ctid FROM gangsaw.blob_chunk_other c
                           WHERE c.day < (now() AT TIME ZONE 'UTC')::date - 1
                             AND NOT EXISTS (SELECT FROM gangsaw.blob b WHERE b.id = c.blob)
                           LIMIT 200)
            RETURNING 1)
        SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM chunks)
    $$;
