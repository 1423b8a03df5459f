-- +goose Up
CREATE TABLE projects (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  name TEXT NOT NULL,
  file TEXT NOT NULL,
  source TEXT NOT NULL,
  dir TEXT NOT NULL,
  hash TEXT NOT NULL,
  clock TEXT NOT NULL,
  clock_now BIGINT NOT NULL,
  ticked BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  applied_at BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, name)
);
