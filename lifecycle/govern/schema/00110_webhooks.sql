-- +goose Up
-- events is a JSON list; secret is encrypted with the key of the state directory, empty = deliveries are not signed.
CREATE TABLE webhooks (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL,
  url TEXT NOT NULL,
  events TEXT NOT NULL,
  status TEXT NOT NULL,
  secret BYTEA NOT NULL,
  problem TEXT NOT NULL,
  failing_since BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
-- number ascends in the order in which things happened; tries is a JSON list.
CREATE TABLE webhook_deliveries (
  workspace_id TEXT NOT NULL DEFAULT 'default',
  webhook_id TEXT NOT NULL,
  number BIGINT NOT NULL,
  id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  next_at BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  tries TEXT NOT NULL,
  PRIMARY KEY (workspace_id, webhook_id, number),
  UNIQUE (workspace_id, id)
);
CREATE INDEX webhook_deliveries_by_state ON webhook_deliveries (workspace_id, webhook_id, state, number);
