-- As before, but what was claimed already is passed over once and not three times: its entries stay in the index until a vacuum,
-- the oldest first, so that a backlog made each claim of it dearer than the last. The first that is there says whether a city
-- has anything due, and where to begin.

CREATE OR REPLACE FUNCTION claim_deliveries(most integer, at timestamptz, leased timestamptz, after uuid)
    RETURNS TABLE (delivery_id uuid, delivery_tenant uuid, delivery_attempt integer, delivery_city uuid) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    cities  uuid[] := '{}';
    tenants uuid[] := '{}';
    ids     uuid[] := '{}';
    here    uuid := after;
    found_  uuid;
    first_  timestamptz;
    firsts  timestamptz[] := '{}';
    wrapped boolean := false;
    more    record;
BEGIN
    WHILE cardinality(cities) < most LOOP
        SELECT d.city_id, d.due_at INTO found_, first_ FROM deliveries d
        WHERE d.state IN ('pending', 'sending') AND d.city_id > here ORDER BY d.city_id, d.due_at LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > after) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '00000000-0000-0000-0000-000000000000';
            CONTINUE;
        END IF;
        here := found_;
        IF first_ <= at THEN
            cities := cities || found_;
            firsts := firsts || first_;
        END IF;
    END LOOP;
    IF cardinality(cities) = 0 THEN RETURN; END IF;
    FOR share IN 0 .. 1 LOOP
        FOR city IN 1 .. cardinality(cities) LOOP
            EXIT WHEN cardinality(ids) >= most;
            SELECT coalesce(array_agg(t.id), '{}') AS ids, coalesce(array_agg(t.tenant_id), '{}') AS tenants INTO more FROM (
                SELECT d.id, d.tenant_id FROM deliveries d
                WHERE d.state IN ('pending', 'sending') AND d.city_id = cities[city] AND d.due_at BETWEEN firsts[city] AND at
                AND NOT d.id = ANY (ids)
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

CREATE OR REPLACE FUNCTION claim_messages(by_channel text, most integer, at timestamptz, leased timestamptz, settled timestamptz, after uuid)
    RETURNS TABLE (message_id uuid, message_tenant uuid, message_attempt integer, message_city uuid) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off
    SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    cities  uuid[] := '{}';
    tenants uuid[] := '{}';
    ids     uuid[] := '{}';
    here    uuid := after;
    found_  uuid;
    first_  timestamptz;
    firsts  timestamptz[] := '{}';
    wrapped boolean := false;
    more    record;
BEGIN
    WHILE cardinality(cities) < most LOOP
        SELECT m.city_id, m.due_at INTO found_, first_ FROM messages m
        WHERE m.state IN ('pending', 'sending') AND m.channel = by_channel AND m.city_id > here
        ORDER BY m.channel, m.city_id, m.due_at LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > after) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '00000000-0000-0000-0000-000000000000';
            CONTINUE;
        END IF;
        here := found_;
        IF first_ <= at THEN
            cities := cities || found_;
            firsts := firsts || first_;
        END IF;
    END LOOP;
    IF cardinality(cities) = 0 THEN RETURN; END IF;
    FOR share IN 0 .. 1 LOOP
        FOR city IN 1 .. cardinality(cities) LOOP
            EXIT WHEN cardinality(ids) >= most;
            SELECT coalesce(array_agg(t.id), '{}') AS ids, coalesce(array_agg(t.tenant_id), '{}') AS tenants INTO more FROM (
                SELECT m.id, m.tenant_id FROM messages m
                WHERE m.state IN ('pending', 'sending') AND m.channel = by_channel AND m.city_id = cities[city] AND m.due_at BETWEEN firsts[city] AND at
                AND NOT m.id = ANY (ids)
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
