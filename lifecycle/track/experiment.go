package track

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// DefaultExperiment is the id of the experiment that is always there.
const DefaultExperiment = "0"

// TagImported is on what came from another store, and names that store.
const TagImported = "trimtab.imported.from"

// scheme is of URIs in our own store; what follows it is the path of an artifact.
const scheme = "mlflow-artifacts:/"

// Experiment is a folder of runs. Its id is a decimal number; "0" is named Default and is always there.
type Experiment struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	ArtifactRoot string            `json:"artifact_root"` // mlflow-artifacts:/<id>, or what the client gave
	Stage        string            `json:"stage"`
	CreatedAt    time.Time         `json:"created_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
	Tags         map[string]string `json:"tags"`
	Runs         int64             `json:"runs"`                  // active ones; only lists have it
	LastRunAt    *time.Time        `json:"last_run_at,omitempty"` // only lists have it
}

// NewExperiment is what CreateExperiment needs. An empty ArtifactRoot means our own store.
type NewExperiment struct {
	Name         string
	ArtifactRoot string
	Tags         []Tag
}

const experimentColumns = `id, name, artifact_root, stage, created_at, updated_at, tags`

func scanExperiment(row scanner) (*Experiment, error) {
	var e Experiment
	var id, created, updated int64
	var tags string
	if err := row.Scan(&id, &e.Name, &e.ArtifactRoot, &e.Stage, &created, &updated, &tags); err != nil {
		return nil, err
	}
	e.ID = strconv.FormatInt(id, 10)
	e.CreatedAt, e.UpdatedAt = catalog.Time(created), catalog.Time(updated)
	if err := json.Unmarshal([]byte(tags), &e.Tags); err != nil {
		return nil, fmt.Errorf("decode experiment %d: %w", id, err)
	}
	return &e, nil
}

// experiment reads a row; fault.NotFound in MLflow's words when there is none.
func experiment(ctx context.Context, q catalog.Querier, id int64) (*Experiment, error) {
	e, err := scanExperiment(q.QueryRowContext(ctx, `SELECT `+experimentColumns+` FROM experiments WHERE workspace_id = 'default' AND id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, noExperiment(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read experiment: %w", err)
	}
	return e, nil
}

func noExperiment(id int64) error {
	return fault.New(fault.NotFound, "No Experiment with id=%d exists", id)
}

func experimentTaken(name string) error {
	return fault.New(fault.Conflict, "Experiment(name=%s) already exists.", name)
}

func checkExperimentName(name string) error {
	if name == "" {
		return invalid("Invalid experiment name: '%s'", name)
	}
	if text(name) != name {
		return invalid("Invalid experiment name: %s. It is not text.", pyRepr(text(name)))
	}
	return checkLength("name", maxExperimentName, name)
}

func checkExperimentTag(t Tag) error {
	if err := checkName(t.Key, where{field: "key"}); err != nil {
		return err
	}
	if err := checkLength("key", maxKey, t.Key); err != nil {
		return err
	}
	return checkLength("value", maxExperimentTag, t.Value)
}

// checkRoot accepts any URI that a client can write to, and of our own only a clean path outside of the versions.
func checkRoot(root string) error {
	if err := checkLength("artifact_location", maxRoot, root); err != nil {
		return invalid("Invalid artifact path length. The length of the artifact path cannot be greater than %d characters.", maxRoot)
	}
	if strings.HasPrefix(root, "runs:") {
		return invalid("Artifact location cannot be a runs:/ URI. Given: '%s'", root)
	}
	if strings.ContainsAny(root, "#;") {
		return invalid("'artifact_location' URL can't include fragments or params.")
	}
	if _, query, ok := strings.Cut(root, "?"); ok && strings.Contains(query, "..") {
		return invalid("Invalid query string: %s", query)
	}
	if text(root) != root {
		return invalid("Invalid artifact_location: it is not text.")
	}
	rest, ours := strings.CutPrefix(root, "mlflow-artifacts:")
	if !ours {
		return nil
	}
	below := strings.TrimLeft(rest, "/")
	if below == "" || path.Clean(below) != strings.TrimRight(below, "/") || strings.HasPrefix(below, "..") || strings.ContainsAny(below, "\\%?") ||
		below == "versions" || strings.HasPrefix(below, "versions/") {
		return invalid("Invalid artifact_location: '%s'", root).WithHint("leave it out, or give a path like mlflow-artifacts:/team/name")
	}
	return nil
}

// join adds path elements to a URI, before its query.
func join(root string, parts ...string) string {
	base, query, _ := strings.Cut(root, "?")
	base = strings.TrimRight(base, "/") + "/" + strings.Join(parts, "/")
	if query != "" {
		base += "?" + query
	}
	return base
}

// CreateExperiment makes an experiment. A name that an active experiment has is fault.Conflict.
func (s *Service) CreateExperiment(ctx context.Context, n NewExperiment) (*Experiment, error) {
	if err := checkExperimentName(n.Name); err != nil {
		return nil, err
	}
	if n.ArtifactRoot != "" {
		if err := checkRoot(n.ArtifactRoot); err != nil {
			return nil, err
		}
	}
	tags := map[string]string{}
	for _, t := range n.Tags {
		if err := checkExperimentTag(t); err != nil {
			return nil, err
		}
		tags[t.Key] = text(t.Value)
	}
	var e *Experiment
	err := s.writer.do(ctx, func(c *change) (err error) {
		e, err = s.createExperiment(ctx, c.Tx, n.Name, n.ArtifactRoot, tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.watchers.tell(Change{Experiment: e.ID, What: ChangeCreated})
	return e, nil
}

func (s *Service) createExperiment(ctx context.Context, tx *catalog.Tx, name, root string, tags map[string]string) (*Experiment, error) {
	if id, err := activeExperiment(ctx, tx, name); err != nil || id != "" {
		if err == nil {
			err = experimentTaken(name)
		}
		return nil, err
	}
	id, err := next(ctx, tx, "experiment", 1)
	if err != nil {
		return nil, err
	}
	if root == "" {
		root = scheme + strconv.FormatInt(id, 10)
	}
	now := s.now().UTC().Truncate(time.Microsecond)
	e := &Experiment{ID: strconv.FormatInt(id, 10), Name: name, ArtifactRoot: root, Stage: StageActive, CreatedAt: now, UpdatedAt: now, Tags: tags}
	doc, err := json.Marshal(tags)
	if err != nil {
		return nil, fmt.Errorf("encode tags: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO experiments (id, name, artifact_root, stage, created_at, updated_at, tags) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, name, root, StageActive, now.UnixMicro(), now.UnixMicro(), string(doc))
	if catalog.IsUnique(err) {
		return nil, experimentTaken(name)
	}
	if err != nil {
		return nil, fmt.Errorf("create experiment: %w", err)
	}
	err = s.events.Append(ctx, tx, govern.Event{Kind: "experiment.created", Subject: "experiment/" + e.ID, Message: "experiment " + name + " was created"})
	return e, err
}

// activeExperiment gives the id of the active experiment of that name, "" if there is none.
func activeExperiment(ctx context.Context, q catalog.Querier, name string) (string, error) {
	var id int64
	err := q.QueryRowContext(ctx, `SELECT id FROM experiments WHERE workspace_id = 'default' AND name = $1 AND stage = 'active'`, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find experiment: %w", err)
	}
	return strconv.FormatInt(id, 10), nil
}

// Experiment finds an experiment, deleted ones too.
func (s *Service) Experiment(ctx context.Context, id string) (*Experiment, error) {
	n, err := parseExperiment(id)
	if err != nil {
		return nil, err
	}
	return experiment(ctx, s.db.Read(), n)
}

// ExperimentByName finds the active experiment of a name: that of a deleted one is free.
func (s *Service) ExperimentByName(ctx context.Context, name string) (*Experiment, error) {
	e, err := scanExperiment(s.db.Read().QueryRowContext(ctx, `SELECT `+experimentColumns+` FROM experiments WHERE workspace_id = 'default' AND name = $1 AND stage = 'active'`, text(name)))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "Could not find experiment with name '%s'", text(name))
	}
	if err != nil {
		return nil, fmt.Errorf("find experiment: %w", err)
	}
	return e, nil
}

// EnsureExperiment gives the id of the active experiment of that name and makes it when there is none.
func (s *Service) EnsureExperiment(ctx context.Context, tx *catalog.Tx, name string) (string, error) {
	if id, err := activeExperiment(ctx, tx, name); err != nil || id != "" {
		return id, err
	}
	if err := checkExperimentName(name); err != nil {
		return "", err
	}
	e, err := s.createExperiment(ctx, tx, name, "", map[string]string{})
	if err != nil {
		return "", err
	}
	return e.ID, nil
}

// changeExperiment reads an experiment, has f change it, and writes it back.
func (s *Service) changeExperiment(ctx context.Context, id string, f func(c *change, n int64, e *Experiment) error) error {
	n, err := parseExperiment(id)
	if err != nil {
		return err
	}
	err = s.writer.do(ctx, func(c *change) error {
		e, err := experiment(ctx, c.Tx, n)
		if err != nil {
			return err
		}
		if err := f(c, n, e); err != nil {
			return err
		}
		tags, err := json.Marshal(e.Tags)
		if err != nil {
			return fmt.Errorf("encode tags: %w", err)
		}
		_, err = c.ExecContext(ctx, `UPDATE experiments SET name = $1, stage = $2, updated_at = $3, tags = $4 WHERE workspace_id = 'default' AND id = $5`,
			e.Name, e.Stage, s.now().UnixMicro(), string(tags), n)
		if catalog.IsUnique(err) {
			return experimentTaken(e.Name)
		}
		if err != nil {
			return fmt.Errorf("write experiment %s: %w", id, err)
		}
		return nil
	})
	if err == nil {
		s.watchers.tell(Change{Experiment: strconv.FormatInt(n, 10), What: ChangeUpdated})
	}
	return err
}

// taken reports fault.Conflict when another active experiment has the name.
func taken(ctx context.Context, c *change, name, id string) error {
	other, err := activeExperiment(ctx, c.Tx, name)
	if err == nil && other != "" && other != id {
		err = experimentTaken(name)
	}
	return err
}

// RenameExperiment gives an active experiment another name.
func (s *Service) RenameExperiment(ctx context.Context, id, name string) error {
	if err := checkExperimentName(name); err != nil {
		return err
	}
	return s.changeExperiment(ctx, id, func(c *change, _ int64, e *Experiment) error {
		if e.Stage != StageActive {
			return invalid("Cannot rename a non-active experiment.")
		}
		if err := taken(ctx, c, name, e.ID); err != nil {
			return err
		}
		old := e.Name
		e.Name = name
		return s.events.Append(ctx, c.Tx, govern.Event{Kind: "experiment.renamed", Subject: "experiment/" + e.ID, Message: fmt.Sprintf("experiment %s is now %s", old, name)})
	})
}

// DeleteExperiment marks an experiment and its runs deleted. Its name is free then.
func (s *Service) DeleteExperiment(ctx context.Context, id string) error {
	return s.changeExperiment(ctx, id, func(c *change, n int64, e *Experiment) error {
		if e.Stage != StageActive {
			return noExperiment(n)
		}
		if e.ID == DefaultExperiment {
			return invalid("Cannot delete the default experiment '0'. This is an internally reserved experiment.")
		}
		e.Stage = StageDeleted
		_, err := c.ExecContext(ctx, `UPDATE runs SET stage = 'deleted', deleted_at = $1, revision = $2 WHERE workspace_id = 'default' AND experiment_id = $3 AND stage = 'active'`,
			s.now().UnixMicro(), c.revision, n)
		if err != nil {
			return fmt.Errorf("delete the runs of experiment %s: %w", id, err)
		}
		c.OnCommit(func() { s.states.outdate(func(st *state) bool { return st.experiment == n }) })
		return s.events.Append(ctx, c.Tx, govern.Event{Kind: "experiment.deleted", Subject: "experiment/" + e.ID, Level: govern.Attention,
			Message: "experiment " + e.Name + " was deleted; it can be restored"})
	})
}

// RestoreExperiment brings back a deleted experiment with all its runs. A name that is in use meanwhile is fault.Conflict.
func (s *Service) RestoreExperiment(ctx context.Context, id string) error {
	return s.changeExperiment(ctx, id, func(c *change, n int64, e *Experiment) error {
		if e.Stage != StageDeleted {
			return noExperiment(n)
		}
		if err := taken(ctx, c, e.Name, e.ID); err != nil {
			return err
		}
		e.Stage = StageActive
		_, err := c.ExecContext(ctx, `UPDATE runs SET stage = 'active', deleted_at = NULL, revision = $1 WHERE workspace_id = 'default' AND experiment_id = $2 AND stage = 'deleted'`, c.revision, n)
		if err != nil {
			return fmt.Errorf("restore the runs of experiment %s: %w", id, err)
		}
		c.OnCommit(func() { s.states.outdate(func(st *state) bool { return st.experiment == n }) })
		return s.events.Append(ctx, c.Tx, govern.Event{Kind: "experiment.restored", Subject: "experiment/" + e.ID, Message: "experiment " + e.Name + " was restored"})
	})
}

// SetExperimentPast gives an imported experiment the times that it had where it came from; a zero updated is created. One that carries no
// TagImported is refused. The event keeps who imported it and when.
func (s *Service) SetExperimentPast(ctx context.Context, id string, created, updated time.Time) (*Experiment, error) {
	n, err := parseExperiment(id)
	if err != nil {
		return nil, err
	}
	if updated.IsZero() {
		updated = created
	}
	if err := checkTime("created_at", &created); err != nil {
		return nil, err
	}
	if err := checkTime("updated_at", &updated); err != nil {
		return nil, err
	}
	created, updated = created.UTC().Truncate(time.Microsecond), updated.UTC().Truncate(time.Microsecond)
	err = s.writer.do(ctx, func(c *change) error {
		e, err := experiment(ctx, c.Tx, n)
		if err != nil {
			return err
		}
		from := e.Tags[TagImported]
		if from == "" {
			return fault.New(fault.Conflict, "experiment %s was made here: its times stay", e.Name)
		}
		if _, err := c.ExecContext(ctx, `UPDATE experiments SET created_at = $1, updated_at = $2 WHERE workspace_id = 'default' AND id = $3`,
			created.UnixMicro(), updated.UnixMicro(), n); err != nil {
			return fmt.Errorf("date experiment %s: %w", id, err)
		}
		return s.events.Append(ctx, c.Tx, govern.Event{Kind: "experiment.imported", Subject: "experiment/" + e.ID, Message: "experiment " + e.Name + " was imported from " + from,
			Data: map[string]any{"from": from, "created_at": created, "updated_at": updated}})
	})
	if err != nil {
		return nil, err
	}
	s.watchers.tell(Change{Experiment: strconv.FormatInt(n, 10), What: ChangeUpdated})
	return s.Experiment(ctx, id)
}

// SetExperimentTag sets or replaces a tag.
func (s *Service) SetExperimentTag(ctx context.Context, id string, t Tag) error {
	if err := checkExperimentTag(t); err != nil {
		return err
	}
	return s.changeExperiment(ctx, id, func(_ *change, _ int64, e *Experiment) error {
		if e.Stage != StageActive {
			return notActive("experiment", e.ID, e.Stage)
		}
		e.Tags[t.Key] = text(t.Value)
		return nil
	})
}

// DeleteExperimentTag takes a tag away; fault.NotFound when it is not there.
func (s *Service) DeleteExperimentTag(ctx context.Context, id, key string) error {
	return s.changeExperiment(ctx, id, func(_ *change, _ int64, e *Experiment) error {
		if e.Stage != StageActive {
			return notActive("experiment", e.ID, e.Stage)
		}
		if _, ok := e.Tags[key]; !ok {
			return fault.New(fault.NotFound, "No tag with name: %s in experiment with id %s", key, e.ID)
		}
		delete(e.Tags, key)
		return nil
	})
}
