package registry

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// Service keeps models and versions. Its methods are safe for concurrent use.
type Service struct {
	db     *catalog.DB
	blobs  blob.Store
	events *govern.Service
}

// New makes the service.
func New(db *catalog.DB, blobs blob.Store, events *govern.Service) *Service {
	return &Service{db: db, blobs: blobs, events: events}
}

// Register stores a version whose files are in the blob store already, numbers it, and moves the candidate alias to it
// unless its gate refused it. Number, digest and aliases of v are set. A version with the same build key is a conflict.
func (s *Service) Register(ctx context.Context, tx *catalog.Tx, v *Version, at time.Time) error {
	var last int
	err := tx.QueryRowContext(ctx, `SELECT last_version FROM models WHERE workspace_id = 'default' AND name = $1`, v.Model).Scan(&last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, err := tx.ExecContext(ctx, `INSERT INTO models (name, project, created_at) VALUES ($1, $2, $3)`, v.Model, v.Project, at.UnixMicro()); err != nil {
			return fmt.Errorf("create model: %w", err)
		}
	case err != nil:
		return fmt.Errorf("find model: %w", err)
	}
	v.Version, v.CreatedAt, v.Aliases = last+1, at, nil
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE models SET last_version = $1 WHERE workspace_id = 'default' AND name = $2`, v.Version, v.Model); err != nil {
		return fmt.Errorf("number version: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO model_versions (model, version, project, digest, build_key, state, created_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		v.Model, v.Version, v.Project, v.Digest, v.BuildKey, v.State, at.UnixMicro(), string(doc))
	if err != nil {
		return fmt.Errorf("store version: %w", err)
	}
	level, message := "good", fmt.Sprintf("%s v%d registered: %s", v.Model, v.Version, v.Gate.Sentence())
	switch v.State {
	case Refused:
		level, message = "bad", fmt.Sprintf("%s v%d refused: %s", v.Model, v.Version, v.Gate.Sentence())
	case Forced:
		level, message = "attention", fmt.Sprintf("%s v%d forced past its gate: %s", v.Model, v.Version, v.Gate.Sentence())
	}
	err = s.events.Append(ctx, tx, govern.Event{At: at, Project: v.Project, Kind: "version." + v.State, Subject: subject(v.Model, v.Version), Actor: v.Actor, Level: level,
		Message: message, Data: map[string]any{"version": v.Version, "metrics": v.Metrics, "cause": v.Cause, "rows": v.Training.FitRows}})
	if err != nil {
		return err
	}
	if v.State == Refused {
		return nil
	}
	return s.SetAlias(ctx, tx, v.Project, v.Model, Candidate, v.Version, at, "registered")
}

func subject(model string, version int) string { return fmt.Sprintf("model/%s/%d", model, version) }

// SetAlias points an alias of a model at a version and writes the move into its history. Version 0 takes the alias away.
// It refuses a version that does not exist, and champion for a version that its gate refused.
func (s *Service) SetAlias(ctx context.Context, tx *catalog.Tx, project, model, alias string, version int, at time.Time, reason string) error {
	if version != 0 {
		var state string
		err := tx.QueryRowContext(ctx, `SELECT state FROM model_versions WHERE workspace_id = 'default' AND model = $1 AND version = $2`, model, version).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return noVersion(model, version)
		}
		if err != nil {
			return fmt.Errorf("find version: %w", err)
		}
		if state == Refused && alias == Champion {
			return fault.New(fault.GateRefused, "%s v%d was refused by its gate and can't be %s", model, version, alias).
				WithHint("force it with a reason: trimtab models promote %s --version %d --force --reason TEXT", model, version)
		}
	}
	var from int
	err := tx.QueryRowContext(ctx, `SELECT version FROM model_aliases WHERE workspace_id = 'default' AND model = $1 AND alias = $2`, model, alias).Scan(&from)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("find alias: %w", err)
	}
	if from == version {
		return nil
	}
	if version == 0 {
		_, err = tx.ExecContext(ctx, `DELETE FROM model_aliases WHERE workspace_id = 'default' AND model = $1 AND alias = $2`, model, alias)
	} else {
		_, err = tx.ExecContext(ctx, `INSERT INTO model_aliases (model, alias, version) VALUES ($1, $2, $3) ON CONFLICT (workspace_id, model, alias) DO UPDATE SET version = excluded.version`, model, alias, version)
	}
	if err != nil {
		return fmt.Errorf("move alias: %w", err)
	}
	actor := govern.Actor(ctx)
	_, err = tx.ExecContext(ctx, `INSERT INTO model_alias_moves (id, model, alias, from_version, to_version, at, recorded, actor, reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		id.New(), model, alias, from, version, at.UnixMicro(), time.Now().UnixMicro(), actor, reason)
	if err != nil {
		return fmt.Errorf("record move: %w", err)
	}
	if alias == Candidate {
		return nil // said by the registration already
	}
	return s.events.Append(ctx, tx, govern.Event{At: at, Project: project, Kind: "alias.moved", Subject: subject(model, version), Actor: actor, Level: "info",
		Message: fmt.Sprintf("%s of %s: v%d to v%d, %s", alias, model, from, version, reason), Data: map[string]any{"alias": alias, "from": from, "to": version, "reason": reason}})
}

// ForceVersion marks a refused version as forced, with the reason, so that it may be released. It is audited.
func (s *Service) ForceVersion(ctx context.Context, tx *catalog.Tx, model string, version int, at time.Time, reason string) error {
	if reason == "" {
		return fault.New(fault.Invalid, "forcing %s v%d past its gate needs a reason", model, version).WithHint("give --reason TEXT")
	}
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return err
	}
	if v.State != Refused {
		return nil
	}
	v.State = Forced
	v.Gate.Forced = &Force{Actor: govern.Actor(ctx), Reason: reason, At: at}
	doc, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode version: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE model_versions SET state = $1, document = $2 WHERE workspace_id = 'default' AND model = $3 AND version = $4`, v.State, string(doc), model, version); err != nil {
		return fmt.Errorf("force version: %w", err)
	}
	return s.events.Append(ctx, tx, govern.Event{At: at, Project: v.Project, Kind: "version.forced", Subject: subject(model, version), Actor: govern.Actor(ctx), Level: "attention",
		Message: fmt.Sprintf("%s v%d forced past its gate: %s", model, version, reason), Data: map[string]any{"version": version, "reason": reason}})
}

func noVersion(model string, version int) error {
	return fault.New(fault.NotFound, "model %q has no version %d", model, version).WithHint("trimtab models show %s lists its versions", model)
}

// Get finds a version with its aliases.
func (s *Service) Get(ctx context.Context, model string, version int) (*Version, error) {
	vs, err := s.versions(ctx, `SELECT document, state FROM model_versions WHERE workspace_id = 'default' AND model = $1 AND version = $2`, model, version)
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
	vs, err := s.versions(ctx, `SELECT document, state FROM model_versions WHERE workspace_id = 'default' AND model = $1 AND build_key = $2`, model, key)
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
	return s.versions(ctx, `SELECT document, state FROM model_versions WHERE workspace_id = 'default' AND model = $1 ORDER BY version DESC`, model)
}

func (s *Service) versions(ctx context.Context, query string, args ...any) ([]*Version, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	defer rows.Close()
	out := []*Version{}
	for rows.Next() {
		var doc, state string
		if err := rows.Scan(&doc, &state); err != nil {
			return nil, fmt.Errorf("list versions: %w", err)
		}
		v := &Version{}
		if err := json.Unmarshal([]byte(doc), v); err != nil {
			return nil, fmt.Errorf("decode version: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list versions: %w", err)
	}
	byModel := map[string]map[string]int{}
	for _, v := range out {
		aliases, known := byModel[v.Model]
		if !known {
			if aliases, err = s.Aliases(ctx, v.Model); err != nil {
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

// Aliases gives what each alias of a model names.
func (s *Service) Aliases(ctx context.Context, model string) (map[string]int, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT alias, version FROM model_aliases WHERE workspace_id = 'default' AND model = $1`, model)
	if err != nil {
		return nil, fmt.Errorf("list aliases: %w", err)
	}
	defer rows.Close()
	out := map[string]int{}
	for rows.Next() {
		var alias string
		var version int
		if err := rows.Scan(&alias, &version); err != nil {
			return nil, fmt.Errorf("list aliases: %w", err)
		}
		out[alias] = version
	}
	return out, rows.Err()
}

// Model finds a model with its aliases and newest version.
func (s *Service) Model(ctx context.Context, name string) (*Model, error) {
	ms, err := s.models(ctx, `SELECT name, project, last_version, created_at FROM models WHERE workspace_id = 'default' AND name = $1`, name)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return nil, fault.New(fault.NotFound, "there is no model %q", name).WithHint("trimtab models ls shows the models")
	}
	return ms[0], nil
}

// Models lists all models by name.
func (s *Service) Models(ctx context.Context) ([]*Model, error) {
	return s.models(ctx, `SELECT name, project, last_version, created_at FROM models WHERE workspace_id = 'default' ORDER BY name`)
}

func (s *Service) models(ctx context.Context, query string, args ...any) ([]*Model, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	defer rows.Close()
	out := []*Model{}
	for rows.Next() {
		m := &Model{}
		var created int64
		if err := rows.Scan(&m.Name, &m.Project, &m.LastVersion, &created); err != nil {
			return nil, fmt.Errorf("list models: %w", err)
		}
		m.CreatedAt = time.UnixMicro(created).UTC()
		out = append(out, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	for _, m := range out {
		if m.Aliases, err = s.Aliases(ctx, m.Name); err != nil {
			return nil, err
		}
		if m.LastVersion > 0 {
			if m.Latest, err = s.Get(ctx, m.Name, m.LastVersion); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// History lists the moves of a model's aliases, newest first.
func (s *Service) History(ctx context.Context, model string) ([]Move, error) {
	rows, err := s.db.Read().QueryContext(ctx, `SELECT id, alias, from_version, to_version, at, recorded, actor, reason FROM model_alias_moves WHERE workspace_id = 'default' AND model = $1 ORDER BY recorded DESC, id DESC`, model)
	if err != nil {
		return nil, fmt.Errorf("list moves: %w", err)
	}
	defer rows.Close()
	out := []Move{}
	for rows.Next() {
		m := Move{Model: model}
		var at, recorded int64
		if err := rows.Scan(&m.ID, &m.Alias, &m.From, &m.To, &at, &recorded, &m.Actor, &m.Reason); err != nil {
			return nil, fmt.Errorf("list moves: %w", err)
		}
		m.At, m.Recorded = time.UnixMicro(at).UTC(), time.UnixMicro(recorded).UTC()
		out = append(out, m)
	}
	return out, rows.Err()
}
