-- Row-level security is forced on the owner too: without this, an owner who is no superuser forgot no search's matches. And
-- those of many meetings are no longer forgotten in one statement.
CREATE POLICY forgetting ON search_matches TO CURRENT_USER USING (current_setting('app.forgetting', true) = 'on');

DO $$ BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION forget_deliveries(before timestamptz, at timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE old uuid[]; closed bigint; matches bigint;
         BEGIN
             PERFORM set_config(''app.forgetting'', ''on'', true), set_config(''app.erasing'', ''on'', true);
             INSERT INTO closed_notices SELECT n.tenant_id, n.id, at FROM notices n
             WHERE n.created_at < before
             AND NOT EXISTS (SELECT FROM closed_notices c WHERE c.tenant_id = n.tenant_id AND c.notice_id = n.id)
             LIMIT most ON CONFLICT DO NOTHING;
             GET DIAGNOSTICS closed = ROW_COUNT;
             -- Which searches found a closed meeting nobody asks any more.
             DELETE FROM search_matches WHERE ctid = ANY (ARRAY(
                 SELECT m.ctid FROM search_matches m JOIN closed_notices c ON c.tenant_id = m.tenant_id AND c.notice_id = m.notice_id
                 LIMIT most));
             GET DIAGNOSTICS matches = ROW_COUNT;
             old := ARRAY(SELECT d.id FROM deliveries d JOIN closed_notices c ON c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id
                          WHERE d.created_at < before AND d.state IN (''sent'', ''suppressed'')
                          AND NOT EXISTS (SELECT FROM message_deliveries l WHERE l.tenant_id = d.tenant_id AND l.delivery_id = d.id)
                          LIMIT most FOR UPDATE OF d SKIP LOCKED);
             DELETE FROM delivery_attempts WHERE delivery_id = ANY (old);
             DELETE FROM deliveries d USING closed_notices c
             WHERE d.id = ANY (old) AND c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id AND d.state IN (''sent'', ''suppressed'');
             PERFORM set_config(''app.forgetting'', ''off'', true), set_config(''app.erasing'', ''off'', true);
             RETURN closed + matches + cardinality(old);
         END $body$', current_schema());
END $$;
