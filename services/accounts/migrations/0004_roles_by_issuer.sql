-- A person may sign in with identities of several providers, and each says for itself which roles it stands for: what one
-- says takes nothing away of what another said. An operator's grant has no issuer.
ALTER TABLE role_grants
    ADD COLUMN issuer text NOT NULL GENERATED ALWAYS AS (CASE origin WHEN 'provider' THEN granted_by ELSE '' END) STORED;
ALTER TABLE role_grants DROP CONSTRAINT role_grants_pkey;
ALTER TABLE role_grants ADD PRIMARY KEY (user_id, role, origin, issuer);
