-- migrate:up
-- A webhook rests while its owner's account is locked or gone, as it does while its bot's is.
ALTER TABLE messaging.webhooks ADD COLUMN owner_halted boolean NOT NULL DEFAULT false;
UPDATE messaging.webhooks w SET owner_halted = true FROM auth.accounts a
  WHERE a.id = w.owner_id AND (a.disabled_at_ms IS NOT NULL OR a.erased_at_ms IS NOT NULL) AND w.deleted_at_ms IS NULL;
CREATE INDEX webhooks_owner ON messaging.webhooks (owner_id) WHERE deleted_at_ms IS NULL;

-- migrate:down
DROP INDEX messaging.webhooks_owner;
ALTER TABLE messaging.webhooks DROP COLUMN owner_halted;
