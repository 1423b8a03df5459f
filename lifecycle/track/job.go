package track

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// Runs of the platform's own training jobs: the same rows, written by code that has the whole run in its hands.

// defaultFolder has the runs of no project.
const defaultFolder = "Default"

// Start records a new run in the experiment of its project, which is made when there is none.
func (s *Service) Start(ctx context.Context, run Run) (*Run, error) {
	run.ID, run.State, run.Stage = id.New(), Running, StageActive
	tags := maps.Clone(run.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	var err error
	if run.Name, err = runName(run.Name, tags); err != nil {
		return nil, err
	}
	tags[TagRunName] = run.Name
	r := &record{run: run, doc: document{Cause: run.Cause, Actor: run.Actor, Params: run.Params, Tags: tags, Inputs: run.Inputs, GitCommit: run.GitCommit}}
	r.run.Metrics, r.run.Latest = nil, nil
	err = s.writer.do(ctx, func(c *change) error {
		folder := run.Project
		if folder == "" {
			folder = defaultFolder
		}
		experimentID, err := s.EnsureExperiment(ctx, c.Tx, folder)
		if err != nil {
			return err
		}
		if r.experiment, err = parseExperiment(experimentID); err != nil {
			return err
		}
		e, err := experiment(ctx, c.Tx, r.experiment)
		if err != nil {
			return err
		}
		r.run.ExperimentID, r.run.ArtifactURI = e.ID, join(e.ArtifactRoot, r.run.ID, artifactsDir)
		return s.create(ctx, c, r)
	})
	if err != nil {
		return nil, fmt.Errorf("start run: %w", err)
	}
	return r.view(), nil
}

// Log appends one point of a metric. The write reaches the operating system before Log returns.
func (s *Service) Log(run, key string, step int64, at time.Time, value float64) error {
	return s.LogMetric(context.Background(), run, Metric{Key: key, Value: value, At: max(0, at.UnixMilli()), Step: step})
}

// Finish stores the final facts of a run in the caller's transaction: state, end, seconds, what it produced, and metrics whose
// value is not the latest that was logged. Whatever else was logged meanwhile, by the user's own program too, stays.
func (s *Service) Finish(ctx context.Context, tx *catalog.Tx, run *Run) error {
	revision, err := nextRevision(ctx, tx)
	if err != nil {
		return err
	}
	c := &change{Tx: tx, revision: revision}
	st, err := s.stateIn(ctx, tx, run.ID)
	if err != nil {
		return err
	}
	// The connection is held: nobody who waits for it may be waited for. When points are coming in just now, the run stays open and the next start closes it.
	alone := st.gate.TryLock()
	if alone {
		defer st.gate.Unlock()
	}
	r, err := s.record(ctx, tx, run.ID)
	if err != nil {
		return err
	}
	at := s.now()
	if run.FinishedAt != nil {
		t := run.FinishedAt.UTC().Truncate(time.Microsecond)
		r.run.FinishedAt, at = &t, t
	}
	before := r.run.State
	r.run.State = run.State
	if err := s.notify(ctx, tx, r, before); err != nil {
		return err
	}
	r.doc.Seconds, r.doc.Model, r.doc.Version, r.doc.GitCommit, r.doc.Error, r.doc.Inputs = run.Seconds, run.Model, run.Version, run.GitCommit, run.Error, run.Inputs
	if final := st.finals(run.Metrics, at); len(final) > 0 {
		if err := s.append(run.ID, final); err != nil {
			return fmt.Errorf("log the metrics of run %s: %w", run.ID, err)
		}
		if st.merge(final) {
			s.states.soil(st)
		}
	}
	if err := s.save(ctx, c, r); err != nil {
		return err
	}
	write := s.writeLatest
	if alone {
		write = s.closeLatest
	}
	if err := write(ctx, c, st); err != nil {
		return err
	}
	tx.OnCommit(func() {
		for _, hook := range c.hooks {
			hook()
		}
		s.watchers.tell(Change{Run: run.ID, Experiment: r.run.ExperimentID, What: ChangeUpdated})
		s.seal(run.ID)
	})
	return nil
}

// finals are points for the values that differ from the latest ones, at the step that each key has reached.
func (st *state) finals(values Values, at time.Time) []Metric {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []Metric
	for key, value := range values {
		m := Metric{Key: key, Value: value, At: max(0, at.UnixMilli())}
		if l := st.latest[key]; l != nil {
			if l.Value == value {
				continue
			}
			m.Step, m.At = l.Step, max(m.At, l.At+1)
		}
		out = append(out, m)
	}
	return out
}

// stateIn is state inside a transaction that may have written the run.
func (s *Service) stateIn(ctx context.Context, q catalog.Querier, id string) (*state, error) {
	if st := s.states.get(id); st != nil {
		return st, nil
	}
	r, err := s.record(ctx, q, id)
	if err != nil {
		return nil, err
	}
	st, ok := s.states.add(newState(r), s.states.now())
	if !ok {
		return nil, fault.New(fault.Conflict, "run %s changed meanwhile", id)
	}
	return st, nil
}

// Abandon marks the platform's own runs that were running when the process ended. It is called once, before jobs start. Runs of clients go on:
// their programs are alive.
func (s *Service) Abandon(ctx context.Context, now time.Time) error {
	records, err := s.records(ctx, s.db.Read(), `SELECT `+recordColumns+` FROM runs WHERE workspace_id = 'default' AND state = 'running' AND project <> ''`)
	if err != nil {
		return err
	}
	for _, r := range records {
		run := r.view()
		run.State, run.FinishedAt, run.Error = Killed, &now, "the server stopped while it ran; the job starts a new run"
		if err := s.db.Write(ctx, func(tx *catalog.Tx) error { return s.Finish(ctx, tx, run) }); err != nil {
			return fmt.Errorf("abandon run %s: %w", run.ID, err)
		}
	}
	return nil
}

// List gives the newest runs of a project first.
func (s *Service) List(ctx context.Context, project string, limit int) ([]*Run, error) {
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	records, err := s.records(ctx, s.db.Read(), `SELECT `+recordColumns+` FROM runs
		WHERE workspace_id = 'default' AND project = $1 AND stage = 'active' ORDER BY started_at DESC, id DESC LIMIT `+strconv.Itoa(limit), project)
	if err != nil {
		return nil, err
	}
	return s.completeAll(ctx, records)
}
