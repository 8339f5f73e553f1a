-- migrate:up
CREATE SCHEMA moderation;

CREATE TABLE moderation.teams (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  slug text,
  description text,
  icon text,
  banner text,
  owner_id bigint NOT NULL,
  joining smallint NOT NULL DEFAULT 1,
  public_read boolean NOT NULL DEFAULT false,
  base_role_id bigint NOT NULL,
  base_group_id bigint NOT NULL,
  default_channel_id bigint,
  member_count bigint NOT NULL DEFAULT 0,
  suspended boolean NOT NULL DEFAULT false,
  rights_seq bigint NOT NULL DEFAULT 0, -- seq of the last change that may decide anybody's keys
  created_at_ms bigint NOT NULL,
  created_by bigint NOT NULL,
  updated_at_ms bigint,
  updated_by bigint,
  deleted_at_ms bigint,
  deleted_by bigint
);
CREATE UNIQUE INDEX teams_slug ON moderation.teams (lower(slug));

CREATE TABLE moderation.members (
  team_id bigint NOT NULL,
  user_id bigint NOT NULL,
  nickname text,
  joined_at_ms bigint NOT NULL,
  invited_by bigint,
  left_at_ms bigint,
  muted boolean NOT NULL DEFAULT false,
  deafened boolean NOT NULL DEFAULT false,
  timeout_until_ms bigint,
  timeout_reason text,
  xp bigint NOT NULL DEFAULT 0,
  epoch bigint NOT NULL DEFAULT 0,       -- raised by kick, ban, timeout, role or membership of this user
  changed_seq bigint NOT NULL DEFAULT 0, -- seq of the last change that decides this user's keys in this stream
  PRIMARY KEY (team_id, user_id)
);
CREATE INDEX members_user ON moderation.members (user_id) WHERE left_at_ms IS NULL;

CREATE TABLE moderation.roles (
  id bigint PRIMARY KEY,
  team_id bigint NOT NULL REFERENCES moderation.teams (id),
  name text NOT NULL,
  permissions_low bigint NOT NULL DEFAULT 0,
  permissions_high bigint NOT NULL DEFAULT 0,
  position integer NOT NULL DEFAULT 0,
  color integer,
  is_base boolean NOT NULL DEFAULT false,
  created_at_ms bigint NOT NULL,
  created_by bigint
);
CREATE INDEX roles_team ON moderation.roles (team_id);

CREATE TABLE moderation.member_roles (
  team_id bigint NOT NULL,
  user_id bigint NOT NULL,
  role_id bigint NOT NULL REFERENCES moderation.roles (id) ON DELETE CASCADE,
  PRIMARY KEY (team_id, user_id, role_id)
);

CREATE TABLE moderation.groups (
  id bigint PRIMARY KEY,
  team_id bigint NOT NULL REFERENCES moderation.teams (id),
  name text NOT NULL,
  position integer NOT NULL DEFAULT 0,
  is_base boolean NOT NULL DEFAULT false,
  public boolean NOT NULL DEFAULT true,
  visible_role_ids bigint[] NOT NULL DEFAULT '{}',
  created_at_ms bigint NOT NULL,
  archived_at_ms bigint,
  deleted_at_ms bigint
);

-- allow and deny are disjoint. scope: 1 team, 2 category, 3 channel. subject_kind: 1 role, 2 user.
CREATE TABLE moderation.overrides (
  team_id bigint NOT NULL,
  scope smallint NOT NULL,
  scope_id bigint NOT NULL,
  subject_kind smallint NOT NULL,
  subject_id bigint NOT NULL,
  allow_low bigint NOT NULL DEFAULT 0,
  allow_high bigint NOT NULL DEFAULT 0,
  deny_low bigint NOT NULL DEFAULT 0,
  deny_high bigint NOT NULL DEFAULT 0,
  changed_seq bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (scope, scope_id, subject_kind, subject_id),
  CHECK (allow_low & deny_low = 0 AND allow_high & deny_high = 0)
);
CREATE INDEX overrides_team ON moderation.overrides (team_id);

-- Explicit membership of a channel or conversation. role: 1 owner, 2 moderator, 3 member, 4 invitee.
CREATE TABLE moderation.channel_members (
  channel_id bigint NOT NULL,
  user_id bigint NOT NULL,
  rank smallint NOT NULL,           -- the channel's home stream
  stream_id bigint NOT NULL,
  team_id bigint,
  role smallint NOT NULL,
  nickname text,
  added_by bigint,
  joined_at_ms bigint NOT NULL,
  left_at_ms bigint,
  PRIMARY KEY (channel_id, user_id)
);
CREATE INDEX channel_members_user ON moderation.channel_members (user_id, stream_id) WHERE left_at_ms IS NULL;

-- History is kept: a ban ends by lifted_at_ms. scope: 1 team, 3 channel.
CREATE TABLE moderation.bans (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope smallint NOT NULL,
  scope_id bigint NOT NULL,
  team_id bigint NOT NULL,
  user_id bigint NOT NULL,
  reason text,
  by_id bigint NOT NULL,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  lifted_at_ms bigint,
  lifted_by bigint,
  lifted_reason text
);
CREATE UNIQUE INDEX bans_active ON moderation.bans (scope, scope_id, user_id) WHERE lifted_at_ms IS NULL;
CREATE INDEX bans_team_user ON moderation.bans (team_id, user_id) WHERE lifted_at_ms IS NULL;
CREATE INDEX bans_channel ON moderation.bans (scope_id) WHERE scope = 3; -- was there ever one? decides the channel's key
CREATE INDEX bans_expiry ON moderation.bans (expires_at_ms) WHERE lifted_at_ms IS NULL AND expires_at_ms IS NOT NULL;

CREATE TABLE moderation.people (
  id bigint PRIMARY KEY,
  username text,
  display_name text,
  avatar text,
  bot boolean NOT NULL DEFAULT false,
  system boolean NOT NULL DEFAULT false,
  erased boolean NOT NULL DEFAULT false,
  created_at_ms bigint NOT NULL
);

-- The epoch per (stream, user) that every committing statement compares, whoever commits. Owners other than moderation
-- read it only through this view. A user without a row has epoch 0. member: is told what the team is told, which whoever
-- writes to the team's stream about a person asks under the stream's lock.
CREATE VIEW moderation.member_epochs AS
  SELECT 1::smallint AS rank, m.team_id AS stream_id, m.user_id, m.epoch,
    m.left_at_ms IS NULL
      AND EXISTS (SELECT FROM moderation.teams t WHERE t.id = m.team_id AND t.deleted_at_ms IS NULL)
      AND NOT EXISTS (SELECT FROM moderation.bans b
        WHERE b.scope = 1 AND b.scope_id = m.team_id AND b.user_id = m.user_id AND b.lifted_at_ms IS NULL) AS member
  FROM moderation.members m;

-- migrate:down
DROP SCHEMA moderation CASCADE;
