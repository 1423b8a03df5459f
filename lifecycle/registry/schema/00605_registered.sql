-- +goose Up
ALTER TABLE models ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE models ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE models ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
UPDATE models SET updated_at = created_at;
ALTER TABLE model_versions ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE model_versions ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE model_versions ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE model_versions ADD COLUMN stage TEXT NOT NULL DEFAULT 'None';
ALTER TABLE model_versions ADD COLUMN format TEXT NOT NULL DEFAULT 'trimtab';
ALTER TABLE model_versions ADD COLUMN source TEXT NOT NULL DEFAULT '';
ALTER TABLE model_versions ADD COLUMN location TEXT NOT NULL DEFAULT '';
ALTER TABLE model_versions ADD COLUMN run_id TEXT NOT NULL DEFAULT '';
ALTER TABLE model_versions ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0;
UPDATE model_versions SET updated_at = created_at;
CREATE INDEX model_versions_by_run ON model_versions (workspace_id, run_id);
