-- A fan-out makes rows by the thousand of one notice: what can be checked once a statement is not checked once a row.

-- Whether the notice is there: none is ever deleted or changed (`append_only`), so that looking once is as good as a foreign
-- key, which looks, and locks, for each row.
CREATE OR REPLACE FUNCTION refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE told record;
BEGIN
    FOR told IN SELECT DISTINCT tenant_id, notice_id FROM inserted LOOP
        IF NOT EXISTS (SELECT FROM notices n WHERE n.tenant_id = told.tenant_id AND n.id = told.notice_id) THEN
            RAISE EXCEPTION 'a delivery is of a notice of its tenant' USING ERRCODE = '23503', CONSTRAINT = 'deliveries_notice';
        END IF;
        IF EXISTS (SELECT FROM closed_notices c WHERE c.tenant_id = told.tenant_id AND c.notice_id = told.notice_id) THEN
            RAISE EXCEPTION 'what was told of the meeting is forgotten already: nobody is told again' USING ERRCODE = 'CS005';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_tenant_id_notice_id_fkey;

-- What waits for a person is found among all that is theirs (`deliveries_of`).
DROP INDEX deliveries_held;
