-- Why a meeting that a source lists was given up: it is not asked for again until its files change, and operators see it.
ALTER TABLE listings ADD COLUMN given_up text;
