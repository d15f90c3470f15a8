-- What a process that stops hands back was neither tried nor killed anybody.

ALTER TABLE jobs ADD COLUMN handed_back integer NOT NULL DEFAULT 0;

-- As claim_job, which workers of the version before still call; gives how often a job was handed back as well. What was
-- replayed begins anew.
CREATE FUNCTION claim_due_job(types text[], newest integer[], at timestamptz, leased timestamptz, after text)
    RETURNS TABLE (job_id uuid, job_envelope jsonb, job_attempt integer, job_lost integer, job_handed_back integer, job_lane text) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    here     text COLLATE "C" := after;
    start    text COLLATE "C" := after;
    next_    text COLLATE "C";
    wrapped  boolean := false;
    suspects boolean := false;
BEGIN
    IF EXISTS (SELECT FROM jobs j WHERE j.state IN ('ready', 'running') AND j.lost > 0 AND j.run_at <= at)
       AND pg_try_advisory_xact_lock(hashtext(current_schema() || '.suspect')) THEN
        suspects := NOT EXISTS (SELECT FROM jobs j WHERE j.state IN ('ready', 'running') AND j.state = 'running' AND j.lost > 1 AND j.run_at > at);
    END IF;
    LOOP
        SELECT j.lane INTO next_ FROM jobs j WHERE j.state IN ('ready', 'running') AND j.lane > here ORDER BY j.lane LIMIT 1;
        IF NOT FOUND OR (wrapped AND next_ > start) THEN
            EXIT WHEN wrapped;
            wrapped := true;
            here := '';
            CONTINUE;
        END IF;
        here := next_;
        RETURN QUERY UPDATE jobs j SET state = 'running', attempt = j.attempt + 1, lost = j.lost + (j.state = 'running')::integer,
                handed_back = CASE WHEN j.attempt = 0 THEN 0 ELSE j.handed_back END,
                leased_until = leased, run_at = leased
            WHERE j.id = (
                SELECT d.id FROM jobs d
                WHERE d.lane = next_ AND d.state IN ('ready', 'running') AND d.run_at <= at
                AND (suspects OR d.lost + (d.state = 'running')::integer < 2)
                AND EXISTS (SELECT FROM unnest(types, newest) AS u(type, newest)
                            WHERE u.type = d.type AND (d.envelope ->> 'version')::bigint <= u.newest)
                ORDER BY d.lane, d.run_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING j.id, j.envelope, j.attempt, j.lost, j.handed_back, j.lane;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = 'claim_due_job' LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
