-- What was taken back after it was published. Claims and evidence stay, append-only; what readers get of them is asked here.

-- Who may see a document, and what was drawn from it, where that was changed.
CREATE TABLE artifact_visibility (
    artifact_id uuid PRIMARY KEY,
    tenant_id   uuid NOT NULL,
    visibility  text NOT NULL CHECK (visibility IN ('public', 'member', 'reviewer')),
    changed_at  timestamptz NOT NULL
);
CALL tenant_table('artifact_visibility', 'SELECT, INSERT, UPDATE');

-- Meetings that nobody is shown any more.
CREATE TABLE withdrawn_meetings (
    meeting_id   uuid PRIMARY KEY,
    tenant_id    uuid NOT NULL,
    withdrawn_at timestamptz NOT NULL
);
CALL tenant_table('withdrawn_meetings', 'SELECT, INSERT');
