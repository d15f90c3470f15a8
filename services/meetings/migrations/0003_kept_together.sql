-- What belongs to a meeting is of the meeting's tenant: a foreign key is checked without row-level security.
ALTER TABLE meetings ADD CONSTRAINT meetings_of_tenant UNIQUE (tenant_id, id);
ALTER TABLE artifacts ADD CONSTRAINT artifacts_of_meeting FOREIGN KEY (tenant_id, meeting_id) REFERENCES meetings (tenant_id, id);
ALTER TABLE runs ADD CONSTRAINT runs_of_meeting FOREIGN KEY (tenant_id, meeting_id) REFERENCES meetings (tenant_id, id);
ALTER TABLE publications ADD CONSTRAINT publications_of_meeting
    FOREIGN KEY (tenant_id, meeting_id) REFERENCES meetings (tenant_id, id);

ALTER TABLE meetings ADD CONSTRAINT meetings_run_state CHECK (run_state IN (
    'requested', 'ingested', 'extracted', 'summarized', 'published', 'limited_confidence', 'rejected', 'failed'));

-- An artifact has been read or not; what was read is never unread again, and only what was withdrawn comes back.
CREATE FUNCTION artifact_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.status
    WHEN 'fetched' THEN ARRAY['extracted', 'needs_ocr', 'unreadable', 'withdrawn']
    WHEN 'unreadable' THEN ARRAY['fetched', 'extracted', 'withdrawn']
    WHEN 'withdrawn' THEN ARRAY['fetched', 'extracted', 'unreadable']
    ELSE ARRAY['withdrawn'] END;
BEGIN
    IF NEW.status <> OLD.status AND NOT NEW.status = ANY (allowed) THEN
        RAISE EXCEPTION 'an artifact cannot go from % to %', OLD.status, NEW.status USING ERRCODE = 'CS005';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER artifact_goes_forward BEFORE UPDATE ON artifacts FOR EACH ROW EXECUTE FUNCTION artifact_goes_forward();

-- The same key begins one run.
ALTER TABLE runs ADD COLUMN idempotency_key text;
CREATE UNIQUE INDEX runs_idempotency ON runs (tenant_id, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the source did not say of a meeting, and what it was derived from.
ALTER TABLE meetings ADD COLUMN derivation text[] NOT NULL DEFAULT '{}';

-- What a source last listed of a meeting; the generation counts its changes, also those back to an earlier state.
CREATE TABLE listings (
    source_id   uuid NOT NULL REFERENCES sources,
    meeting_uid text NOT NULL,
    tenant_id   uuid NOT NULL,
    revision    text NOT NULL,
    generation  bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (source_id, meeting_uid)
);
CALL tenant_table('listings', 'SELECT, INSERT, UPDATE');
