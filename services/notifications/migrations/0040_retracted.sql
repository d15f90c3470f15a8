-- Words that a reviewer took back: what was told of the meeting's versions before is told without words from then on.
CREATE TABLE retractions (
    tenant_id  uuid NOT NULL,
    meeting_id uuid NOT NULL,
    -- The first version without them.
    version    bigint NOT NULL,
    PRIMARY KEY (tenant_id, meeting_id)
);
CALL tenant_table('retractions', 'SELECT, INSERT, UPDATE');
