-- Documents that fewer may see since they were told of; and failed messages are kept until somebody has seen to them.

-- Who may see a document, where that was changed. What is told of its meeting is told without its words while residents may not.
CREATE TABLE document_visibility (
    tenant_id   uuid NOT NULL,
    artifact_id uuid NOT NULL,
    meeting_id  uuid NOT NULL,
    visibility  text NOT NULL CHECK (visibility IN ('public', 'member', 'reviewer')),
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, artifact_id)
);
CREATE INDEX document_visibility_hidden ON document_visibility (tenant_id, meeting_id) WHERE visibility = 'reviewer';
CALL tenant_table('document_visibility', 'SELECT, INSERT, UPDATE');

-- When a message ended; before this only what was sent or failed kept it.
ALTER TABLE messages ADD COLUMN ended_at timestamptz;
DO $$ BEGIN
    EXECUTE format('GRANT UPDATE (ended_at) ON messages TO %I, %I', current_schema() || '_app', current_schema() || '_system');
END $$;
DROP INDEX messages_ended;
CREATE INDEX messages_ended ON messages ((coalesce(ended_at, sent_at, failed_at, created_at))) WHERE state IN ('sent', 'suppressed');

CREATE OR REPLACE FUNCTION discard_beside(of_tenant uuid, letter uuid, why text) RETURNS void LANGUAGE sql AS $$
    UPDATE messages SET state = 'suppressed', state_reason = 'discarded: ' || why, ended_at = now()
    WHERE tenant_id = of_tenant AND id = letter AND state = 'failed';
$$;

-- A failed message is a dead letter: it is forgotten when it was discarded, or sent after all, and not before.
DO $$ BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION forget_beside(before timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE old uuid[];
         BEGIN
             PERFORM set_config(''app.forgetting'', ''on'', true), set_config(''app.erasing'', ''on'', true);
             old := ARRAY(SELECT id FROM messages WHERE state IN (''sent'', ''suppressed'')
                          AND coalesce(ended_at, sent_at, failed_at, created_at) < before LIMIT most FOR UPDATE SKIP LOCKED);
             DELETE FROM message_attempts WHERE message_id = ANY (old);
             DELETE FROM message_deliveries l USING messages m WHERE m.id = ANY (old) AND l.tenant_id = m.tenant_id AND l.message_id = m.id;
             DELETE FROM messages WHERE id = ANY (old) AND state IN (''sent'', ''suppressed'');
             PERFORM set_config(''app.forgetting'', ''off'', true), set_config(''app.erasing'', ''off'', true);
             RETURN cardinality(old);
         END $body$', current_schema());
END $$;
