-- +goose Up
CREATE TABLE jobs (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  project TEXT NOT NULL,
  key TEXT NOT NULL,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  progress TEXT NOT NULL,
  cause TEXT NOT NULL,
  args TEXT NOT NULL,
  result TEXT NOT NULL,
  error TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  heartbeat BIGINT NOT NULL,
  crashes INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX jobs_active ON jobs (workspace_id, kind, key) WHERE state IN ('waiting', 'running');
CREATE INDEX jobs_due ON jobs (run_at, id) WHERE state = 'waiting';
CREATE INDEX jobs_by_project ON jobs (workspace_id, project, id);
