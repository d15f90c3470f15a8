-- A job that may have killed its workers is taken while no other such job is in hand: so only what does kill them is with
-- each of them that dies, and not what was beside it.

-- What a worker died with.
CREATE INDEX jobs_suspect ON jobs (run_at, id) WHERE state IN ('ready', 'running') AND lost > 0;

CREATE OR REPLACE FUNCTION claim_job(types text[], newest integer[], at timestamptz, leased timestamptz, after text)
    RETURNS TABLE (job_id uuid, job_envelope jsonb, job_attempt integer, job_lost integer, job_lane text) LANGUAGE plpgsql
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
                leased_until = leased, run_at = leased
            WHERE j.id = (
                SELECT d.id FROM jobs d
                WHERE d.lane = next_ AND d.state IN ('ready', 'running') AND d.run_at <= at
                AND (suspects OR d.lost + (d.state = 'running')::integer < 2)
                AND EXISTS (SELECT FROM unnest(types, newest) AS u(type, newest)
                            WHERE u.type = d.type AND (d.envelope ->> 'version')::bigint <= u.newest)
                ORDER BY d.lane, d.run_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING j.id, j.envelope, j.attempt, j.lost, j.lane;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END $$;
