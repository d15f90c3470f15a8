-- Each channel's messages in their order, so that those of one do not stand in another's way.
CREATE INDEX messages_due_by_channel ON messages (channel, due_at, id) WHERE state IN ('pending', 'sending');
DROP INDEX messages_due;
