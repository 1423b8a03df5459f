-- +goose Up
CREATE TABLE serve_shadows (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  version BIGINT NOT NULL,
  document TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, deployment, version)
);
