-- migrate:up
-- What makes a channel outside teams a conversation. Who is in it are rows of moderation.channel_members without team_id; a
-- member's epoch and changed_seq are a row of moderation.members under the conversation's stream, with left_at_ms set:
-- he is in no team by it.
CREATE TABLE moderation.conversations (
  channel_id bigint PRIMARY KEY,    -- also the id of its stream
  kind smallint NOT NULL,           -- enum channel_kind: direct or group
  member_key bytea UNIQUE,          -- BLAKE2b-256 of its members' ids; null: another one has that set, or it is none to look for
  created_by bigint NOT NULL,
  created_at_ms bigint NOT NULL
);
CREATE INDEX channel_members_conversations ON moderation.channel_members (user_id, channel_id)
  WHERE left_at_ms IS NULL AND team_id IS NULL;

-- People whose own streams have no copy of conversation_created yet: a commit has at most 16 streams. A row goes with the
-- last copy.
CREATE TABLE messaging.conversation_untold (
  channel_id bigint PRIMARY KEY,
  user_ids bigint[] NOT NULL,
  event bytea NOT NULL,             -- as the others got it
  created_at_ms bigint NOT NULL
);

-- migrate:down
DROP TABLE messaging.conversation_untold;
DROP INDEX moderation.channel_members_conversations;
DROP TABLE moderation.conversations;
