package track

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// checkFirstTag is checkTag for a tag that a run starts with: MLflow takes any characters there, and scripts count on it.
func checkFirstTag(t Tag, index int) (Tag, error) {
	if t.Key == "" {
		return checkTag(t, "tags", index)
	}
	t.Key, t.Value = text(t.Key), cut(text(t.Value), maxTag)
	return t, checkLength(where{"tags", index, "key"}.String(), maxKey, t.Key)
}

// CreateRun records a new run in state Running. The tag mlflow.runName and the name are one thing.
func (s *Service) CreateRun(ctx context.Context, n NewRun) (*Run, error) {
	if n.ExperimentID == "" {
		n.ExperimentID = DefaultExperiment
	}
	experimentID, err := parseExperiment(n.ExperimentID)
	if err != nil {
		return nil, err
	}
	given := n.ID != ""
	if !given {
		n.ID = id.New()
	} else if !runForm(n.ID) {
		return nil, invalid("Invalid value %s for parameter 'run_id' supplied.", pyJSON(text(n.ID)))
	}
	if err := checkTime("start_time", n.StartedAt); err != nil {
		return nil, err
	}
	tags := make(map[string]string, len(n.Tags)+1)
	for i, t := range n.Tags {
		if t, err = checkFirstTag(t, i); err != nil {
			return nil, err
		}
		tags[t.Key] = t.Value
	}
	if n.Name, err = runName(text(n.Name), tags); err != nil {
		return nil, err
	}
	tags[TagRunName] = n.Name
	r := &record{experiment: experimentID, doc: document{Cause: n.Cause, Actor: govern.Actor(ctx), Tags: tags}}
	r.run = Run{ID: n.ID, Project: n.Project, Name: n.Name, State: Running, User: cut(text(n.User), maxName), Stage: StageActive, ExperimentID: strconv.FormatInt(experimentID, 10)}
	if n.StartedAt != nil {
		r.run.StartedAt = n.StartedAt.UTC().Truncate(time.Microsecond)
	}
	err = s.writer.do(ctx, func(c *change) error {
		e, err := experiment(ctx, c.Tx, experimentID)
		if err != nil {
			return err
		}
		if e.Stage != StageActive {
			return notActive("experiment", e.ID, e.Stage)
		}
		if given {
			if _, err := s.record(ctx, c.Tx, r.run.ID); !fault.Is(err, fault.NotFound) {
				return cmp.Or(err, error(fault.New(fault.Conflict, "Run with id=%s already exists", r.run.ID)))
			}
		}
		r.run.ArtifactURI = join(e.ArtifactRoot, r.run.ID, artifactsDir)
		return s.create(ctx, c, r)
	})
	if err != nil {
		return nil, err
	}
	return r.view(), nil
}

// runName is the name that a run gets from what its client says.
func runName(name string, tags map[string]string) (string, error) {
	tag := tags[TagRunName]
	if name != "" && tag != "" && name != tag {
		return "", invalid("Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='%s', mlflow.runName='%s').", name, tag)
	}
	switch {
	case name != "":
		return cut(name, maxTag), nil
	case tag != "":
		return tag, nil
	}
	return randomName(), nil
}

func (s *Service) create(ctx context.Context, c *change, r *record) error {
	if err := s.insert(ctx, c, r); err != nil {
		return err
	}
	c.OnCommit(func() {
		s.states.put(newState(r))
		s.watchers.tell(Change{Run: r.run.ID, Experiment: r.run.ExperimentID, What: ChangeCreated})
	})
	return s.notify(ctx, c.Tx, r, "")
}

// changeRun reads a run, has f change it, and writes it back. f may add cells through c.
func (s *Service) changeRun(ctx context.Context, id string, f func(c *change, r *record) error) (*record, error) {
	var r *record
	err := s.writer.do(ctx, func(c *change) (err error) {
		if r, err = s.record(ctx, c.Tx, id); err != nil {
			return err
		}
		if err := f(c, r); err != nil {
			return err
		}
		return s.save(ctx, c, r)
	})
	if err != nil {
		return nil, err
	}
	s.watchers.tell(Change{Run: id, Experiment: r.run.ExperimentID, What: ChangeUpdated})
	return r, nil
}

// UpdateRun changes name, state or end of an active run. A run that ends has its latest metrics in the catalog when UpdateRun returns.
func (s *Service) UpdateRun(ctx context.Context, id string, ch RunChange) (*Run, error) {
	if err := checkTime("end_time", ch.FinishedAt); err != nil {
		return nil, err
	}
	if ch.State != nil {
		switch *ch.State {
		case Scheduled, Running, Finished, Failed, Killed:
		default:
			return nil, invalid("Invalid value %s for parameter 'status' supplied.", pyJSON(text(*ch.State)))
		}
	}
	var ending *state
	if ch.State != nil && ended(*ch.State) {
		var err error
		if ending, err = s.state(ctx, id); err != nil {
			return nil, err
		}
		ending.gate.Lock() // what is being logged belongs to what is written now
		defer ending.gate.Unlock()
	}
	r, err := s.changeRun(ctx, id, func(c *change, r *record) error {
		if err := r.active(); err != nil {
			return err
		}
		if ch.State != nil {
			before := r.run.State
			r.run.State = *ch.State
			if err := s.notify(ctx, c.Tx, r, before); err != nil {
				return err
			}
		}
		if ch.FinishedAt != nil {
			t := ch.FinishedAt.UTC().Truncate(time.Microsecond)
			r.run.FinishedAt = &t
		}
		if ch.Name != nil && *ch.Name != "" {
			r.run.Name = cut(text(*ch.Name), maxTag)
			r.setTag(Tag{TagRunName, r.run.Name})
			if err := s.cell(ctx, c, r, kindTag, TagRunName, r.run.Name); err != nil {
				return err
			}
		}
		if ending != nil {
			return s.closeLatest(ctx, c, ending)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if ending != nil {
		s.seal(id)
	}
	return s.complete(ctx, r)
}

// seal tells the series store that a run has ended. More points may still come, so that a failure costs room and nothing else.
func (s *Service) seal(id string) {
	if err := s.series.Seal(id); err != nil {
		s.log.Warn("the points of a run stay in shared files", "run", id, "error", err)
	}
}

func ended(state string) bool { return state != Running && state != Scheduled }

// Get finds a run, deleted ones too.
func (s *Service) Get(ctx context.Context, id string) (*Run, error) {
	r, err := s.record(ctx, s.db.Read(), id)
	if err != nil {
		return nil, err
	}
	return s.complete(ctx, r)
}

// complete is the run with everything that its row does not hold: newer points, and the datasets it read.
func (s *Service) complete(ctx context.Context, r *record) (*Run, error) {
	runs, err := s.completeAll(ctx, []*record{r})
	if err != nil {
		return nil, err
	}
	return runs[0], nil
}

func (s *Service) completeAll(ctx context.Context, records []*record) ([]*Run, error) {
	datasets, err := s.datasetsOf(ctx, records)
	if err != nil {
		return nil, err
	}
	runs := make([]*Run, len(records))
	for i, r := range records {
		if st := s.states.get(r.run.ID); st != nil {
			st.overlay(r.latest)
		}
		runs[i] = r.view()
		for _, link := range r.doc.Datasets {
			runs[i].Datasets = append(runs[i].Datasets, DatasetInput{Dataset: datasets[link.ID], Tags: link.Tags})
		}
	}
	return runs, nil
}

// DeleteRun marks a run deleted; again is no error.
func (s *Service) DeleteRun(ctx context.Context, id string) error {
	return s.setStage(ctx, id, StageDeleted, ChangeDeleted)
}

// RestoreRun brings a deleted run back.
func (s *Service) RestoreRun(ctx context.Context, id string) error {
	return s.setStage(ctx, id, StageActive, ChangeUpdated)
}

func (s *Service) setStage(ctx context.Context, id, stage, what string) error {
	var deleted any
	if stage == StageDeleted {
		deleted = s.now().UnixMicro()
	}
	var experimentID string
	err := s.writer.do(ctx, func(c *change) error {
		r, err := s.record(ctx, c.Tx, id)
		if err != nil {
			return err
		}
		experimentID = r.run.ExperimentID
		_, err = c.ExecContext(ctx, `UPDATE runs SET stage = $1, deleted_at = $2, revision = $3 WHERE workspace_id = 'default' AND id = $4`, stage, deleted, c.revision, id)
		if err != nil {
			return fmt.Errorf("write run %s: %w", id, err)
		}
		c.OnCommit(func() { s.states.outdateRun(id) })
		return nil
	})
	if err == nil {
		s.watchers.tell(Change{Run: id, Experiment: experimentID, What: what})
	}
	return err
}

// maxRemoved runs are removed in one transaction.
const maxRemoved = 50

// HardDeleteRun removes runs for good: their rows, their points and their files. Ids that are not there are skipped, so that it can be repeated.
// Bytes that other runs or versions hold too stay where they are held.
func (s *Service) HardDeleteRun(ctx context.Context, ids ...string) error {
	ids = slices.Clone(ids)
	slices.Sort(ids) // whoever else removes runs takes their gates in the same order
	for chunk := range slices.Chunk(slices.Compact(ids), maxRemoved) {
		if err := s.remove(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) remove(ctx context.Context, ids []string) error {
	var gone []*state
	for _, id := range ids {
		st, err := s.state(ctx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		st.gate.Lock() // nobody appends points while and after they are removed
		defer st.gate.Unlock()
		if !st.removed {
			gone = append(gone, st)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	// The points go last: a crash in between leaves points that nobody sees until SweepPoints removes them.
	err := s.writer.do(ctx, func(c *change) error {
		for _, st := range gone {
			if err := s.removeRows(ctx, c, st.id); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		_, err := next(ctx, c.Tx, "epoch", 1)
		return err
	})
	if err != nil {
		return err
	}
	for _, st := range gone {
		st.removed = true
		s.states.drop(st.id)
		if err := s.series.Delete(st.id); err != nil {
			return fmt.Errorf("remove the points of run %s: %w", st.id, err)
		}
		s.watchers.tell(Change{Run: st.id, Experiment: strconv.FormatInt(st.experiment, 10), What: ChangeRemoved})
	}
	return nil
}

func (s *Service) removeRows(ctx context.Context, c *change, id string) error {
	r, err := s.record(ctx, c, id)
	if err != nil {
		return err
	}
	if err := s.dropCells(ctx, c, r); err != nil {
		return err
	}
	if err := s.removeTree(ctx, c.Tx, r.run.ArtifactURI); err != nil {
		return err
	}
	for _, link := range r.doc.Datasets {
		if _, err := c.ExecContext(ctx, `DELETE FROM run_inputs WHERE workspace_id = 'default' AND dataset_id = $1 AND run = $2`, link.ID, r.number); err != nil {
			return fmt.Errorf("remove the inputs of run %s: %w", id, err)
		}
	}
	for _, query := range []string{
		`DELETE FROM model_metrics WHERE workspace_id = 'default' AND run_id = $1`,
		`DELETE FROM runs WHERE workspace_id = 'default' AND id = $1`,
	} {
		if _, err := c.ExecContext(ctx, query, id); err != nil {
			return fmt.Errorf("remove run %s: %w", id, err)
		}
	}
	return s.events.Append(ctx, c.Tx, govern.Event{Project: r.run.Project, Kind: "run.removed", Subject: "run/" + id, Level: govern.Attention,
		Message: "run " + r.run.Name + " was removed for good"})
}
