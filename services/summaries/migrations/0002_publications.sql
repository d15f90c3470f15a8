-- A publication is of its own meeting's summary, and never of one that the gate rejected.
ALTER TABLE summaries ADD CONSTRAINT summaries_of_meeting UNIQUE (tenant_id, meeting_id, id);
ALTER TABLE publications ADD CONSTRAINT publications_of_meeting
    FOREIGN KEY (tenant_id, meeting_id, summary_id) REFERENCES summaries (tenant_id, meeting_id, id);

CREATE FUNCTION only_what_passed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM summaries s WHERE s.id = NEW.summary_id AND s.verdict = 'reject') THEN
        RAISE EXCEPTION 'summary % was rejected at the gate', NEW.summary_id USING ERRCODE = 'CS006';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER only_what_passed BEFORE INSERT OR UPDATE ON publications FOR EACH ROW EXECUTE FUNCTION only_what_passed();
