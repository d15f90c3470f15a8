-- A person may delete their account. What is kept is the id, which names nobody any more, and when: so that a repetition is
-- told from a mistake, and whoever restores a backup knows whom to delete again.
CREATE TABLE deleted_accounts (
    user_id    uuid PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    -- Of the event that told of it.
    version    bigint NOT NULL,
    deleted_at timestamptz NOT NULL
);
CALL tenant_table('deleted_accounts', 'SELECT, INSERT');
CALL append_only('deleted_accounts');
DO $$
BEGIN
    EXECUTE format('GRANT DELETE ON users TO %I', current_schema() || '_app');
END $$;
