-- migrate:up
CREATE SCHEMA messaging;

CREATE TABLE messaging.channels (
  id bigint PRIMARY KEY,
  rank smallint NOT NULL,           -- its home stream
  stream_id bigint NOT NULL,
  team_id bigint,                   -- null: a conversation
  group_id bigint,
  kind smallint NOT NULL,
  name text NOT NULL,
  topic text,
  category_id bigint,
  position integer NOT NULL DEFAULT 0,
  private boolean NOT NULL DEFAULT false,
  public_read boolean NOT NULL DEFAULT false,
  own boolean NOT NULL DEFAULT false,
  slow_mode_s integer NOT NULL DEFAULT 0,
  parent_channel_id bigint,
  last_message_id bigint,
  message_count bigint NOT NULL DEFAULT 0,
  counted bigint NOT NULL DEFAULT 0,
  replies_counted bigint NOT NULL DEFAULT 0,
  rights_seq bigint NOT NULL DEFAULT 0, -- seq of the last change here from which rights follow
  client_uuid uuid UNIQUE,
  created_at_ms bigint NOT NULL,
  created_by bigint NOT NULL,
  updated_at_ms bigint,
  updated_by bigint,
  archived_at_ms bigint,
  archived_by bigint,
  deleted_at_ms bigint,
  deleted_by bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX channels_team ON messaging.channels (team_id, position, id) WHERE deleted_at_ms IS NULL;
-- The newest change of rights of a team's channels, deleted ones too: one probe of this index.
CREATE INDEX channels_team_rights ON messaging.channels (team_id, rights_seq);

CREATE TABLE messaging.messages (
  id bigint PRIMARY KEY,
  channel_id bigint NOT NULL,
  seq bigint NOT NULL,              -- of its message_posted event; lists page by it
  author_id bigint,
  kind smallint NOT NULL DEFAULT 1,
  content text NOT NULL,
  parent_id bigint,
  root_id bigint,
  reply_count integer NOT NULL DEFAULT 0,
  pinned_at_ms bigint,
  pinned_by bigint,
  nonce text,
  client_uuid uuid,
  silent boolean NOT NULL DEFAULT false,
  event_seqs bigint[] NOT NULL DEFAULT '{}', -- of later events that carry its content (edits), for tombstones
  created_at_ms bigint NOT NULL,
  edited_at_ms bigint,
  edited_by bigint,
  deleted_at_ms bigint,
  deleted_by bigint
);
CREATE UNIQUE INDEX messages_channel_seq ON messaging.messages (channel_id, seq);
CREATE INDEX messages_root_seq ON messaging.messages (root_id, seq) WHERE root_id IS NOT NULL;
CREATE INDEX messages_deleted ON messaging.messages (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL; -- the purge

CREATE TABLE messaging.message_edits (
  message_id bigint NOT NULL,
  no integer NOT NULL,              -- 1 is the first version
  content text NOT NULL,
  edited_at_ms bigint NOT NULL,     -- when this version was written
  edited_by bigint NOT NULL,
  PRIMARY KEY (message_id, no)
);

CREATE TABLE messaging.read_state (
  user_id bigint NOT NULL,
  channel_id bigint NOT NULL,
  last_read_id bigint NOT NULL DEFAULT 0,
  counted bigint NOT NULL DEFAULT 0, -- channels.counted when it was read
  last_post_at_ms bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, channel_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- What this owner knows of people: filled from envelopes and by api's jobs.
CREATE TABLE messaging.people (
  id bigint PRIMARY KEY,
  username text,
  display_name text,
  avatar text,
  bot boolean NOT NULL DEFAULT false,
  system boolean NOT NULL DEFAULT false,
  erased boolean NOT NULL DEFAULT false,
  created_at_ms bigint NOT NULL
);

-- The facts of channels from which moderation decides rights; changing one of them is a change of rights.
CREATE VIEW messaging.channel_facts AS
  SELECT id, rank, stream_id, team_id, group_id, category_id, parent_channel_id, kind, name, topic, position, private,
    public_read, slow_mode_s, created_by, own, last_message_id, message_count, rights_seq, created_at_ms,
    archived_at_ms, deleted_at_ms
  FROM messaging.channels;

-- migrate:down
DROP SCHEMA messaging CASCADE;
