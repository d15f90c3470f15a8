-- Messages that ended long ago are forgotten, with their attempts; what stands in inboxes stays. See `chores` of the events
-- library for when this is asked.

CREATE INDEX messages_ended ON messages (created_at) WHERE state IN ('sent', 'failed', 'suppressed');
DO $$
DECLARE t text;
BEGIN
    -- Row-level security is forced on the owner too: only inside `forget_beside` it sees every tenant.
    FOREACH t IN ARRAY ARRAY['messages', 'message_deliveries', 'message_attempts'] LOOP
        EXECUTE format('CREATE POLICY forgetting ON %I TO CURRENT_USER
                        USING (current_setting(''app.forgetting'', true) = ''on'')', t);
    END LOOP;
    EXECUTE format(
        'CREATE FUNCTION forget_beside(before timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE old uuid[];
         BEGIN
             PERFORM set_config(''app.forgetting'', ''on'', true), set_config(''app.erasing'', ''on'', true);
             old := ARRAY(SELECT id FROM messages WHERE state IN (''sent'', ''failed'', ''suppressed'') AND created_at < before
                          LIMIT most FOR UPDATE SKIP LOCKED);
             DELETE FROM message_attempts WHERE message_id = ANY (old);
             DELETE FROM message_deliveries l USING messages m WHERE m.id = ANY (old) AND l.tenant_id = m.tenant_id AND l.message_id = m.id;
             DELETE FROM messages WHERE id = ANY (old) AND created_at < before AND state IN (''sent'', ''failed'', ''suppressed'');
             PERFORM set_config(''app.forgetting'', ''off'', true), set_config(''app.erasing'', ''off'', true);
             RETURN cardinality(old);
         END $body$', current_schema());
    EXECUTE 'REVOKE ALL ON FUNCTION forget_beside(timestamptz, integer) FROM PUBLIC';
    EXECUTE format('GRANT EXECUTE ON FUNCTION forget_beside(timestamptz, integer) TO %I', current_schema() || '_system');
END $$;
