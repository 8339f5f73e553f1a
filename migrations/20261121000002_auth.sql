-- migrate:up
CREATE SCHEMA auth;

CREATE TABLE auth.accounts (
  id bigint PRIMARY KEY,
  username text,                    -- null once erased
  display_name text,
  email text,
  email_verified boolean NOT NULL DEFAULT false,
  password_hash text,
  bot boolean NOT NULL DEFAULT false,
  owner_id bigint,
  system boolean NOT NULL DEFAULT false,
  verified boolean NOT NULL DEFAULT false,
  avatar text,
  banner text,
  bio text,
  tagline text,
  flags bigint NOT NULL DEFAULT 0,
  disabled_at_ms bigint,
  last_seen_at_ms bigint,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint,
  deleted_at_ms bigint,
  erased_at_ms bigint
);
CREATE UNIQUE INDEX accounts_username ON auth.accounts (lower(username));
CREATE UNIQUE INDEX accounts_email ON auth.accounts (lower(email));
CREATE INDEX accounts_username_prefix ON auth.accounts (lower(username) text_pattern_ops);

CREATE TABLE auth.sessions (
  id bigint PRIMARY KEY,
  account_id bigint NOT NULL REFERENCES auth.accounts (id),
  token_hash bytea NOT NULL UNIQUE,  -- BLAKE2b-256 of the token
  kind smallint NOT NULL DEFAULT 1,  -- 1 user, 2 bot
  client_label text,
  agent text,
  address text,
  created_at_ms bigint NOT NULL,
  last_used_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  revoked_at_ms bigint
);
CREATE INDEX sessions_account ON auth.sessions (account_id) WHERE revoked_at_ms IS NULL;

-- What follows from a change in other owners' data: profiles in teams, erased accounts.
CREATE TABLE auth.jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,               -- profile, erase
  account_id bigint NOT NULL,
  state jsonb NOT NULL DEFAULT '{}',
  attempts integer NOT NULL DEFAULT 0,
  run_at timestamptz NOT NULL DEFAULT now(),
  leased_until timestamptz
);
CREATE INDEX jobs_run_at ON auth.jobs (run_at);

-- migrate:down
DROP SCHEMA auth CASCADE;
