-- Fair taking (one city's backlog does not hold up another's), leases that are renewed, messages ended in batches, messages
-- parked for a newer version, payloads too large for a queue elsewhere, and who replayed or discarded what.

ALTER TABLE messages
    ADD COLUMN lane   text COLLATE "C" NOT NULL DEFAULT '-',
    -- Somebody has it now, or died with it in hand; `lost` counts the latter.
    ADD COLUMN held   boolean NOT NULL DEFAULT false,
    ADD COLUMN lost   integer NOT NULL DEFAULT 0,
    ADD COLUMN parked boolean NOT NULL DEFAULT false;
-- The default's thresholds are a share of the table; a queue is mostly empty and turns over all day.
ALTER TABLE messages SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                          autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);
DROP INDEX messages_due;
CREATE INDEX messages_fair ON messages (queue, lane, visible_at, id) WHERE dead_at IS NULL;
CREATE INDEX messages_dead ON messages (queue, dead_at) WHERE dead_at IS NOT NULL;

-- Messages of one lane are taken one after another, lanes in turn. A lane is a city, where the message is about one.
CREATE FUNCTION lane_of(envelope jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(envelope #>> '{payload,city_id}', ''), nullif(envelope #>> '{payload,meeting,city_id}', ''),
                    nullif(envelope #>> '{payload,source_id}', ''), nullif(envelope #>> '{resource,id}', ''), '-')
$$;

CREATE OR REPLACE FUNCTION bus_publish(envelopes jsonb[], at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO messages (queue, event_id, type, envelope, lane, visible_at, created_at)
    SELECT s.queue, (e ->> 'uuid')::uuid, e -> 'envelope' ->> 'type', e -> 'envelope', lane_of(e -> 'envelope'), at, at
    FROM unnest(envelopes) WITH ORDINALITY AS u(e, n)
    JOIN subscriptions s ON s.type = e -> 'envelope' ->> 'type'
    ORDER BY n
    ON CONFLICT ON CONSTRAINT messages_once DO NOTHING;
$$;

-- To one queue only, of the types that it asked for; gives how many.
CREATE FUNCTION bus_send(q text, envelopes jsonb[], at timestamptz) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE sent bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM subscriptions WHERE queue = q) THEN
        RAISE EXCEPTION 'there is no queue %', q USING ERRCODE = 'CS003';
    END IF;
    INSERT INTO messages (queue, event_id, type, envelope, lane, visible_at, created_at)
    SELECT q, (e ->> 'uuid')::uuid, e -> 'envelope' ->> 'type', e -> 'envelope', lane_of(e -> 'envelope'), at, at
    FROM unnest(envelopes) WITH ORDINALITY AS u(e, n)
    JOIN subscriptions s ON s.queue = q AND s.type = e -> 'envelope' ->> 'type'
    ORDER BY n
    ON CONFLICT ON CONSTRAINT messages_once DO NOTHING;
    GET DIAGNOSTICS sent = ROW_COUNT;
    RETURN sent;
END $$;

-- Takes up to `most` messages until `leased`, the lanes after `after` in turn. A taken message counts an attempt, which is
-- also the receipt. Statistics of a queue are always wrong, so the plan is not left to them.
CREATE FUNCTION bus_take(q text, most integer, at timestamptz, leased timestamptz, after text)
    RETURNS TABLE (message_id bigint, message_envelope jsonb, message_attempt integer, message_lost integer, message_lane text)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lanes   text[] := '{}';
    picked  bigint[] := '{}';
    more    bigint[];
    here    text COLLATE "C" := after;
    start   text COLLATE "C" := after;
    found_  text COLLATE "C";
    wrapped boolean := false;
BEGIN
    WHILE cardinality(lanes) < most LOOP
        SELECT m.lane INTO found_ FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lane > here ORDER BY m.queue, m.lane LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > start) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '';
            CONTINUE;
        END IF;
        here := found_;
        IF EXISTS (SELECT FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lane = found_ AND m.visible_at <= at) THEN
            lanes := lanes || found_;
        END IF;
    END LOOP;
    IF cardinality(lanes) = 0 THEN RETURN; END IF;
    -- An equal share each, then what is left over to whoever has more.
    FOR share IN 0 .. 1 LOOP
        FOREACH found_ IN ARRAY lanes LOOP
            EXIT WHEN cardinality(picked) >= most;
            SELECT coalesce(array_agg(t.id), '{}') INTO more FROM (
                SELECT m.id FROM messages m
                WHERE m.queue = q AND m.dead_at IS NULL AND m.lane = found_ AND m.visible_at <= at AND NOT m.id = ANY (picked)
                ORDER BY m.queue, m.lane, m.visible_at, m.id
                LIMIT CASE share WHEN 0 THEN greatest(1, most / cardinality(lanes)) ELSE most - cardinality(picked) END
                FOR UPDATE SKIP LOCKED) t;
            picked := picked || more;
        END LOOP;
        EXIT WHEN cardinality(picked) >= most;
    END LOOP;
    RETURN QUERY UPDATE messages m SET visible_at = leased, attempt = m.attempt + 1, held = true, lost = m.lost + m.held::integer
        WHERE m.id = ANY (picked) RETURNING m.id, m.envelope, m.attempt, m.lost, m.lane;
END $$;

-- Keeps a message in hand.
CREATE FUNCTION bus_extend(message bigint, receipt integer, until timestamptz) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH kept AS (UPDATE messages SET visible_at = until WHERE id = message AND attempt = receipt AND dead_at IS NULL RETURNING 1)
    SELECT EXISTS (SELECT FROM kept);
$$;

-- Ends messages; gives those that were still in hand.
CREATE FUNCTION bus_done_all(ids bigint[], receipts integer[]) RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER
    SET search_path FROM CURRENT SET enable_seqscan = off SET enable_sort = off SET enable_hashjoin = off AS $$
    DELETE FROM messages m USING unnest(ids, receipts) AS u(id, receipt)
    WHERE m.id = u.id AND m.attempt = u.receipt AND m.dead_at IS NULL RETURNING m.id;
$$;

CREATE OR REPLACE FUNCTION bus_retry(message bigint, receipt integer, at timestamptz, why text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET visible_at = at, error = why, held = false WHERE id = message AND attempt = receipt AND dead_at IS NULL;
$$;

CREATE FUNCTION bus_park(message bigint, receipt integer, at timestamptz, why text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET dead_at = at, error = why, parked = true WHERE id = message AND attempt = receipt AND dead_at IS NULL;
$$;

-- Gives back what was parked until somebody could read it.
CREATE FUNCTION bus_unpark(q text, types text[], newest integer[], at timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH again AS (
        UPDATE messages m SET dead_at = NULL, parked = false, held = false, lost = 0, attempt = 0, visible_at = at
        FROM unnest(types, newest) AS u(type, newest)
        WHERE m.queue = q AND m.dead_at IS NOT NULL AND m.parked AND m.type = u.type AND (m.envelope ->> 'version')::bigint <= u.newest
        RETURNING m.queue)
    SELECT count(*) FROM again;
$$;

-- Dead letters of a tenant; what names no tenant belongs to `unowned`. One of them where `one` is given.
CREATE FUNCTION bus_dead_letters(q text, tenant text, unowned text, kind text, one uuid, most integer)
    RETURNS TABLE (event uuid, message_type text, message_envelope jsonb, message_attempt integer, message_error text, died_at timestamptz, message_parked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, type, envelope, attempt, error, dead_at, parked FROM messages
    WHERE queue = q AND dead_at IS NOT NULL AND (one IS NULL OR event_id = one) AND (kind = '' OR type = kind)
    AND CASE WHEN envelope ->> 'tenant_id' ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN envelope ->> 'tenant_id' ELSE unowned END = tenant
    ORDER BY dead_at DESC, id DESC LIMIT most;
$$;

-- Sends dead letters again; gives those that were dead.
CREATE FUNCTION bus_replay_all(q text, events uuid[], at timestamptz) RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET dead_at = NULL, parked = false, held = false, lost = 0, attempt = 0, visible_at = at
    WHERE queue = q AND event_id = ANY (events) AND dead_at IS NOT NULL RETURNING event_id;
$$;

-- A message whose lease was given back or that came to life again: whoever waits is woken, as by a new one.
CREATE FUNCTION wake_revived() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('councilsense_wake', 'queue.' || NEW.queue);
    RETURN NULL;
END $$;
CREATE TRIGGER wake_revived AFTER UPDATE ON messages FOR EACH ROW
    WHEN (OLD.dead_at IS NOT NULL AND NEW.dead_at IS NULL) EXECUTE FUNCTION wake_revived();

-- Payloads that are too large for a queue elsewhere (SQS: 256 KiB); the message names the event.
CREATE TABLE payloads (
    event_id   uuid PRIMARY KEY,
    payload    jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE FUNCTION bus_put_payload(event uuid, body jsonb, at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO payloads VALUES (event, body, at) ON CONFLICT DO NOTHING;
$$;
CREATE FUNCTION bus_get_payload(event uuid) RETURNS jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT payload FROM payloads WHERE event_id = event;
$$;
CREATE FUNCTION bus_forget_payloads(before timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM payloads WHERE created_at < before RETURNING 1) SELECT count(*) FROM gone;
$$;

-- Who replayed or discarded what. Append-only.
CREATE TABLE interventions (
    id         uuid PRIMARY KEY,
    tenant     uuid NOT NULL,
    actor      text NOT NULL,
    action     text NOT NULL CHECK (action IN ('replay', 'discard', 'replay_outbox')),
    place      text NOT NULL,
    letter     text NOT NULL,
    type       text NOT NULL,
    reason     text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX interventions_by_tenant ON interventions (tenant, id);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CS001';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON interventions FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE FUNCTION bus_intervened(ids uuid[], who_tenant uuid, who text, what text, places text[], letters text[], types text[], why text, at timestamptz)
    RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO interventions
    SELECT id, who_tenant, who, what, place, letter, type, why, at FROM unnest(ids, places, letters, types) AS u(id, place, letter, type);
$$;
CREATE FUNCTION bus_interventions(who_tenant uuid, most integer)
    RETURNS TABLE (actor text, action text, place text, letter text, type text, reason text, at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT i.actor, i.action, i.place, i.letter, i.type, i.reason, i.created_at FROM interventions i WHERE i.tenant = who_tenant ORDER BY i.id DESC LIMIT most;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'bus\_%' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
