-- +goose Up
CREATE TABLE rollouts (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    id           TEXT   NOT NULL,
    project      TEXT   NOT NULL,
    deployment   TEXT   NOT NULL,
    model        TEXT   NOT NULL,
    to_version   BIGINT NOT NULL,
    state        TEXT   NOT NULL,
    started_at   BIGINT NOT NULL,
    document     TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX rollouts_by_deployment ON rollouts (workspace_id, deployment, started_at);
CREATE UNIQUE INDEX rollouts_one_active ON rollouts (workspace_id, deployment) WHERE state IN ('running', 'paused');
