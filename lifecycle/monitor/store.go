package monitor

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// MaxLimit bounds every list.
const MaxLimit = 1000

func (s *Service) storedProgress(ctx context.Context, deployment string) (map[string]int64, error) {
	rows, err := s.DB.Read().QueryContext(ctx, `SELECT kind, judged FROM monitor_watches WHERE workspace_id = $1 AND deployment = $2`, catalog.Workspace, deployment)
	if err != nil {
		return nil, fmt.Errorf("read the progress of a monitor: %w", err)
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var kind string
		var judged int64
		if err := rows.Scan(&kind, &judged); err != nil {
			return nil, fmt.Errorf("read the progress of a monitor: %w", err)
		}
		out[kind] = judged
	}
	return out, rows.Err()
}

func (s *Service) setProgress(ctx context.Context, deployment, kind string, judged int64) error {
	return s.DB.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO monitor_watches (workspace_id, deployment, kind, judged) VALUES ($1, $2, $3, $4)
			ON CONFLICT (workspace_id, deployment, kind) DO UPDATE SET judged = excluded.judged`, catalog.Workspace, deployment, kind, judged)
		if err != nil {
			return fmt.Errorf("store the progress of a monitor: %w", err)
		}
		return nil
	})
}

func (s *Service) insertVerdict(ctx context.Context, tx *catalog.Tx, v *Verdict) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a verdict: %w", err)
	}
	if _, err = tx.ExecContext(ctx, `UPDATE monitor_verdicts SET superseded = 1
		WHERE workspace_id = $1 AND deployment = $2 AND kind = $3 AND window_from = $4 AND superseded = 0`,
		catalog.Workspace, v.Deployment, v.Kind, v.From.UnixMicro()); err != nil {
		return fmt.Errorf("replace a verdict: %w", err)
	}
	// A crash between storing a verdict and noting the progress has the window judged again: the next revision of the same.
	row := tx.QueryRowContext(ctx, `SELECT coalesce(max(revision), 0) FROM monitor_verdicts
		WHERE workspace_id = $1 AND deployment = $2 AND kind = $3 AND window_from = $4`, catalog.Workspace, v.Deployment, v.Kind, v.From.UnixMicro())
	var last int
	if err := row.Scan(&last); err != nil {
		return fmt.Errorf("read the revision of a verdict: %w", err)
	}
	if last >= v.Revision {
		v.Revision = last + 1
		if doc, err = json.Marshal(v); err != nil {
			return fmt.Errorf("encode a verdict: %w", err)
		}
	}
	if _, err = tx.ExecContext(ctx, `INSERT INTO monitor_verdicts
		(workspace_id, id, project, deployment, kind, window_from, window_to, revision, version, state, document)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		catalog.Workspace, v.ID, v.Project, v.Deployment, v.Kind, v.From.UnixMicro(), v.To.UnixMicro(), v.Revision, v.Version, v.State, string(doc)); err != nil {
		return fmt.Errorf("store a verdict: %w", err)
	}
	return nil
}

func insertWindow(ctx context.Context, tx *catalog.Tx, v *Verdict, t *tally) error {
	doc, err := json.Marshal(t.profile)
	if err != nil {
		return fmt.Errorf("encode the profile of a window: %w", err)
	}
	distinct := map[string]int{}
	for i, view := range t.layout.views {
		distinct[view.name] = len(t.distinct[i])
	}
	values, err := json.Marshal(distinct)
	if err != nil {
		return fmt.Errorf("encode the profile of a window: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO monitor_windows (workspace_id, deployment, kind, window_from, window_to, version, rows, profile, distinct_values)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (workspace_id, deployment, kind, window_from) DO UPDATE SET window_to = excluded.window_to, version = excluded.version,
		rows = excluded.rows, profile = excluded.profile, distinct_values = excluded.distinct_values`,
		catalog.Workspace, v.Deployment, v.Kind, v.From.UnixMicro(), v.To.UnixMicro(), t.layout.version, t.profile.Rows, string(doc), string(values))
	if err != nil {
		return fmt.Errorf("store a window: %w", err)
	}
	return nil
}

// keepWindow stores a window of a judged verdict in the place of one on the cells of another version.
func (s *Service) keepWindow(ctx context.Context, v *Verdict, t *tally) error {
	return s.DB.Write(ctx, func(tx *catalog.Tx) error { return insertWindow(ctx, tx, v, t) })
}

// window is the stored profile of a judged window.
func (s *Service) window(ctx context.Context, deployment, kind string, from time.Time) (version int, doc []byte, err error) {
	row := s.DB.Read().QueryRowContext(ctx, `SELECT version, profile FROM monitor_windows
		WHERE workspace_id = $1 AND deployment = $2 AND kind = $3 AND window_from = $4`, catalog.Workspace, deployment, kind, from.UnixMicro())
	var text string
	if err := row.Scan(&version, &text); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return 0, nil, fault.New(fault.NotFound, "there is no %s window of %s from %s", kind, deployment, from.Format(time.DateOnly))
		}
		return 0, nil, fmt.Errorf("read a window: %w", err)
	}
	return version, []byte(text), nil
}

const verdictColumns = `SELECT id, document FROM monitor_verdicts WHERE workspace_id = $1 AND deployment = $2 AND superseded = 0 `

// Verdicts is the latest revisions of a kind, or of all when kind is "", newest window first; limit 0 is 100, at most 1,000.
func (s *Service) Verdicts(ctx context.Context, deployment, kind string, limit int) ([]Verdict, error) {
	if limit < 0 || limit > MaxLimit {
		return nil, fault.New(fault.Invalid, "limit %d is outside 1..%d", limit, MaxLimit)
	}
	if limit == 0 {
		limit = 100
	}
	switch kind {
	case "":
		return s.verdicts(ctx, verdictColumns+`ORDER BY window_to DESC, kind, window_from DESC LIMIT $3`, catalog.Workspace, deployment, limit)
	case Quality, Sudden, Drift, Performance:
		return s.verdicts(ctx, verdictColumns+`AND kind = $3 ORDER BY window_from DESC LIMIT $4`, catalog.Workspace, deployment, kind, limit)
	}
	return nil, fault.New(fault.Invalid, "%q is not a kind of verdict", kind).WithHint("use quality, sudden, drift or performance")
}

// past is the latest verdicts of windows before from, newest first: at most limit.
func (s *Service) past(ctx context.Context, deployment, kind string, from time.Time, limit int) ([]Verdict, error) {
	return s.verdicts(ctx, verdictColumns+`AND kind = $3 AND window_from < $4 ORDER BY window_from DESC LIMIT $5`, catalog.Workspace, deployment, kind, from.UnixMicro(), limit)
}

// first is the earliest verdict of a deployment that knows its version, nil when there is none: its version was the first champion.
func (s *Service) first(ctx context.Context, deployment string) (*Verdict, error) {
	vs, err := s.verdicts(ctx, verdictColumns+`AND version > 0 ORDER BY window_from, version LIMIT 1`, catalog.Workspace, deployment)
	if err != nil || len(vs) == 0 {
		return nil, err
	}
	return &vs[0], nil
}

func (s *Service) verdicts(ctx context.Context, query string, args ...any) ([]Verdict, error) {
	rows, err := s.DB.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read verdicts: %w", err)
	}
	defer rows.Close()
	out := []Verdict{}
	for rows.Next() {
		var key string
		var doc sql.RawBytes
		if err := rows.Scan(&key, &doc); err != nil {
			return nil, fmt.Errorf("read verdicts: %w", err)
		}
		v, ok := s.decoded.get(key)
		if !ok {
			if err := json.Unmarshal(doc, &v); err != nil {
				return nil, fmt.Errorf("decode a verdict: %w", err)
			}
			s.decoded.put(key, v)
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// decoded keeps verdicts that were read: every judgement looks at the same last ones, and they never change. Their columns are shared,
// so they must not be written to.
type decoded struct {
	mu   sync.Mutex
	byID map[string]Verdict
}

const maxDecoded = 512

func (d *decoded) get(id string) (Verdict, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.byID[id]
	return v, ok
}

func (d *decoded) put(id string, v Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil || len(d.byID) >= maxDecoded {
		d.byID = map[string]Verdict{}
	}
	d.byID[id] = v
}
