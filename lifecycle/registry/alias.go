package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// SetAlias points an alias of a model at a version and writes the move into its history. Version 0 takes the alias away.
// It refuses a version that does not exist, and champion for a version that its gate refused.
func (s *Service) SetAlias(ctx context.Context, tx *catalog.Tx, project, model, alias string, version int, at time.Time, reason string) error {
	if version != 0 {
		var state, doc string
		err := tx.QueryRowContext(ctx, `SELECT state, document FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 AND version = $2`, model, version).Scan(&state, &doc)
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
		if alias == Champion {
			var held struct {
				Certificate *Certificate `json:"certificate"`
			}
			if err := json.Unmarshal([]byte(doc), &held); err != nil {
				return fmt.Errorf("decode version: %w", err)
			}
			if held.Certificate.Refuses() {
				return held.Certificate.Refusal(model, version)
			}
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
	message := fmt.Sprintf("%s of %s: v%d to v%d, %s", alias, model, from, version, reason)
	switch {
	case version == 0:
		message = fmt.Sprintf("%s of %s taken away from v%d: %s", alias, model, from, reason)
	case from == 0:
		message = fmt.Sprintf("%s of %s: v%d, %s", alias, model, version, reason)
	}
	return s.events.Append(ctx, tx, govern.Event{At: at, Project: project, Kind: "alias.moved", Subject: subject(model, version), Actor: actor, Level: "info",
		Message: message, Data: map[string]any{"model": model, "alias": alias, "from": from, "to": version, "reason": reason}})
}

// SetModelAlias points an alias at a version because somebody said so. Where a deployment answers with the model,
// champion follows its traffic and is not set by hand.
func (s *Service) SetModelAlias(ctx context.Context, model, alias string, version int) error {
	if err := checkModelName(model); err != nil {
		return err
	}
	if err := checkAlias(alias); err != nil {
		return err
	}
	if err := checkAliasFree(alias); err != nil {
		return err
	}
	if err := s.Movable(ctx, model, alias); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		v, err := s.get(ctx, tx, model, version)
		if err != nil {
			return err
		}
		return s.SetAlias(ctx, tx, v.Project, model, alias, version, time.Now().UTC(), "set by hand")
	})
}

// DeleteModelAlias takes an alias away; one that is not there is no mistake.
func (s *Service) DeleteModelAlias(ctx context.Context, model, alias string) error {
	if err := checkModelName(model); err != nil {
		return err
	}
	if err := checkAlias(alias); err != nil {
		return err
	}
	if err := s.Movable(ctx, model, alias); err != nil {
		return err
	}
	m, err := s.find(ctx, s.db.Read(), model)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		return s.SetAlias(ctx, tx, m.Project, model, alias, 0, time.Now().UTC(), "taken away by hand")
	})
}

// Movable refuses to move champion of a model that a deployment answers with: there it follows the traffic.
func (s *Service) Movable(ctx context.Context, model, alias string) error {
	if alias != Champion {
		return nil
	}
	deployment, err := s.inUse(ctx, model)
	if err != nil {
		return err
	}
	if deployment != "" {
		return fault.New(fault.Invalid, "champion of %s follows the traffic of deployment %s and is not set by hand", model, deployment).
			WithHint("release the version: trimtab models promote %s --version N, or roll back: trimtab models rollback %s", model, model)
	}
	return nil
}

// ByAlias finds the version that an alias names. "latest", in any case, is the newest version; "v3" is version 3.
func (s *Service) ByAlias(ctx context.Context, model, alias string) (*Version, error) {
	if err := checkModelName(model); err != nil {
		return nil, err
	}
	if err := checkAlias(alias); err != nil {
		return nil, err
	}
	m, err := s.find(ctx, s.db.Read(), model)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(alias, "latest") {
		if err := s.complete(ctx, []*Model{m}); err != nil {
			return nil, err
		}
		if m.Latest == nil {
			return nil, fault.New(fault.NotFound, "Latest version not found for model %s.", model)
		}
		return m.Latest, nil
	}
	aliases, err := s.Aliases(ctx, model)
	if err != nil {
		return nil, err
	}
	version, ok := aliases[alias]
	if !ok {
		return nil, fault.New(fault.Invalid, "Registered model alias %s not found.", alias)
	}
	return s.Get(ctx, model, version)
}

// Aliases gives what each alias of a model names.
func (s *Service) Aliases(ctx context.Context, model string) (map[string]int, error) {
	return s.aliases(ctx, s.db.Read(), model)
}

func (s *Service) aliases(ctx context.Context, q catalog.Querier, model string) (map[string]int, error) {
	rows, err := q.QueryContext(ctx, `SELECT alias, version FROM model_aliases WHERE workspace_id = 'default' AND model = $1`, model)
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

// History lists the moves of a model's aliases, newest first: which version held which name from when to when.
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

// HeldAt gives the version that an alias named at a moment, 0 when none: what was in production when.
func (s *Service) HeldAt(ctx context.Context, model, alias string, at time.Time) (int, error) {
	moves, err := s.History(ctx, model)
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		if m.Alias == alias && !m.At.After(at) {
			return m.To, nil
		}
	}
	return 0, nil
}
