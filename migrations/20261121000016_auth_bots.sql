-- migrate:up
-- Scopes of a bot's token: bits of services/api/scopes.tbl.h. Null: a person's session, which is not narrowed.
ALTER TABLE auth.sessions ADD COLUMN scopes bigint;
UPDATE auth.sessions SET scopes = 31 WHERE kind = 2;
ALTER TABLE auth.sessions ADD CONSTRAINT sessions_scopes CHECK ((kind = 2) = (scopes IS NOT NULL));
CREATE INDEX accounts_owner ON auth.accounts (owner_id) WHERE owner_id IS NOT NULL;

-- migrate:down
DROP INDEX auth.accounts_owner;
ALTER TABLE auth.sessions DROP CONSTRAINT sessions_scopes;
ALTER TABLE auth.sessions DROP COLUMN scopes;
