-- migrate:up
-- The installation's own stream: a canary every five seconds, whose way to the gateways is measured (common/db/canary.h).
INSERT INTO log.streams (rank, id) VALUES (3, 1);

-- migrate:down
DELETE FROM log.events WHERE rank = 3 AND id = 1;
DELETE FROM log.streams WHERE rank = 3 AND id = 1;
