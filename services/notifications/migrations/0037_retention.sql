-- Deliveries are forgotten after a time of the operator's choosing, with their attempts. Their dedupe keys go with them, so
-- that a meeting of which something was forgotten is closed: nobody is told of it again, whatever is sent or replayed.

CREATE TABLE closed_notices (
    tenant_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    closed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, notice_id),
    FOREIGN KEY (tenant_id, notice_id) REFERENCES notices (tenant_id, id)
);
CALL tenant_table('closed_notices', 'SELECT');
CALL append_only('closed_notices');

-- Who tells of a notice while it is being closed: a key that comes free does so with the commit that closes the notice, and
-- this sees it.
CREATE FUNCTION refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted i JOIN closed_notices c ON c.tenant_id = i.tenant_id AND c.notice_id = i.notice_id) THEN
        RAISE EXCEPTION 'what was told of the meeting is forgotten already: nobody is told again' USING ERRCODE = 'CS005';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER refuse_closed AFTER INSERT ON deliveries REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_closed();

-- Rows lie in the order of their making, so that this costs next to nothing.
CREATE INDEX deliveries_by_age ON deliveries USING brin (created_at);

-- Closes notices that were made before, and forgets their deliveries that have ended, those aside that a message still tells
-- of; gives how many rows. Row-level security is forced on the owner too: only inside this function it sees every tenant.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['notices', 'closed_notices', 'deliveries', 'delivery_attempts'] LOOP
        EXECUTE format('CREATE POLICY forgetting ON %I TO CURRENT_USER
                        USING (current_setting(''app.forgetting'', true) = ''on'')', t);
    END LOOP;
    EXECUTE format(
        'CREATE FUNCTION forget_deliveries(before timestamptz, at timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE old uuid[]; closed bigint;
         BEGIN
             PERFORM set_config(''app.forgetting'', ''on'', true), set_config(''app.erasing'', ''on'', true);
             INSERT INTO closed_notices SELECT n.tenant_id, n.id, at FROM notices n
             WHERE n.created_at < before
             AND NOT EXISTS (SELECT FROM closed_notices c WHERE c.tenant_id = n.tenant_id AND c.notice_id = n.id)
             LIMIT most ON CONFLICT DO NOTHING;
             GET DIAGNOSTICS closed = ROW_COUNT;
             old := ARRAY(SELECT d.id FROM deliveries d JOIN closed_notices c ON c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id
                          WHERE d.created_at < before AND d.state IN (''sent'', ''failed'', ''suppressed'')
                          AND NOT EXISTS (SELECT FROM message_deliveries l WHERE l.tenant_id = d.tenant_id AND l.delivery_id = d.id)
                          LIMIT most FOR UPDATE OF d SKIP LOCKED);
             DELETE FROM delivery_attempts WHERE delivery_id = ANY (old);
             DELETE FROM deliveries d USING closed_notices c
             WHERE d.id = ANY (old) AND c.tenant_id = d.tenant_id AND c.notice_id = d.notice_id AND d.state IN (''sent'', ''failed'', ''suppressed'');
             PERFORM set_config(''app.forgetting'', ''off'', true), set_config(''app.erasing'', ''off'', true);
             RETURN closed + cardinality(old);
         END $body$', current_schema());
    EXECUTE 'REVOKE ALL ON FUNCTION forget_deliveries(timestamptz, timestamptz, integer) FROM PUBLIC';
    EXECUTE format('GRANT EXECUTE ON FUNCTION forget_deliveries(timestamptz, timestamptz, integer) TO %I', current_schema() || '_system');
END $$;
