-- Who renews a session's tokens just now, so that replicas ask the provider once; and what must not come twice.

ALTER TABLE sessions ADD COLUMN renewed_by uuid;
ALTER TABLE sessions ADD COLUMN renewed_until timestamptz;

CREATE TABLE seen_once (
    hash       bytea       PRIMARY KEY CHECK (length(hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX seen_once_by_expiry ON seen_once (expires_at);

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON seen_once TO %I', current_schema() || '_app');
END $$;
