-- migrate:up

-- Whom a message concerns: a row for each person, role, and everyone; not for the author himself. Ids of people and roles are
-- never equal. It is counted by (channel, subject, seq), and found again with its message.
CREATE TABLE messaging.mentions (
  message_id bigint NOT NULL,
  subject_id bigint NOT NULL,       -- a person, a role; 0: everyone or here
  channel_id bigint NOT NULL,
  seq bigint NOT NULL,              -- of the message
  kind smallint NOT NULL,           -- 1 user, 2 role, 3 everyone, 4 here, 5 reply; 0: an edit took it back, notice_seq is still needed
  author_id bigint NOT NULL,
  told boolean NOT NULL,            -- false: somebody is still to be told of it
  notice_seq bigint,                -- of the event in the person's stream that told him: it dies with the message
  PRIMARY KEY (message_id, subject_id)
);
CREATE INDEX mentions_counted ON messaging.mentions (channel_id, subject_id, seq) WHERE kind <> 0;
CREATE INDEX mentions_untold ON messaging.mentions (message_id) WHERE NOT told;

-- mentions: the encoded MentionsView that goes with this content, null: none. place: the channel's `counted` while this was its
-- newest message, which is where somebody stands who came then; null: a message that is not counted.
ALTER TABLE messaging.messages ADD COLUMN mentions bytea, ADD COLUMN place bigint;
ALTER TABLE messaging.message_edits ADD COLUMN mentions bytea;
UPDATE messaging.messages m SET place = p.place FROM (
  SELECT id, count(*) FILTER (WHERE deleted_at_ms IS NULL AND kind <> 3) OVER (PARTITION BY channel_id ORDER BY seq) AS place
  FROM messaging.messages) p WHERE p.id = m.id AND m.kind <> 3;

ALTER TABLE messaging.read_state ADD COLUMN last_read_seq bigint NOT NULL DEFAULT 0;
UPDATE messaging.read_state r SET last_read_seq = m.seq FROM messaging.messages m WHERE m.id = r.last_read_id;

-- The head of the home stream when somebody joined: what came before is no news to him. 0: not known.
ALTER TABLE moderation.members ADD COLUMN joined_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE moderation.channel_members ADD COLUMN joined_seq bigint NOT NULL DEFAULT 0;

-- migrate:down
ALTER TABLE moderation.channel_members DROP COLUMN joined_seq;
ALTER TABLE moderation.members DROP COLUMN joined_seq;
ALTER TABLE messaging.read_state DROP COLUMN last_read_seq;
ALTER TABLE messaging.message_edits DROP COLUMN mentions;
ALTER TABLE messaging.messages DROP COLUMN place, DROP COLUMN mentions;
DROP TABLE messaging.mentions;
