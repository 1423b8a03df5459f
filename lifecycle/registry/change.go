package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// IsPrompt is the tag by which MLflow keeps prompts among the registered models.
const IsPrompt = "mlflow.prompt.is_prompt"

// NewModel is a model to be registered.
type NewModel struct {
	Name        string
	Description string
	Tags        []track.Tag
}

// find reads a model without its versions.
func (s *Service) find(ctx context.Context, q catalog.Querier, name string) (*Model, error) {
	if err := checkModelName(name); err != nil {
		return nil, err
	}
	ms, err := s.models(ctx, q, `SELECT `+modelColumns+` FROM models WHERE workspace_id = 'default' AND name = $1`, name)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return nil, noModel(name)
	}
	return ms[0], nil
}

// CreateModel registers a name. One that is taken is a conflict.
func (s *Service) CreateModel(ctx context.Context, n NewModel) (*Model, error) {
	if err := checkModelName(n.Name); err != nil {
		return nil, err
	}
	tags, err := checkTags(n.Tags)
	if err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		var taken string
		err := tx.QueryRowContext(ctx, `SELECT tags FROM models WHERE workspace_id = 'default' AND name = $1`, n.Name).Scan(&taken)
		if err == nil {
			return nameTaken(n.Name, taken, tags)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("find model: %w", err)
		}
		now := time.Now().UTC()
		if err := s.insertModel(ctx, tx, &Model{Name: n.Name, Description: n.Description, Tags: tags}, now); err != nil {
			return err
		}
		return s.event(ctx, tx, "model.created", "model/"+n.Name, fmt.Sprintf("model %s registered", n.Name),
			map[string]any{"model": n.Name, "description": n.Description, "tags": tags})
	})
	if err != nil {
		return nil, err
	}
	return s.Model(ctx, n.Name)
}

// nameTaken says what holds a name: models and prompts share them.
func nameTaken(name, taken string, wanted map[string]string) error {
	held, err := decodeTags(taken)
	if err != nil {
		return err
	}
	noun := func(tags map[string]string) string {
		if tags[IsPrompt] == "true" {
			return "prompt"
		}
		return "registered model"
	}
	was, is := noun(held), noun(wanted)
	if was != is {
		return fault.New(fault.Conflict, "Tried to create a %s with name '%s', but the name is already taken by a %s. MLflow does not allow creating a model and a prompt with the same name.", is, name, was)
	}
	title := map[string]string{"prompt": "Prompt", "registered model": "Registered Model"}[is]
	return fault.New(fault.Conflict, "%s (name=%s) already exists.", title, name)
}

// RenameModel gives a model another name, with its versions, aliases and their history. A model that a deployment
// answers with, or that a project's file names, keeps its name.
func (s *Service) RenameModel(ctx context.Context, name, to string) (*Model, error) {
	if to == "" {
		return nil, missing("new_name")
	}
	if err := checkModelName(to); err != nil {
		return nil, err
	}
	m, err := s.find(ctx, s.db.Read(), name)
	if err != nil {
		return nil, err
	}
	if err := s.free(ctx, m, "renamed"); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		var one int
		err := tx.QueryRowContext(ctx, `SELECT 1 FROM models WHERE workspace_id = 'default' AND name = $1`, to).Scan(&one)
		if err == nil {
			return fault.New(fault.Conflict, "Registered Model (name=%s) already exists.", to)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("find model: %w", err)
		}
		now := catalog.Micros(time.Now())
		for _, change := range []string{
			`UPDATE models SET name = $1, updated_at = $2 WHERE workspace_id = 'default' AND name = $3`,
			`UPDATE model_versions SET model = $1, updated_at = $2 WHERE workspace_id = 'default' AND model = $3`,
		} {
			if _, err := tx.ExecContext(ctx, change, to, now, name); err != nil {
				return fmt.Errorf("rename model: %w", err)
			}
		}
		for _, table := range []string{"model_aliases", "model_alias_moves"} {
			if _, err := tx.ExecContext(ctx, `UPDATE `+table+` SET model = $1 WHERE workspace_id = 'default' AND model = $2`, to, name); err != nil {
				return fmt.Errorf("rename model: %w", err)
			}
		}
		return s.event(ctx, tx, "model.renamed", "model/"+to, fmt.Sprintf("model %s is now called %s", name, to), map[string]any{"model": to, "from": name})
	})
	if err != nil {
		return nil, err
	}
	return s.Model(ctx, to)
}

// free refuses what would pull a model from under its users.
func (s *Service) free(ctx context.Context, m *Model, verb string) error {
	deployment, err := s.inUse(ctx, m.Name)
	if err != nil {
		return err
	}
	if deployment != "" {
		return fault.New(fault.Invalid, "model %s cannot be %s: deployment %s answers with it", m.Name, verb, deployment)
	}
	if m.Project != "" {
		return fault.New(fault.Invalid, "model %s cannot be %s: the file of project %s names it", m.Name, verb, m.Project).
			WithHint("the next `trimtab apply` would make it again; change model.name in the file first")
	}
	return nil
}

// DescribeModel sets the description of a model.
func (s *Service) DescribeModel(ctx context.Context, name, description string) (*Model, error) {
	if _, err := s.find(ctx, s.db.Read(), name); err != nil {
		return nil, err
	}
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE models SET description = $1, updated_at = $2 WHERE workspace_id = 'default' AND name = $3`,
			description, catalog.Micros(time.Now()), name)
		if err != nil {
			return fmt.Errorf("describe model: %w", err)
		}
		return s.event(ctx, tx, "model.described", "model/"+name, fmt.Sprintf("description of model %s changed", name), map[string]any{"model": name, "description": description})
	})
	if err != nil {
		return nil, err
	}
	return s.Model(ctx, name)
}

// DeleteModel removes a model with its versions and aliases. Who held which alias when stays in its history, and the
// files go with the next garbage collection.
func (s *Service) DeleteModel(ctx context.Context, name string) error {
	m, err := s.find(ctx, s.db.Read(), name)
	if err != nil {
		return err
	}
	if err := s.free(ctx, m, "deleted"); err != nil {
		return err
	}
	aliases, err := s.Aliases(ctx, name)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		for alias := range aliases {
			if err := s.SetAlias(ctx, tx, m.Project, name, alias, 0, time.Now().UTC(), "the model was deleted"); err != nil {
				return err
			}
		}
		for _, statement := range []string{
			`DELETE FROM model_versions WHERE workspace_id = 'default' AND model = $1`,
			`DELETE FROM models WHERE workspace_id = 'default' AND name = $1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, name); err != nil {
				return fmt.Errorf("delete model: %w", err)
			}
		}
		return s.event(ctx, tx, "model.deleted", "model/"+name, fmt.Sprintf("model %s deleted", name), map[string]any{"model": name})
	})
}

// SetModelTag sets a tag of a model.
func (s *Service) SetModelTag(ctx context.Context, name string, t track.Tag) error {
	if err := checkModelName(name); err != nil {
		return err
	}
	if err := checkTag(t); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		m, err := s.find(ctx, tx, name)
		if err != nil {
			return err
		}
		m.Tags[t.Key] = t.Value
		if err := s.storeModelTags(ctx, tx, m); err != nil {
			return err
		}
		return s.event(ctx, tx, "model.tagged", "model/"+name, fmt.Sprintf("tag %s of model %s set", t.Key, name), map[string]any{"model": name, "key": t.Key, "value": t.Value})
	})
}

// DeleteModelTag takes a tag away; one that is not there is no mistake.
func (s *Service) DeleteModelTag(ctx context.Context, name, key string) error {
	if err := checkModelName(name); err != nil {
		return err
	}
	if err := checkTagKey(key); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		m, err := s.find(ctx, tx, name)
		if err != nil {
			return err
		}
		if _, there := m.Tags[key]; !there {
			return nil
		}
		delete(m.Tags, key)
		if err := s.storeModelTags(ctx, tx, m); err != nil {
			return err
		}
		return s.event(ctx, tx, "model.untagged", "model/"+name, fmt.Sprintf("tag %s of model %s taken away", key, name), map[string]any{"model": name, "key": key})
	})
}

func (s *Service) storeModelTags(ctx context.Context, tx *catalog.Tx, m *Model) error {
	_, err := tx.ExecContext(ctx, `UPDATE models SET tags = $1, updated_at = $2 WHERE workspace_id = 'default' AND name = $3`,
		encodeTags(m.Tags), catalog.Micros(time.Now()), m.Name)
	if err != nil {
		return fmt.Errorf("tag model: %w", err)
	}
	return nil
}

// change reads a version in a transaction, lets f change what can change, and stores it. f names the event.
func (s *Service) change(ctx context.Context, model string, version int, f func(v *Version) (kind, message string, data map[string]any, err error)) (*Version, error) {
	if err := checkModelName(model); err != nil {
		return nil, err
	}
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		v, err := s.get(ctx, tx, model, version)
		if err != nil {
			return err
		}
		kind, message, data, err := f(v)
		if err != nil || kind == "" {
			return err
		}
		if err := s.storeVersion(ctx, tx, v); err != nil {
			return err
		}
		data["model"], data["version"] = model, version
		return s.event(ctx, tx, kind, subject(model, version), message, data)
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, model, version)
}

func (s *Service) storeVersion(ctx context.Context, tx *catalog.Tx, v *Version) error {
	_, err := tx.ExecContext(ctx, `UPDATE model_versions SET description = $1, tags = $2, stage = $3, updated_at = $4
		WHERE workspace_id = 'default' AND model = $5 AND version = $6`,
		v.Description, encodeTags(v.Tags), v.Stage, catalog.Micros(time.Now()), v.Model, v.Version)
	if err != nil {
		return fmt.Errorf("change version: %w", err)
	}
	return nil
}

// DescribeVersion sets the description of a version.
func (s *Service) DescribeVersion(ctx context.Context, model string, version int, description string) (*Version, error) {
	return s.change(ctx, model, version, func(v *Version) (string, string, map[string]any, error) {
		v.Description = description
		return "version.described", fmt.Sprintf("description of %s v%d changed", model, version), map[string]any{"description": description}, nil
	})
}

// SetVersionTag sets a tag of a version.
func (s *Service) SetVersionTag(ctx context.Context, model string, version int, t track.Tag) error {
	if err := checkTag(t); err != nil {
		return err
	}
	_, err := s.change(ctx, model, version, func(v *Version) (string, string, map[string]any, error) {
		v.Tags[t.Key] = t.Value
		return "version.tagged", fmt.Sprintf("tag %s of %s v%d set", t.Key, model, version), map[string]any{"key": t.Key, "value": t.Value}, nil
	})
	return err
}

// DeleteVersionTag takes a tag away; one that is not there is no mistake.
func (s *Service) DeleteVersionTag(ctx context.Context, model string, version int, key string) error {
	if err := checkTagKey(key); err != nil {
		return err
	}
	_, err := s.change(ctx, model, version, func(v *Version) (string, string, map[string]any, error) {
		if _, there := v.Tags[key]; !there {
			return "", "", nil, nil
		}
		delete(v.Tags, key)
		return "version.untagged", fmt.Sprintf("tag %s of %s v%d taken away", key, model, version), map[string]any{"key": key}, nil
	})
	return err
}

// TransitionStage moves a version to a stage; with archive, versions that are in it go to Archived, which only makes
// sense for Staging and Production.
func (s *Service) TransitionStage(ctx context.Context, model string, version int, stage string, archive bool) (*Version, error) {
	to, err := canonicalStage(stage)
	if err != nil {
		return nil, err
	}
	if archive && to != StageStaging && to != StageProduction {
		return nil, fault.New(fault.Invalid, "Model version transition cannot archive existing model versions because '%s' is not an Active stage. Valid stages are ['Staging', 'Production']", stage)
	}
	if err := checkModelName(model); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		v, err := s.get(ctx, tx, model, version)
		if err != nil {
			return err
		}
		moved := []*Version{v}
		if archive {
			same, err := s.versions(ctx, tx, `SELECT `+versionColumns+` FROM model_versions
				WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 AND stage = $2 AND version <> $3`, model, to, version)
			if err != nil {
				return err
			}
			moved = append(moved, same...)
		}
		for _, m := range moved {
			from := m.Stage
			m.Stage = StageArchived
			if m == v {
				m.Stage = to
			}
			if err := s.storeVersion(ctx, tx, m); err != nil {
				return err
			}
			err := s.event(ctx, tx, "version.staged", subject(model, m.Version), fmt.Sprintf("%s v%d moved from stage %s to %s", model, m.Version, from, m.Stage),
				map[string]any{"model": model, "version": m.Version, "from": from, "to": m.Stage})
			if err != nil {
				return err
			}
		}
		return s.touch(ctx, tx, model, time.Now())
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, model, version)
}

// DeleteVersion takes a version out of the registry. Its number is never used again; its row stays, without what it
// said about itself. A version that a deployment may answer with is kept.
func (s *Service) DeleteVersion(ctx context.Context, model string, version int) error {
	if err := checkModelName(model); err != nil {
		return err
	}
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return err
	}
	deployment, err := s.inUse(ctx, model)
	if err != nil {
		return err
	}
	if deployment != "" && (slices.Contains(v.Aliases, Champion) || slices.Contains(v.Aliases, Candidate)) {
		return fault.New(fault.Invalid, "%s v%d cannot be deleted: deployment %s may answer with it", model, version, deployment).
			WithHint("release another version first")
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		now := time.Now().UTC()
		for _, alias := range v.Aliases {
			if err := s.SetAlias(ctx, tx, v.Project, model, alias, 0, now, "the version was deleted"); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE model_versions SET deleted = $1, updated_at = $1, description = '', source = '', location = '', run_id = '', tags = '{}'
			WHERE workspace_id = 'default' AND model = $2 AND version = $3`, catalog.Micros(now), model, version)
		if err != nil {
			return fmt.Errorf("delete version: %w", err)
		}
		if err := s.touch(ctx, tx, model, now); err != nil {
			return err
		}
		return s.event(ctx, tx, "version.deleted", subject(model, version), fmt.Sprintf("%s v%d deleted", model, version), map[string]any{"model": model, "version": version})
	})
	if err != nil {
		return err
	}
	return s.Sweep(ctx)
}

// LatestVersions gives the newest version in each stage, or only in the named stages, in the order of the stages.
func (s *Service) LatestVersions(ctx context.Context, model string, only []string) ([]*Version, error) {
	wanted := map[string]bool{}
	for _, stage := range only {
		canonical, err := canonicalStage(stage)
		if err != nil {
			return nil, err
		}
		wanted[canonical] = true
	}
	if _, err := s.find(ctx, s.db.Read(), model); err != nil {
		return nil, err
	}
	return s.newest(ctx, model, wanted)
}

// newest reads the newest version of each stage in wanted; of every stage when wanted is empty.
func (s *Service) newest(ctx context.Context, model string, wanted map[string]bool) ([]*Version, error) {
	all, err := s.versions(ctx, s.db.Read(), `SELECT `+versionColumns+` FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1
		AND version IN (SELECT max(version) FROM model_versions WHERE workspace_id = 'default' AND deleted = 0 AND model = $1 GROUP BY stage) ORDER BY version`, model)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(v *Version) bool { return len(wanted) > 0 && !wanted[v.Stage] }), nil
}

// DownloadURI is where clients read the files of a version.
func (s *Service) DownloadURI(ctx context.Context, model string, version int) (string, error) {
	if err := checkModelName(model); err != nil {
		return "", err
	}
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return "", err
	}
	if v.Location != "" {
		return v.Location, nil
	}
	return v.Source, nil
}

func (s *Service) event(ctx context.Context, tx *catalog.Tx, kind, about, message string, data map[string]any) error {
	return s.events.Append(ctx, tx, govern.Event{Kind: kind, Subject: about, Level: govern.Info, Message: message, Data: data})
}
