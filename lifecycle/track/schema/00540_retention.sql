-- +goose Up
-- What happens to old runs of an experiment; the row of experiment '' is for all that have none of their own. NULL = no bound.
CREATE TABLE retention (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    experiment   TEXT   NOT NULL,
    deleted_days BIGINT,
    max_runs     BIGINT,
    PRIMARY KEY (workspace_id, experiment)
);
-- Blobs that nothing holds, and since when that is known.
CREATE TABLE blob_candidates (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    hash         TEXT   NOT NULL,
    seen_at      BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, hash)
);
