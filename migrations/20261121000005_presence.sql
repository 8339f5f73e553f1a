-- migrate:up
CREATE SCHEMA presence;

CREATE TABLE presence.people (
  user_id bigint PRIMARY KEY,
  chosen smallint NOT NULL DEFAULT 1, -- 1 online, 2 idle, 3 dnd, 4 invisible
  status_text text,
  status_emoji text,
  status_expires_at_ms bigint,
  clear_when_active boolean NOT NULL DEFAULT false,
  last_seen_at_ms bigint
);
CREATE INDEX people_expiry ON presence.people (status_expires_at_ms) WHERE status_expires_at_ms IS NOT NULL;

-- migrate:down
DROP SCHEMA presence CASCADE;
