package project

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// Project is an applied trimtab.yaml.
type Project struct {
	Name      string    `json:"name"`
	File      *File     `json:"file"`   // read only: it is shared
	Source    string    `json:"source"` // the text of the file
	Dir       string    `json:"dir"`    // the folder its paths start from
	Hash      string    `json:"hash"`   // of the canonical file, BLAKE3 hex
	Clock     string    `json:"clock"`  // wall or replay
	Now       time.Time `json:"now"`    // by its clock; zero in a replay that has not begun
	CreatedAt time.Time `json:"created_at"`
	AppliedAt time.Time `json:"applied_at"` // of the machine's clock
}

// Hook is called when a project's clock has moved: by Advance, each second of a wall clock, and when a replay crosses a
// day. from is the to of the last call that succeeded for all hooks; a failed call is repeated, so hooks do their work at
// least once and must not mind a repetition. Calls of one project never overlap.
type Hook func(ctx context.Context, project string, from, to time.Time) error

// Service keeps projects and their clocks. It is safe for concurrent use.
type Service struct {
	db     *catalog.DB
	wall   clock.Clock
	log    *slog.Logger
	clocks sync.Map // name -> *projectClock
	wake   chan struct{}

	mu    sync.Mutex
	hooks []Hook
}

// New makes the service on a catalog that was opened with Schema, and restores the clocks.
func New(ctx context.Context, db *catalog.DB) (*Service, error) {
	s := &Service{db: db, wall: clock.Wall{}, log: slog.Default(), wake: make(chan struct{}, 1)}
	rows, err := db.Read().QueryContext(ctx, "SELECT name, clock, clock_now, ticked FROM projects WHERE workspace_id = $1", catalog.Workspace)
	if err != nil {
		return nil, fmt.Errorf("restoring the project clocks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, mode string
		var now, ticked int64
		if err := rows.Scan(&name, &mode, &now, &ticked); err != nil {
			return nil, fmt.Errorf("restoring the project clocks: %w", err)
		}
		c := s.clockOf(name)
		c.replay.Store(mode == "replay")
		c.now.Store(now)
		c.ticked.Store(ticked)
		c.stored.now, c.stored.ticked = now, ticked
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("restoring the project clocks: %w", err)
	}
	return s, nil
}

// WithWall replaces the machine's clock and returns s. It is for tests, before the first use.
func (s *Service) WithWall(c clock.Clock) *Service {
	s.wall = c
	return s
}

const projectColumns = "name, file, source, dir, hash, clock, clock_now, created_at, applied_at"

// Get is one project, or fault.NotFound.
func (s *Service) Get(ctx context.Context, name string) (*Project, error) {
	row := s.db.Read().QueryRowContext(ctx, "SELECT "+projectColumns+" FROM projects WHERE workspace_id = $1 AND name = $2",
		catalog.Workspace, name)
	p, err := s.scan(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no project %q", name).WithHint("trimtab apply makes one from a trimtab.yaml")
	}
	if err != nil {
		return nil, fmt.Errorf("reading project %s: %w", name, err)
	}
	return p, nil
}

// List is all projects by name.
func (s *Service) List(ctx context.Context) ([]*Project, error) {
	rows, err := s.db.Read().QueryContext(ctx, "SELECT "+projectColumns+" FROM projects WHERE workspace_id = $1 ORDER BY name", catalog.Workspace)
	if err != nil {
		return nil, fmt.Errorf("listing projects: %w", err)
	}
	defer rows.Close()
	out := []*Project{}
	for rows.Next() {
		p, err := s.scan(rows)
		if err != nil {
			return nil, fmt.Errorf("listing projects: %w", err)
		}
		out = append(out, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing projects: %w", err)
	}
	return out, nil
}

type scanner interface{ Scan(dst ...any) error }

func (s *Service) scan(row scanner) (*Project, error) {
	p := &Project{}
	var file string
	var now, created, applied int64
	if err := row.Scan(&p.Name, &file, &p.Source, &p.Dir, &p.Hash, &p.Clock, &now, &created, &applied); err != nil {
		return nil, err
	}
	f, err := ReadCanonical([]byte(file))
	if err != nil {
		return nil, err
	}
	p.File, p.CreatedAt, p.AppliedAt = f, catalog.Time(created), catalog.Time(applied)
	p.Now = s.Clock(p.Name).Now()
	return p, nil
}

// Save stores p.File with p.Source and p.Dir under the file's name and fills the rest of p. With a nil tx it uses a
// transaction of its own. The clock of a project cannot turn from wall to replay, because it would go back: fault.Conflict.
func (s *Service) Save(ctx context.Context, tx *catalog.Tx, p *Project) error {
	if tx == nil {
		return s.db.Write(ctx, func(tx *catalog.Tx) error { return s.Save(ctx, tx, p) })
	}
	if p.File == nil || !ValidName(p.File.Project) {
		return fault.New(fault.Invalid, "the project has no valid name")
	}
	canonical, err := p.File.Canonical()
	if err != nil {
		return err
	}
	hash, err := p.File.Hash()
	if err != nil {
		return err
	}
	mode := "wall"
	if p.File.Clock == "replay" {
		mode = "replay"
	}
	name, now := p.File.Project, s.wall.Now()
	created := catalog.Micros(now)
	var before string
	err = tx.QueryRowContext(ctx, "SELECT clock, created_at FROM projects WHERE workspace_id = $1 AND name = $2", catalog.Workspace, name).
		Scan(&before, &created)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("saving project %s: %w", name, err)
	}
	if before == "wall" && mode == "replay" {
		return fault.New(fault.Conflict, "the project %s lives by the wall clock and cannot become a replay: its time would go back", name).
			WithHint("use another project name or another state directory for the replay")
	}
	var start int64 // a wall clock ticks from here on; a replay has not begun
	if mode == "wall" {
		start = catalog.Micros(now)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO projects (workspace_id, name, file, source, dir, hash, clock, clock_now, ticked, created_at, applied_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (workspace_id, name) DO UPDATE SET file = excluded.file, source = excluded.source, dir = excluded.dir,
			hash = excluded.hash, clock = excluded.clock, applied_at = excluded.applied_at`,
		catalog.Workspace, name, string(canonical), p.Source, p.Dir, hash, mode, start, start, created, catalog.Micros(now))
	if err != nil {
		return fmt.Errorf("saving project %s: %w", name, err)
	}
	p.Name, p.Hash, p.Clock = name, hash, mode
	p.CreatedAt, p.AppliedAt = catalog.Time(created), now
	tx.OnCommit(func() {
		c := s.clockOf(name)
		c.replay.Store(mode == "replay")
		c.ticked.CompareAndSwap(0, start)
		p.Now = c.Now()
	})
	return nil
}
