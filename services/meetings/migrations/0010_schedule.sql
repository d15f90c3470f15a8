-- A source is scanned at an interval (scan_seconds) or by a cron line in its city's time zone; and a week's evidence is
-- looked at.

ALTER TABLE sources
    ADD COLUMN schedule  text,
    ADD COLUMN time_zone text NOT NULL DEFAULT 'UTC';

-- What a week's runs proposed and what of it had evidence, a row a city. ECR = verified / proposed.
CREATE TABLE evidence_audits (
    id              uuid PRIMARY KEY,
    tenant_id       uuid NOT NULL,
    city_id         uuid NOT NULL REFERENCES cities,
    since           timestamptz NOT NULL,
    until           timestamptz NOT NULL,
    runs            bigint NOT NULL,
    failed          bigint NOT NULL,
    rejected        bigint NOT NULL,
    claims_proposed bigint NOT NULL,
    claims_verified bigint NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT evidence_audits_once UNIQUE (tenant_id, city_id, since)
);
CALL tenant_table('evidence_audits', 'SELECT, INSERT');
CALL append_only('evidence_audits');
