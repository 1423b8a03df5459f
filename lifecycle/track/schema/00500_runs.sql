-- +goose Up
CREATE TABLE runs (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    id           TEXT   NOT NULL,
    project      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    cause        TEXT   NOT NULL DEFAULT '',
    started_at   BIGINT NOT NULL,
    finished_at  BIGINT,
    document     TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX runs_by_project ON runs (workspace_id, project, started_at);
