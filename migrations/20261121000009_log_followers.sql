-- migrate:up
-- How far each job that reads the log has come, per stream (common/db/log_follower.h). Saved in the transaction of what was
-- done with the events, so an event has its effect once.
CREATE TABLE log.followers (
  name text NOT NULL,
  rank smallint NOT NULL,
  id bigint NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (name, rank, id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 200);

-- migrate:down
DROP TABLE log.followers;
