-- migrate:up
CREATE SCHEMA log;

-- One row: what makes a restored backup another log (raised by `guildhallctl` after a restore).
CREATE TABLE log.meta (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  generation_counter integer NOT NULL DEFAULT 1
);
INSERT INTO log.meta DEFAULT VALUES;

-- Primary key and no other index: one on updated_at takes HOT updates from 100 % to 0.
CREATE TABLE log.streams (
  rank smallint NOT NULL,
  id bigint NOT NULL,
  seq bigint NOT NULL DEFAULT 0,
  authz_epoch bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (rank, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
INSERT INTO log.streams (rank, id) VALUES (3, 0);

-- Leaves of 6 h, each with its own unique (rank, id, seq), and its rows by time for the watermark: log.ensure_leaves.
CREATE TABLE log.events (
  rank smallint NOT NULL,
  id bigint NOT NULL,
  seq bigint NOT NULL,
  kind integer NOT NULL,
  audience text NOT NULL,
  payload bytea NOT NULL,
  actor bigint NOT NULL,
  request_id bytea,
  created_at timestamptz NOT NULL
) PARTITION BY RANGE (created_at);

-- Makes the missing leaves from six hours ago to days_ahead; returns how many. CREATE + ATTACH, so that inserts go on.
CREATE FUNCTION log.ensure_leaves(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  leaf timestamptz := to_timestamp(floor(extract(epoch FROM clock_timestamp()) / 21600) * 21600) - interval '6 hours';
  last timestamptz := clock_timestamp() + make_interval(days => days_ahead);
  name text;
  made integer := 0;
BEGIN
  WHILE leaf <= last LOOP
    name := 'events_' || to_char(leaf AT TIME ZONE 'UTC', 'YYYYMMDDHH24');
    IF to_regclass('log.' || name) IS NULL THEN
      EXECUTE format('CREATE TABLE log.%I (LIKE log.events INCLUDING DEFAULTS)', name);
      EXECUTE format('ALTER TABLE log.%I ADD CONSTRAINT %I UNIQUE (rank, id, seq)', name, name || '_key');
      EXECUTE format('CREATE INDEX %I ON log.%I (created_at)', name || '_time', name);
      EXECUTE format('ALTER TABLE log.%I ADD CONSTRAINT %I CHECK (created_at >= %L AND created_at < %L)',
        name, name || '_range', leaf, leaf + interval '6 hours');
      EXECUTE format('ALTER TABLE log.events ATTACH PARTITION log.%I FOR VALUES FROM (%L) TO (%L)',
        name, leaf, leaf + interval '6 hours');
      made := made + 1;
    END IF;
    leaf := leaf + interval '6 hours';
  END LOOP;
  RETURN made;
END $$;
SELECT log.ensure_leaves(2);

-- Answers repeats of a mutating call for 24 h, on any copy. Written in the change's own transaction.
CREATE TABLE log.requests (
  actor bigint NOT NULL,
  request_id bytea NOT NULL,
  body_hash bytea,
  object_id bigint,
  reply bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (actor, request_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX requests_created_at ON log.requests USING brin (created_at) WITH (pages_per_range = 16);

CREATE TABLE log.nodes (
  node integer PRIMARY KEY CHECK (node BETWEEN 0 AND 1023),
  holder text NOT NULL,
  until timestamptz NOT NULL,
  last_ms bigint NOT NULL
);

CREATE TABLE log.jobs (
  name text PRIMARY KEY,
  holder text NOT NULL,
  until timestamptz NOT NULL,
  position jsonb
);

-- Ids of class N: roles, categories, ... from 16, below 2^31.
CREATE SEQUENCE log.small_ids AS integer START 16 MINVALUE 16 NO CYCLE;

-- migrate:down
DROP SCHEMA log CASCADE;
