-- While two versions run side by side; and dead letters from the oldest on.

-- Makes a queue get these types as well: a version that knows fewer takes nothing away from one that knows more.
CREATE FUNCTION bus_want(q text, types text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO subscriptions SELECT q, t FROM unnest(types) t ON CONFLICT DO NOTHING;
$$;

-- As the one with six arguments; where `before` is given those that died before it, oldest first.
CREATE FUNCTION bus_dead_letters(q text, tenant text, unowned text, kind text, one uuid, before timestamptz, most integer)
    RETURNS TABLE (event uuid, message_type text, message_envelope jsonb, message_attempt integer, message_error text, died_at timestamptz, message_parked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
    SELECT event_id, type, envelope, attempt, error, dead_at, parked FROM messages
    WHERE queue = q AND dead_at IS NOT NULL AND (before IS NULL OR dead_at < before) AND (one IS NULL OR event_id = one) AND (kind = '' OR type = kind)
    AND CASE WHEN envelope ->> 'tenant_id' ~ '^[0-7][0-9A-HJKMNP-TV-Z]{25}$' THEN envelope ->> 'tenant_id' ELSE unowned END = tenant
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM dead_at) ELSE extract(epoch FROM dead_at) END,
             CASE WHEN before IS NULL THEN -id ELSE id END LIMIT most;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname IN ('bus_want', 'bus_dead_letters') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
