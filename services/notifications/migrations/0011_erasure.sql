-- An erasure is whole whatever happens at the same moment: who writes rows of people holds a lock of the tenant together
-- with the others, who erases holds it alone. So a writer either is done before, and what it wrote is erased, or begins
-- afterwards, and sees that the person is not there any more.

-- A person who was erased gets no row again, whichever way it comes.
CREATE FUNCTION refuse_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('erasure in ' || NEW.tenant_id::text, 0));
    PERFORM FROM erased_people WHERE tenant_id = NEW.tenant_id AND user_id = NEW.user_id;
    IF FOUND THEN
        RAISE EXCEPTION 'this account was deleted' USING ERRCODE = 'CS004';
    END IF;
    RETURN NEW;
END $$;
-- Not `deliveries` and `messages`, which are made by the thousand, of what stands in these.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['follows', 'homes', 'preferences', 'saved_searches', 'push_subscriptions', 'webhooks'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_erased BEFORE INSERT ON %I FOR EACH ROW EXECUTE FUNCTION refuse_erased()', t);
    END LOOP;
END $$;
