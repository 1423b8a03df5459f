// Package retrain decides when a model is trained again, and drives it: the logged inputs joined with matured outcomes become a
// version of the dataset, a challenger is built on what was known by then, judged, and released as a canary or refused.
//
// It owns the policy and its triggers, each of which keeps why it fired or why it was held back.
package retrain

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/monitor"
	"github.com/trimtab-ml/trimtab/lifecycle/pipeline"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
)

// Schema is the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// JobKind is the queue's name for a retraining.
const JobKind = "retrain"

// States of a trigger.
const (
	Held     = "held"     // a guard held it back: cooldown, budget, a rollout under way
	Training = "training" // its job runs
	Released = "released" // the challenger went to canary
	Refused  = "refused"  // the challenger's gate refused it
	Failed   = "failed"
)

// Trigger is one decision to train again, or not to.
type Trigger struct {
	ID      string             `json:"id"`
	Project string             `json:"project"`
	At      time.Time          `json:"at"`
	State   string             `json:"state"`
	Policy  string             `json:"policy"` // performance, drift, new_labels, cron or manual
	Cause   string             `json:"cause"`
	Values  map[string]float64 `json:"values,omitempty"`
	Held    string             `json:"held,omitempty"` // the guard, in words
	JobID   string             `json:"job_id,omitempty"`
	Version int                `json:"version,omitempty"`
	Note    string             `json:"note,omitempty"`
}

// Request is a training somebody asks for. Manual ones pass cooldown and budget.
type Request struct {
	Project       string `json:"project"`
	Cause         string `json:"cause"`
	PermuteLabels bool   `json:"permute_labels,omitempty"` // shuffles the labels of the fit: a check that a gate and a canary notice
	Force         string `json:"force,omitempty"`          // the reason to release past a refusing gate
}

// args is what the job needs to run again after a crash.
type args struct {
	Request
	Trigger string    `json:"trigger"`
	AsOf    time.Time `json:"as_of"`
	Actor   string    `json:"actor"`
	Nonce   string    `json:"nonce,omitempty"`
}

// Service runs the policies. Its methods are safe for concurrent use.
type Service struct {
	db       *catalog.DB
	jobs     *queue.Queue
	events   *govern.Service
	projects *project.Service
	datasets *data.Service
	builder  *pipeline.Service
	models   *registry.Service
	truth    *feedback.Service
	rollouts *rollout.Service
}

// New makes the service and registers its job.
func New(db *catalog.DB, jobs *queue.Queue, events *govern.Service, projects *project.Service, datasets *data.Service, builder *pipeline.Service,
	models *registry.Service, truth *feedback.Service, rollouts *rollout.Service) *Service {
	s := &Service{db: db, jobs: jobs, events: events, projects: projects, datasets: datasets, builder: builder, models: models, truth: truth, rollouts: rollouts}
	jobs.Register(JobKind, s.run)
	return s
}

// Verdict is monitor's subscriber: it triggers when a verdict that the policy names is off.
func (s *Service) Verdict(ctx context.Context, v monitor.Verdict) error {
	if v.State != monitor.Off {
		return nil
	}
	p, err := s.projects.Get(ctx, v.Project)
	if err != nil {
		return err
	}
	if p.File.Retrain == nil || !contains(p.File.Retrain.When, v.Kind) {
		return nil
	}
	values := map[string]float64{}
	for name, m := range v.Metrics {
		values[name] = m.Value
	}
	_, err = s.trigger(ctx, p, Trigger{Policy: v.Kind, Cause: v.Summary, Values: values}, Request{Project: v.Project, Cause: v.Kind + ": " + v.Summary})
	return err
}

// Train starts a training by hand.
func (s *Service) Train(ctx context.Context, req Request) (*Trigger, error) {
	p, err := s.projects.Get(ctx, req.Project)
	if err != nil {
		return nil, err
	}
	if p.File.Model == nil {
		return nil, fault.New(fault.Invalid, "project %s has no model section", req.Project)
	}
	if req.Cause == "" {
		req.Cause = "by hand"
	}
	return s.trigger(ctx, p, Trigger{Policy: "manual", Cause: req.Cause}, req)
}

// trigger asks the guards, records the decision and enqueues the job, all in one transaction.
func (s *Service) trigger(ctx context.Context, p *project.Project, t Trigger, req Request) (*Trigger, error) {
	t.ID, t.Project, t.At, t.State = id.New(), p.Name, s.projects.Clock(p.Name).Now(), Training
	if t.Policy != "manual" {
		past, err := s.Triggers(ctx, p.Name)
		if err != nil {
			return nil, err
		}
		held, err := s.guards(ctx, p, past, t.At)
		if err != nil {
			return nil, err
		}
		if held != "" {
			t.State, t.Held = Held, held
			if len(past) > 0 && past[0].State == Held && past[0].Policy == t.Policy && past[0].Cause == t.Cause && past[0].Held == t.Held {
				return &past[0], nil // said already: a condition that lasts is asked about at every tick
			}
		}
	}
	err := s.db.Write(ctx, func(tx *catalog.Tx) error {
		if t.State == Training {
			a := args{Request: req, Trigger: t.ID, AsOf: t.At, Actor: govern.Actor(ctx)}
			key := p.Name
			if t.Policy == "manual" {
				a.Nonce, key = t.ID, t.ID
			}
			job, err := s.jobs.Enqueue(ctx, tx, queue.Enqueue{Kind: JobKind, Project: p.Name, Key: key, Cause: req.Cause, Args: a})
			if err != nil {
				return err
			}
			t.JobID = job.ID
			err = s.events.Append(ctx, tx, govern.Event{At: t.At, Project: p.Name, Kind: "retrain.started", Subject: "model/" + p.File.Model.Name, Actor: govern.Actor(ctx), Level: "info",
				Message: "Training again: " + req.Cause, Data: map[string]any{"trigger": t.ID, "policy": t.Policy}})
			if err != nil {
				return err
			}
		}
		return s.store(ctx, tx, &t, true)
	})
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// guards says what holds a policy's training back; "" when nothing does.
func (s *Service) guards(ctx context.Context, p *project.Project, past []Trigger, now time.Time) (string, error) {
	policy := p.File.Retrain
	budget, bounded := policy.Allowance()
	spent := 0
	for _, t := range past {
		if t.State == Held {
			continue
		}
		if t.State == Training {
			job, err := s.jobs.Get(ctx, t.JobID)
			if err != nil {
				return "", err
			}
			if !job.Final() { // a job that ended without telling, by a defect, must not hold the policy back for good
				return "a training runs already", nil
			}
		}
		if t.Policy != "manual" && now.Sub(t.At) < policy.Cooldown.D() {
			return fmt.Sprintf("cooldown of %s since the training of %s", policy.Cooldown, t.At.Format("2 Jan 15:04")), nil
		}
		if bounded && now.Sub(t.At) < budget.Per {
			spent++
		}
	}
	if bounded && spent >= budget.N {
		return fmt.Sprintf("budget of %s is spent", policy.Budget), nil
	}
	active, err := s.rollouts.Active(ctx, p.Deployment())
	if err != nil {
		return "", err
	}
	if active != nil {
		return fmt.Sprintf("v%d is in canary", active.To), nil
	}
	return "", nil
}

// run is the job. Every step finds what an earlier attempt did already: the same parts make no new dataset version,
// the same build key no new model version, and a version that is on its way is not released twice.
func (s *Service) run(ctx context.Context, r *queue.Running) error {
	var a args
	if err := r.Decode(&a); err != nil {
		return err
	}
	ctx = govern.WithActor(ctx, a.Actor)
	t, err := s.get(ctx, a.Trigger)
	if err != nil {
		return err
	}
	version, err := s.train(ctx, r, a)
	if err == nil {
		t.State, t.Version = Released, version
		return s.conclude(ctx, t)
	}
	var refused *fault.Error
	if errors.As(err, &refused) && refused.Code == fault.GateRefused {
		t.State, t.Note = Refused, refused.Message
		if v, ok := refused.Details["version"].(int); ok {
			t.Version = v
		}
		return s.conclude(ctx, t) // a refusal is an outcome, not a failure of the job
	}
	if fault.Is(err, fault.FormatNotServed) { // trained and registered, and trying again would not deploy it either
		t.State, t.Version, t.Note = Failed, version, err.Error()
		return s.conclude(ctx, t)
	}
	if ctx.Err() == nil && (!queue.Retryable(err) || r.Attempt >= r.MaxAttempts) {
		t.State, t.Note = Failed, err.Error()
		if cerr := s.conclude(ctx, t); cerr != nil {
			return errors.Join(err, cerr)
		}
	}
	return err
}

func (s *Service) train(ctx context.Context, r *queue.Running, a args) (int, error) {
	p, err := s.projects.Get(ctx, a.Project)
	if err != nil {
		return 0, err
	}
	model := p.File.Model
	r.Progress(0, 0, "", "joining logged inputs with outcomes")
	parts, err := s.truth.ServedParts(ctx, p.Deployment(), a.AsOf)
	if err != nil && !fault.Is(err, fault.NotFound) { // nothing was deployed yet: train on the project's own data
		return 0, err
	}
	if len(parts) > 0 {
		if _, err := s.datasets.AppendServed(ctx, nil, a.Project, model.From, parts, a.Cause, a.AsOf); err != nil {
			return 0, err
		}
	}
	v, err := s.builder.Build(ctx, pipeline.BuildRequest{Project: a.Project, AsOf: a.AsOf, Cause: a.Cause, PermuteLabels: a.PermuteLabels, Force: a.Force, Nonce: a.Nonce}, r.Progress)
	if err != nil {
		return 0, err
	}
	if err := v.Gate.Refusal(v.Model, v.Version); err != nil {
		var f *fault.Error
		if errors.As(err, &f) {
			f.With("version", v.Version)
		}
		return 0, err
	}
	if p.File.Deploy == nil {
		return v.Version, nil
	}
	_, err = s.rollouts.Release(ctx, rollout.Request{Project: a.Project, Model: v.Model, Version: v.Version, Cause: a.Cause, Force: a.Force})
	return v.Version, err
}

func (s *Service) conclude(ctx context.Context, t *Trigger) error {
	return s.db.Write(ctx, func(tx *catalog.Tx) error { return s.store(ctx, tx, t, false) })
}

func (s *Service) store(ctx context.Context, tx *catalog.Tx, t *Trigger, fresh bool) error {
	doc, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode trigger: %w", err)
	}
	if fresh {
		_, err = tx.ExecContext(ctx, `INSERT INTO retrain_triggers (id, project, at, state, document) VALUES ($1, $2, $3, $4, $5)`, t.ID, t.Project, t.At.UnixMicro(), t.State, string(doc))
	} else {
		_, err = tx.ExecContext(ctx, `UPDATE retrain_triggers SET state = $1, document = $2 WHERE workspace_id = 'default' AND id = $3`, t.State, string(doc), t.ID)
	}
	if err != nil {
		return fmt.Errorf("store trigger: %w", err)
	}
	return nil
}

// Triggers lists a project's triggers, newest first.
func (s *Service) Triggers(ctx context.Context, projectName string) ([]Trigger, error) {
	return s.query(ctx, `SELECT document FROM retrain_triggers WHERE workspace_id = 'default' AND project = $1 ORDER BY at DESC, id DESC LIMIT 500`, projectName)
}

func (s *Service) get(ctx context.Context, id string) (*Trigger, error) {
	ts, err := s.query(ctx, `SELECT document FROM retrain_triggers WHERE workspace_id = 'default' AND id = $1`, id)
	if err != nil {
		return nil, err
	}
	if len(ts) == 0 {
		return nil, fault.New(fault.NotFound, "there is no trigger %s", id)
	}
	return &ts[0], nil
}

func (s *Service) query(ctx context.Context, query string, args ...any) ([]Trigger, error) {
	rows, err := s.db.Read().QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list triggers: %w", err)
	}
	defer rows.Close()
	out := []Trigger{}
	for rows.Next() {
		var doc string
		if err := rows.Scan(&doc); err != nil {
			return nil, fmt.Errorf("list triggers: %w", err)
		}
		t := Trigger{}
		if err := json.Unmarshal([]byte(doc), &t); err != nil {
			return nil, fmt.Errorf("decode trigger: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

func contains(list []string, want string) bool {
	for _, v := range list {
		if v == want {
			return true
		}
	}
	return false
}
