-- How many messages and deliveries have failed, whosever they are: see `dead_letters/beside.rs` of the events library.

CREATE FUNCTION count_beside() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM messages WHERE state = 'failed') + (SELECT count(*) FROM deliveries WHERE state = 'failed')
$$;
DO $$
BEGIN
    REVOKE ALL ON FUNCTION count_beside() FROM PUBLIC;
    EXECUTE format('GRANT EXECUTE ON FUNCTION count_beside() TO %I', current_schema() || '_system');
END $$;
