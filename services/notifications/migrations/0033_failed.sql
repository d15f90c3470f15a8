-- Failed messages among the dead letters: listed, sent again, discarded. See `dead_letters/beside.rs` of the events library
-- for what these functions are asked.

ALTER TABLE messages
    ADD COLUMN failed_at timestamptz,
    -- The attempt after which it was sent again by hand: its tries count from there. Attempts themselves go on, because they
    -- are receipts.
    ADD COLUMN tries_from integer NOT NULL DEFAULT 0;
CREATE INDEX messages_failed ON messages (tenant_id, failed_at) WHERE state = 'failed';
DO $$ BEGIN
    EXECUTE format('GRANT UPDATE (failed_at) ON messages TO %I', current_schema() || '_app');
    EXECUTE format('GRANT UPDATE (state_reason, failed_at, tries_from) ON messages TO %I', current_schema() || '_system');
END $$;

CREATE OR REPLACE FUNCTION message_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.state
    WHEN 'pending' THEN ARRAY['sending', 'suppressed']
    WHEN 'sending' THEN ARRAY['sent', 'failed', 'suppressed']
    -- By hand.
    WHEN 'failed' THEN ARRAY['sending', 'suppressed']
    ELSE ARRAY[]::text[] END;
BEGIN
    IF NEW.state <> OLD.state AND NOT NEW.state = ANY (allowed) THEN
        RAISE EXCEPTION 'a message cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'CS002';
    END IF;
    IF OLD.state = 'sent' AND NEW.sent_at <> OLD.sent_at THEN
        RAISE EXCEPTION 'what was sent keeps its time' USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;

-- Failed before this, with no time kept: as old as it is.
CREATE FUNCTION dead_beside(of_tenant uuid, of_kind text, one uuid, before timestamptz, most integer)
    RETURNS TABLE (letter uuid, kind text, body jsonb, tries integer, why text, died_at timestamptz, trace text) LANGUAGE sql STABLE AS $$
    SELECT m.id, 'message.' || m.channel,
           jsonb_build_object('user_id', m.user_id, 'target_id', m.target_id, 'dedupe_key', m.dedupe_key, 'digest_at', m.digest_at,
                              'created_at', m.created_at),
           m.attempt, coalesce(m.state_reason, ''), coalesce(m.failed_at, m.created_at), m.traceparent
    FROM messages m
    WHERE m.tenant_id = of_tenant AND m.state = 'failed' AND (of_kind = '' OR of_kind = 'message.' || m.channel) AND (one IS NULL OR m.id = one)
    AND (before IS NULL OR coalesce(m.failed_at, m.created_at) < before)
    ORDER BY CASE WHEN before IS NULL THEN -extract(epoch FROM coalesce(m.failed_at, m.created_at))
                  ELSE extract(epoch FROM coalesce(m.failed_at, m.created_at)) END, m.id LIMIT most;
$$;
CREATE FUNCTION replay_beside(of_tenant uuid, letters uuid[], at timestamptz) RETURNS SETOF uuid LANGUAGE sql AS $$
    UPDATE messages SET state = 'sending', due_at = at, tries_from = attempt
    WHERE tenant_id = of_tenant AND id = ANY (letters) AND state = 'failed' RETURNING id;
$$;
CREATE FUNCTION discard_beside(of_tenant uuid, letter uuid, why text) RETURNS void LANGUAGE sql AS $$
    UPDATE messages SET state = 'suppressed', state_reason = 'discarded: ' || why
    WHERE tenant_id = of_tenant AND id = letter AND state = 'failed';
$$;
DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('dead_beside', 'replay_beside', 'discard_beside') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
