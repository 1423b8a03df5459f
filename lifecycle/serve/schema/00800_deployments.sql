-- +goose Up
CREATE TABLE serve_deployments (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  name TEXT NOT NULL,
  project TEXT NOT NULL,
  model TEXT NOT NULL,
  log_level TEXT NOT NULL,
  route TEXT NOT NULL,
  resident TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, name)
);
