-- Saved searches; when and how people want to be told; messages by e-mail, web push and webhook; withdrawal; erasure.

-- A search that a resident kept. The same search of many people has one `match_key`, so that it is tried once a meeting.
CREATE TABLE saved_searches (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    query      text NOT NULL CHECK (length(query) BETWEEN 1 AND 1000),
    filter     jsonb NOT NULL,
    match_key  text NOT NULL CHECK (match_key ~ '^[0-9a-f]{64}$'),
    created_at timestamptz NOT NULL,
    CONSTRAINT saved_searches_once UNIQUE (tenant_id, user_id, match_key)
);
CREATE INDEX saved_searches_by_key ON saved_searches (tenant_id, match_key);
CALL tenant_table('saved_searches', 'SELECT, INSERT, UPDATE (name), DELETE');

-- Which of them a notice matches; its followers are told after those of city, body and topics.
CREATE TABLE search_matches (
    tenant_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    match_key text NOT NULL,
    PRIMARY KEY (tenant_id, notice_id, match_key),
    FOREIGN KEY (tenant_id, notice_id) REFERENCES notices (tenant_id, id)
);
CALL tenant_table('search_matches', 'SELECT, INSERT');

-- A follow of a saved search has its match_key as target.
ALTER TABLE follows DROP CONSTRAINT follows_kind_check;
ALTER TABLE follows ADD CONSTRAINT follows_kind_check CHECK (kind IN ('city', 'body', 'topic', 'saved_search'));

ALTER TABLE preferences DROP CONSTRAINT preferences_channels_check;
ALTER TABLE preferences
    ADD CONSTRAINT preferences_channels_check CHECK (channels <@ ARRAY['in_app', 'email', 'push', 'webhook']),
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC' CHECK (length(time_zone) BETWEEN 1 AND 64),
    -- Minutes after local midnight; from greater than until: over midnight.
    ADD COLUMN quiet_from smallint CHECK (quiet_from BETWEEN 0 AND 1439),
    ADD COLUMN quiet_until smallint CHECK (quiet_until BETWEEN 0 AND 1439),
    ADD COLUMN digest text NOT NULL DEFAULT 'off' CHECK (digest IN ('off', 'daily', 'weekly')),
    ADD COLUMN digest_hour smallint NOT NULL DEFAULT 8 CHECK (digest_hour BETWEEN 0 AND 23),
    ADD COLUMN changed_summaries boolean NOT NULL DEFAULT false,
    ADD CHECK ((quiet_from IS NULL) = (quiet_until IS NULL)),
    ADD CHECK (quiet_from <> quiet_until);
CREATE INDEX preferences_changed ON preferences (tenant_id) WHERE changed_summaries;

-- Whether it stands in the inbox, and the time of the digest it waits for.
ALTER TABLE deliveries ADD COLUMN in_app boolean NOT NULL DEFAULT true, ADD COLUMN digest_at timestamptz;
DO $$ BEGIN
    EXECUTE format('GRANT UPDATE (in_app, digest_at) ON deliveries TO %I', current_schema() || '_app');
END $$;
CREATE INDEX deliveries_held ON deliveries (tenant_id, user_id) WHERE state = 'pending';
-- A withdrawal finds what it stops.
CREATE INDEX notices_by_meeting ON notices (tenant_id, meeting_id);
CREATE INDEX deliveries_by_notice ON deliveries (tenant_id, notice_id) WHERE state = 'pending';

-- Meetings that were taken back. What is on its way is not sent; what was sent is not shown any more.
CREATE TABLE withdrawals (
    tenant_id    uuid NOT NULL,
    meeting_id   uuid NOT NULL,
    version      bigint NOT NULL,
    withdrawn_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, meeting_id)
);
CALL tenant_table('withdrawals', 'SELECT, INSERT, UPDATE, DELETE');

-- A browser that takes pushes (RFC 8030). The endpoint is a secret: whoever knows it can push.
CREATE TABLE push_subscriptions (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    endpoint   text NOT NULL CHECK (length(endpoint) BETWEEN 1 AND 2000),
    p256dh     bytea NOT NULL CHECK (octet_length(p256dh) = 65),
    auth       bytea NOT NULL CHECK (octet_length(auth) = 16),
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT push_subscriptions_once UNIQUE (tenant_id, endpoint)
);
CREATE INDEX push_subscriptions_of ON push_subscriptions (tenant_id, user_id);
CALL tenant_table('push_subscriptions', 'SELECT, INSERT, UPDATE, DELETE');

-- An address of a resident's own that is told. Its secret is derived from its id, and not kept.
CREATE TABLE webhooks (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    url        text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL,
    CONSTRAINT webhooks_once UNIQUE (tenant_id, user_id, url)
);
CALL tenant_table('webhooks', 'SELECT, INSERT, DELETE');

-- What is handed to a channel outside: one delivery, or a digest of many, to one address.
CREATE TABLE messages (
    id           uuid NOT NULL,
    tenant_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    channel      text NOT NULL CHECK (channel IN ('email', 'push', 'webhook')),
    -- The subscription or webhook; NULL for e-mail, whose address accounts knows.
    target_id    uuid,
    -- sha256 of user|meeting|type of a delivery, or of user|digest|time: what a receiver knows a repeat by.
    dedupe_key   text NOT NULL CHECK (dedupe_key ~ '^[0-9a-f]{64}$'),
    -- channel, and target where there is one: one message a key and lane.
    lane         text NOT NULL CHECK (length(lane) BETWEEN 4 AND 64),
    digest_at    timestamptz,
    state        text NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'failed', 'suppressed')),
    state_reason text,
    due_at       timestamptz NOT NULL,
    attempt      integer NOT NULL DEFAULT 0,
    traceparent  text NOT NULL,
    sent_at      timestamptz,
    created_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT messages_once UNIQUE (dedupe_key, lane),
    CHECK ((channel = 'email') = (target_id IS NULL)),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL)),
    CHECK (state NOT IN ('failed', 'suppressed') OR state_reason IS NOT NULL)
);
CREATE INDEX messages_due ON messages (due_at, id) WHERE state IN ('pending', 'sending');
CREATE INDEX messages_of ON messages (tenant_id, user_id);
CALL tenant_table('messages', 'SELECT, INSERT, UPDATE (state, state_reason, due_at, sent_at)');
CALL system_table('messages', 'SELECT, UPDATE (state, due_at, attempt)');

-- What a message tells of. A delivery goes into a lane once.
CREATE TABLE message_deliveries (
    tenant_id   uuid NOT NULL,
    message_id  uuid NOT NULL,
    delivery_id uuid NOT NULL,
    lane        text NOT NULL,
    PRIMARY KEY (tenant_id, message_id, delivery_id),
    CONSTRAINT message_deliveries_once UNIQUE (tenant_id, delivery_id, lane),
    FOREIGN KEY (tenant_id, message_id) REFERENCES messages (tenant_id, id),
    FOREIGN KEY (tenant_id, delivery_id) REFERENCES deliveries (tenant_id, id)
);
CALL tenant_table('message_deliveries', 'SELECT, INSERT');

-- A digest is open until it is sent: what comes later waits for another.
CREATE FUNCTION digest_is_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM messages WHERE tenant_id = NEW.tenant_id AND id = NEW.message_id AND state = 'pending' FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the message is on its way already' USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER digest_is_open BEFORE INSERT ON message_deliveries FOR EACH ROW EXECUTE FUNCTION digest_is_open();

CREATE TABLE message_attempts (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    message_id uuid NOT NULL,
    attempt    integer NOT NULL CHECK (attempt > 0),
    outcome    text NOT NULL CHECK (outcome IN ('sent', 'failed')),
    error      text,
    created_at timestamptz NOT NULL,
    CONSTRAINT message_attempts_once UNIQUE (message_id, attempt),
    FOREIGN KEY (tenant_id, message_id) REFERENCES messages (tenant_id, id),
    CHECK ((outcome = 'failed') = (error IS NOT NULL))
);
CALL tenant_table('message_attempts', 'SELECT, INSERT');

CREATE FUNCTION message_goes_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE allowed text[] := CASE OLD.state
    WHEN 'pending' THEN ARRAY['sending', 'suppressed']
    WHEN 'sending' THEN ARRAY['sent', 'failed', 'suppressed']
    ELSE ARRAY[]::text[] END;
BEGIN
    IF NEW.state <> OLD.state AND NOT NEW.state = ANY (allowed) THEN
        RAISE EXCEPTION 'a message cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'CS002';
    END IF;
    IF OLD.state = 'sent' AND NEW.sent_at <> OLD.sent_at THEN
        RAISE EXCEPTION 'what was sent keeps its time' USING ERRCODE = 'CS002';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER message_goes_forward BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION message_goes_forward();
CREATE FUNCTION message_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a message begins pending, not %', NEW.state USING ERRCODE = 'CS002';
END $$;
CREATE TRIGGER message_begins BEFORE INSERT ON messages FOR EACH ROW
    WHEN (NEW.state <> 'pending') EXECUTE FUNCTION message_begins();
CREATE TRIGGER wake AFTER INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION wake();

-- Who was erased: what tells of them late makes no row again.
CREATE TABLE erased_people (
    tenant_id uuid NOT NULL,
    user_id   uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CALL tenant_table('erased_people', 'SELECT, INSERT');

-- Attempts are append-only except by the erasure of the person they were made for: only inside `erase_person`, which
-- runs as the owner of the tables, is the setting that lets a row go believed.
CREATE FUNCTION refuse_change_unless_erasing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('app.erasing', true) = 'on'
       AND current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'CS001';
END $$;
DROP TRIGGER append_only ON delivery_attempts;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON delivery_attempts
    FOR EACH ROW EXECUTE FUNCTION refuse_change_unless_erasing();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON message_attempts
    FOR EACH ROW EXECUTE FUNCTION refuse_change_unless_erasing();

-- Row-level security is forced on the owner too: the erasure sees the tenant of its transaction, and no other.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['follows', 'homes', 'preferences', 'saved_searches', 'push_subscriptions', 'webhooks',
                             'deliveries', 'delivery_attempts', 'messages', 'message_deliveries', 'message_attempts'] LOOP
        EXECUTE format('CREATE POLICY erasure ON %I TO CURRENT_USER
                        USING (current_setting(''app.erasing'', true) = ''on'' AND tenant_id = (SELECT app_tenant()))', t);
    END LOOP;
    EXECUTE format(
        'CREATE FUNCTION erase_person(person uuid) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
         SET search_path = %I, pg_temp AS $body$
         DECLARE gone bigint; total bigint := 0; t text;
         BEGIN
             PERFORM set_config(''app.erasing'', ''on'', true);
             DELETE FROM message_attempts a USING messages m WHERE m.id = a.message_id AND m.tenant_id = a.tenant_id AND m.user_id = person AND m.tenant_id = app_tenant();
             DELETE FROM message_deliveries l USING messages m WHERE m.id = l.message_id AND m.tenant_id = l.tenant_id AND m.user_id = person AND m.tenant_id = app_tenant();
             DELETE FROM delivery_attempts a USING deliveries d WHERE d.id = a.delivery_id AND d.tenant_id = a.tenant_id AND d.user_id = person AND d.tenant_id = app_tenant();
             FOREACH t IN ARRAY ARRAY[''messages'', ''deliveries'', ''follows'', ''homes'', ''preferences'', ''saved_searches'',
                                      ''push_subscriptions'', ''webhooks''] LOOP
                 EXECUTE format(''DELETE FROM %%I WHERE user_id = $1 AND tenant_id = app_tenant()'', t) USING person;
                 GET DIAGNOSTICS gone = ROW_COUNT;
                 total := total + gone;
             END LOOP;
             PERFORM set_config(''app.erasing'', ''off'', true);
             RETURN total;
         END $body$', current_schema());
    EXECUTE 'REVOKE ALL ON FUNCTION erase_person(uuid) FROM PUBLIC';
    EXECUTE format('GRANT EXECUTE ON FUNCTION erase_person(uuid) TO %I', current_schema() || '_app');
END $$;
