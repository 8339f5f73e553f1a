-- migrate:up
-- Since when a status stands: one that ends with the next thing its owner does is held against what he did after that.
ALTER TABLE presence.people ADD COLUMN status_since timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX people_when_active ON presence.people (user_id) WHERE clear_when_active;

-- migrate:down
DROP INDEX presence.people_when_active;
ALTER TABLE presence.people DROP COLUMN status_since;
