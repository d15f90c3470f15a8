-- A delivery that breaks its own transaction is tried alone, and in the end given up: a dead letter like a failed message.

ALTER TABLE deliveries
    -- How often it failed when it was tried alone.
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    ADD COLUMN failed_at timestamptz;
CREATE INDEX deliveries_failed ON deliveries (tenant_id, failed_at) WHERE state = 'failed';
DO $$ BEGIN
    EXECUTE format('GRANT UPDATE (failures, failed_at) ON deliveries TO %I', current_schema() || '_app');
    EXECUTE format('GRANT UPDATE (state_reason, failures, failed_at) ON deliveries TO %I', current_schema() || '_system');
END $$;

CREATE OR REPLACE FUNCTION delivery_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.state
    WHEN 'pending' THEN ARRAY['sending', 'suppressed']
    WHEN 'sending' THEN ARRAY['sent', 'failed', 'suppressed']
    -- By hand.
    WHEN 'failed' THEN ARRAY['sending', 'suppressed']
    ELSE ARRAY[]::text[] END;
BEGIN
    IF NEW.state <> OLD.state AND NOT NEW.state = ANY (allowed) THEN
        RAISE EXCEPTION 'a delivery cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'CS002';
    END IF;
    IF OLD.state = 'sent' AND (NEW.sequence <> OLD.sequence OR NEW.sent_at <> OLD.sent_at) THEN
        RAISE EXCEPTION 'what was sent keeps its place' USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;

-- Failed messages as before, and failed deliveries with them.
CREATE OR REPLACE FUNCTION dead_beside(of_tenant uuid, of_kind text, one uuid, before timestamptz, after_at timestamptz, after_id uuid, most integer)
    RETURNS TABLE (letter uuid, kind text, body jsonb, tries integer, why text, died_at timestamptz, trace text) LANGUAGE sql STABLE AS $$
    SELECT l.id, l.called, l.content, l.times, l.reason, l.at, l.traceparent FROM (
        SELECT m.id, 'message.' || m.channel AS called,
               jsonb_build_object('user_id', m.user_id, 'target_id', m.target_id, 'dedupe_key', m.dedupe_key, 'digest_at', m.digest_at,
                                  'created_at', m.created_at) AS content,
               m.attempt AS times, coalesce(m.state_reason, '') AS reason, coalesce(m.failed_at, m.created_at) AS at, m.traceparent
        FROM messages m WHERE m.tenant_id = of_tenant AND m.state = 'failed'
        UNION ALL
        SELECT d.id, 'delivery',
               jsonb_build_object('user_id', d.user_id, 'notice_id', d.notice_id, 'dedupe_key', d.dedupe_key, 'digest_at', d.digest_at,
                                  'created_at', d.created_at),
               d.attempt, coalesce(d.state_reason, ''), coalesce(d.failed_at, d.created_at), d.traceparent
        FROM deliveries d WHERE d.tenant_id = of_tenant AND d.state = 'failed') l
    WHERE (of_kind = '' OR of_kind = l.called) AND (one IS NULL OR l.id = one) AND (before IS NULL OR l.at < before)
    AND (after_at IS NULL OR (l.at, l.id) < (after_at, after_id))
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM l.at) ELSE extract(epoch FROM l.at) END, l.id DESC LIMIT most;
$$;
CREATE OR REPLACE FUNCTION replay_beside(of_tenant uuid, letters uuid[], at timestamptz) RETURNS SETOF uuid LANGUAGE sql AS $$
    WITH told AS (
        UPDATE deliveries SET state = 'sending', due_at = at, failures = 0
        WHERE tenant_id = of_tenant AND id = ANY (letters) AND state = 'failed' RETURNING id
    ), sent AS (
        UPDATE messages SET state = 'sending', due_at = at, tries_from = attempt
        WHERE tenant_id = of_tenant AND id = ANY (letters) AND state = 'failed' RETURNING id
    ) SELECT id FROM told UNION ALL SELECT id FROM sent;
$$;
CREATE OR REPLACE FUNCTION discard_beside(of_tenant uuid, letter uuid, why text) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries SET state = 'suppressed', state_reason = 'discarded: ' || why
    WHERE tenant_id = of_tenant AND id = letter AND state = 'failed';
    UPDATE messages SET state = 'suppressed', state_reason = 'discarded: ' || why, ended_at = now()
    WHERE tenant_id = of_tenant AND id = letter AND state = 'failed';
$$;
