package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"sync"
)

// Kinds of names.
const (
	kindParam  = 1
	kindMetric = 2
	kindTag    = 3
)

// maxNames bounds what the cache of names holds; beyond, it starts anew.
const maxNames = 1 << 17

type name struct {
	kind int64
	text string
}

type used struct{ experiment, key int64 }

// names remembers the numbers of names, and which experiment has used which. Only what was committed is in it.
type names struct {
	mu   sync.Mutex
	ids  map[name]int64
	used map[used]struct{}
}

func newNames() *names { return &names{ids: map[name]int64{}, used: map[used]struct{}{}} }

func (n *names) id(kind int64, text string) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ids[name{kind, text}]
}

func (n *names) has(u used) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.used[u]
	return ok
}

func (n *names) learn(k name, id int64, u used) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ids) >= maxNames {
		clear(n.ids)
	}
	if len(n.used) >= maxNames {
		clear(n.used)
	}
	n.ids[k] = id
	n.used[u] = struct{}{}
}

// forget drops what is known about experiments, when one is removed.
func (n *names) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.used)
}

// keyID gives the number of a name, and notes that the experiment uses it. Writers of names hold the revision, so that no two make the same one.
func (s *Service) keyID(ctx context.Context, c *change, experiment, kind int64, text string) (int64, error) {
	id := s.names.id(kind, text)
	if id != 0 && s.names.has(used{experiment, id}) {
		return id, nil
	}
	if id == 0 {
		err := c.QueryRowContext(ctx, `SELECT id FROM track_keys WHERE workspace_id = 'default' AND kind = $1 AND name = $2`, kind, text).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			if id, err = next(ctx, c.Tx, "key", 1); err == nil {
				_, err = c.ExecContext(ctx, `INSERT INTO track_keys (kind, name, id) VALUES ($1, $2, $3)`, kind, text, id)
			}
		}
		if err != nil {
			return 0, fmt.Errorf("number the name %q: %w", text, err)
		}
	}
	_, err := c.ExecContext(ctx, `INSERT INTO experiment_keys (experiment_id, key_id) VALUES ($1, $2) ON CONFLICT (workspace_id, experiment_id, key_id) DO NOTHING`, experiment, id)
	if err != nil {
		return 0, fmt.Errorf("note the name %q: %w", text, err)
	}
	c.OnCommit(func() { s.names.learn(name{kind, text}, id, used{experiment, id}) })
	return id, nil
}

// cells writes parameters and tags as rows.
func (s *Service) cells(ctx context.Context, c *change, r *record, params, tags map[string]string) error {
	for key, value := range params {
		if err := s.cell(ctx, c, r, kindParam, key, value); err != nil {
			return err
		}
	}
	for key, value := range tags {
		if err := s.cell(ctx, c, r, kindTag, key, value); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) cell(ctx context.Context, c *change, r *record, kind int64, key, value string) error {
	id, err := s.keyID(ctx, c, r.experiment, kind, key)
	if err != nil {
		return err
	}
	query := `INSERT INTO run_params (key_id, run, value) VALUES ($1, $2, $3) ON CONFLICT (workspace_id, key_id, run) DO UPDATE SET value = excluded.value`
	if kind == kindTag {
		query = `INSERT INTO run_tags (key_id, run, value) VALUES ($1, $2, $3) ON CONFLICT (workspace_id, key_id, run) DO UPDATE SET value = excluded.value`
	}
	if _, err := c.ExecContext(ctx, query, id, r.number, value); err != nil {
		return fmt.Errorf("write %q of run %s: %w", key, r.run.ID, err)
	}
	return nil
}

func (s *Service) metricCell(ctx context.Context, c *change, experiment, run int64, key string, value float64) error {
	id, err := s.keyID(ctx, c, experiment, kindMetric, key)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(ctx, `INSERT INTO run_metrics (key_id, run, value) VALUES ($1, $2, $3) ON CONFLICT (workspace_id, key_id, run) DO UPDATE SET value = excluded.value`,
		id, run, numberOrNil(value))
	if err != nil {
		return fmt.Errorf("write the metric %q: %w", key, err)
	}
	return nil
}

// numberOrNil is how a number is stored: SQLite makes NULL of NaN, so NULL means NaN everywhere.
func numberOrNil(v float64) any {
	if math.IsNaN(v) {
		return nil
	}
	return v
}

func numberOf(v sql.NullFloat64) float64 {
	if !v.Valid {
		return math.NaN()
	}
	return v.Float64
}

// dropCells removes every cell of a run.
func (s *Service) dropCells(ctx context.Context, c *change, r *record) error {
	drop := func(kind int64, key, query string) error {
		id := s.names.id(kind, key)
		if id == 0 {
			err := c.QueryRowContext(ctx, `SELECT id FROM track_keys WHERE workspace_id = 'default' AND kind = $1 AND name = $2`, kind, key).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		_, err := c.ExecContext(ctx, query, id, r.number)
		return err
	}
	for key := range r.doc.Params {
		if err := drop(kindParam, key, `DELETE FROM run_params WHERE workspace_id = 'default' AND key_id = $1 AND run = $2`); err != nil {
			return fmt.Errorf("remove the parameters of run %s: %w", r.run.ID, err)
		}
	}
	for key := range r.doc.Tags {
		if err := drop(kindTag, key, `DELETE FROM run_tags WHERE workspace_id = 'default' AND key_id = $1 AND run = $2`); err != nil {
			return fmt.Errorf("remove the tags of run %s: %w", r.run.ID, err)
		}
	}
	for key := range r.latest {
		if err := drop(kindMetric, key, `DELETE FROM run_metrics WHERE workspace_id = 'default' AND key_id = $1 AND run = $2`); err != nil {
			return fmt.Errorf("remove the metrics of run %s: %w", r.run.ID, err)
		}
	}
	return nil
}
