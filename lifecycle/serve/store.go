package serve

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
)

// Schema holds the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

const selectDeployments = `SELECT name, project, model, log_level, route, resident, settings, created_at, updated_at FROM serve_deployments WHERE workspace_id = $1 ORDER BY name`

// stored reads all deployments as the catalog has them.
func stored(ctx context.Context, q catalog.Querier) ([]Deployment, error) {
	rows, err := q.QueryContext(ctx, selectDeployments, catalog.Workspace)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	defer rows.Close()
	var out []Deployment
	for rows.Next() {
		var d Deployment
		var route, resident, settings string
		var created, updated int64
		if err := rows.Scan(&d.Name, &d.Project, &d.Model, &d.LogLevel, &route, &resident, &settings, &created, &updated); err != nil {
			return nil, fmt.Errorf("list deployments: %w", err)
		}
		if err := json.Unmarshal([]byte(route), &d.Route); err != nil {
			return nil, fmt.Errorf("read the route of %q: %w", d.Name, err)
		}
		if err := json.Unmarshal([]byte(resident), &d.Resident); err != nil {
			return nil, fmt.Errorf("read the resident versions of %q: %w", d.Name, err)
		}
		if err := json.Unmarshal([]byte(settings), &d.Settings); err != nil {
			return nil, fmt.Errorf("read the settings of %q: %w", d.Name, err)
		}
		d.CreatedAt, d.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		out = append(out, d)
	}
	return out, rows.Err()
}

// store writes a deployment, new or changed.
func store(ctx context.Context, tx *catalog.Tx, d *Deployment) error {
	route, err := json.Marshal(d.Route)
	if err != nil {
		return fmt.Errorf("store the route of %q: %w", d.Name, err)
	}
	resident, err := json.Marshal(d.Resident)
	if err != nil {
		return fmt.Errorf("store the resident versions of %q: %w", d.Name, err)
	}
	settings, err := json.Marshal(d.Settings)
	if err != nil {
		return fmt.Errorf("store the settings of %q: %w", d.Name, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO serve_deployments (workspace_id, name, project, model, log_level, route, resident, settings, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (workspace_id, name) DO UPDATE SET log_level = excluded.log_level, route = excluded.route, resident = excluded.resident, settings = excluded.settings, updated_at = excluded.updated_at`,
		catalog.Workspace, d.Name, d.Project, d.Model, d.LogLevel, string(route), string(resident), string(settings), d.CreatedAt.UnixMicro(), d.UpdatedAt.UnixMicro())
	if err != nil {
		return fmt.Errorf("store the deployment %q: %w", d.Name, err)
	}
	return nil
}
