-- migrate:up

-- Where the mark in the main stream (what is no reply) stands when the last that was read is a reply, 0: nowhere; NULL: where
-- last_read_id does.
ALTER TABLE messaging.read_state ADD COLUMN main_read_id bigint;

-- migrate:down
ALTER TABLE messaging.read_state DROP COLUMN main_read_id;
