-- migrate:up
-- What files hold, each once, whoever uploaded it how often. loose_at_ms: since when perhaps nothing refers to it; it is set
-- before a file takes its place and whenever a reference goes, and what is found referred to after all loses it.
CREATE TABLE messaging.file_contents (
  sha256 bytea PRIMARY KEY,
  bytes bigint NOT NULL,
  loose_at_ms bigint
);
CREATE INDEX file_contents_loose ON messaging.file_contents (loose_at_ms) WHERE loose_at_ms IS NOT NULL;

CREATE TABLE messaging.attachments (
  id bigint PRIMARY KEY,
  channel_id bigint NOT NULL,
  uploader_id bigint NOT NULL,
  message_id bigint,
  name text NOT NULL,
  bytes bigint NOT NULL,
  mime text NOT NULL,
  ext text NOT NULL,
  width int NOT NULL DEFAULT 0,
  height int NOT NULL DEFAULT 0,
  animated boolean NOT NULL DEFAULT false,
  sha256 bytea NOT NULL REFERENCES messaging.file_contents,
  preview_sha256 bytea REFERENCES messaging.file_contents,
  preview_bytes bigint,
  preview_mime text,
  preview_ext text,
  preview_width int,
  preview_height int,
  key bytea NOT NULL,
  created_at_ms bigint NOT NULL,
  deleted_at_ms bigint
);
CREATE INDEX attachments_message ON messaging.attachments (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX attachments_waiting ON messaging.attachments (created_at_ms) WHERE message_id IS NULL AND deleted_at_ms IS NULL;
CREATE INDEX attachments_deleted ON messaging.attachments (deleted_at_ms) WHERE deleted_at_ms IS NOT NULL;
CREATE INDEX attachments_uploader ON messaging.attachments (uploader_id) INCLUDE (bytes);
CREATE INDEX attachments_sha256 ON messaging.attachments (sha256);
CREATE INDEX attachments_preview ON messaging.attachments (preview_sha256) WHERE preview_sha256 IS NOT NULL;

-- The encoded AttachmentsView: lists read it with the row.
ALTER TABLE messaging.messages ADD COLUMN attachments bytea;

-- migrate:down
ALTER TABLE messaging.messages DROP COLUMN attachments;
DROP TABLE messaging.attachments;
DROP TABLE messaging.file_contents;
