-- What a process that stops hands back was neither tried nor killed anybody.

ALTER TABLE messages ADD COLUMN handed_back integer NOT NULL DEFAULT 0;

CREATE FUNCTION bus_hand_back(message bigint, receipt integer, at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE messages SET visible_at = at, held = false, handed_back = handed_back + 1 WHERE id = message AND attempt = receipt AND dead_at IS NULL;
$$;

-- As bus_take, which consumers of the version before still call; gives how often a message was handed back as well. What
-- was replayed begins anew.
CREATE FUNCTION bus_take_in_turn(q text, most integer, at timestamptz, leased timestamptz, after text)
    RETURNS TABLE (message_id bigint, message_envelope jsonb, message_attempt integer, message_lost integer,
                  message_handed_back integer, message_lane text)
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
    suspect bigint;
BEGIN
    IF EXISTS (SELECT FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lost > 0 AND m.visible_at <= at)
       AND pg_try_advisory_xact_lock(hashtext(current_schema() || '.suspect.' || q))
       AND NOT EXISTS (SELECT FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lost > 1 AND m.held AND m.visible_at > at) THEN
        SELECT m.id INTO suspect FROM messages m
        WHERE m.queue = q AND m.dead_at IS NULL AND m.lost > 0 AND m.visible_at <= at AND m.lost + m.held::integer > 1
        ORDER BY m.queue, m.visible_at, m.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN QUERY UPDATE messages m SET visible_at = leased, attempt = m.attempt + 1, held = true, lost = m.lost + m.held::integer,
                    handed_back = CASE WHEN m.attempt = 0 THEN 0 ELSE m.handed_back END
                WHERE m.id = suspect RETURNING m.id, m.envelope, m.attempt, m.lost, m.handed_back, m.lane;
            RETURN;
        END IF;
    END IF;
    WHILE cardinality(lanes) < most LOOP
        SELECT m.lane INTO found_ FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lane > here ORDER BY m.queue, m.lane LIMIT 1;
        IF NOT FOUND OR (wrapped AND found_ > start) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '';
            CONTINUE;
        END IF;
        here := found_;
        IF EXISTS (SELECT FROM messages m WHERE m.queue = q AND m.dead_at IS NULL AND m.lane = found_ AND m.visible_at <= at
                   AND m.lost + m.held::integer < 2) THEN
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
                WHERE m.queue = q AND m.dead_at IS NULL AND m.lane = found_ AND m.visible_at <= at AND m.lost + m.held::integer < 2
                AND NOT m.id = ANY (picked)
                ORDER BY m.queue, m.lane, m.visible_at, m.id
                LIMIT CASE share WHEN 0 THEN greatest(1, most / cardinality(lanes)) ELSE most - cardinality(picked) END
                FOR UPDATE SKIP LOCKED) t;
            picked := picked || more;
        END LOOP;
        EXIT WHEN cardinality(picked) >= most;
    END LOOP;
    RETURN QUERY UPDATE messages m SET visible_at = leased, attempt = m.attempt + 1, held = true, lost = m.lost + m.held::integer,
            handed_back = CASE WHEN m.attempt = 0 THEN 0 ELSE m.handed_back END
        WHERE m.id = ANY (picked) RETURNING m.id, m.envelope, m.attempt, m.lost, m.handed_back, m.lane;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('bus_hand_back', 'bus_take_in_turn') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
