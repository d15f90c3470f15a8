-- A digest finds what it waits for.
CREATE INDEX deliveries_of_digest ON deliveries (tenant_id, user_id, digest_at)
    WHERE state IN ('pending', 'sending') AND digest_at IS NOT NULL;
