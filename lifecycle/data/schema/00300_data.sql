-- +goose Up
CREATE TABLE data_versions (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  project TEXT NOT NULL,
  dataset TEXT NOT NULL,
  number BIGINT NOT NULL,
  id TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workspace_id, project, dataset, number)
);
CREATE INDEX data_versions_by_id ON data_versions (workspace_id, id);
-- What one source file became under one reading of it, so that a file that did not change is not read again.
CREATE TABLE data_staged (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  source_hash TEXT NOT NULL,
  reading_hash TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workspace_id, source_hash, reading_hash)
);
