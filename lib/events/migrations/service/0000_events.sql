-- What every service's schema has: the tenant of a transaction, the outbox, the inbox and the jobs.
-- Names are unqualified: the schema is the connection's search_path, its roles are <schema>_app and <schema>_system.

-- After a transaction the setting is '' and not NULL on a reused connection: without the nullif the cast would fail there.
CREATE FUNCTION app_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;

-- Row-level security, forced, for a table with a tenant_id; the app role gets the privileges named.
CREATE PROCEDURE tenant_table(table_name text, privileges text) LANGUAGE plpgsql AS $$
DECLARE app text := current_schema() || '_app';
BEGIN
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', table_name);
    -- The sub-select is one init plan; a bare call would run once a row.
    EXECUTE format('CREATE POLICY tenant ON %I TO %I USING (tenant_id = (SELECT app_tenant()))
                    WITH CHECK (tenant_id = (SELECT app_tenant()))', table_name, app);
    EXECUTE format('GRANT %s ON %I TO %I', privileges, table_name, app);
END $$;

-- Lets the system role at a table, across tenants.
CREATE PROCEDURE system_table(table_name text, privileges text) LANGUAGE plpgsql AS $$
DECLARE system_role text := current_schema() || '_system';
BEGIN
    EXECUTE format('CREATE POLICY system ON %I TO %I USING (true) WITH CHECK (true)', table_name, system_role);
    EXECUTE format('GRANT %s ON %I TO %I', privileges, table_name, system_role);
END $$;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CS001';
END $$;

-- Refuses UPDATE and DELETE, whoever asks.
CREATE PROCEDURE append_only(table_name text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I
                    FOR EACH ROW EXECUTE FUNCTION refuse_change()', table_name);
END $$;

-- Facts on their way to the bus. Kept 30 days after publishing, for replay.
CREATE TABLE outbox (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    sequence     bigint GENERATED ALWAYS AS IDENTITY,
    type         text NOT NULL,
    envelope     jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    published_at timestamptz,
    leased_until timestamptz
);
CREATE INDEX outbox_unpublished ON outbox (sequence) WHERE published_at IS NULL;
CALL tenant_table('outbox', 'SELECT, INSERT');
CALL system_table('outbox', 'SELECT, UPDATE, DELETE');

-- Which events a handler has had its effect of; written in the effect's transaction.
CREATE TABLE inbox (
    handler    text NOT NULL,
    event_id   uuid NOT NULL,
    tenant_id  uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (handler, event_id)
);
CALL tenant_table('inbox', 'SELECT, INSERT');
CALL system_table('inbox', 'SELECT, DELETE');

-- Steps inside this service. A done job stays as the memory that its effect has been had.
CREATE TABLE jobs (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    type            text NOT NULL,
    idempotency_key text NOT NULL,
    envelope        jsonb NOT NULL,
    state           text NOT NULL CHECK (state IN ('ready', 'running', 'done', 'dead', 'discarded')),
    attempt         integer NOT NULL DEFAULT 0,
    run_at          timestamptz NOT NULL,
    leased_until    timestamptz,
    error           text,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CONSTRAINT jobs_once UNIQUE (tenant_id, type, idempotency_key)
);
CREATE INDEX jobs_due ON jobs (run_at) WHERE state IN ('ready', 'running');
CREATE INDEX jobs_dead ON jobs (finished_at) WHERE state = 'dead';
CALL tenant_table('jobs', 'SELECT, INSERT, UPDATE');
CALL system_table('jobs', 'SELECT, INSERT, UPDATE, DELETE');

-- Wakes the relay and the workers, so that nobody has to poll hard.
CREATE FUNCTION wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('councilsense_wake', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER wake AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION wake();
CREATE TRIGGER wake AFTER INSERT ON jobs FOR EACH STATEMENT EXECUTE FUNCTION wake();
