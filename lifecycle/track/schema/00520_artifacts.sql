-- +goose Up
-- A row per file and per folder; folders have no blob and live as long as something is below them. Children are found by the
-- folder they are in and never by comparing prefixes, whose order depends on the collation of the database.
CREATE TABLE artifacts (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    path         TEXT   NOT NULL,
    folder       TEXT   NOT NULL,
    blob         TEXT   NOT NULL DEFAULT '',
    size         BIGINT NOT NULL DEFAULT 0,
    modified_at  BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, path)
);
CREATE INDEX artifacts_by_folder ON artifacts (workspace_id, folder);
CREATE INDEX artifacts_by_blob ON artifacts (workspace_id, blob);
