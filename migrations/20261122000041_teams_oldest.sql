-- migrate:up
-- The team that crust shows when none is named.
CREATE INDEX teams_oldest ON moderation.teams (created_at_ms, id) WHERE deleted_at_ms IS NULL;

-- migrate:down
DROP INDEX moderation.teams_oldest;
