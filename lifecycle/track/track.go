// Package track owns runs: what was tried, with which parameters, on which data, and how it went.
// A run's facts are a row; its metric points are an append-only file, because a curve has thousands of them.
// It must not know what a model version is: the registry points at runs, never the other way.
package track

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// Config is what the service is made of.
type Config struct {
	DB     *catalog.DB
	Blobs  blob.Store // artifacts
	Events *govern.Service
	Dir    string           // where metric points live
	Temp   string           // where uploads wait
	Now    func() time.Time // nil = time.Now
	Log    *slog.Logger     // nil = nowhere
}

// Service keeps experiments, runs, logged models and artifacts. Its methods are safe for concurrent use.
type Service struct {
	db     *catalog.DB
	blobs  blob.Store
	events *govern.Service
	temp   string
	now    func() time.Time
	log    *slog.Logger
	points *points
}

// New makes the service.
func New(c Config) (*Service, error) {
	p, err := openPoints(c.Dir)
	if err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{db: c.DB, blobs: c.Blobs, events: c.Events, temp: c.Temp, now: c.Now, log: c.Log, points: p}, nil
}

// Start records a new run.
func (s *Service) Start(ctx context.Context, r Run) (*Run, error) {
	r.ID = id.New()
	r.State = Running
	if r.Metrics == nil {
		r.Metrics = Values{}
	}
	if r.Params == nil {
		r.Params = map[string]string{}
	}
	if r.Name == "" {
		r.Name = "run-" + r.ID[24:]
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode run: %w", err)
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO runs (id, project, name, state, cause, started_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			r.ID, r.Project, r.Name, r.State, r.Cause, r.StartedAt.UnixMicro(), string(doc))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start run: %w", err)
	}
	return &r, nil
}

// Log appends one point of a metric. The write reaches the operating system before Log returns.
func (s *Service) Log(run, key string, step int64, at time.Time, value float64) error {
	return s.points.append(run, Point{Key: key, Step: step, At: at, Value: value})
}

// Finish stores the final facts of a run in the caller's transaction.
func (s *Service) Finish(ctx context.Context, tx *catalog.Tx, r *Run) error {
	doc, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode run: %w", err)
	}
	var finished any
	if r.FinishedAt != nil {
		finished = r.FinishedAt.UnixMicro()
	}
	_, err = tx.ExecContext(ctx, `UPDATE runs SET state = $1, finished_at = $2, document = $3 WHERE workspace_id = 'default' AND id = $4`, r.State, finished, string(doc), r.ID)
	if err != nil {
		return fmt.Errorf("finish run %s: %w", r.ID, err)
	}
	tx.OnCommit(func() { s.points.close(r.ID) })
	return nil
}

// Abandon marks runs that were running when the process ended. It is called once, before jobs start.
func (s *Service) Abandon(ctx context.Context, now time.Time) error {
	runs, err := s.list(ctx, `SELECT document FROM runs WHERE workspace_id = 'default' AND state = 'running'`)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		for _, r := range runs {
			r.State, r.FinishedAt, r.Error = Killed, &now, "the server stopped while it ran; the job starts a new run"
			if err := s.Finish(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Get finds a run.
func (s *Service) Get(ctx context.Context, id string) (*Run, error) {
	var doc string
	err := s.db.Read().QueryRowContext(ctx, `SELECT document FROM runs WHERE workspace_id = 'default' AND id = $1`, id).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no run %q", id).WithHint("trimtab runs ls shows the runs")
	}
	if err != nil {
		return nil, fmt.Errorf("get run: %w", err)
	}
	r := &Run{}
	if err := json.Unmarshal([]byte(doc), r); err != nil {
		return nil, fmt.Errorf("decode run %s: %w", id, err)
	}
	return r, nil
}

// List gives the newest runs of a project first.
func (s *Service) List(ctx context.Context, project string, limit int) ([]*Run, error) {
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	return s.list(ctx, `SELECT document FROM runs WHERE workspace_id = 'default' AND project = $1 ORDER BY started_at DESC, id DESC LIMIT $2`, project, limit)
}

func (s *Service) list(ctx context.Context, query string, args ...any) ([]*Run, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	defer rows.Close()
	out := []*Run{}
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("list runs: %w", err)
		}
		r := &Run{}
		if err := json.Unmarshal([]byte(doc), r); err != nil {
			return nil, fmt.Errorf("decode run: %w", err)
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Curve gives the points of a metric in the order they were logged; an empty key gives all metrics.
func (s *Service) Curve(run, key string) ([]Point, error) { return s.points.read(run, key) }
