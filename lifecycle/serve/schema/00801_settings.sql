-- +goose Up
ALTER TABLE serve_deployments ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
