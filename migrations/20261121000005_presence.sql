-- migrate:up
CREATE SCHEMA presence;

CREATE TABLE presence.people (
  user_id bigint PRIMARY KEY,
  chosen smallint NOT NULL DEFAULT 1, -- 1 online, 2 idle, 3 dnd, 4 invisible
  status_text text,
  status_emoji text,
  status_expires_at_ms bigint,
  clear_when_active boolean NOT NULL DEFAULT false,
  status_event_id bigint,             -- event_id of the latest status_changed, for the copies in status_pending
  status_team_ids bigint[] NOT NULL DEFAULT '{}', -- teams that were told of the status, for the timer that clears it
  status_pending bigint[] NOT NULL DEFAULT '{}',  -- teams whose copy of the latest status_changed is still to be written
  view bytea                          -- encoded UserView of the envelope that set the status
);
CREATE INDEX people_expiry ON presence.people (status_expires_at_ms) WHERE status_expires_at_ms IS NOT NULL;
CREATE INDEX people_pending ON presence.people (user_id) WHERE status_pending <> '{}';

-- What was announced last: after a restart only differences are announced. Written in batches outside the committer, hence
-- a table of its own: a committing transaction never waits for a row of it.
CREATE TABLE presence.seen (
  user_id bigint PRIMARY KEY,
  shown smallint NOT NULL,
  last_seen_at_ms bigint
) WITH (fillfactor = 70);
CREATE INDEX seen_present ON presence.seen (user_id) WHERE shown <> 5;

-- migrate:down
DROP SCHEMA presence CASCADE;
