-- Sessions of people who signed in, sign-ins under way, and answers to repeated mutations. Nothing of the business.
-- Ids and secrets of browsers are kept as SHA-256, tokens sealed: a copy of these tables opens no session.

CREATE TABLE sessions (
    id_hash      bytea       PRIMARY KEY CHECK (length(id_hash) = 32),
    -- The name of the session for its owner; not what opens it.
    id           uuid        NOT NULL UNIQUE,
    user_id      uuid        NOT NULL,
    issuer       text        NOT NULL,
    subject      text        NOT NULL,
    -- The provider's name of the sign-in, where it gives one.
    sid          text,
    user_agent   text,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    -- Idle until then.
    expires_at   timestamptz NOT NULL,
    -- Never longer.
    ends_at      timestamptz NOT NULL,
    key_id       text        NOT NULL,
    sealed       bytea       NOT NULL,
    CHECK (expires_at <= ends_at)
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_subject ON sessions (issuer, subject);
CREATE INDEX sessions_by_sid ON sessions (issuer, sid) WHERE sid IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE sign_ins (
    state_hash   bytea       PRIMARY KEY CHECK (length(state_hash) = 32),
    -- Of the cookie of the browser that began.
    browser_hash bytea       NOT NULL CHECK (length(browser_hash) = 32),
    expires_at   timestamptz NOT NULL,
    key_id       text        NOT NULL,
    sealed       bytea       NOT NULL
);
CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

CREATE TABLE idempotent_answers (
    user_id      uuid        NOT NULL,
    key          text        NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    -- Of the mutation and its input: the same key with another request is a mistake.
    request_hash bytea       NOT NULL CHECK (length(request_hash) = 32),
    -- NULL while the first request is under way.
    answer       jsonb,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotent_answers_by_expiry ON idempotent_answers (expires_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['sessions', 'sign_ins', 'idempotent_answers'] LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO %I', name, current_schema() || '_app');
    END LOOP;
END $$;
