-- SPDX-License-Identifier: BSD-2-Clause
--
-- 0001: jobs, the runners that compute them, and the bytes they take and give
--
-- `gangsaw migrate` runs this file in one transaction, after it created schema gangsaw and its own
-- table schema_migration. A migration that has landed is never edited: write the next one.

-- ---- public ids

CREATE TABLE gangsaw.secret (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bytes bytea NOT NULL
);
COMMENT ON TABLE gangsaw.secret IS
    'One row: what makes public ids of this database impossible to guess.';
-- Two random UUIDs hold 244 bits from the operating system; pgcrypto need not be installed.
INSERT INTO gangsaw.secret (bytes)
    VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
REVOKE ALL ON gangsaw.secret FROM PUBLIC;

-- kind: 'job', 'blob', 'cursor'. db/public_id.c computes the same.
CREATE FUNCTION gangsaw.public_id(kind text, key bigint) RETURNS text
    LANGUAGE sql STABLE STRICT
    AS $$
        SELECT substr(encode(sha256(s.bytes || convert_to(kind, 'UTF8') || '\x00'::bytea
                                    || int8send(key)), 'hex'), 1, 10) || key::text
        FROM gangsaw.secret s
    $$;
COMMENT ON FUNCTION gangsaw.public_id IS
    '40 bits of SHA-256 over secret, kind, NUL and key, as 10 hexadecimal digits; then the key.';

-- The key of a public id; NULL for anything that is not one.
CREATE FUNCTION gangsaw.key_of(kind text, id text) RETURNS bigint
    LANGUAGE sql STABLE STRICT
    AS $$
        SELECT k.key
        FROM (SELECT CASE WHEN id ~ '^[0-9a-f]{10}[1-9][0-9]{0,17}$'
                          THEN substr(id, 11)::bigint END AS key) k
        WHERE gangsaw.public_id(kind, k.key) = id
    $$;

-- ---- what runners can do

CREATE TABLE gangsaw.task (
    name text COLLATE "C" PRIMARY KEY,
    lane text COLLATE "C" NOT NULL
);
COMMENT ON TABLE gangsaw.task IS
    'Tasks that runners have registered, so that enqueue() in SQL knows the lane of each.';
COMMENT ON COLUMN gangsaw.task.lane IS 'Class and module, "cpu/image": what a runner must have.';

CREATE TABLE gangsaw.runner (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    lanes text[] COLLATE "C" NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    is_idle boolean NOT NULL DEFAULT false,
    is_draining boolean NOT NULL DEFAULT false,
    is_fenced boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
COMMENT ON TABLE gangsaw.runner IS
    'One row per runner process. Registered with synchronous commit, and ids never come twice: they '
    'are part of the right to finish a job.';
COMMENT ON COLUMN gangsaw.runner.expires_at IS
    'Each heartbeat moves it on by a lease; after it the runner may be fenced.';
COMMENT ON COLUMN gangsaw.runner.is_fenced IS
    'Given up by a rescue: it may claim and finish nothing. The row goes when no job names it.';

-- ---- jobs

CREATE TYPE gangsaw.job_state AS ENUM
    ('queued', 'scheduled', 'running', 'succeeded', 'failed', 'canceled');

CREATE SEQUENCE gangsaw.job_id CACHE 1;

CREATE TABLE gangsaw.job (
    id bigint PRIMARY KEY DEFAULT nextval('gangsaw.job_id'),
    vtime bigint NOT NULL DEFAULT 0,
    lease bigint NOT NULL DEFAULT 0,
    runner bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    ready_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    state gangsaw.job_state NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'scheduled', 'running')),
    timeout_seconds double precision CHECK (timeout_seconds > 0),
    fraction real,
    attempt integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5,
    priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
    is_watched boolean NOT NULL DEFAULT false,
    lane text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL DEFAULT '',
    params json NOT NULL DEFAULT '{}',
    unique_key text COLLATE "C",
    tags text[] COLLATE "C",
    blobs bigint[],
    request_id text,
    what text,
    attempts jsonb,
    CHECK ((state = 'running') = (runner IS NOT NULL))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE gangsaw.job IS
    'Live jobs only, narrow, so that the claim stays quick; finished ones are in job_done.';
COMMENT ON COLUMN gangsaw.job.vtime IS
    'Order within a priority: next_vtime() hands out turns so that tenants alternate.';
COMMENT ON COLUMN gangsaw.job.lease IS
    'Raised by every claim and by every other exit from running. Who completes a job names id, lease '
    'and runner.';
COMMENT ON COLUMN gangsaw.job.ready_at IS
    'When it was, or a scheduled one will be, ready to be claimed.';
COMMENT ON COLUMN gangsaw.job.attempt IS 'Claims so far, those that a draining runner gave back not counted.';
COMMENT ON COLUMN gangsaw.job.crashes IS
    'Of these, how many ended with their executor''s death: the second fails the job.';
COMMENT ON COLUMN gangsaw.job.params IS
    'What the body of a synchronous request would be as JSON, inputs included ({"blob": id} or '
    '{"base64": text}). json and not jsonb: numbers stay as they were written.';
COMMENT ON COLUMN gangsaw.job.blobs IS
    'Blobs that it takes as inputs, those in job_blob; NULL: none.';
COMMENT ON COLUMN gangsaw.job.is_watched IS 'A hub waits for it: its changes are notified.';
COMMENT ON COLUMN gangsaw.job.attempts IS
    'Earlier attempts that failed: [{"attempt", "started_at", "finished_at", "error": {"code", "detail"}}].';

-- Large ones are mostly base64: trying to compress them costs more than it saves.
ALTER TABLE gangsaw.job ALTER COLUMN params SET STORAGE EXTERNAL;

-- Equals the claim's ORDER BY. Scheduled and running jobs are not in it.
CREATE INDEX job_ready ON gangsaw.job (lane, priority DESC, vtime, id) WHERE state = 'queued';
-- A tenant's last turn. The lane is not first, so that nobody takes this index for the one above.
CREATE INDEX job_turn ON gangsaw.job (tenant, lane, priority, vtime) WHERE state = 'queued';
CREATE INDEX job_scheduled ON gangsaw.job (ready_at) WHERE state = 'scheduled';
-- Lists come by id. There are never many running, so that a runner's are found among them.
CREATE INDEX job_running ON gangsaw.job (id, runner) WHERE state = 'running';
CREATE INDEX job_queued_id ON gangsaw.job (id) WHERE state = 'queued';
CREATE INDEX job_scheduled_id ON gangsaw.job (id) WHERE state = 'scheduled';
CREATE UNIQUE INDEX job_unique ON gangsaw.job (tenant, task, unique_key)
    WHERE unique_key IS NOT NULL;

CREATE TABLE gangsaw.job_done (
    id bigint NOT NULL,
    lease bigint NOT NULL,
    created_at timestamptz NOT NULL,
    ready_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz NOT NULL DEFAULT now(),
    state gangsaw.job_state NOT NULL CHECK (state IN ('succeeded', 'failed', 'canceled')),
    timeout_seconds double precision,
    run_ms real,
    cpu_ms real,
    attempt integer NOT NULL,
    crashes integer NOT NULL,
    max_attempts integer NOT NULL,
    priority smallint NOT NULL,
    lane text COLLATE "C" NOT NULL,
    task text COLLATE "C" NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    params json NOT NULL,
    unique_key text COLLATE "C",
    tags text[] COLLATE "C",
    blobs bigint[],
    request_id text,
    attempts jsonb,
    error json,
    result json,
    outputs json
) PARTITION BY RANGE (finished_at);
ALTER TABLE gangsaw.job_done ALTER COLUMN params SET STORAGE EXTERNAL;
COMMENT ON TABLE gangsaw.job_done IS
    'Finished jobs, partitioned by the day (UTC) they ended: retention drops partitions.';
COMMENT ON COLUMN gangsaw.job_done.error IS 'Of the last attempt: {"code", "detail"}.';
COMMENT ON COLUMN gangsaw.job_done.outputs IS
    '[{"name", "media_type", "size", "sha256", "blob": key}].';
CREATE INDEX job_done_id ON gangsaw.job_done (id);
CREATE INDEX job_done_task ON gangsaw.job_done (task, id);
CREATE INDEX job_done_unsuccessful ON gangsaw.job_done (state, id) WHERE state <> 'succeeded';
CREATE INDEX job_done_tagged ON gangsaw.job_done (id) WHERE tags IS NOT NULL;

CREATE TABLE gangsaw.job_tag (
    tag text COLLATE "C" NOT NULL,
    job bigint NOT NULL,
    PRIMARY KEY (tag, job)
);
COMMENT ON TABLE gangsaw.job_tag IS
    'Tags of live and finished jobs, for lists by tag in the order of ids. Written with the job, '
    'deleted before the partition of job_done goes.';

CREATE VIEW gangsaw.any_job AS
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, fraction, what, created_at, ready_at,
           started_at, NULL::timestamptz AS finished_at, NULL::real AS run_ms, NULL::real AS cpu_ms,
           attempts, NULL::json AS error, NULL::json AS result, NULL::json AS outputs
    FROM gangsaw.job
    UNION ALL
    SELECT id, lease, state, task, lane, tenant, params, unique_key, request_id, tags, priority,
           attempt, crashes, max_attempts, timeout_seconds, NULL, NULL, created_at, ready_at,
           started_at, finished_at, run_ms, cpu_ms,
           attempts, error, result, outputs
    FROM gangsaw.job_done;
COMMENT ON VIEW gangsaw.any_job IS 'Live and finished jobs. A job is in one of the two tables.';

-- The turn of a tenant's next job: behind its own last one, never before the head of the queue.
-- Read from the indexes: no row is updated, so an open transaction blocks nobody. A plan made while
-- the table was empty is kept for long, so it must not be a sequential scan.
CREATE FUNCTION gangsaw.next_vtime(lane text, priority integer, tenant text) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
    AS $$
    BEGIN
        RETURN greatest(
            (SELECT j.vtime FROM gangsaw.job j
             WHERE j.state = 'queued' AND j.lane = $1 AND j.priority = $2
             ORDER BY j.lane, j.priority DESC, j.vtime, j.id LIMIT 1),
            (SELECT j.vtime + 1 FROM gangsaw.job j
             WHERE j.state = 'queued' AND j.lane = $1 AND j.tenant = $3 AND j.priority = $2
             ORDER BY j.tenant DESC, j.lane DESC, j.priority DESC, j.vtime DESC LIMIT 1),
            0);
    END
    $$;

-- The head of a queue: NULL when it is empty. A job that has had a turn comes back here, or where it was.
CREATE FUNCTION gangsaw.head_vtime(lane text, priority integer) RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off
    AS $$
    BEGIN
        RETURN (SELECT j.vtime FROM gangsaw.job j
                WHERE j.state = 'queued' AND j.lane = $1 AND j.priority = $2
                ORDER BY j.lane, j.priority DESC, j.vtime, j.id LIMIT 1);
    END
    $$;

-- RFC 3339 in UTC, as the HTTP interface has it.
CREATE FUNCTION gangsaw.json_time(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- An entry of job.attempts.
CREATE FUNCTION gangsaw.attempt_entry(attempt integer, started_at timestamptz,
                                      finished_at timestamptz, error jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT jsonb_build_object('attempt', attempt, 'started_at', gangsaw.json_time(started_at),
                                  'finished_at', gangsaw.json_time(finished_at), 'error', error)
    $$;

-- Tell those who watch jobs that these have changed. A payload ends at 8,000 bytes, an id at 19 digits.
CREATE FUNCTION gangsaw.tell_watchers(ids bigint[]) RETURNS void
    LANGUAGE sql
    AS $$
        SELECT pg_notify('gangsaw_changed', string_agg(u.id::text, ',' ORDER BY u.n))
        FROM unnest(ids) WITH ORDINALITY AS u (id, n)
        GROUP BY (u.n - 1) / 390
    $$;

-- Mark jobs as watched and give them as they are then. Two commands, each with a snapshot of its own:
-- a job that ended while the first one waited for its row is seen as finished by the second.
CREATE FUNCTION gangsaw.watch(ids bigint[]) RETURNS SETOF gangsaw.any_job
    LANGUAGE plpgsql
    SET enable_seqscan = off
    AS $$
    BEGIN
        UPDATE gangsaw.job j SET is_watched = true
        FROM (SELECT l.id FROM gangsaw.job l
              WHERE l.id = ANY (ids) AND NOT l.is_watched ORDER BY l.id FOR UPDATE) w
        WHERE j.id = w.id;
        RETURN QUERY SELECT * FROM gangsaw.any_job a WHERE a.id = ANY (ids);
    END
    $$;

-- ---- blobs

CREATE TABLE gangsaw.blob (
    id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    day date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    size bigint NOT NULL,
    sha256 bytea NOT NULL,
    media_type text NOT NULL,
    file_name text NOT NULL DEFAULT '',
    tenant text COLLATE "C" NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL DEFAULT now() + interval '1 hour'
);
COMMENT ON TABLE gangsaw.blob IS
    'Uploads, and outputs of jobs. Born expiring in an hour; the transaction that stores a job or its '
    'completion moves the expiry on. One that a live job uses (job_blob) is kept whatever it says.';
COMMENT ON COLUMN gangsaw.blob.day IS 'Of its chunks: their partition.';
CREATE INDEX blob_expiry ON gangsaw.blob (expires_at);
CREATE INDEX blob_day ON gangsaw.blob (day);

CREATE TABLE gangsaw.blob_chunk (
    day date NOT NULL,
    blob bigint NOT NULL,
    n integer NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (blob, n, day)
) PARTITION BY RANGE (day);
COMMENT ON TABLE gangsaw.blob_chunk IS
    'Bytes in pieces of 1 MiB, so that nobody ever holds a large file in memory.';
-- Mostly compressed formats: trying again costs time and keeps pieces from being read in part.
ALTER TABLE gangsaw.blob_chunk ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE gangsaw.job_blob (
    blob bigint NOT NULL REFERENCES gangsaw.blob (id),
    job bigint NOT NULL,
    PRIMARY KEY (job, blob)
);
COMMENT ON TABLE gangsaw.job_blob IS
    'Blobs that live jobs take as inputs. No reference to job: it would cost every completion a probe.';
CREATE INDEX job_blob_blob ON gangsaw.job_blob (blob);

-- synchronous_commit until the end of the transaction; NULL: as the session has it. Never NULL.
CREATE FUNCTION gangsaw.commit(mode text) RETURNS text
    LANGUAGE sql
    AS $$
        SELECT set_config('synchronous_commit',
                          coalesce(mode, current_setting('synchronous_commit')), true)
    $$;

-- ---- requests that may be repeated

CREATE TABLE gangsaw.idempotency (
    tenant text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    request_sha256 bytea NOT NULL,
    jobs bigint[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, route, key)
);
COMMENT ON TABLE gangsaw.idempotency IS
    'Idempotency-Key of requests that stored jobs, for 24 hours, and which jobs those were.';
CREATE INDEX idempotency_age ON gangsaw.idempotency (created_at);

-- ---- partitions

-- A day's partition of `parent`, whose column `key` is a date or a timestamptz. True: it is new.
CREATE FUNCTION gangsaw.ensure_partition(parent text, key text, day date) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
    DECLARE
        part text := parent || '_' || to_char(day, 'YYYYMMDD');
        zone text := CASE key WHEN 'day' THEN '' ELSE ' 00:00+00' END;
        since text := to_char(day, 'YYYY-MM-DD') || zone;
        till text := to_char(day + 1, 'YYYY-MM-DD') || zone;
    BEGIN
        IF to_regclass('gangsaw.' || part) IS NOT NULL THEN
            RETURN false;
        END IF;
        EXECUTE format('CREATE TABLE gangsaw.%I (LIKE gangsaw.%I INCLUDING ALL)', part, parent);
        -- Rows of that day that found no partition are waiting in the default one; nobody may add
        -- to them meanwhile.
        EXECUTE format('LOCK TABLE gangsaw.%I IN ACCESS EXCLUSIVE MODE', parent || '_other');
        EXECUTE format('WITH moved AS (DELETE FROM gangsaw.%I WHERE %I >= %L AND %I < %L RETURNING *) '
                       'INSERT INTO gangsaw.%I SELECT * FROM moved',
                       parent || '_other', key, since, key, till, part);
        EXECUTE format('ALTER TABLE gangsaw.%I ATTACH PARTITION gangsaw.%I FOR VALUES FROM (%L) TO (%L)',
                       parent, part, since, till);
        RETURN true;
    END
    $$;

CREATE FUNCTION gangsaw.ensure_partitions(days_ahead integer) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
    DECLARE
        today date := (now() AT TIME ZONE 'UTC')::date;
        made bigint := 0;
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtextextended('gangsaw partitions', 0));
        FOR i IN 0 .. days_ahead LOOP
            made := made + gangsaw.ensure_partition('job_done', 'finished_at', today + i)::integer
                         + gangsaw.ensure_partition('blob_chunk', 'day', today + i)::integer;
        END LOOP;
        RETURN made;
    END
    $$;
COMMENT ON FUNCTION gangsaw.ensure_partitions IS
    'Partitions for today (UTC) and so many days ahead; how many are new. Runners call it; rows that '
    'come before them go to the default partitions and are moved later.';

CREATE TABLE gangsaw.job_done_other PARTITION OF gangsaw.job_done DEFAULT;
CREATE TABLE gangsaw.blob_chunk_other PARTITION OF gangsaw.blob_chunk DEFAULT;
SELECT gangsaw.ensure_partitions(3);

-- ---- enqueue

-- Notify only where a runner is idle: NOTIFY takes a lock of the whole database at commit.
CREATE FUNCTION gangsaw.wake() RETURNS void
    LANGUAGE plpgsql
    AS $$
    BEGIN
        IF EXISTS (SELECT FROM gangsaw.runner r WHERE r.is_idle AND NOT r.is_fenced) THEN
            PERFORM pg_notify('gangsaw_job', '');
        END IF;
    END
    $$;

-- `SELECT gangsaw.enqueue('image.transform', params => '{"width": 200, …}')` in any transaction of
-- an application; GRANT USAGE ON SCHEMA gangsaw and EXECUTE on this function are all it needs.
CREATE FUNCTION gangsaw.enqueue(
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
        SELECT array_agg(DISTINCT gangsaw.key_of('blob', ref.id #>> '{}')) INTO job_blobs
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
                RETURN gangsaw.public_id('job', job_key);
            END IF;
        END LOOP; -- the one that held the key has just ended

        -- This keeps them whatever their expiry says; an update of it would lock out the end of
        -- other jobs that use them for as long as the caller's transaction lasts.
        INSERT INTO gangsaw.job_blob (blob, job) SELECT b, job_key FROM unnest(job_blobs) AS u (b);
        INSERT INTO gangsaw.job_tag (tag, job)
        SELECT DISTINCT t.tag, job_key FROM unnest(job_tags) AS t (tag);
        IF NOT is_later THEN
            PERFORM gangsaw.wake();
        END IF;
        RETURN gangsaw.public_id('job', job_key);
    END
    $$;
COMMENT ON FUNCTION gangsaw.enqueue IS
    'Store a job and return its public id, in the caller''s transaction. Parameters are validated by '
    'the runner that claims it. While a live job of the tenant and task has the unique_key, that one''s '
    'id is returned.';
REVOKE ALL ON FUNCTION gangsaw.enqueue FROM PUBLIC;

-- ---- what runners do now and then

-- Queued jobs of lane `former` whose task has another one by now get into that, and take their turns
-- anew, at most 10,000 at once; how many it were. Scheduled and running ones follow when they get ready.
CREATE FUNCTION gangsaw.move_lane(former text) RETURNS bigint
    LANGUAGE sql
    SET enable_seqscan = off
    AS $$
        WITH found AS MATERIALIZED (
            SELECT j.id, j.priority, j.tenant, t.lane, j.vtime
            FROM gangsaw.job j JOIN gangsaw.task t ON t.name = j.task AND t.lane <> former
            WHERE j.lane = former AND j.state = 'queued'
            ORDER BY j.lane, j.priority DESC, j.vtime, j.id LIMIT 10000
            FOR UPDATE OF j SKIP LOCKED),
        ranked AS (
            SELECT f.*, row_number() OVER (PARTITION BY f.lane, f.priority, f.tenant
                                           ORDER BY f.vtime, f.id) - 1 AS turn
            FROM found f),
        placed AS (
            SELECT r.id, r.lane,
                   max(CASE WHEN r.turn = 0 THEN gangsaw.next_vtime(r.lane, r.priority, r.tenant) END)
                       OVER (PARTITION BY r.lane, r.priority, r.tenant) + r.turn AS vtime
            FROM ranked r),
        moved AS (
            UPDATE gangsaw.job j SET lane = p.lane, vtime = p.vtime FROM placed p WHERE j.id = p.id
            RETURNING j.id)
        SELECT count(*) FROM moved
    $$;

-- The same for all lanes of queued jobs that no task has: jobs that came before their task was
-- registered, and those of modules that were renamed. Lanes are found by jumping through the index.
CREATE FUNCTION gangsaw.move_lanes() RETURNS bigint
    LANGUAGE sql
    SET enable_seqscan = off SET enable_bitmapscan = off
    AS $$
        WITH RECURSIVE lanes (lane) AS (
            (SELECT j.lane FROM gangsaw.job j WHERE j.state = 'queued' ORDER BY j.lane LIMIT 1)
            UNION ALL
            SELECT (SELECT j.lane FROM gangsaw.job j
                    WHERE j.state = 'queued' AND j.lane > l.lane ORDER BY j.lane LIMIT 1)
            FROM lanes l WHERE l.lane IS NOT NULL)
        SELECT coalesce(sum(gangsaw.move_lane(l.lane)), 0)::bigint
        FROM lanes l
        WHERE l.lane IS NOT NULL AND NOT EXISTS (SELECT FROM gangsaw.task t WHERE t.lane = l.lane)
    $$;

-- What a runner can do, with the jobs that came before that was known.
CREATE FUNCTION gangsaw.register_tasks(names text[], lanes text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
    BEGIN
        INSERT INTO gangsaw.task AS t (name, lane)
        SELECT g.name, g.lane FROM unnest(names, lanes) AS g (name, lane)
        WHERE NOT EXISTS (SELECT FROM gangsaw.task k WHERE k.name = g.name AND k.lane = g.lane)
        ORDER BY g.name
        ON CONFLICT (name) DO UPDATE SET lane = excluded.lane WHERE t.lane <> excluded.lane;
        IF FOUND THEN
            PERFORM gangsaw.move_lanes();
        END IF;
    END
    $$;

-- Finished jobs and their blobs are kept until this long after the day (UTC) they finished on: a blob
-- lives as long as the partition of the job that uses it.
CREATE FUNCTION gangsaw.kept_until(finished_at timestamptz, retention_days double precision)
    RETURNS timestamptz
    LANGUAGE sql IMMUTABLE
    AS $$
        SELECT ((finished_at AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC'
               + retention_days * interval '24 hours'
    $$;

-- Forget the tags of up to 5,000 jobs of a partition that is about to go. How many they were.
CREATE FUNCTION gangsaw.forget_tags(part text) RETURNS bigint
    LANGUAGE plpgsql
    SET enable_seqscan = off
    AS $$
    DECLARE
        forgotten bigint;
    BEGIN
        EXECUTE format(
            'WITH few AS MATERIALIZED ('
            '    SELECT d.id, d.tags FROM gangsaw.%1$I d WHERE d.tags IS NOT NULL '
            '    ORDER BY d.id LIMIT 5000), '
            'forgotten AS ('
            '    DELETE FROM gangsaw.job_tag t '
            '    USING (SELECT u.tag, f.id FROM few f CROSS JOIN LATERAL unnest(f.tags) AS u (tag)) g '
            '    WHERE t.tag = g.tag AND t.job = g.id), '
            'cleared AS ('
            '    UPDATE gangsaw.%1$I d SET tags = NULL '
            '    WHERE d.id = ANY (ARRAY(SELECT f.id FROM few f)) AND d.tags IS NOT NULL) '
            'SELECT count(*) FROM few', part) INTO forgotten;
        RETURN forgotten;
    END
    $$;

-- Drop the oldest partition of job_done that is past its time, its jobs' tags first. True: there was one,
-- which may not be gone yet.
CREATE FUNCTION gangsaw.drop_done_partition(retention_days double precision, OUT is_found boolean,
                                            OUT is_dropped boolean)
    LANGUAGE plpgsql
    AS $$
    DECLARE
        part text;
    BEGIN
        SELECT c.relname INTO part
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'gangsaw.job_done'::regclass AND c.relname ~ '^job_done_[0-9]{8}$'
          AND gangsaw.kept_until(to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC',
                                 retention_days) <= now()
        ORDER BY c.relname LIMIT 1;
        is_found := part IS NOT NULL;
        is_dropped := false;
        IF is_found AND gangsaw.forget_tags(part) = 0 THEN
            EXECUTE format('DROP TABLE gangsaw.%I', part);
            is_dropped := true;
        END IF;
    END
    $$;

-- Drop a partition of blob_chunk of which no blob is left; what pieces it has then belong to uploads
-- that were given up. A transfer may begin before midnight and end after it: yesterday's is left alone.
CREATE FUNCTION gangsaw.drop_chunk_partition() RETURNS boolean
    LANGUAGE plpgsql
    AS $$
    DECLARE
        part text;
        part_day date;
    BEGIN
        SELECT p.relname, p.day INTO part, part_day
        FROM (SELECT c.relname, to_date(right(c.relname, 8), 'YYYYMMDD') AS day
              FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
              WHERE i.inhparent = 'gangsaw.blob_chunk'::regclass
                AND c.relname ~ '^blob_chunk_[0-9]{8}$') p
        WHERE p.day < (now() AT TIME ZONE 'UTC')::date - 1
          AND NOT EXISTS (SELECT FROM gangsaw.blob b WHERE b.day = p.day)
        ORDER BY p.relname LIMIT 1;
        IF part IS NULL THEN
            RETURN false;
        END IF;
        LOCK TABLE ONLY gangsaw.blob_chunk IN ACCESS EXCLUSIVE MODE; -- first, as whoever reads does
        EXECUTE format('LOCK TABLE gangsaw.%I IN ACCESS EXCLUSIVE MODE', part);
        IF EXISTS (SELECT FROM gangsaw.blob b WHERE b.day = part_day) THEN
            RAISE lock_not_available; -- for nothing: so that they go now, and not with the transaction
        END IF;
        EXECUTE format('DROP TABLE gangsaw.%I', part);
        RETURN true;
    END
    $$;

-- Up to 200 expired blobs that no live job uses, and of these no more than 256 MiB at a time.
CREATE FUNCTION gangsaw.delete_expired_blobs() RETURNS bigint
    LANGUAGE sql
    SET enable_seqscan = off
    AS $$
        WITH expired AS MATERIALIZED (
            SELECT b.id, b.day, b.size
            FROM gangsaw.blob b
            WHERE b.expires_at <= now()
              AND NOT EXISTS (SELECT FROM gangsaw.job_blob l WHERE l.blob = b.id)
            ORDER BY b.expires_at LIMIT 200
            FOR UPDATE OF b SKIP LOCKED),
        few AS (
            SELECT e.id, e.day
            FROM (SELECT x.*, sum(x.size) OVER (ORDER BY x.id) - x.size AS before FROM expired x) e
            WHERE e.before < 268435456),
        pieces AS (
            DELETE FROM gangsaw.blob_chunk c USING few f WHERE c.blob = f.id AND c.day = f.day),
        gone AS (
            DELETE FROM gangsaw.blob b USING few f WHERE b.id = f.id RETURNING b.id)
        SELECT count(*) FROM gone
    $$;

-- Rows that came on days without a partition: there when nobody made partitions for a while.
CREATE FUNCTION gangsaw.delete_stray_rows(retention_days double precision) RETURNS bigint
    LANGUAGE sql
    AS $$
        WITH jobs AS (
            DELETE FROM gangsaw.job_done_other
            WHERE ctid IN (SELECT d.ctid FROM gangsaw.job_done_other d
                           WHERE gangsaw.kept_until(d.finished_at, retention_days) <= now()
                           LIMIT 1000)
            RETURNING id, tags),
        tags AS (
            DELETE FROM gangsaw.job_tag t
            USING (SELECT u.tag, j.id FROM jobs j CROSS JOIN LATERAL unnest(j.tags) AS u (tag)) g
            WHERE t.tag = g.tag AND t.job = g.id),
        chunks AS (
            DELETE FROM gangsaw.blob_chunk_other
            WHERE ctid IN (SELECT c.ctid FROM gangsaw.blob_chunk_other c
                           WHERE c.day < (now() AT TIME ZONE 'UTC')::date - 1
                             AND NOT EXISTS (SELECT FROM gangsaw.blob b WHERE b.id = c.blob)
                           LIMIT 200)
            RETURNING 1)
        SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM chunks)
    $$;

/*
 * One small step of all that retention asks for, by one runner at a time. It never waits long for a
 * lock, since whoever comes after it would wait too: what is in use is left for the next time. Nor
 * does it hold one for long: a step that has made or dropped partitions, which keeps everybody from
 * these tables until its end, does nothing else.
 */
CREATE FUNCTION gangsaw.prune(retention_days double precision, OUT partitions bigint,
                              OUT blobs bigint, OUT keys bigint, OUT is_done boolean)
    LANGUAGE plpgsql
    SET lock_timeout = '100ms'
    AS $$
    DECLARE
        strays bigint := 0;
        moved bigint := 0;
        is_left boolean := false; -- a partition that is not dropped yet
        is_dropped boolean;
    BEGIN
        partitions := 0;
        blobs := 0;
        keys := 0;
        is_done := true;
        IF NOT pg_try_advisory_xact_lock(hashtextextended('gangsaw prune', 0)) THEN
            RETURN;
        END IF;
        BEGIN
            is_done := gangsaw.ensure_partitions(3) = 0;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN NULL;
        END;
        IF NOT is_done THEN
            RETURN;
        END IF;
        BEGIN
            SELECT d.is_found, d.is_dropped INTO is_left, is_dropped
            FROM gangsaw.drop_done_partition(retention_days) d;
            partitions := is_dropped::integer;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN NULL;
        END;
        BEGIN
            IF partitions = 0 THEN
                partitions := gangsaw.drop_chunk_partition()::integer;
            END IF;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN NULL;
        END;
        IF partitions > 0 THEN
            is_done := false;
            RETURN;
        END IF;
        BEGIN
            blobs := gangsaw.delete_expired_blobs();
        EXCEPTION WHEN lock_not_available OR deadlock_detected OR foreign_key_violation THEN
            NULL; -- a job has begun to use one of them
        END;
        BEGIN
            strays := gangsaw.delete_stray_rows(retention_days);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN NULL;
        END;
        BEGIN
            moved := gangsaw.move_lanes();
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN NULL;
        END;
        DELETE FROM gangsaw.idempotency i
        WHERE (i.tenant, i.route, i.key) IN (
            SELECT o.tenant, o.route, o.key FROM gangsaw.idempotency o
            WHERE o.created_at <= now() - interval '24 hours'
            ORDER BY o.created_at LIMIT 1000 FOR UPDATE SKIP LOCKED);
        GET DIAGNOSTICS keys = ROW_COUNT;
        is_done := NOT is_left AND blobs = 0 AND keys < 1000 AND strays = 0 AND moved = 0;
    END
    $$;
