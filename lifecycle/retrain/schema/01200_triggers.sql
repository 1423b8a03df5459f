-- +goose Up
CREATE TABLE retrain_triggers (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    id           TEXT   NOT NULL,
    project      TEXT   NOT NULL,
    at           BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    document     TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX retrain_triggers_by_project ON retrain_triggers (workspace_id, project, at);
