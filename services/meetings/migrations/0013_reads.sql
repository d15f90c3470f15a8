-- How often the reader failed at a document: of one that it dies of each time, its meeting waits no longer. Apart from the
-- tries of the job, which go on for as long as the store of documents is away.
ALTER TABLE artifacts ADD COLUMN failed_reads integer NOT NULL DEFAULT 0;
