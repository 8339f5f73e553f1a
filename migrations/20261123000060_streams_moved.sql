-- migrate:up
-- The second in which a stream moved last. By it the watermark finds what moved, at the price of streams and not of their events; within a
-- second an update of a stream changes nothing that is indexed. It takes the place of the events' own index by time, which every post paid for.
ALTER TABLE log.streams
  ADD COLUMN moved_s bigint GENERATED ALWAYS AS (floor(extract(epoch FROM updated_at AT TIME ZONE 'UTC'))::bigint) STORED;
CREATE INDEX streams_moved ON log.streams (moved_s);

CREATE OR REPLACE FUNCTION log.ensure_leaves(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
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

DO $$
DECLARE
  leaf text;
BEGIN
  FOR leaf IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'log.events'::regclass LOOP
    EXECUTE format('DROP INDEX IF EXISTS %s_time', leaf);
  END LOOP;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION log.ensure_leaves(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
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

DO $$
DECLARE
  leaf text;
BEGIN
  FOR leaf IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'log.events'::regclass LOOP
    EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON log.%I (created_at)', leaf || '_time', leaf);
  END LOOP;
END $$;

DROP INDEX log.streams_moved;
ALTER TABLE log.streams DROP COLUMN moved_s;
