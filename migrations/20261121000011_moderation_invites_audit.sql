-- migrate:up
CREATE TABLE moderation.invites (
  code text COLLATE "C" PRIMARY KEY, -- 22 characters of base64url: 128 random bits
  team_id bigint NOT NULL,
  created_by bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  max_uses bigint,
  uses bigint NOT NULL DEFAULT 0,
  used_at_ms bigint,                 -- the last time
  CHECK (uses <= max_uses)
);
CREATE INDEX invites_team ON moderation.invites (team_id, code);
CREATE INDEX invites_expiry ON moderation.invites (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX invites_used_up ON moderation.invites (used_at_ms) WHERE uses >= max_uses;

CREATE INDEX members_timeout ON moderation.members (timeout_until_ms) WHERE timeout_until_ms IS NOT NULL;

-- migrate:down
DROP INDEX moderation.members_timeout;
DROP TABLE moderation.invites;
