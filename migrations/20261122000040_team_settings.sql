-- migrate:up
-- What a team has set for its clients; value is JSON text. What is not set is as provisioned (services/moderation/settings.tbl.h).
CREATE TABLE moderation.team_settings (
  team_id bigint NOT NULL REFERENCES moderation.teams (id),
  name text NOT NULL,
  value text NOT NULL,
  updated_at_ms bigint NOT NULL,
  updated_by bigint,
  PRIMARY KEY (team_id, name)
);

-- migrate:down
DROP TABLE moderation.team_settings;
