-- +goose Up
CREATE TABLE monitor_watches (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  kind TEXT NOT NULL,
  judged BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, deployment, kind)
);
CREATE TABLE monitor_windows (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  deployment TEXT NOT NULL,
  kind TEXT NOT NULL,
  window_from BIGINT NOT NULL,
  window_to BIGINT NOT NULL,
  version BIGINT NOT NULL,
  rows BIGINT NOT NULL,
  profile TEXT NOT NULL,
  distinct_values TEXT NOT NULL,
  PRIMARY KEY (workspace_id, deployment, kind, window_from)
);
CREATE TABLE monitor_verdicts (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  project TEXT NOT NULL,
  deployment TEXT NOT NULL,
  kind TEXT NOT NULL,
  window_from BIGINT NOT NULL,
  window_to BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  superseded BIGINT NOT NULL DEFAULT 0,
  version BIGINT NOT NULL,
  state TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX monitor_verdicts_by_window ON monitor_verdicts (workspace_id, deployment, kind, window_from, revision);
CREATE TABLE monitor_alerts (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  project TEXT NOT NULL,
  deployment TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  state TEXT NOT NULL,
  opened_at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX monitor_alerts_by_time ON monitor_alerts (workspace_id, opened_at);
CREATE UNIQUE INDEX monitor_alerts_one_firing ON monitor_alerts (workspace_id, deployment, kind, subject) WHERE state = 'firing';
CREATE TABLE monitor_outbox (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  project TEXT NOT NULL,
  alert_id TEXT NOT NULL,
  target TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  problem TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX monitor_outbox_due ON monitor_outbox (workspace_id, state, next_at);
