-- migrate:up
-- What posts into a channel from outside, or is asked by a word. An ended one is soft-deleted and purged like a message.
CREATE TABLE messaging.webhooks (
  id bigint PRIMARY KEY,
  team_id bigint NOT NULL,
  channel_id bigint NOT NULL,
  kind smallint NOT NULL,           -- enum webhook_kind
  name text NOT NULL,
  avatar text,
  bot_id bigint,                    -- whose its messages are; null: the installation's own account
  owner_id bigint NOT NULL,
  trigger text,
  url text,
  token_hash bytea NOT NULL,        -- BLAKE2b-256 of the token
  secret text,                      -- what deliveries are signed with: it is needed as it is
  halted boolean NOT NULL DEFAULT false, -- its bot's account is locked
  ending boolean NOT NULL DEFAULT false, -- its bot's account is gone: it does nothing any more, and its deletion is still to be told
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint,
  updated_by bigint,
  deleted_at_ms bigint,
  deleted_by bigint
);
CREATE INDEX webhooks_channel ON messaging.webhooks (channel_id, id) WHERE deleted_at_ms IS NULL;
CREATE UNIQUE INDEX webhooks_trigger ON messaging.webhooks (team_id, trigger) WHERE trigger IS NOT NULL AND deleted_at_ms IS NULL;
CREATE INDEX webhooks_bot ON messaging.webhooks (bot_id) WHERE bot_id IS NOT NULL AND deleted_at_ms IS NULL;
CREATE INDEX webhooks_ending ON messaging.webhooks (id) WHERE ending AND deleted_at_ms IS NULL;
CREATE INDEX webhooks_deleted ON messaging.webhooks (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;

ALTER TABLE messaging.messages ADD COLUMN webhook_id bigint, ADD COLUMN shown_name text, ADD COLUMN shown_avatar text;

-- The installation's own account: the author of what no person and no bot wrote (SYSTEM_ACCOUNT_ID in common/events/kinds.h). Nobody can
-- sign in with it. Its name is one that nobody has.
INSERT INTO log.streams (rank, id) VALUES (2, 38044341934734);
INSERT INTO auth.accounts (id, username, display_name, system, verified, created_at_ms)
  SELECT 38044341934734, name, 'Guildhall', true, true, floor(extract(epoch FROM now()) * 1000)
  FROM unnest(ARRAY['guildhall', 'guildhall.system', 'guildhall.38044341934734']) WITH ORDINALITY AS n(name, place)
  WHERE NOT EXISTS (SELECT FROM auth.accounts a WHERE lower(a.username) = name) ORDER BY place LIMIT 1;
INSERT INTO messaging.people (id, username, display_name, system, created_at_ms)
  SELECT id, username, display_name, system, created_at_ms FROM auth.accounts WHERE id = 38044341934734;

-- migrate:down
DELETE FROM messaging.people WHERE id = 38044341934734;
DELETE FROM auth.accounts WHERE id = 38044341934734;
DELETE FROM log.streams WHERE rank = 2 AND id = 38044341934734;
ALTER TABLE messaging.messages DROP COLUMN shown_avatar, DROP COLUMN shown_name, DROP COLUMN webhook_id;
DROP TABLE messaging.webhooks;
