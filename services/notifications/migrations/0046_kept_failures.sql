-- A delivery that failed is a dead letter: like a message that failed, it is kept until somebody replays or discards it.
DO $$ BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION forget_deliveries(before timestamptz, at timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE old uuid[]; closed bigint;
         BEGIN
             PERFORM set_config(''app.forgetting'', ''on'', true), set_config(''app.erasing'', ''on'', true);
             -- Which searches found its meeting nobody asks any more.
             WITH fresh AS (
                 INSERT INTO closed_notices AS c SELECT n.tenant_id, n.id, at FROM notices n
                 WHERE n.created_at < before
                 AND NOT EXISTS (SELECT FROM closed_notices c WHERE c.tenant_id = n.tenant_id AND c.notice_id = n.id)
                 LIMIT most ON CONFLICT DO NOTHING RETURNING c.tenant_id, c.notice_id
             ), forgotten AS (
                 DELETE FROM search_matches m USING fresh f WHERE m.tenant_id = f.tenant_id AND m.notice_id = f.notice_id
             )
             SELECT count(*) INTO closed FROM fresh;
             old := ARRAY(SELECT d.id FROM deliveries d JOIN closed_notices c ON c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id
                          WHERE d.created_at < before AND d.state IN (''sent'', ''suppressed'')
                          AND NOT EXISTS (SELECT FROM message_deliveries l WHERE l.tenant_id = d.tenant_id AND l.delivery_id = d.id)
                          LIMIT most FOR UPDATE OF d SKIP LOCKED);
             DELETE FROM delivery_attempts WHERE delivery_id = ANY (old);
             DELETE FROM deliveries d USING closed_notices c
             WHERE d.id = ANY (old) AND c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id AND d.state IN (''sent'', ''suppressed'');
             PERFORM set_config(''app.forgetting'', ''off'', true), set_config(''app.erasing'', ''off'', true);
             RETURN closed + cardinality(old);
         END $body$', current_schema());
    -- What was not sent, because it had to wait or could not be read, has used no try.
    EXECUTE format('GRANT UPDATE (tries_from) ON messages TO %I', current_schema() || '_app');
END $$;
