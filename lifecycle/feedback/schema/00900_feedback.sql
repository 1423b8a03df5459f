-- +goose Up
CREATE TABLE feedback_logs (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  PRIMARY KEY (workspace_id, deployment)
);
CREATE TABLE feedback_signatures (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workspace_id, digest)
);
-- day is the microsecond of its UTC midnight.
CREATE TABLE feedback_parts (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  number BIGINT NOT NULL,
  version BIGINT NOT NULL,
  day BIGINT NOT NULL,
  signature TEXT NOT NULL,
  blob TEXT NOT NULL,
  row_count BIGINT NOT NULL,
  byte_count BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, deployment, number)
);
-- Segments whose rows live in parts now, until their files are gone.
CREATE TABLE feedback_retired (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  segment BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, deployment, segment)
);
