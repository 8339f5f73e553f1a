-- migrate:up
-- Lines of kind system: what happened to a channel. line: an encoded SystemLineView. cause_seq: of the event in the channel's stream
-- that the line tells of, with cause_part, as one event may be told by two.
ALTER TABLE messaging.messages ADD COLUMN line bytea, ADD COLUMN cause_seq bigint, ADD COLUMN cause_part smallint;
CREATE UNIQUE INDEX messages_cause ON messaging.messages (channel_id, cause_seq, cause_part) WHERE cause_seq IS NOT NULL;

-- migrate:down
DELETE FROM messaging.messages WHERE cause_seq IS NOT NULL;
DROP INDEX messaging.messages_cause;
ALTER TABLE messaging.messages DROP COLUMN cause_part, DROP COLUMN cause_seq, DROP COLUMN line;
