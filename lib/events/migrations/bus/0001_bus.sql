-- The embedded bus: one row a message and queue. Its tables are reached by the granted functions only.

CREATE TABLE subscriptions (
    queue text NOT NULL,
    type  text NOT NULL,
    PRIMARY KEY (queue, type)
);

CREATE TABLE messages (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL,
    event_id     uuid NOT NULL,
    type         text NOT NULL,
    envelope     jsonb NOT NULL,
    attempt      integer NOT NULL DEFAULT 0,
    visible_at   timestamptz NOT NULL,
    dead_at      timestamptz,
    error        text,
    created_at   timestamptz NOT NULL,
    CONSTRAINT messages_once UNIQUE (queue, event_id)
);
CREATE INDEX messages_due ON messages (queue, visible_at, id) WHERE dead_at IS NULL;

CREATE FUNCTION wake_queue() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE q text;
BEGIN
    FOR q IN SELECT DISTINCT queue FROM inserted LOOP
        PERFORM pg_notify('councilsense_wake', 'queue.' || q);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER wake_queue AFTER INSERT ON messages REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION wake_queue();

-- Makes a queue get the types named, and no others.
CREATE FUNCTION bus_subscribe(q text, types text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM subscriptions WHERE queue = q AND NOT type = ANY (types);
    INSERT INTO subscriptions SELECT q, t FROM unnest(types) t ON CONFLICT DO NOTHING;
$$;

-- One message for each queue that asked for the type. Publishing an event again changes nothing while a queue still holds it.
CREATE FUNCTION bus_publish(envelopes jsonb[], at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO messages (queue, event_id, type, envelope, visible_at, created_at)
    SELECT s.queue, (e ->> 'uuid')::uuid, e -> 'envelope' ->> 'type', e -> 'envelope', at, at
    FROM unnest(envelopes) WITH ORDINALITY AS u(e, n)
    JOIN subscriptions s ON s.type = e -> 'envelope' ->> 'type'
    ORDER BY n
    ON CONFLICT ON CONSTRAINT messages_once DO NOTHING;
$$;

-- Takes up to `most` messages until `leased`; each take counts as an attempt, which is also the receipt.
CREATE FUNCTION bus_receive(q text, most integer, at timestamptz, leased timestamptz)
    RETURNS TABLE (message_id bigint, message_envelope jsonb, message_attempt integer)
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET visible_at = leased, attempt = attempt + 1
    WHERE id IN (SELECT id FROM messages WHERE queue = q AND dead_at IS NULL AND visible_at <= at
                 ORDER BY visible_at, id LIMIT most FOR UPDATE SKIP LOCKED)
    RETURNING id, envelope, attempt;
$$;

-- Ends a message. The attempt is the receipt: who lost the lease cannot end it.
CREATE FUNCTION bus_done(message bigint, receipt integer) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM messages WHERE id = message AND attempt = receipt AND dead_at IS NULL RETURNING 1)
    SELECT EXISTS (SELECT FROM gone);
$$;

CREATE FUNCTION bus_retry(message bigint, receipt integer, at timestamptz, why text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET visible_at = at, error = why WHERE id = message AND attempt = receipt AND dead_at IS NULL;
$$;

CREATE FUNCTION bus_bury(message bigint, receipt integer, at timestamptz, why text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET dead_at = at, error = why WHERE id = message AND attempt = receipt AND dead_at IS NULL;
$$;

CREATE FUNCTION bus_dead(q text, tenant text, kind text, most integer)
    RETURNS TABLE (event uuid, message_type text, message_envelope jsonb, message_attempt integer, message_error text, died_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, type, envelope, attempt, error, dead_at FROM messages
    WHERE queue = q AND dead_at IS NOT NULL AND envelope ->> 'tenant_id' = tenant AND (kind = '' OR type = kind) ORDER BY dead_at DESC LIMIT most;
$$;

CREATE FUNCTION bus_replay(q text, event uuid, at timestamptz) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH again AS (UPDATE messages SET dead_at = NULL, attempt = 0, visible_at = at
                   WHERE queue = q AND event_id = event AND dead_at IS NOT NULL RETURNING 1)
    SELECT EXISTS (SELECT FROM again);
$$;

CREATE FUNCTION bus_discard(q text, event uuid) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM messages WHERE queue = q AND event_id = event AND dead_at IS NOT NULL RETURNING 1)
    SELECT EXISTS (SELECT FROM gone);
$$;

-- Waiting or under way, and dead.
CREATE FUNCTION bus_count(q text) RETURNS TABLE (waiting bigint, dead bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) FROM messages WHERE queue = q;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'bus\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
