package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
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

func (n *names) learn(k name, id int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ids) >= maxNames {
		clear(n.ids)
	}
	n.ids[k] = id
}

func (n *names) use(u used) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.used) >= maxNames {
		clear(n.used)
	}
	n.used[u] = struct{}{}
}

// keyID gives the number of a name, and notes that the experiment uses it. Writers of names hold the revision, so that no two make the same one.
func (s *Service) keyID(ctx context.Context, c *change, experiment, kind int64, text string) (int64, error) {
	k := name{kind, text}
	id := s.names.id(kind, text)
	if id == 0 {
		id = c.keys[k]
	}
	if u := (used{experiment, id}); id != 0 && (s.names.has(u) || c.used[u]) {
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
	if c.keys == nil {
		c.keys, c.used = map[name]int64{}, map[used]bool{}
		c.OnCommit(func() {
			for k, id := range c.keys {
				s.names.learn(k, id)
			}
			for u := range c.used {
				s.names.use(u)
			}
		})
	}
	c.keys[k], c.used[used{experiment, id}] = id, true
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

// cellRows is how many cells one statement writes.
const cellRows = 50

// metricRows is the statement that writes so many rows of run_metrics.
func metricRows(rows int) string {
	var b strings.Builder
	b.WriteString(`INSERT INTO run_metrics (key_id, run, value) VALUES `)
	for i := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "($%d, $%d, $%d)", 3*i+1, 3*i+2, 3*i+3)
	}
	b.WriteString(` ON CONFLICT (workspace_id, key_id, run) DO UPDATE SET value = excluded.value`)
	return b.String()
}

var oneCell, manyCells = metricRows(1), metricRows(cellRows)

// metricCells writes values of a run, with few statements when they are many.
func (s *Service) metricCells(ctx context.Context, c *change, experiment, run int64, values map[string]float64) error {
	args := make([]any, 0, 3*len(values))
	for key, value := range values {
		id, err := s.keyID(ctx, c, experiment, kindMetric, key)
		if err != nil {
			return err
		}
		args = append(args, id, run, numberOrNil(value))
	}
	for len(args) > 0 {
		query, n := oneCell, 3
		if len(args) >= 3*cellRows {
			query, n = manyCells, 3*cellRows
		}
		if _, err := c.ExecContext(ctx, query, args[:n]...); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
		args = args[n:]
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
