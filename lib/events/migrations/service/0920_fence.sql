-- Who has a batch of facts in hand: who lost it marks nothing.

ALTER TABLE outbox ADD COLUMN leased_by uuid;

-- As the one without a holder, which relays of the version before still call: what they take is nobody's else.
CREATE FUNCTION claim_facts(at timestamptz, leased timestamptz, holder uuid, most integer)
    RETURNS TABLE (fact_sequence bigint, fact_envelope jsonb) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_sort = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext(current_schema() || '.outbox')) THEN RETURN; END IF;
    RETURN QUERY UPDATE outbox o SET leased_until = leased, leased_by = holder WHERE o.id IN (
            SELECT f.id FROM outbox f
            WHERE f.published_at IS NULL AND f.refused_at IS NULL AND (f.leased_until IS NULL OR f.leased_until <= at)
            AND NOT EXISTS (SELECT FROM outbox l WHERE l.published_at IS NULL AND l.leased_until IS NOT NULL AND l.leased_until > at
                            AND l.resource = f.resource)
            ORDER BY f.sequence LIMIT most)
        RETURNING o.sequence, o.envelope;
END $$;

CREATE OR REPLACE FUNCTION claim_facts(at timestamptz, leased timestamptz, most integer)
    RETURNS TABLE (fact_sequence bigint, fact_envelope jsonb, fact_created_at timestamptz) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_sort = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext(current_schema() || '.outbox')) THEN RETURN; END IF;
    RETURN QUERY UPDATE outbox o SET leased_until = leased, leased_by = NULL WHERE o.id IN (
            SELECT f.id FROM outbox f
            WHERE f.published_at IS NULL AND f.refused_at IS NULL AND (f.leased_until IS NULL OR f.leased_until <= at)
            AND NOT EXISTS (SELECT FROM outbox l WHERE l.published_at IS NULL AND l.leased_until IS NOT NULL AND l.leased_until > at
                            AND l.resource = f.resource)
            ORDER BY f.sequence LIMIT most)
        RETURNING o.sequence, o.envelope, o.created_at;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = 'claim_facts' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
