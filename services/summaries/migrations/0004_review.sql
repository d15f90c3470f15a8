-- Review: what people say of claims, what reviewers decide, and the versions that come of it. Summaries, claims and evidence
-- stay append-only: a decision makes a new version beside the one that it is about.

-- A run makes one version; a reviewer makes more of it.
ALTER TABLE summaries
    ADD COLUMN review        text CHECK (review IN ('approve', 'retract')),
    ADD COLUMN reviewed_from uuid REFERENCES summaries,
    ADD CONSTRAINT summaries_review CHECK ((review IS NULL) = (reviewed_from IS NULL)),
    DROP CONSTRAINT summaries_run_id_key;
CREATE UNIQUE INDEX summaries_of_run ON summaries (run_id) WHERE reviewed_from IS NULL;
-- The queue begins with these.
CREATE INDEX summaries_held_back ON summaries (tenant_id, id) WHERE verdict = 'reject';

-- Who decided what about which version, and why; the audit trail of review.
CREATE TABLE reviews (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    meeting_id      uuid NOT NULL,
    summary_id      uuid NOT NULL REFERENCES summaries,
    claim_id        uuid REFERENCES claims,
    decision        text NOT NULL CHECK (decision IN ('approve', 'retract')),
    -- As callers are written: user:ID, operator:NAME.
    actor           text NOT NULL CHECK (actor <> ''),
    reason          text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 1000),
    -- The version that it made; null where none had to be.
    made_summary_id uuid REFERENCES summaries,
    decided_at      timestamptz NOT NULL,
    CHECK ((decision = 'retract') = (claim_id IS NOT NULL)),
    FOREIGN KEY (tenant_id, meeting_id, summary_id) REFERENCES summaries (tenant_id, meeting_id, id)
);
CREATE INDEX reviews_newest ON reviews (tenant_id, id DESC);
CREATE INDEX reviews_of_summary ON reviews (summary_id);
CALL tenant_table('reviews', 'SELECT, INSERT');
CALL append_only('reviews');

-- Claims that readers are not shown any more, in whichever version they stand. A later run that proposes the same words of
-- the meeting again does not publish them.
CREATE TABLE retracted_claims (
    claim_id   uuid PRIMARY KEY REFERENCES claims,
    tenant_id  uuid NOT NULL,
    meeting_id uuid NOT NULL,
    text       text NOT NULL,
    review_id  uuid NOT NULL REFERENCES reviews
);
CREATE INDEX retracted_claims_of_meeting ON retracted_claims (tenant_id, meeting_id);
CALL tenant_table('retracted_claims', 'SELECT, INSERT');
CALL append_only('retracted_claims');

-- No version is written with words that were taken back from its meeting.
CREATE FUNCTION not_retracted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM retracted_claims r JOIN summaries s ON s.meeting_id = r.meeting_id AND s.tenant_id = r.tenant_id
               WHERE s.id = NEW.summary_id AND r.text = NEW.text) THEN
        RAISE EXCEPTION 'a reviewer took this claim back' USING ERRCODE = 'CS007';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER not_retracted BEFORE INSERT ON claims FOR EACH ROW EXECUTE FUNCTION not_retracted();

-- What a person says of a claim. Open until a reviewer decides; it goes with the person.
CREATE TABLE claim_flags (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    claim_id   uuid NOT NULL REFERENCES claims,
    user_id    uuid NOT NULL,
    reason     text NOT NULL CHECK (reason IN ('not_in_source', 'misleading', 'outdated', 'other')),
    note       text NOT NULL CHECK (char_length(note) <= 1000),
    created_at timestamptz NOT NULL,
    closed_at  timestamptz
);
CREATE UNIQUE INDEX claim_flags_open ON claim_flags (claim_id, user_id) WHERE closed_at IS NULL;
CREATE INDEX claim_flags_waiting ON claim_flags (tenant_id, id) WHERE closed_at IS NULL;
CREATE INDEX claim_flags_of ON claim_flags (tenant_id, user_id);
CALL tenant_table('claim_flags', 'SELECT, INSERT, UPDATE, DELETE');

-- Who was erased: what comes late makes no row again.
CREATE TABLE erased_people (
    tenant_id uuid NOT NULL,
    user_id   uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CALL tenant_table('erased_people', 'SELECT, INSERT');

-- Who flags holds the tenant's lock together with the others, who erases holds it alone: a flag is there before and is
-- erased, or comes afterwards and is refused.
CREATE FUNCTION refuse_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('flags of people in ' || NEW.tenant_id::text, 0));
    PERFORM FROM erased_people WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id;
    IF FOUND THEN
        RAISE EXCEPTION 'this account was deleted' USING ERRCODE = 'CS008';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_erased BEFORE INSERT ON claim_flags FOR EACH ROW EXECUTE FUNCTION refuse_erased();
