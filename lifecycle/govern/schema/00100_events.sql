-- +goose Up
CREATE TABLE events (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  at BIGINT NOT NULL,
  recorded BIGINT NOT NULL,
  project TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  data TEXT NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
CREATE INDEX events_by_project ON events (workspace_id, project, id);
CREATE INDEX events_by_subject ON events (workspace_id, subject, id);
