-- The erasure of a person finds their deliveries.
CREATE INDEX deliveries_of ON deliveries (tenant_id, user_id);
