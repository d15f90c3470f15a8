-- Cities, bodies, sources, meetings, artifacts, text versions, sections and runs.

CREATE TABLE cities (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    slug       text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name       text NOT NULL CHECK (name <> ''),
    time_zone  text NOT NULL,
    language   text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT cities_slug UNIQUE (tenant_id, slug)
);
CALL tenant_table('cities', 'SELECT, INSERT, UPDATE');

CREATE TABLE bodies (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    city_id    uuid NOT NULL REFERENCES cities,
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    CONSTRAINT bodies_name UNIQUE (tenant_id, city_id, name)
);
CALL tenant_table('bodies', 'SELECT, INSERT');

CREATE TABLE sources (
    id               uuid PRIMARY KEY,
    tenant_id        uuid NOT NULL,
    city_id          uuid NOT NULL REFERENCES cities,
    kind             text NOT NULL CHECK (kind IN ('folder')),
    location         text NOT NULL,
    scan_seconds     integer CHECK (scan_seconds > 0),
    next_scan_at     timestamptz,
    last_scan_at     timestamptz,
    last_scan_status text CHECK (last_scan_status IN ('ok', 'failed')),
    last_scan_reason text,
    created_at       timestamptz NOT NULL,
    CONSTRAINT sources_location UNIQUE (tenant_id, city_id, kind, location)
);
CALL tenant_table('sources', 'SELECT, INSERT, UPDATE');
CALL system_table('sources', 'SELECT, UPDATE');

CREATE TABLE meetings (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    city_id         uuid NOT NULL REFERENCES cities,
    body_id         uuid NOT NULL REFERENCES bodies,
    meeting_uid     text NOT NULL CHECK (meeting_uid <> ''),
    title           text NOT NULL,
    date            date NOT NULL,
    starts_at       timestamptz,
    location        text,
    status          text NOT NULL CHECK (status IN ('scheduled', 'held', 'cancelled', 'postponed')),
    visibility      text NOT NULL CHECK (visibility IN ('public', 'member', 'reviewer')),
    revision        text NOT NULL,
    run_id          uuid,
    run_state       text NOT NULL,
    run_reason      text,
    summary_version bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT meetings_uid UNIQUE (tenant_id, city_id, meeting_uid)
);
CREATE INDEX meetings_by_date ON meetings (tenant_id, date DESC, id DESC);
CREATE INDEX meetings_by_city ON meetings (tenant_id, city_id, date DESC, id DESC);
CALL tenant_table('meetings', 'SELECT, INSERT, UPDATE');

CREATE TABLE artifacts (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL,
    meeting_id  uuid NOT NULL REFERENCES meetings,
    kind        text NOT NULL CHECK (kind IN ('agenda', 'minutes', 'packet', 'transcript', 'attachment')),
    title       text NOT NULL,
    file_name   text NOT NULL,
    source_url  text,
    media_type  text,
    size_bytes  bigint NOT NULL CHECK (size_bytes >= 0),
    sha256      text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    status      text NOT NULL CHECK (status IN ('fetched', 'extracted', 'needs_ocr', 'unreadable', 'withdrawn')),
    reason      text,
    pages       integer,
    characters  integer,
    text_sha256 text,
    visibility  text NOT NULL CHECK (visibility IN ('public', 'member', 'reviewer')),
    created_at  timestamptz NOT NULL,
    CONSTRAINT artifacts_content UNIQUE (meeting_id, sha256),
    CHECK ((status = 'extracted') <= (text_sha256 IS NOT NULL))
);
CALL tenant_table('artifacts', 'SELECT, INSERT, UPDATE');

-- Offsets always point into a text version: it never changes.
CREATE TABLE text_versions (
    tenant_id         uuid NOT NULL,
    sha256            text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    extractor_version text NOT NULL,
    text              text NOT NULL,
    marks             jsonb NOT NULL,
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, sha256)
);
CALL tenant_table('text_versions', 'SELECT, INSERT');
CALL append_only('text_versions');

CREATE TABLE sections (
    tenant_id   uuid NOT NULL,
    text_sha256 text NOT NULL,
    ordinal     integer NOT NULL,
    heading     text,
    start_at    integer NOT NULL,
    end_at      integer NOT NULL CHECK (end_at >= start_at),
    page        integer,
    time_ms     bigint,
    PRIMARY KEY (tenant_id, text_sha256, ordinal),
    FOREIGN KEY (tenant_id, text_sha256) REFERENCES text_versions (tenant_id, sha256)
);
CALL tenant_table('sections', 'SELECT, INSERT');
CALL append_only('sections');

CREATE TABLE runs (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    meeting_id      uuid NOT NULL REFERENCES meetings,
    state           text NOT NULL CHECK (state IN ('requested', 'ingested', 'extracted', 'summarized', 'published',
                                                   'limited_confidence', 'rejected', 'failed')),
    reason          text,
    started_by      text NOT NULL,
    claims_proposed integer NOT NULL DEFAULT 0,
    claims_verified integer NOT NULL DEFAULT 0,
    ecr             double precision,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX runs_by_meeting ON runs (tenant_id, meeting_id, id DESC);
CALL tenant_table('runs', 'SELECT, INSERT, UPDATE');

-- A run goes forward only, and what has ended stays so. The verdict may overtake the word that a summary was made.
CREATE FUNCTION run_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.state
    WHEN 'requested' THEN ARRAY['ingested', 'failed']
    WHEN 'ingested' THEN ARRAY['extracted', 'failed']
    WHEN 'extracted' THEN ARRAY['summarized', 'published', 'limited_confidence', 'rejected', 'failed']
    WHEN 'summarized' THEN ARRAY['published', 'limited_confidence', 'rejected', 'failed']
    -- A dead letter that is replayed may still bring a failed run to its end.
    WHEN 'failed' THEN ARRAY['extracted', 'summarized', 'published', 'limited_confidence', 'rejected']
    ELSE ARRAY[]::text[] END;
BEGIN
    IF NEW.state <> OLD.state AND NOT NEW.state = ANY (allowed) THEN
        RAISE EXCEPTION 'a run cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER run_goes_forward BEFORE UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION run_goes_forward();

-- What was published, in order: the cursor of WatchPublished.
CREATE TABLE publications (
    sequence        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    meeting_id      uuid NOT NULL REFERENCES meetings,
    summary_version bigint NOT NULL,
    published_at    timestamptz NOT NULL,
    CONSTRAINT publications_once UNIQUE (meeting_id, summary_version)
);
CALL tenant_table('publications', 'SELECT, INSERT');
CALL append_only('publications');
CREATE TRIGGER wake AFTER INSERT ON publications FOR EACH STATEMENT EXECUTE FUNCTION wake();
