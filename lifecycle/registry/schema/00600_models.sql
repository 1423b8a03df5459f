-- +goose Up
CREATE TABLE models (
    workspace_id TEXT    NOT NULL DEFAULT 'default',
    name         TEXT    NOT NULL,
    project      TEXT    NOT NULL,
    last_version BIGINT  NOT NULL DEFAULT 0,
    created_at   BIGINT  NOT NULL,
    PRIMARY KEY (workspace_id, name)
);
CREATE TABLE model_versions (
    workspace_id TEXT    NOT NULL DEFAULT 'default',
    model        TEXT    NOT NULL,
    version      BIGINT  NOT NULL,
    project      TEXT    NOT NULL,
    digest       TEXT    NOT NULL,
    build_key    TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    created_at   BIGINT  NOT NULL,
    document     TEXT    NOT NULL,
    PRIMARY KEY (workspace_id, model, version)
);
CREATE UNIQUE INDEX model_versions_by_build ON model_versions (workspace_id, model, build_key);
CREATE TABLE model_aliases (
    workspace_id TEXT    NOT NULL DEFAULT 'default',
    model        TEXT    NOT NULL,
    alias        TEXT    NOT NULL,
    version      BIGINT  NOT NULL,
    PRIMARY KEY (workspace_id, model, alias)
);
CREATE TABLE model_alias_moves (
    workspace_id TEXT    NOT NULL DEFAULT 'default',
    id           TEXT    NOT NULL,
    model        TEXT    NOT NULL,
    alias        TEXT    NOT NULL,
    from_version BIGINT  NOT NULL,
    to_version   BIGINT  NOT NULL,
    at           BIGINT  NOT NULL,
    recorded     BIGINT  NOT NULL,
    actor        TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
