-- migrate:up
-- A clone is a draft until its overrides are there: deleted_at_ms is set as well, so that nobody sees it, and nobody but the
-- step that opens it brings it back. purging: rows of it may be gone already, so nothing brings it back.
ALTER TABLE messaging.channels
  ADD COLUMN cloned_from bigint,
  ADD COLUMN draft boolean NOT NULL DEFAULT false,
  ADD COLUMN purging boolean NOT NULL DEFAULT false;

-- pin_seqs: its message_pinned and message_unpinned events, which carry its content; null: none.
ALTER TABLE messaging.messages ADD COLUMN pin_seqs bigint[];

CREATE TABLE messaging.reactions (
  message_id bigint NOT NULL,
  emoji text COLLATE "C" NOT NULL,
  user_id bigint NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (message_id, emoji, user_id)
);

-- How many rows of reactions there are of each kind: what lists show without counting. Changed in the same transaction.
CREATE TABLE messaging.reaction_counts (
  message_id bigint NOT NULL,
  emoji text COLLATE "C" NOT NULL,
  count bigint NOT NULL,
  first_at_ms bigint NOT NULL,      -- of the first that is counted: their order
  PRIMARY KEY (message_id, emoji)
) WITH (fillfactor = 70);

-- The pinned messages of a channel; messages.pinned_at_ms and pinned_by say the same of one message.
CREATE TABLE messaging.pins (
  channel_id bigint NOT NULL,
  message_id bigint NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (channel_id, message_id)
);

CREATE TABLE messaging.bookmarks (
  user_id bigint NOT NULL,
  message_id bigint NOT NULL,
  channel_id bigint NOT NULL,
  at_ms bigint NOT NULL,
  PRIMARY KEY (user_id, message_id)
);
CREATE INDEX bookmarks_newest ON messaging.bookmarks (user_id, at_ms, message_id);
CREATE INDEX bookmarks_message ON messaging.bookmarks (message_id); -- a deletion

-- A reply counts those that answer it; the top of a chain always counted all of it.
UPDATE messaging.messages p SET reply_count = r.replies FROM (SELECT parent_id, count(*) AS replies FROM messaging.messages
  WHERE parent_id <> root_id AND deleted_at_ms IS NULL GROUP BY parent_id) r WHERE p.id = r.parent_id;

-- migrate:down
DROP TABLE messaging.bookmarks, messaging.pins, messaging.reaction_counts, messaging.reactions;
ALTER TABLE messaging.messages DROP COLUMN pin_seqs;
ALTER TABLE messaging.channels DROP COLUMN purging, DROP COLUMN draft, DROP COLUMN cloned_from;
