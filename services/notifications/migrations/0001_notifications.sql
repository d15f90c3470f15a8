-- Follows, preferences, notices, deliveries and their attempts.

-- What a resident is interested in. A home city is a follow that the account made; a resident's own outlives a move.
CREATE TABLE follows (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('city', 'body', 'topic')),
    target_id  text NOT NULL CHECK (length(target_id) BETWEEN 1 AND 64),
    origin     text NOT NULL CHECK (origin IN ('home_city', 'resident')),
    created_at timestamptz NOT NULL,
    CONSTRAINT follows_once UNIQUE (tenant_id, user_id, kind, target_id),
    CHECK (origin = 'resident' OR kind = 'city')
);
-- Fan-out reads the followers of one thing in the order of their ids.
CREATE INDEX follows_by_target ON follows (tenant_id, kind, target_id, user_id);
CALL tenant_table('follows', 'SELECT, INSERT, UPDATE (origin), DELETE');

-- The home city as accounts told last: what came before its version is old news.
CREATE TABLE homes (
    user_id    uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    city_id    text,
    version    bigint NOT NULL,
    updated_at timestamptz NOT NULL
);
CALL tenant_table('homes', 'SELECT, INSERT, UPDATE');

-- Who has no row has not chosen: enabled, not paused, in the application.
CREATE TABLE preferences (
    user_id     uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL,
    enabled     boolean NOT NULL DEFAULT true,
    pause_until timestamptz,
    channels    text[] NOT NULL DEFAULT '{in_app}' CHECK (channels <@ ARRAY['in_app']),
    updated_at  timestamptz NOT NULL
);
CALL tenant_table('preferences', 'SELECT, INSERT, UPDATE');

-- What is told, once a meeting and type, however many are told it.
CREATE TABLE notices (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    type            text NOT NULL,
    meeting_id      uuid NOT NULL,
    city_id         uuid NOT NULL,
    city_name       text NOT NULL,
    title           text NOT NULL,
    body            text NOT NULL,
    summary_version bigint NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT notices_once UNIQUE (tenant_id, meeting_id, type),
    UNIQUE (tenant_id, id)
);
CALL tenant_table('notices', 'SELECT, INSERT');
CALL append_only('notices');

-- One notice to one person. What is sent stands in the person's inbox, in the order of `sequence`.
CREATE TABLE deliveries (
    id           uuid NOT NULL,
    tenant_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    notice_id    uuid NOT NULL,
    -- sha256 of user|meeting|type over 26-character texts (contracts §6).
    dedupe_key   text NOT NULL CHECK (dedupe_key ~ '^[0-9a-f]{64}$'),
    reason       text NOT NULL,
    state        text NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'suppressed')),
    state_reason text,
    -- When a sender may take it: at once, or when the lease of the last one ends.
    due_at       timestamptz NOT NULL,
    -- How often it was taken; it is also the receipt, so that who lost the lease cannot end it.
    attempt      integer NOT NULL DEFAULT 0,
    traceparent  text NOT NULL,
    sequence     bigint,
    sent_at      timestamptz,
    read_at      timestamptz,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT deliveries_dedupe UNIQUE (dedupe_key),
    FOREIGN KEY (tenant_id, notice_id) REFERENCES notices (tenant_id, id),
    CHECK ((state = 'sent') = (sequence IS NOT NULL)),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK (read_at IS NULL OR state = 'sent'),
    CHECK (state NOT IN ('failed', 'suppressed') OR state_reason IS NOT NULL)
);
CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE state IN ('pending', 'sending');
CREATE UNIQUE INDEX deliveries_inbox ON deliveries (tenant_id, user_id, sequence) WHERE state = 'sent';
CALL tenant_table('deliveries', 'SELECT, INSERT, UPDATE (state, state_reason, due_at, sequence, sent_at, read_at)');
-- The sender claims for all tenants at once; what it claimed it ends in each tenant, as the app role.
CALL system_table('deliveries', 'SELECT, UPDATE (state, due_at, attempt)');

CREATE SEQUENCE inbox_sequence;
DO $$ BEGIN
    EXECUTE format('GRANT USAGE ON SEQUENCE inbox_sequence TO %I', current_schema() || '_app');
END $$;

CREATE FUNCTION delivery_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.state
    WHEN 'pending' THEN ARRAY['sending', 'suppressed']
    WHEN 'sending' THEN ARRAY['sent', 'failed', 'suppressed']
    ELSE ARRAY[]::text[] END;
BEGIN
    IF NEW.state <> OLD.state AND NOT NEW.state = ANY (allowed) THEN
        RAISE EXCEPTION 'a delivery cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'CS002';
    END IF;
    IF OLD.state = 'sent' AND (NEW.sequence <> OLD.sequence OR NEW.sent_at <> OLD.sent_at) THEN
        RAISE EXCEPTION 'what was sent keeps its place' USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER delivery_goes_forward BEFORE UPDATE ON deliveries FOR EACH ROW EXECUTE FUNCTION delivery_goes_forward();

CREATE FUNCTION delivery_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a delivery begins pending or suppressed, not %', NEW.state USING ERRCODE = 'CS002';
END $$;
CREATE TRIGGER delivery_begins BEFORE INSERT ON deliveries FOR EACH ROW
    WHEN (NEW.state NOT IN ('pending', 'suppressed')) EXECUTE FUNCTION delivery_begins();

-- Wakes the sender, and whoever watches an inbox.
CREATE TRIGGER wake AFTER INSERT ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION wake();
CREATE FUNCTION wake_inboxes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('councilsense_wake', TG_TABLE_SCHEMA || '.inboxes');
    RETURN NULL;
END $$;
CREATE TRIGGER wake_inboxes AFTER UPDATE OF sequence ON deliveries FOR EACH STATEMENT EXECUTE FUNCTION wake_inboxes();

-- Each time a channel was tried.
CREATE TABLE delivery_attempts (
    id          uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL,
    delivery_id uuid NOT NULL,
    attempt     integer NOT NULL CHECK (attempt > 0),
    channel     text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('sent', 'failed')),
    error       text,
    created_at  timestamptz NOT NULL,
    CONSTRAINT delivery_attempts_once UNIQUE (delivery_id, attempt, channel),
    FOREIGN KEY (tenant_id, delivery_id) REFERENCES deliveries (tenant_id, id),
    CHECK ((outcome = 'failed') = (error IS NOT NULL))
);
CALL tenant_table('delivery_attempts', 'SELECT, INSERT');
CALL append_only('delivery_attempts');
