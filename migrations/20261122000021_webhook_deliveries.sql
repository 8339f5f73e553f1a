-- migrate:up
-- What outgoing webhooks are still to be asked, and for a while what became of it. Claimed with SKIP LOCKED; running_until is the lease of
-- whoever claimed it, and `tries` tells two holders apart.
CREATE TABLE messaging.webhook_deliveries (
  id bigint PRIMARY KEY,
  webhook_id bigint NOT NULL,
  asked_by bigint NOT NULL,         -- who said the word
  input text NOT NULL,              -- behind the word; blanked when it is over
  trace text NOT NULL,
  state smallint NOT NULL DEFAULT 1, -- 1 waits, 2 done, 3 given up
  tries integer NOT NULL DEFAULT 0, -- begun
  run_at timestamptz NOT NULL DEFAULT now(),
  running_until timestamptz,
  why text,                         -- of the latest try that failed
  message_id bigint,                -- that was posted
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX webhook_deliveries_due ON messaging.webhook_deliveries (run_at, id) WHERE state = 1;
CREATE INDEX webhook_deliveries_running ON messaging.webhook_deliveries (webhook_id) WHERE state = 1 AND running_until IS NOT NULL;
CREATE INDEX webhook_deliveries_ended ON messaging.webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- migrate:down
DROP TABLE messaging.webhook_deliveries;
