-- Summary versions, claims, evidence, the sections they cite, and which version is current.

-- What the summarizer proposed and the gate said, between the step that summarizes and the step that publishes.
CREATE TABLE drafts (
    run_id     uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    meeting_id uuid NOT NULL,
    draft      jsonb NOT NULL,
    created_at timestamptz NOT NULL
);
CALL tenant_table('drafts', 'SELECT, INSERT, DELETE');

CREATE TABLE summaries (
    id                 uuid PRIMARY KEY,
    tenant_id          uuid NOT NULL,
    meeting_id         uuid NOT NULL,
    run_id             uuid NOT NULL UNIQUE,
    version            bigint NOT NULL CHECK (version > 0),
    verdict            text NOT NULL CHECK (verdict IN ('pass', 'limited_confidence', 'reject')),
    verdict_reasons    text[] NOT NULL,
    short_summary      text NOT NULL,
    ecr                double precision NOT NULL CHECK (ecr BETWEEN 0 AND 1),
    claims_proposed    integer NOT NULL CHECK (claims_proposed >= 0),
    claims_verified    integer NOT NULL CHECK (claims_verified BETWEEN 0 AND claims_proposed),
    summarizer_version text NOT NULL,
    visibility         text NOT NULL CHECK (visibility IN ('public', 'member', 'reviewer')),
    created_at         timestamptz NOT NULL,
    CONSTRAINT summaries_version UNIQUE (meeting_id, version)
);
CALL tenant_table('summaries', 'SELECT, INSERT');
CALL append_only('summaries');

-- The one thing about a summary that changes: which version readers get.
CREATE TABLE publications (
    summary_id   uuid PRIMARY KEY REFERENCES summaries,
    tenant_id    uuid NOT NULL,
    meeting_id   uuid NOT NULL,
    is_current   boolean NOT NULL,
    published_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX publications_current ON publications (meeting_id) WHERE is_current;
CALL tenant_table('publications', 'SELECT, INSERT, UPDATE');

CREATE TABLE claims (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    summary_id uuid NOT NULL REFERENCES summaries,
    ordinal    integer NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('decision', 'action', 'topic', 'fact')),
    text       text NOT NULL CHECK (text <> ''),
    decision   jsonb,
    topics     text[] NOT NULL,
    confidence real NOT NULL,
    -- Its place in the short summary, where it has one.
    highlight  integer,
    CONSTRAINT claims_ordinal UNIQUE (summary_id, ordinal),
    CHECK ((kind = 'decision') = (decision IS NOT NULL))
);
CALL tenant_table('claims', 'SELECT, INSERT');
CALL append_only('claims');

-- The sections that evidence points into, as meetings keeps them: a copy, so that the database can compare.
CREATE TABLE cited_sections (
    tenant_id   uuid NOT NULL,
    text_sha256 text NOT NULL,
    ordinal     integer NOT NULL,
    heading     text,
    start_at    integer NOT NULL,
    end_at      integer NOT NULL,
    text        text NOT NULL,
    PRIMARY KEY (tenant_id, text_sha256, ordinal),
    CHECK (char_length(text) = end_at - start_at)
);
CALL tenant_table('cited_sections', 'SELECT, INSERT');
CALL append_only('cited_sections');

CREATE TABLE evidence (
    claim_id    uuid NOT NULL REFERENCES claims,
    ordinal     integer NOT NULL,
    tenant_id   uuid NOT NULL,
    artifact_id uuid NOT NULL,
    text_sha256 text NOT NULL,
    section     integer NOT NULL,
    start_at    integer NOT NULL,
    end_at      integer NOT NULL CHECK (end_at > start_at),
    excerpt     text NOT NULL,
    page        integer,
    time_ms     bigint,
    PRIMARY KEY (claim_id, ordinal),
    FOREIGN KEY (tenant_id, text_sha256, section) REFERENCES cited_sections (tenant_id, text_sha256, ordinal)
);
CALL tenant_table('evidence', 'SELECT, INSERT');
CALL append_only('evidence');

-- An excerpt is the text at its offsets, code point for code point, or it is not stored.
CREATE FUNCTION excerpt_is_exact() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE cited cited_sections;
BEGIN
    SELECT * INTO cited FROM cited_sections c
    WHERE c.tenant_id = NEW.tenant_id AND c.text_sha256 = NEW.text_sha256 AND c.ordinal = NEW.section;
    IF cited IS NULL OR NEW.start_at < cited.start_at OR NEW.end_at > cited.end_at
       OR substr(cited.text, NEW.start_at - cited.start_at + 1, NEW.end_at - NEW.start_at) <> NEW.excerpt THEN
        RAISE EXCEPTION 'the excerpt is not the text of % section % at % to %', NEW.text_sha256, NEW.section, NEW.start_at, NEW.end_at
            USING ERRCODE = 'CS003';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER excerpt_is_exact BEFORE INSERT ON evidence FOR EACH ROW EXECUTE FUNCTION excerpt_is_exact();

-- At commit, every claim has evidence.
CREATE FUNCTION claim_has_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM evidence e WHERE e.claim_id = NEW.id) THEN
        RAISE EXCEPTION 'claim % has no evidence', NEW.id USING ERRCODE = 'CS004';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER claim_has_evidence AFTER INSERT ON claims DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION claim_has_evidence();

-- What failed verification: not published, kept with its reasons, and counted in ECR.
CREATE TABLE rejected_claims (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    summary_id uuid NOT NULL REFERENCES summaries,
    kind       text NOT NULL,
    text       text NOT NULL,
    reasons    text[] NOT NULL
);
CALL tenant_table('rejected_claims', 'SELECT, INSERT');
CALL append_only('rejected_claims');
