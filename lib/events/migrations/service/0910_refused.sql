-- Facts that the bus refuses for what they are; and the outbox of a tenant in its order, for replay.

-- Refused: it waits for an operator, and holds up nothing.
ALTER TABLE outbox ADD COLUMN refused_at timestamptz, ADD COLUMN error text;
CREATE INDEX outbox_refused ON outbox (tenant_id, refused_at) WHERE refused_at IS NOT NULL;
CREATE INDEX outbox_by_tenant ON outbox (tenant_id, sequence);

CREATE OR REPLACE FUNCTION claim_facts(at timestamptz, leased timestamptz, most integer)
    RETURNS TABLE (fact_sequence bigint, fact_envelope jsonb, fact_created_at timestamptz) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_sort = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext(current_schema() || '.outbox')) THEN RETURN; END IF;
    RETURN QUERY UPDATE outbox o SET leased_until = leased WHERE o.id IN (
            SELECT f.id FROM outbox f
            WHERE f.published_at IS NULL AND f.refused_at IS NULL AND (f.leased_until IS NULL OR f.leased_until <= at)
            AND NOT EXISTS (SELECT FROM outbox l WHERE l.published_at IS NULL AND l.leased_until IS NOT NULL AND l.leased_until > at
                            AND l.resource = f.resource)
            ORDER BY f.sequence LIMIT most)
        RETURNING o.sequence, o.envelope, o.created_at;
END $$;
