-- SPDX-License-Identifier: BSD-2-Clause
--
-- 0002: keys of callers, and what it takes to count a tenant's jobs

CREATE TABLE gangsaw.key (
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9]{12}$'),
    tenant text COLLATE "C" NOT NULL CHECK (tenant ~ '^[A-Za-z0-9._-]{1,64}$'),
    sha256 bytea NOT NULL CHECK (octet_length(sha256) = 32),
    scopes text[] COLLATE "C" NOT NULL CHECK (cardinality(scopes) > 0),
    requests_per_minute integer CHECK (requests_per_minute > 0),
    concurrent_runs integer CHECK (concurrent_runs > 0),
    queued_jobs bigint CHECK (queued_jobs > 0),
    body_bytes bigint CHECK (body_bytes > 0),
    label text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);
COMMENT ON TABLE gangsaw.key IS
    'Keys of callers. As soon as there is one row, be it revoked or expired, nobody is let in without '
    'a valid key.';
COMMENT ON COLUMN gangsaw.key.id IS 'The public part of the key, between its underscores.';
COMMENT ON COLUMN gangsaw.key.sha256 IS
    'Of the whole text of the key, which is nowhere kept. Its secret has 256 random bits.';
COMMENT ON COLUMN gangsaw.key.scopes IS 'run, jobs:read, jobs:write, admin; others mean nothing.';
COMMENT ON COLUMN gangsaw.key.concurrent_runs IS 'On each host. NULL, in all four limits: none.';
COMMENT ON COLUMN gangsaw.key.queued_jobs IS 'Of the tenant: queued and scheduled.';
REVOKE ALL ON gangsaw.key FROM PUBLIC;

CREATE TABLE gangsaw.key_change (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE gangsaw.key_change IS
    'One row: how often table key was changed, so that a hub reads the keys only when they differ.';
INSERT INTO gangsaw.key_change (number) VALUES (0);
REVOKE ALL ON gangsaw.key_change FROM PUBLIC;

CREATE FUNCTION gangsaw.tell_keys() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        UPDATE gangsaw.key_change SET number = number + 1;
        PERFORM pg_notify('gangsaw_keys', '');
        RETURN NULL;
    END
    $$;
REVOKE ALL ON FUNCTION gangsaw.tell_keys FROM PUBLIC;

CREATE TRIGGER key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gangsaw.key
    FOR EACH STATEMENT EXECUTE FUNCTION gangsaw.tell_keys();

-- A tenant's jobs that wait: those that are queued are counted in job_turn.
CREATE INDEX job_scheduled_tenant ON gangsaw.job (tenant) WHERE state = 'scheduled';
