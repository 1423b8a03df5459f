package rollout

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"

	"github.com/trimtab-ml/trimtab/infra/catalog"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

func (s *Service) insert(ctx context.Context, tx *catalog.Tx, r *Rollout) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode rollout: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO rollouts (id, project, deployment, model, to_version, state, started_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.ID, r.Project, r.Deployment, r.Model, r.To, r.State, r.StartedAt.UnixMicro(), string(doc))
	if err != nil {
		return fmt.Errorf("store rollout: %w", err)
	}
	return nil
}

func (s *Service) update(ctx context.Context, tx *catalog.Tx, r *Rollout) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode rollout: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE rollouts SET state = $1, document = $2 WHERE workspace_id = 'default' AND id = $3`, r.State, string(doc), r.ID); err != nil {
		return fmt.Errorf("store rollout: %w", err)
	}
	return nil
}

// List gives the rollouts of a deployment, newest first.
func (s *Service) List(ctx context.Context, deployment string) ([]*Rollout, error) {
	return s.query(ctx, `SELECT document FROM rollouts WHERE workspace_id = 'default' AND deployment = $1 ORDER BY started_at DESC, id DESC LIMIT 200`, deployment)
}

// Active is the rollout that holds traffic of a deployment now; nil when there is none.
func (s *Service) Active(ctx context.Context, deployment string) (*Rollout, error) {
	rs, err := s.query(ctx, `SELECT document FROM rollouts WHERE workspace_id = 'default' AND deployment = $1 AND state IN ('running', 'paused')`, deployment)
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	return rs[0], nil
}

func (s *Service) activeIn(ctx context.Context, project string) ([]*Rollout, error) {
	return s.query(ctx, `SELECT document FROM rollouts WHERE workspace_id = 'default' AND project = $1 AND state IN ('running', 'paused') ORDER BY id`, project)
}

func (s *Service) query(ctx context.Context, query string, args ...any) ([]*Rollout, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list rollouts: %w", err)
	}
	defer rows.Close()
	out := []*Rollout{}
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("list rollouts: %w", err)
		}
		r := &Rollout{}
		if err := json.Unmarshal([]byte(doc), r); err != nil {
			return nil, fmt.Errorf("decode rollout: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// OfVersion gives the rollouts that brought a version to traffic, or tried to, newest first.
func (s *Service) OfVersion(ctx context.Context, model string, version int) ([]*Rollout, error) {
	return s.query(ctx, `SELECT document FROM rollouts WHERE workspace_id = 'default' AND model = $1 AND to_version = $2 ORDER BY started_at DESC, id DESC LIMIT 50`, model, version)
}
