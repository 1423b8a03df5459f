-- +goose Up
-- Whoever writes runs first raises 'revision': its row lock makes the order of revisions the order of commits.
CREATE TABLE track_counters (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    name         TEXT   NOT NULL,
    value        BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, name)
);
INSERT INTO track_counters (name, value) VALUES ('revision', 0), ('epoch', 0), ('experiment', 0), ('run', 0), ('key', 0), ('dataset', 0);

CREATE TABLE experiments (
    workspace_id  TEXT   NOT NULL DEFAULT 'default',
    id            BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    artifact_root TEXT   NOT NULL,
    stage         TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    tags          TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX experiments_active ON experiments (workspace_id, name) WHERE stage = 'active';

-- A run whose number is NULL is of the time before experiments; the program converts it when it starts.
ALTER TABLE runs ADD COLUMN number BIGINT;
ALTER TABLE runs ADD COLUMN experiment_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN stage TEXT NOT NULL DEFAULT 'active';
ALTER TABLE runs ADD COLUMN deleted_at BIGINT;
ALTER TABLE runs ADD COLUMN artifact_uri TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
-- The latest point of every metric, packed; open is 1 while newer ones may be in the series store only.
ALTER TABLE runs ADD COLUMN latest BYTEA;
ALTER TABLE runs ADD COLUMN open BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX runs_by_number ON runs (workspace_id, number);
CREATE INDEX runs_by_revision ON runs (workspace_id, revision);
CREATE INDEX runs_by_experiment ON runs (workspace_id, experiment_id, stage, started_at);
CREATE INDEX runs_open ON runs (workspace_id, id) WHERE open = 1;

-- Names of parameters (kind 1), metrics (2) and tags (3) as numbers.
CREATE TABLE track_keys (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    kind         BIGINT NOT NULL,
    name         TEXT   NOT NULL,
    id           BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, kind, name)
);
CREATE UNIQUE INDEX track_keys_by_id ON track_keys (workspace_id, id);
-- Which names the runs of an experiment have used.
CREATE TABLE experiment_keys (
    workspace_id  TEXT   NOT NULL DEFAULT 'default',
    experiment_id BIGINT NOT NULL,
    key_id        BIGINT NOT NULL,
    PRIMARY KEY (workspace_id, experiment_id, key_id)
);

-- One column of the runs table per name: run is runs.number. A metric without a value is NaN, which SQLite cannot keep.
CREATE TABLE run_params (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    key_id       BIGINT NOT NULL,
    run          BIGINT NOT NULL,
    value        TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, key_id, run)
);
CREATE TABLE run_metrics (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    key_id       BIGINT NOT NULL,
    run          BIGINT NOT NULL,
    value        DOUBLE PRECISION,
    PRIMARY KEY (workspace_id, key_id, run)
);
CREATE TABLE run_tags (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    key_id       BIGINT NOT NULL,
    run          BIGINT NOT NULL,
    value        TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, key_id, run)
);

CREATE TABLE run_datasets (
    workspace_id  TEXT   NOT NULL DEFAULT 'default',
    id            BIGINT NOT NULL,
    experiment_id BIGINT NOT NULL,
    name          TEXT   NOT NULL,
    digest        TEXT   NOT NULL,
    source_type   TEXT   NOT NULL,
    source        TEXT   NOT NULL,
    description   TEXT   NOT NULL,
    profile       TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE UNIQUE INDEX run_datasets_by_name ON run_datasets (workspace_id, experiment_id, name, digest);
CREATE TABLE run_inputs (
    workspace_id TEXT   NOT NULL DEFAULT 'default',
    dataset_id   BIGINT NOT NULL,
    run          BIGINT NOT NULL,
    context      TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, dataset_id, run)
);

CREATE TABLE logged_models (
    workspace_id   TEXT   NOT NULL DEFAULT 'default',
    id             TEXT   NOT NULL,
    experiment_id  BIGINT NOT NULL,
    name           TEXT   NOT NULL,
    model_type     TEXT   NOT NULL,
    source_run_id  TEXT   NOT NULL,
    status         TEXT   NOT NULL,
    status_message TEXT   NOT NULL,
    stage          TEXT   NOT NULL,
    artifact_uri   TEXT   NOT NULL,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    tags           TEXT   NOT NULL,
    params         TEXT   NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX logged_models_by_experiment ON logged_models (workspace_id, experiment_id, created_at);
CREATE INDEX logged_models_by_run ON logged_models (workspace_id, source_run_id);
CREATE TABLE model_metrics (
    workspace_id   TEXT   NOT NULL DEFAULT 'default',
    model_id       TEXT   NOT NULL,
    key            TEXT   NOT NULL,
    run_id         TEXT   NOT NULL,
    dataset_name   TEXT   NOT NULL,
    dataset_digest TEXT   NOT NULL,
    step           BIGINT NOT NULL,
    at             BIGINT NOT NULL,
    value          DOUBLE PRECISION,
    PRIMARY KEY (workspace_id, model_id, key, run_id, dataset_name, dataset_digest)
);
CREATE INDEX model_metrics_by_run ON model_metrics (workspace_id, run_id);
