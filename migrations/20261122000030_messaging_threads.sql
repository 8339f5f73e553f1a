-- migrate:up
-- Threads, marks in them, and what a person set for a channel.

-- reply_authors: of a root, who answered it: one for each reply, the oldest first, the newest 100; a deletion takes none back.
-- replies_place: the channel's `replies_counted` while this was its newest message; null where `place` is.
ALTER TABLE messaging.messages ADD COLUMN reply_authors bigint[], ADD COLUMN replies_place bigint;
UPDATE messaging.messages m SET replies_place = p.place FROM (
  SELECT id, count(*) FILTER (WHERE deleted_at_ms IS NULL AND kind <> 3 AND root_id IS NOT NULL)
    OVER (PARTITION BY channel_id ORDER BY seq) AS place FROM messaging.messages) p
  WHERE p.id = m.id AND m.place IS NOT NULL;
UPDATE messaging.messages m SET reply_authors = a.ids FROM (
  SELECT root_id, array_agg(author_id ORDER BY seq) AS ids FROM (
    SELECT root_id, author_id, seq, row_number() OVER (PARTITION BY root_id ORDER BY seq DESC) AS n
    FROM messaging.messages WHERE root_id IS NOT NULL AND author_id IS NOT NULL) r WHERE n <= 100 GROUP BY root_id) a
  WHERE a.root_id = m.id;
UPDATE messaging.channels c SET replies_counted = r.replies FROM (
  SELECT channel_id, count(*) AS replies FROM messaging.messages
  WHERE root_id IS NOT NULL AND deleted_at_ms IS NULL AND kind <> 3 GROUP BY channel_id) r WHERE r.channel_id = c.id;

-- counted - replies_counted is how much of the main stream (what is no reply) was read.
ALTER TABLE messaging.read_state ADD COLUMN replies_counted bigint NOT NULL DEFAULT 0;
UPDATE messaging.read_state r SET replies_counted = m.replies_place FROM messaging.messages m
  WHERE m.id = r.last_read_id AND m.replies_place IS NOT NULL;

-- Who follows a thread: the author of its root, who replied, who was named in a reply, who marked it.
CREATE TABLE messaging.thread_read (
  user_id bigint NOT NULL,
  channel_id bigint NOT NULL,
  root_id bigint NOT NULL,
  last_read_id bigint NOT NULL,     -- 0: none yet
  read_count bigint NOT NULL,       -- reply_count of the root when it was read
  PRIMARY KEY (user_id, channel_id, root_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX thread_read_root ON messaging.thread_read (root_id);
INSERT INTO messaging.thread_read (user_id, channel_id, root_id, last_read_id, read_count)
  SELECT DISTINCT f.user_id, m.channel_id, m.id, 0, m.reply_count FROM messaging.messages m CROSS JOIN LATERAL (
    SELECT m.author_id AS user_id UNION SELECT r.author_id FROM messaging.messages r WHERE r.root_id = m.id AND r.deleted_at_ms IS NULL) f
  WHERE m.root_id IS NULL AND m.reply_count > 0 AND m.deleted_at_ms IS NULL AND f.user_id IS NOT NULL;

CREATE TABLE messaging.channel_prefs (
  user_id bigint NOT NULL,
  channel_id bigint NOT NULL,
  flag smallint NOT NULL,           -- enum channel_flag
  notify smallint NOT NULL,         -- enum channel_notify
  PRIMARY KEY (user_id, channel_id)
) WITH (fillfactor = 70);
CREATE INDEX channel_prefs_channel ON messaging.channel_prefs (channel_id); -- the purge

-- policy: enum membership_policy; kept and shown, nothing is done by it.
ALTER TABLE messaging.channels ADD COLUMN policy smallint NOT NULL DEFAULT 0;

-- migrate:down
ALTER TABLE messaging.channels DROP COLUMN policy;
DROP TABLE messaging.channel_prefs;
DROP TABLE messaging.thread_read;
ALTER TABLE messaging.read_state DROP COLUMN replies_counted;
UPDATE messaging.channels SET replies_counted = 0;
ALTER TABLE messaging.messages DROP COLUMN replies_place, DROP COLUMN reply_authors;
