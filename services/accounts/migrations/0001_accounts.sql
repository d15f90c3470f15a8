-- Tenants, people, their identities and roles.

-- Not of a tenant: who runs a space of its own here, and under which host names. Every service's caller names one.
CREATE TABLE tenants (
    id         uuid PRIMARY KEY,
    slug       text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL,
    CONSTRAINT tenants_slug UNIQUE (slug)
);
-- A table of its own, since a host name leads to one tenant only.
CREATE TABLE tenant_hosts (
    host   text CONSTRAINT tenant_hosts_one PRIMARY KEY CHECK (host = lower(host)),
    tenant uuid NOT NULL REFERENCES tenants
);
DO $$
DECLARE app text := current_schema() || '_app';
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE (name) ON tenants TO %I', app);
    EXECUTE format('GRANT SELECT, INSERT ON tenant_hosts TO %I', app);
END $$;

CREATE TABLE users (
    id           uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL CONSTRAINT users_tenant REFERENCES tenants,
    display_name text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 100),
    email        text,
    home_city_id uuid,
    locale       text,
    time_zone    text,
    -- Grows with each change that others are told of.
    version      bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    UNIQUE (tenant_id, id)
);
CALL tenant_table('users', 'SELECT, INSERT, UPDATE');

-- The foreign keys below name the tenant too, so that no row can hang on another tenant's person.
CREATE TABLE identities (
    id         uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    issuer     text NOT NULL CHECK (issuer <> ''),
    subject    text NOT NULL CHECK (subject <> ''),
    created_at timestamptz NOT NULL,
    CONSTRAINT identities_once UNIQUE (tenant_id, issuer, subject),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX identities_by_user ON identities (user_id);
CALL tenant_table('identities', 'SELECT, INSERT');

-- Who signed in is a resident without a grant. A provider's roles are replaced at each sign-in, an operator's stay.
CREATE TABLE role_grants (
    tenant_id  uuid NOT NULL,
    user_id    uuid NOT NULL,
    role       text NOT NULL CHECK (role IN ('resident', 'reviewer', 'operator', 'owner')),
    origin     text NOT NULL CHECK (origin IN ('operator', 'provider')),
    granted_by text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, role, origin),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CALL tenant_table('role_grants', 'SELECT, INSERT, DELETE');
