-- A person may take an identity away again.
DO $$
BEGIN
    EXECUTE format('GRANT DELETE ON identities TO %I', current_schema() || '_app');
END $$;
