-- migrate:up
ALTER TABLE moderation.roles
  ADD COLUMN mentionable boolean NOT NULL DEFAULT false,
  ADD COLUMN separate boolean NOT NULL DEFAULT false,        -- its members are listed apart
  ADD COLUMN self_assignable boolean NOT NULL DEFAULT false, -- members take and leave it themselves
  ADD COLUMN changed_seq bigint NOT NULL DEFAULT 0,          -- seq of the last change that decides the keys of who has it
  ADD COLUMN updated_at_ms bigint,
  ADD COLUMN updated_by bigint;

-- Who has a role: asked when it is deleted.
CREATE INDEX member_roles_role ON moderation.member_roles (role_id);

-- What an override changes of somebody's keys is kept with those whom it concerns (roles, members, or the team), so that it
-- outlives the override.
ALTER TABLE moderation.overrides DROP COLUMN changed_seq;

-- migrate:down
ALTER TABLE moderation.overrides ADD COLUMN changed_seq bigint NOT NULL DEFAULT 0;
DROP INDEX moderation.member_roles_role;
ALTER TABLE moderation.roles
  DROP COLUMN updated_by,
  DROP COLUMN updated_at_ms,
  DROP COLUMN changed_seq,
  DROP COLUMN self_assignable,
  DROP COLUMN separate,
  DROP COLUMN mentionable;
