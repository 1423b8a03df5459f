// Package track owns what was tried and how it went: experiments, runs, logged models and their files.
//
// A run's facts, parameters, tags and inputs are a row; the points of its metrics are in the series store, because a curve has thousands of
// them, and the latest point of each metric is written behind into the row. What is searched is beside the rows as columns of cells.
// MLflow's words for mistakes live here, so that every door says the same.
//
// It must not know what a registered model or its versions are: the registry points at runs and logged models, never the other way.
package track

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/series"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// Config is what the service is made of.
type Config struct {
	DB      *catalog.DB
	Blobs   blob.Store // artifacts
	Series  *series.Store
	Events  *govern.Service
	Uploads string           // a folder for the parts of unfinished uploads, which survive a restart
	Points  string           // a folder of metric files from before the series store; "" = there never were any
	Index   int64            // bytes of memory for the columns that searches look at; 0 = 128 MiB
	Now     func() time.Time // nil = time.Now
	Log     *slog.Logger     // nil = nowhere
}

// Service keeps experiments, runs, logged models and artifacts. Its methods are safe for concurrent use.
type Service struct {
	*Artifacts
	db       *catalog.DB
	series   *series.Store
	events   *govern.Service
	now      func() time.Time
	log      *slog.Logger
	writer   *writer
	names    *names
	states   *states
	index    *index
	watchers watchers

	heard, heardEpoch int64 // of the goroutine that keeps

	stop context.CancelFunc
	done sync.WaitGroup
}

// New makes the service: it converts what an older version has left, and reads again what was logged before a crash.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	artifacts, err := NewArtifacts(c.DB, c.Blobs, c.Uploads, c.Now)
	if err != nil {
		return nil, err
	}
	s := &Service{Artifacts: artifacts, db: c.DB, series: c.Series, events: c.Events, now: c.Now, log: c.Log, writer: &writer{db: c.DB}, names: newNames(),
		states: newStates(), index: newIndex(c.DB, c.Index), watchers: watchers{all: map[*watcher]struct{}{}}, heard: unheard}
	if err := s.prepare(ctx, c.Points); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.done.Go(func() { s.keep(keeping) })
	return s, nil
}

func (s *Service) prepare(ctx context.Context, points string) error {
	now := s.now().UnixMicro()
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO experiments (id, name, artifact_root, stage, created_at, updated_at, tags) VALUES (0, 'Default', $1, 'active', $2, $2, '{}')
			ON CONFLICT (workspace_id, id) DO NOTHING`, scheme+DefaultExperiment, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("make the default experiment: %w", err)
	}
	if points != "" {
		if err := s.readPoints(ctx, points); err != nil {
			return err
		}
	}
	if err := s.convert(ctx); err != nil {
		return err
	}
	return s.recover(ctx)
}

// Close writes the latest metrics and ends the service. The stores that it was given stay open.
func (s *Service) Close(ctx context.Context) error {
	s.stop()
	s.done.Wait()
	return s.flush(ctx)
}
