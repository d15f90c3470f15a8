-- A meeting can be taken away from readers, and an artifact's visibility set by an operator. Both outlive later ingests.

ALTER TABLE meetings ADD COLUMN withdrawn_at timestamptz;
ALTER TABLE meetings ADD COLUMN withdrawn_reason text;
ALTER TABLE artifacts ADD COLUMN visibility_set_at timestamptz;
