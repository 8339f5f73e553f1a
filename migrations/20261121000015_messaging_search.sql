-- migrate:up
-- The search index, filled behind the commit by a job that follows the log (services/messaging/search_index.c).
-- A segment is up to some thousand messages of one stream, in order of time; its number stands before every lexeme of its
-- messages (services/messaging/search_lexemes.h), so a word is found segment by segment, the newest first.
CREATE TABLE messaging.search_segments (
  id bigint PRIMARY KEY,
  rank smallint NOT NULL,
  stream_id bigint NOT NULL,
  backfill boolean NOT NULL,        -- filled from the table, not from the log: each has segments of its own, in order of time
  rows integer NOT NULL,
  first_id bigint NOT NULL,
  last_id bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX search_segments_stream ON messaging.search_segments (stream_id, rank, backfill, id);
CREATE SEQUENCE messaging.search_segment_ids;

CREATE TABLE messaging.search (
  message_id bigint PRIMARY KEY,    -- its time is in it
  segment bigint NOT NULL,
  channel_id bigint NOT NULL,
  tsv tsvector NOT NULL             -- author and kind are marks in it
) WITH (autovacuum_vacuum_scale_factor = 0.05);
-- Without fastupdate: every probe would read the whole list of what is pending, and the rows come in batches anyway.
CREATE INDEX search_tsv ON messaging.search USING gin (tsv) WITH (fastupdate = off);

CREATE TABLE messaging.search_state (
  singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
  made_with text,                   -- configuration and folding; null or another than is set: the index is made anew
  backfill_at bigint                -- messages up to here are in it; null: all of them
);
INSERT INTO messaging.search_state DEFAULT VALUES;

-- migrate:down
DROP TABLE messaging.search_state;
DROP TABLE messaging.search;
DROP TABLE messaging.search_segments;
DROP SEQUENCE messaging.search_segment_ids;
