-- Fair claims (one city's backlog does not hold up another's), an outbox that several relays empty at once in the order of
-- each resource, and the maintenance of what is old. Its number is high because every service counts its own from 0001.

ALTER TABLE jobs
    ADD COLUMN lane text COLLATE "C" NOT NULL DEFAULT '-',
    -- How often a worker died with it in hand.
    ADD COLUMN lost integer NOT NULL DEFAULT 0;
ALTER TABLE jobs SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
DROP INDEX jobs_due;
CREATE INDEX jobs_fair ON jobs (lane, run_at, id) WHERE state IN ('ready', 'running');
CREATE INDEX jobs_ended ON jobs (finished_at) WHERE state IN ('done', 'discarded');

-- Takes one due job, or one whose worker died: the oldest of the lane after `after`, lanes in turn. A running job's run_at
-- is the end of its lease. A job of a version newer than the worker reads is left to a newer worker. Statistics of a queue
-- are always wrong, so the plan is not left to them.
CREATE FUNCTION claim_job(types text[], newest integer[], at timestamptz, leased timestamptz, after text)
    RETURNS TABLE (job_id uuid, job_envelope jsonb, job_attempt integer, job_lost integer, job_lane text) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    here    text COLLATE "C" := after;
    start   text COLLATE "C" := after;
    next_   text COLLATE "C";
    wrapped boolean := false;
BEGIN
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
                AND EXISTS (SELECT FROM unnest(types, newest) AS u(type, newest)
                            WHERE u.type = d.type AND (d.envelope ->> 'version')::bigint <= u.newest)
                ORDER BY d.lane, d.run_at, d.id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING j.id, j.envelope, j.attempt, j.lost, j.lane;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END $$;

ALTER TABLE outbox ADD COLUMN resource text NOT NULL DEFAULT '';
CREATE INDEX outbox_leased ON outbox (resource) WHERE published_at IS NULL AND leased_until IS NOT NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;

-- Leases a batch to one relay. Of a resource that another relay has facts of nothing is taken, so the facts of a resource
-- leave in the order they were written. Claims follow one another; NULL: somebody else is claiming.
CREATE FUNCTION claim_facts(at timestamptz, leased timestamptz, most integer)
    RETURNS TABLE (fact_sequence bigint, fact_envelope jsonb, fact_created_at timestamptz) LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_sort = off SET enable_mergejoin = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext(current_schema() || '.outbox')) THEN RETURN; END IF;
    RETURN QUERY UPDATE outbox o SET leased_until = leased WHERE o.id IN (
            SELECT f.id FROM outbox f
            WHERE f.published_at IS NULL AND (f.leased_until IS NULL OR f.leased_until <= at)
            AND NOT EXISTS (SELECT FROM outbox l WHERE l.published_at IS NULL AND l.leased_until IS NOT NULL AND l.leased_until > at
                            AND l.resource = f.resource)
            ORDER BY f.sequence LIMIT most)
        RETURNING o.sequence, o.envelope, o.created_at;
END $$;

-- Forgets what was published, handled and done before those times; gives how many rows. In batches, so that nothing waits.
CREATE FUNCTION forget_old(published timestamptz, handled timestamptz, most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE gone bigint; sum bigint := 0;
BEGIN
    DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE published_at < published LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT; sum := sum + gone;
    DELETE FROM inbox WHERE (handler, event_id) IN (SELECT handler, event_id FROM inbox WHERE created_at < handled LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT; sum := sum + gone;
    DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state IN ('done', 'discarded') AND finished_at < handled LIMIT most);
    GET DIAGNOSTICS gone = ROW_COUNT; sum := sum + gone;
    RETURN sum;
END $$;
CREATE INDEX inbox_by_age ON inbox (created_at);

-- What is done regularly by one replica: its name and when it is due.
CREATE TABLE chores (
    name     text PRIMARY KEY,
    due_at   timestamptz NOT NULL,
    last_at  timestamptz
);
DO $$ BEGIN EXECUTE format('GRANT SELECT, INSERT, UPDATE ON chores TO %I', current_schema() || '_system'); END $$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('claim_job', 'claim_facts', 'forget_old') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
