-- What a server elsewhere gives out more than once: it counts receives alone, and here stands what became of them.

CREATE TABLE comebacks (
    queue       text NOT NULL,
    -- As the server names it.
    message     text NOT NULL,
    -- How often a handler failed, and how often a process that stopped handed it back.
    retried     integer NOT NULL DEFAULT 0,
    handed_back integer NOT NULL DEFAULT 0,
    -- How often it went to a handler, from the second time on, and was not given back: somebody has it, or died with it.
    begun       integer NOT NULL DEFAULT 0,
    -- Until then what may have killed its consumers is with a handler.
    alone_until timestamptz,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (queue, message)
);
CREATE INDEX comebacks_alone ON comebacks (queue, alone_until) WHERE alone_until IS NOT NULL;
CREATE INDEX comebacks_by_age ON comebacks (changed_at);

-- Messages that come again, each with its receives. Gives how often a consumer died with it in hand; how often it was neither
-- tried nor with a consumer that died, as what was handed back, or in hand ahead of its turn; and whether it goes to a handler
-- now: what two consumers died with goes while no other such message of the queue is with one.
CREATE FUNCTION bus_come_again(q text, messages text[], receives integer[], at timestamptz, leased timestamptz)
    RETURNS TABLE (message_name text, message_lost integer, message_handed_back integer, message_goes boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE one record;
BEGIN
    FOR one IN
        SELECT u.message, u.received - 1 AS ended, coalesce(c.retried, 0) AS retried, coalesce(c.handed_back, 0) AS handed_back,
               coalesce(c.begun, 0) AS begun
        FROM unnest(messages, receives) AS u(message, received) LEFT JOIN comebacks c ON c.queue = q AND c.message = u.message
    LOOP
        message_name := one.message;
        -- How the first receive ended nobody knows where nothing was written of it.
        message_lost := one.begun + (one.ended - one.retried - one.handed_back > one.begun)::integer;
        message_handed_back := greatest(0, one.ended - one.retried - message_lost);
        message_goes := true;
        IF message_lost > 1 THEN
            PERFORM pg_advisory_xact_lock(hashtext(current_schema() || '.suspect.' || q));
            message_goes := NOT EXISTS (SELECT FROM comebacks c WHERE c.queue = q AND c.alone_until > at AND c.message <> one.message);
        END IF;
        IF message_goes THEN
            INSERT INTO comebacks AS c (queue, message, begun, alone_until, changed_at)
            VALUES (q, one.message, 1, CASE WHEN message_lost > 1 THEN leased END, at)
            ON CONFLICT ON CONSTRAINT comebacks_pkey DO UPDATE
            SET begun = c.begun + 1, alone_until = excluded.alone_until, changed_at = excluded.changed_at;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- A message is given back: its handler failed, or its process stops.
CREATE FUNCTION bus_come_back(q text, name text, tried boolean, at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO comebacks AS c (queue, message, retried, handed_back, changed_at)
    VALUES (q, name, tried::integer, (NOT tried)::integer, at)
    ON CONFLICT (queue, message) DO UPDATE SET retried = c.retried + excluded.retried, handed_back = c.handed_back + excluded.handed_back,
        begun = greatest(0, c.begun - 1), alone_until = NULL, changed_at = excluded.changed_at;
$$;

-- Messages are given back that were with no handler.
CREATE FUNCTION bus_go_back(q text, names text[], at timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO comebacks AS c (queue, message, handed_back, changed_at)
    SELECT q, name, 1, at FROM unnest(names) AS name
    ON CONFLICT (queue, message) DO UPDATE SET handed_back = c.handed_back + 1, changed_at = excluded.changed_at;
$$;

-- A suspect stays in hand.
CREATE FUNCTION bus_stay_alone(q text, name text, until timestamptz) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    UPDATE comebacks SET alone_until = until WHERE queue = q AND message = name;
$$;

-- They have ended.
CREATE FUNCTION bus_forget_comebacks(q text, names text[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DELETE FROM comebacks WHERE queue = q AND message = ANY (names);
$$;

CREATE FUNCTION bus_forget_old_comebacks(before timestamptz) RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    WITH gone AS (DELETE FROM comebacks WHERE changed_at < before RETURNING 1) SELECT count(*) FROM gone;
$$;

DO $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = current_schema()::regnamespace
             AND p.proname IN ('bus_come_again', 'bus_come_back', 'bus_go_back', 'bus_stay_alone', 'bus_forget_comebacks', 'bus_forget_old_comebacks') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, current_schema() || '_system');
    END LOOP;
END $$;
