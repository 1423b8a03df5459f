package registry

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// Service keeps models and versions. Its methods are safe for concurrent use.
type Service struct {
	db        *catalog.DB
	blobs     blob.Store
	events    *govern.Service
	runs      Runs
	artifacts Artifacts
	inUse     func(ctx context.Context, model string) (string, error)

	engines Engines    // nil = none
	folder  string     // of the files that workers read; "" = none
	laying  sync.Mutex // of making and removing folders in it
	pool    engines
}

// Runs is what the registry asks of tracking: where a version that is registered by its source comes from.
type Runs interface {
	Get(ctx context.Context, run string) (*track.Run, error)
	LoggedModel(ctx context.Context, id string, deleted bool) (*track.LoggedModel, error)
	SearchLoggedModels(ctx context.Context, q track.ModelSearch) ([]*track.LoggedModel, string, error)
	SetLoggedModelTags(ctx context.Context, id string, tags []track.Tag) (*track.LoggedModel, error)
}

// Artifacts is a tree of files that can be listed, and linked to where it stays as it is.
type Artifacts interface {
	Tree(ctx context.Context, path string) ([]track.Artifact, error)
	LinkArtifacts(ctx context.Context, tx *catalog.Tx, root string, files []track.Artifact) error
}

// Config is what the service is made of.
type Config struct {
	DB        *catalog.DB
	Blobs     blob.Store
	Events    *govern.Service
	Runs      Runs
	Artifacts Artifacts
	InUse     func(ctx context.Context, model string) (deployment string, err error) // nil = no model is deployed

	Engines Engines // opens what does not run in this process; nil = nothing does
	Folder  string  // where the files of versions lie for its workers, read-only
}

// New makes the service.
func New(c Config) *Service {
	if c.InUse == nil {
		c.InUse = func(context.Context, string) (string, error) { return "", nil }
	}
	return &Service{db: c.DB, blobs: c.Blobs, events: c.Events, runs: c.Runs, artifacts: c.Artifacts, inUse: c.InUse,
		engines: c.Engines, folder: c.Folder, pool: engines{open: map[string]*engine{}}}
}

func subject(model string, version int) string { return fmt.Sprintf("model/%s/%d", model, version) }

func noModel(name string) error {
	return fault.New(fault.NotFound, "Registered Model with name=%s not found", name).WithHint("trimtab models ls shows the models")
}

func noVersion(model string, version int) error {
	return fault.New(fault.NotFound, "Model Version (name=%s, version=%d) not found", model, version).WithHint("trimtab models show %s lists its versions", model)
}

const versionColumns = `model, version, project, state, created_at, updated_at, description, tags, stage, format, source, location, run_id, document`

// Get finds a version with its aliases.
func (s *Service) Get(ctx context.Context, model string, version int) (*Version, error) {
	return s.get(ctx, s.db.Read(), model, version)
}

func (s *Service) get(ctx context.Context, q catalog.Querier, model string, version int) (*Version, error) {
	vs, err := s.versions(ctx, q, `SELECT `+versionColumns+` FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 AND version = $2`, model, version)
	if err != nil {
		return nil, err
	}
	if len(vs) == 0 {
		return nil, noVersion(model, version)
	}
	return vs[0], nil
}

// ByBuild finds the version made from a build key; nil when there is none.
func (s *Service) ByBuild(ctx context.Context, model, key string) (*Version, error) {
	vs, err := s.versions(ctx, s.db.Read(), `SELECT `+versionColumns+` FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 AND build_key = $2`, model, key)
	if err != nil || len(vs) == 0 {
		return nil, err
	}
	return vs[0], nil
}

// Versions lists a model's versions, newest first.
func (s *Service) Versions(ctx context.Context, model string) ([]*Version, error) {
	if _, err := s.Model(ctx, model); err != nil {
		return nil, err
	}
	return s.versions(ctx, s.db.Read(), `SELECT `+versionColumns+` FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 ORDER BY version DESC`, model)
}

func (s *Service) versions(ctx context.Context, q catalog.Querier, query string, args ...any) ([]*Version, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	defer rows.Close()
	out := []*Version{}
	for rows.Next() {
		v := Version{}
		var name, state, tags, doc string
		var number int
		var created, updated int64
		var project, description, stage, format, source, location, run string
		if err := rows.Scan(&name, &number, &project, &state, &created, &updated, &description, &tags, &stage, &format, &source, &location, &run, &doc); err != nil {
			return nil, fmt.Errorf("list versions: %w", err)
		}
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			return nil, fmt.Errorf("decode version: %w", err)
		}
		// The columns are what can change; they win over the document of the registration.
		v.Model, v.Version, v.Project, v.State, v.Description, v.Stage = name, number, project, state, description, stage
		v.Format, v.Source, v.Location, v.RunID = format, source, location, run
		v.CreatedAt, v.UpdatedAt = catalog.Time(created), catalog.Time(updated)
		if v.Tags, err = decodeTags(tags); err != nil {
			return nil, fmt.Errorf("version %d of %s: %w", number, name, err)
		}
		out = append(out, &v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	rows.Close() // inside a transaction the next statement needs the connection
	byModel := map[string]map[string]int{}
	for _, v := range out {
		aliases, known := byModel[v.Model]
		if !known {
			if aliases, err = s.aliases(ctx, q, v.Model); err != nil {
				return nil, err
			}
			byModel[v.Model] = aliases
		}
		v.Aliases = []string{}
		for alias, version := range aliases {
			if version == v.Version {
				v.Aliases = append(v.Aliases, alias)
			}
		}
		slices.Sort(v.Aliases)
	}
	return out, nil
}

func decodeTags(doc string) (map[string]string, error) {
	tags := map[string]string{}
	if err := json.Unmarshal([]byte(doc), &tags); err != nil {
		return nil, fmt.Errorf("decode tags: %w", err)
	}
	return tags, nil
}

func encodeTags(tags map[string]string) string {
	if tags == nil {
		tags = map[string]string{}
	}
	doc, err := json.Marshal(tags)
	if err != nil {
		panic("registry: texts cannot fail to encode: " + err.Error())
	}
	return string(doc)
}

const modelColumns = `name, project, last_version, created_at, updated_at, description, tags`

// Model finds a model with its aliases and newest version.
func (s *Service) Model(ctx context.Context, name string) (*Model, error) {
	ms, err := s.models(ctx, s.db.Read(), `SELECT `+modelColumns+` FROM models WHERE workspace_id = 'default' AND name = $1`, name)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return nil, noModel(name)
	}
	return ms[0], s.complete(ctx, ms)
}

// Models lists all models by name.
func (s *Service) Models(ctx context.Context) ([]*Model, error) {
	ms, err := s.models(ctx, s.db.Read(), `SELECT `+modelColumns+` FROM models WHERE workspace_id = 'default' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return ms, s.complete(ctx, ms)
}

func (s *Service) models(ctx context.Context, q catalog.Querier, query string, args ...any) ([]*Model, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	defer rows.Close()
	out := []*Model{}
	for rows.Next() {
		m := &Model{}
		var created, updated int64
		var tags string
		if err := rows.Scan(&m.Name, &m.Project, &m.LastVersion, &created, &updated, &m.Description, &tags); err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
		m.CreatedAt, m.UpdatedAt = catalog.Time(created), catalog.Time(updated)
		if m.Tags, err = decodeTags(tags); err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		out = append(out, m)
	}
	return out, rows.Err()
}

// complete adds the aliases of the models and their newest version that is not deleted.
func (s *Service) complete(ctx context.Context, models []*Model) error {
	for _, m := range models {
		var err error
		if m.Aliases, err = s.Aliases(ctx, m.Name); err != nil {
			return err
		}
		vs, err := s.versions(ctx, s.db.Read(), `SELECT `+versionColumns+` FROM model_versions
			WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 ORDER BY version DESC LIMIT 1`, m.Name)
		if err != nil {
			return err
		}
		if len(vs) > 0 {
			m.Latest = vs[0]
		}
	}
	return nil
}

// insert numbers a version, makes its model when there is none, and writes its row. Model, Project, Format, Source and
// the facts of its making are set by the caller.
func (s *Service) insert(ctx context.Context, tx *catalog.Tx, v *Version, at time.Time) error {
	var last int
	var project string
	err := tx.QueryRowContext(ctx, `SELECT last_version, project FROM models WHERE workspace_id = 'default' AND name = $1`, v.Model).Scan(&last, &project)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if err := s.insertModel(ctx, tx, &Model{Name: v.Model, Project: v.Project}, at); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("find model: %w", err)
	}
	if project == "" {
		project = v.Project // a model that people registered versions of becomes a project's own with its first training
	}
	v.Version, v.CreatedAt, v.UpdatedAt, v.Aliases = last+1, at, at, nil
	if v.Stage == "" {
		v.Stage = StageNone
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE models SET last_version = $1, project = $2, updated_at = $3 WHERE workspace_id = 'default' AND name = $4`,
		v.Version, project, catalog.Micros(at), v.Model); err != nil {
		return fmt.Errorf("number version: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO model_versions (model, version, project, digest, build_key, state, created_at, updated_at,
		description, tags, stage, format, source, location, run_id, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		v.Model, v.Version, v.Project, v.Digest, v.BuildKey, v.State, catalog.Micros(at), catalog.Micros(at),
		v.Description, encodeTags(v.Tags), v.Stage, v.Format, v.Source, v.Location, v.RunID, string(doc))
	if err != nil {
		return fmt.Errorf("store version: %w", err)
	}
	return nil
}

func (s *Service) insertModel(ctx context.Context, tx *catalog.Tx, m *Model, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO models (name, project, created_at, updated_at, description, tags) VALUES ($1, $2, $3, $4, $5, $6)`,
		m.Name, m.Project, catalog.Micros(at), catalog.Micros(at), m.Description, encodeTags(m.Tags))
	if err != nil {
		return fmt.Errorf("create model: %w", err)
	}
	return nil
}

// touch says that a model changed.
func (s *Service) touch(ctx context.Context, tx *catalog.Tx, model string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE models SET updated_at = $1 WHERE workspace_id = 'default' AND name = $2`, catalog.Micros(at), model)
	if err != nil {
		return fmt.Errorf("change model: %w", err)
	}
	return nil
}

// Blobs calls f with every blob that a version holds, deleted versions left out.
func (s *Service) Blobs(ctx context.Context, f func(hash string) error) error {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT document, digest FROM model_versions WHERE workspace_id = 'default' AND deleted = 0`)
	if err != nil {
		return fmt.Errorf("list the files of versions: %w", err)
	}
	defer rows.Close()
	held := map[string]bool{}
	for rows.Next() {
		var doc, digest string
		var v struct {
			Files []File `json:"files"`
		}
		if err := rows.Scan(&doc, &digest); err != nil {
			return fmt.Errorf("list the files of versions: %w", err)
		}
		if err := json.Unmarshal([]byte(doc), &v); err != nil {
			return fmt.Errorf("decode version: %w", err)
		}
		if digest != "" {
			held[digest] = true // the manifest itself
		}
		for _, file := range v.Files {
			held[file.Blob] = true
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, hash := range slices.Sorted(maps.Keys(held)) {
		if err := f(hash); err != nil {
			return err
		}
	}
	return nil
}
