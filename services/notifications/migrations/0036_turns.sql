-- Deliveries and messages are taken by cities in turn: a million followers of one city do not hold up a hundred of another.

-- What takes turns with others. What was made before this, or by a version before it, is one lane of its own.
ALTER TABLE deliveries ADD COLUMN city_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000001';
ALTER TABLE messages ADD COLUMN city_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000001';
CREATE INDEX deliveries_fair ON deliveries (city_id, due_at, id) WHERE state IN ('pending', 'sending');
CREATE INDEX messages_fair ON messages (channel, city_id, due_at, id) WHERE state IN ('pending', 'sending');
DROP INDEX deliveries_due;
DROP INDEX messages_due_by_channel;

-- Takes up to `most` deliveries that are due until `leased`: an equal share of each city after `after` that has any, then
-- what is left over to whoever has more. What another sender holds is passed over. Statistics of a queue are always wrong, so
-- the plan is not left to them.
CREATE FUNCTION claim_deliveries(most integer, at timestamptz, leased timestamptz, after uuid)
    RETURNS TABLE (delivery_id uuid, delivery_tenant uuid, delivery_attempt integer, delivery_city uuid) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    cities  uuid[] := '{}';
    tenants uuid[] := '{}';
    ids     uuid[] := '{}';
    here    uuid := after;
    found_  uuid;
    wrapped boolean := false;
    more    record;
BEGIN
    WHILE cardinality(cities) < most LOOP
        SELECT d.city_id INTO found_ FROM deliveries d WHERE d.state IN ('pending', 'sending') AND d.city_id > here ORDER BY d.city_id LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > after) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '00000000-0000-0000-0000-000000000000';
            CONTINUE;
        END IF;
        here := found_;
        IF EXISTS (SELECT FROM deliveries d WHERE d.state IN ('pending', 'sending') AND d.city_id = found_ AND d.due_at <= at) THEN
            cities := cities || found_;
        END IF;
    END LOOP;
    IF cardinality(cities) = 0 THEN RETURN; END IF;
    FOR share IN 0 .. 1 LOOP
        FOREACH found_ IN ARRAY cities LOOP
            EXIT WHEN cardinality(ids) >= most;
            SELECT coalesce(array_agg(t.id), '{}') AS ids, coalesce(array_agg(t.tenant_id), '{}') AS tenants INTO more FROM (
                SELECT d.id, d.tenant_id FROM deliveries d
                WHERE d.state IN ('pending', 'sending') AND d.city_id = found_ AND d.due_at <= at AND NOT d.id = ANY (ids)
                ORDER BY d.city_id, d.due_at, d.id
                LIMIT CASE share WHEN 0 THEN greatest(1, most / cardinality(cities)) ELSE most - cardinality(ids) END
                FOR UPDATE SKIP LOCKED) t;
            ids := ids || more.ids;
            tenants := tenants || more.tenants;
        END LOOP;
        EXIT WHEN cardinality(ids) >= most;
    END LOOP;
    RETURN QUERY UPDATE deliveries d SET state = 'sending', attempt = d.attempt + 1, due_at = leased
        FROM unnest(tenants, ids) AS u (tenant_id, id) WHERE d.tenant_id = u.tenant_id AND d.id = u.id
        RETURNING d.id, d.tenant_id, d.attempt, d.city_id;
END $$;

-- The same for the messages of a channel. A digest of which a part is due and not handed over, or in the hands of somebody
-- who hands it over until `settled`, is passed over.
CREATE FUNCTION claim_messages(by_channel text, most integer, at timestamptz, leased timestamptz, settled timestamptz, after uuid)
    RETURNS TABLE (message_id uuid, message_tenant uuid, message_attempt integer, message_city uuid) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    cities  uuid[] := '{}';
    tenants uuid[] := '{}';
    ids     uuid[] := '{}';
    here    uuid := after;
    found_  uuid;
    wrapped boolean := false;
    more    record;
BEGIN
    WHILE cardinality(cities) < most LOOP
        SELECT m.city_id INTO found_ FROM messages m
        WHERE m.state IN ('pending', 'sending') AND m.channel = by_channel AND m.city_id > here ORDER BY m.channel, m.city_id LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > after) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '00000000-0000-0000-0000-000000000000';
            CONTINUE;
        END IF;
        here := found_;
        IF EXISTS (SELECT FROM messages m WHERE m.state IN ('pending', 'sending') AND m.channel = by_channel AND m.city_id = found_ AND m.due_at <= at) THEN
            cities := cities || found_;
        END IF;
    END LOOP;
    IF cardinality(cities) = 0 THEN RETURN; END IF;
    FOR share IN 0 .. 1 LOOP
        FOREACH found_ IN ARRAY cities LOOP
            EXIT WHEN cardinality(ids) >= most;
            SELECT coalesce(array_agg(t.id), '{}') AS ids, coalesce(array_agg(t.tenant_id), '{}') AS tenants INTO more FROM (
                SELECT m.id, m.tenant_id FROM messages m
                WHERE m.state IN ('pending', 'sending') AND m.channel = by_channel AND m.city_id = found_ AND m.due_at <= at AND NOT m.id = ANY (ids)
                AND (m.digest_at IS NULL OR m.state = 'sending' OR NOT EXISTS (
                    SELECT FROM deliveries d WHERE d.tenant_id = m.tenant_id AND d.user_id = m.user_id
                    AND d.digest_at = m.digest_at AND d.state IN ('pending', 'sending') AND d.due_at <= settled))
                ORDER BY m.channel, m.city_id, m.due_at, m.id
                LIMIT CASE share WHEN 0 THEN greatest(1, most / cardinality(cities)) ELSE most - cardinality(ids) END
                FOR UPDATE OF m SKIP LOCKED) t;
            ids := ids || more.ids;
            tenants := tenants || more.tenants;
        END LOOP;
        EXIT WHEN cardinality(ids) >= most;
    END LOOP;
    RETURN QUERY UPDATE messages m SET state = 'sending', attempt = m.attempt + 1, due_at = leased
        FROM unnest(tenants, ids) AS u (tenant_id, id) WHERE m.tenant_id = u.tenant_id AND m.id = u.id
        RETURNING m.id, m.tenant_id, m.attempt, m.city_id;
END $$;

-- As the one with five arguments, from a place in the list on.
CREATE FUNCTION dead_beside(of_tenant uuid, of_kind text, one uuid, before timestamptz, after_at timestamptz, after_id uuid, most integer)
    RETURNS TABLE (letter uuid, kind text, body jsonb, tries integer, why text, died_at timestamptz, trace text) LANGUAGE sql STABLE AS $$
    SELECT m.id, 'message.' || m.channel,
           jsonb_build_object('user_id', m.user_id, 'target_id', m.target_id, 'dedupe_key', m.dedupe_key, 'digest_at', m.digest_at,
                              'created_at', m.created_at),
           m.attempt, coalesce(m.state_reason, ''), coalesce(m.failed_at, m.created_at), m.traceparent
    FROM messages m
    WHERE m.tenant_id = of_tenant AND m.state = 'failed' AND (of_kind = '' OR of_kind = 'message.' || m.channel) AND (one IS NULL OR m.id = one)
    AND (before IS NULL OR coalesce(m.failed_at, m.created_at) < before)
    AND (after_at IS NULL OR (coalesce(m.failed_at, m.created_at), m.id) < (after_at, after_id))
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM coalesce(m.failed_at, m.created_at))
                  ELSE extract(epoch FROM coalesce(m.failed_at, m.created_at)) END, m.id DESC LIMIT most;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('claim_deliveries', 'claim_messages', 'dead_beside') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
