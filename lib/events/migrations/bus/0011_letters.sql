-- Dead letters of queues elsewhere, and a place in a list of dead letters from which on it is read.

-- SQS throws away what it has kept for fourteen days, and shows nothing without taking it out of others' sight. What is
-- given up there is kept here, as it came, until an operator has seen to it.
CREATE TABLE letters (
    queue      text NOT NULL,
    -- Of what is no envelope, a name made from its bytes.
    event_id   uuid NOT NULL,
    type       text NOT NULL,
    -- As the message says.
    tenant     text,
    version    bigint,
    body       text NOT NULL,
    attributes jsonb NOT NULL,
    attempts   integer NOT NULL,
    error      text NOT NULL,
    parked     boolean NOT NULL,
    died_at    timestamptz NOT NULL,
    PRIMARY KEY (queue, event_id)
);
CREATE INDEX letters_dead ON letters (queue, died_at);

-- Kept again, it is the same letter with the newer story.
CREATE FUNCTION bus_keep_letter(q text, event uuid, kind text, of_tenant text, of_version bigint, as_it_came text, beside_it jsonb,
                                tries integer, why text, waits boolean, at timestamptz)
    RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO letters VALUES (q, event, kind, of_tenant, of_version, as_it_came, beside_it, tries, why, waits, at)
    ON CONFLICT (queue, event_id) DO UPDATE SET body = excluded.body, attributes = excluded.attributes, attempts = excluded.attempts,
        error = excluded.error, parked = excluded.parked, died_at = excluded.died_at;
$$;

-- As bus_dead_letters.
CREATE FUNCTION bus_letters(q text, of_tenant text, unowned text, kind text, one uuid, before timestamptz, after_at timestamptz, after_id uuid, most integer)
    RETURNS TABLE (event uuid, letter_type text, as_it_came text, tries integer, why text, at timestamptz, waits boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, type, body, attempts, error, died_at, parked FROM letters
    WHERE queue = q AND (before IS NULL OR died_at < before) AND (one IS NULL OR event_id = one) AND (kind = '' OR type = kind)
    AND (after_at IS NULL OR (died_at, event_id) < (after_at, after_id))
    AND CASE WHEN tenant ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN tenant ELSE unowned END = of_tenant
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM died_at) ELSE extract(epoch FROM died_at) END, event_id DESC LIMIT most;
$$;

-- Letters as they are sent again.
CREATE FUNCTION bus_letters_to_send(q text, events uuid[]) RETURNS TABLE (event uuid, as_it_came text, beside_it jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, body, attributes FROM letters WHERE queue = q AND event_id = ANY (events);
$$;

-- Those that wait for a version that reads these types up to those versions.
CREATE FUNCTION bus_letters_parked(q text, types text[], newest integer[]) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT l.event_id FROM letters l JOIN unnest(types, newest) AS u(type, newest) ON u.type = l.type AND l.version <= u.newest
    WHERE l.queue = q AND l.parked;
$$;

-- Forgets letters; gives those that were there.
CREATE FUNCTION bus_forget_letters(q text, events uuid[]) RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM letters WHERE queue = q AND event_id = ANY (events) RETURNING event_id;
$$;

CREATE FUNCTION bus_count_letters(q text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT count(*) FROM letters WHERE queue = q;
$$;

-- A letter may be sent again after years: its payload is kept as long as the letter is.
CREATE OR REPLACE FUNCTION bus_forget_payloads(before timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM payloads p WHERE created_at < before AND NOT EXISTS (SELECT FROM letters l WHERE l.event_id = p.event_id) RETURNING 1)
    SELECT count(*) FROM gone;
$$;

-- As the one with seven arguments, from a place in the list on.
CREATE FUNCTION bus_dead_letters(q text, tenant text, unowned text, kind text, one uuid, before timestamptz, after_at timestamptz, after_id uuid, most integer)
    RETURNS TABLE (event uuid, message_type text, message_envelope jsonb, message_attempt integer, message_error text, died_at timestamptz, message_parked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, type, envelope, attempt, error, dead_at, parked FROM messages
    WHERE queue = q AND dead_at IS NOT NULL AND (before IS NULL OR dead_at < before) AND (one IS NULL OR event_id = one) AND (kind = '' OR type = kind)
    AND (after_at IS NULL OR (dead_at, event_id) < (after_at, after_id))
    AND CASE WHEN envelope ->> 'tenant_id' ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN envelope ->> 'tenant_id' ELSE unowned END = tenant
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM dead_at) ELSE extract(epoch FROM dead_at) END, event_id DESC LIMIT most;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND (p.proname LIKE 'bus\_%letter%' OR p.proname = 'bus_forget_payloads') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
