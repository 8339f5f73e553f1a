-- migrate:up
-- What moderation's events and answers show of a channel is what messaging's show: its policy and when it was changed.
CREATE OR REPLACE VIEW messaging.channel_facts AS
  SELECT id, rank, stream_id, team_id, group_id, category_id, parent_channel_id, kind, name, topic, position, private,
    public_read, slow_mode_s, created_by, own, last_message_id, message_count, rights_seq, created_at_ms,
    archived_at_ms, deleted_at_ms, policy, updated_at_ms
  FROM messaging.channels;

-- migrate:down
DROP VIEW messaging.channel_facts;
CREATE VIEW messaging.channel_facts AS
  SELECT id, rank, stream_id, team_id, group_id, category_id, parent_channel_id, kind, name, topic, position, private,
    public_read, slow_mode_s, created_by, own, last_message_id, message_count, rights_seq, created_at_ms,
    archived_at_ms, deleted_at_ms
  FROM messaging.channels;
