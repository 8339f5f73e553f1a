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

-- What was done in a team: append only, hash-chained per team (docs/architecture.md, "The audit chain").
CREATE TABLE moderation.audit (
  team_id bigint NOT NULL,
  no bigint NOT NULL,
  id bigint NOT NULL,
  at_ms bigint NOT NULL,
  actor_id bigint,               -- null: the system
  action text NOT NULL,
  target_kind text NOT NULL,
  target_id bigint,
  changes text NOT NULL CHECK (octet_length(changes) <= 8192), -- JSON, kept as it was hashed
  why text,
  cause_seq bigint,              -- of the team's event that told of what another owner did
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (team_id, no)
);
CREATE UNIQUE INDEX audit_id ON moderation.audit (team_id, id);
CREATE UNIQUE INDEX audit_cause ON moderation.audit (team_id, cause_seq) WHERE cause_seq IS NOT NULL;
CREATE INDEX audit_actor ON moderation.audit (team_id, actor_id, no);
CREATE INDEX audit_target ON moderation.audit (team_id, target_id, no);
CREATE INDEX audit_action ON moderation.audit (team_id, action, no);
-- The end of each chain: what a chain that was cut off is told by.
CREATE TABLE moderation.audit_heads (
  team_id bigint PRIMARY KEY,
  no bigint NOT NULL,
  hash bytea NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION moderation.audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append only';
END
$$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON moderation.audit
  FOR EACH ROW EXECUTE FUNCTION moderation.audit_is_append_only();
CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON moderation.audit
  FOR EACH STATEMENT EXECUTE FUNCTION moderation.audit_is_append_only();
ALTER TABLE moderation.audit ENABLE ALWAYS TRIGGER audit_append_only, ENABLE ALWAYS TRIGGER audit_never_emptied;

-- migrate:down
DROP TABLE moderation.audit;
DROP FUNCTION moderation.audit_is_append_only;
DROP TABLE moderation.audit_heads;
DROP INDEX moderation.members_timeout;
DROP TABLE moderation.invites;
