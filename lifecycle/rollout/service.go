package rollout

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Service moves traffic. Its methods are safe for concurrent use; decisions about one deployment are made one at a time.
type Service struct {
	db       *catalog.DB
	events   *govern.Service
	projects *project.Service
	models   *registry.Service
	serving  *serve.Service
	truth    *feedback.Service

	mu sync.Mutex // one decision at a time
}

// New makes the service.
func New(db *catalog.DB, events *govern.Service, projects *project.Service, models *registry.Service, serving *serve.Service, truth *feedback.Service) *Service {
	return &Service{db: db, events: events, projects: projects, models: models, serving: serving, truth: truth}
}

// Request asks for a version to be released.
type Request struct {
	Project string
	Model   string
	Version int
	Cause   string
	Force   string // the reason to release a version that its gate refused; audited
}

// Release brings a version to traffic as the project's file says: at once when nothing answers yet or the strategy is immediate,
// else by a canary. A version that answers already, or is on its way, is left alone (nil rollout when there is nothing to do).
// Another rollout under way is a fault.Conflict.
func (s *Service) Release(ctx context.Context, req Request) (*Rollout, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, deploy, err := s.plan(ctx, req)
	if err != nil {
		return nil, err
	}
	v, err := s.models.Ready(ctx, req.Model, req.Version)
	if err != nil {
		return nil, err
	}
	if v.State == registry.Refused && req.Force == "" {
		return nil, v.Gate.Refusal(v.Model, v.Version)
	}
	if v.Certificate.Refuses() && req.Force == "" {
		return nil, v.Certificate.Refusal(v.Model, v.Version)
	}
	if err := v.Served(); err != nil {
		return nil, err
	}
	now := s.projects.Clock(req.Project).Now()
	d, err := s.serving.Ensure(ctx, serve.Deployment{Project: req.Project, Name: name, Model: req.Model, LogLevel: deploy.Log, CreatedAt: now})
	if err != nil {
		return nil, err
	}
	active, err := s.Active(ctx, name)
	if err != nil {
		return nil, err
	}
	if active != nil {
		if active.To == req.Version {
			return active, nil
		}
		return nil, fault.New(fault.Conflict, "%s is moving to v%d already", name, active.To).
			WithHint("wait for it, or: trimtab deployments abort %s --reason TEXT", name)
	}
	if d.Route.Champion == req.Version {
		return nil, nil
	}
	r := &Rollout{ID: id.New(), Project: req.Project, Deployment: name, Model: req.Model, From: d.Route.Champion, To: req.Version, State: Running,
		StartedAt: now, Cause: req.Cause, Actor: govern.Actor(ctx), AbortWhen: deploy.AbortWhen, Verdict: Waiting, Checks: []Check{}}
	if r.Steps, err = steps(deploy); err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *catalog.Tx) error {
		if v.State == registry.Refused || v.Certificate.Refuses() {
			if err := s.models.ForceVersion(ctx, tx, req.Model, req.Version, now, req.Force); err != nil {
				return err
			}
		}
		if r.From == 0 || deploy.Strategy == "immediate" {
			r.Steps = []Step{{Share: 1}}
			r.Steps[0].StartedAt = &now
			return s.finish(ctx, tx, r, Promoted, "first version", now, true)
		}
		r.Steps[0].StartedAt = &now
		r.Summary = "The canary has answered nothing yet"
		if err := s.insert(ctx, tx, r); err != nil {
			return err
		}
		if err := s.serving.SetRoute(ctx, tx, name, r.route()); err != nil {
			return err
		}
		return s.event(ctx, tx, r, "rollout.started", "info", now, fmt.Sprintf("Canary of v%d began at %.0f %%: %s", r.To, 100*r.Steps[0].Share, r.Cause))
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// plan is the deployment of a model and how versions come to it: what the project's file says, or, for a model that
// somebody registered and that belongs to no project, a deployment of its name that takes a version at once.
func (s *Service) plan(ctx context.Context, req Request) (string, *project.Deploy, error) {
	if req.Project == "" {
		// What cannot be served must not leave an empty deployment behind.
		p, err := s.models.LoadPackage(ctx, req.Model, req.Version)
		if err != nil {
			return "", nil, err
		}
		if err := p.Close(); err != nil {
			return "", nil, err
		}
		name, err := s.deploymentOf(ctx, req.Model)
		return name, &project.Deploy{Strategy: "immediate"}, err
	}
	p, err := s.projects.Get(ctx, req.Project)
	if err != nil {
		return "", nil, err
	}
	if p.File.Deploy == nil {
		return "", nil, fault.New(fault.Invalid, "project %s has no deploy section", req.Project).WithHint("add deploy: to trimtab.yaml")
	}
	return p.Deployment(), p.File.Deploy, nil
}

// deploymentOf is the deployment of a model of no project: the one that is there, else one of its name.
func (s *Service) deploymentOf(ctx context.Context, model string) (string, error) {
	all, err := s.serving.List(ctx)
	if err != nil {
		return "", err
	}
	for _, d := range all {
		if d.Project == "" && d.Model == model {
			return d.Name, nil
		}
	}
	return deploymentName(model), nil
}

// deploymentName makes the name of a deployment of the name of a model, which may have any characters.
func deploymentName(model string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(model))
	return strings.Trim(name[:min(len(name), 100)], "-._")
}

// ReleaseVersion is Release for callers before this package in the order of the house.
func (s *Service) ReleaseVersion(ctx context.Context, project, model string, version int, cause, force string) error {
	_, err := s.Release(ctx, Request{Project: project, Model: model, Version: version, Cause: cause, Force: force})
	return err
}

// steps resolves the file's steps. The last one, at 100 %, is the promotion and takes no traffic of its own.
func steps(d *project.Deploy) ([]Step, error) {
	out := []Step{}
	for _, st := range d.Steps {
		share, err := project.ParseShare(st.To)
		if err != nil {
			return nil, err
		}
		if share < 1 {
			out = append(out, Step{Share: share, Requests: st.Requests, Hold: st.Hold.D()})
		}
	}
	if len(out) == 0 {
		out = append(out, Step{Share: 0.1, Requests: 2 * MinPaired})
	}
	return out, nil
}

func (r *Rollout) route() serve.Route {
	return serve.Route{Champion: r.From, Canary: r.To, CanaryShare: r.Steps[r.Step].Share, Paused: r.State == Paused, Salt: fmt.Sprintf("%s/v%d", r.Deployment, r.To)}
}

// Tick judges the active rollouts of a project on what is known now, and moves them. It is called by the project's clock.
func (s *Service) Tick(ctx context.Context, projectName string, _, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	active, err := s.activeIn(ctx, projectName)
	if err != nil {
		return err
	}
	for _, r := range active {
		if err := s.advance(ctx, r, now); err != nil {
			return fmt.Errorf("rollout of %s: %w", r.Deployment, err)
		}
	}
	return nil
}

func (s *Service) advance(ctx context.Context, r *Rollout, now time.Time) error {
	if err := s.judge(ctx, r, now); err != nil {
		return err
	}
	step := &r.Steps[r.Step]
	due := step.Seen >= step.Requests && now.Sub(*step.StartedAt) >= step.Hold && step.Seen > 0
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		switch {
		case r.Verdict == Fail:
			return s.finish(ctx, tx, r, Aborted, r.Summary, now, false)
		case r.State == Paused || !due || r.Verdict != Pass:
			return s.update(ctx, tx, r)
		case r.Step+1 < len(r.Steps):
			return s.next(ctx, tx, r, now)
		default:
			return s.finish(ctx, tx, r, Promoted, r.Summary, now, false)
		}
	})
}

// judge gathers the evidence since the rollout began and writes checks and verdict into r.
func (s *Service) judge(ctx context.Context, r *Rollout, now time.Time) error {
	rows, err := s.truth.Rows(ctx, r.Deployment, r.StartedAt, farFuture, false)
	if err != nil {
		return err
	}
	var paired []feedback.Labeled
	r.Steps[r.Step].Seen = 0
	for _, row := range rows {
		if row.Version != r.To || row.Arm != serve.Canary {
			continue
		}
		if row.At >= r.Steps[r.Step].StartedAt.UnixMicro() {
			r.Steps[r.Step].Seen++
		}
		if row.ChampionVersion == r.From && len(row.Champion) > 0 {
			paired = append(paired, row)
		}
	}
	var cond *project.Condition
	if r.AbortWhen != "" {
		if cond, err = project.CompileCondition(r.AbortWhen, project.RolloutConditions); err != nil {
			return err
		}
	}
	e := Evidence{Paired: paired, Champion: s.armStats(r.Deployment, r.From), Canary: s.armStats(r.Deployment, r.To)}
	if r.Checks, r.Verdict, r.Summary, err = Judge(e, cond); err != nil {
		return err
	}
	r.CheckedAt = &now
	return nil
}

// farFuture ends a range that is open: replays hold rows of any year.
var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *Service) armStats(deployment string, version int) ArmStats {
	st := s.serving.Stats(deployment, version)
	return ArmStats{Requests: st.Requests, Errors: st.Errors, P50MS: st.P50MS, P99MS: st.P99MS}
}

// next moves to the next share.
func (s *Service) next(ctx context.Context, tx *catalog.Tx, r *Rollout, now time.Time) error {
	r.Steps[r.Step].EndedAt = &now
	r.Step++
	r.Steps[r.Step].StartedAt = &now
	if err := s.update(ctx, tx, r); err != nil {
		return err
	}
	if err := s.serving.SetRoute(ctx, tx, r.Deployment, r.route()); err != nil {
		return err
	}
	return s.event(ctx, tx, r, "rollout.step", "info", now, fmt.Sprintf("Step %d: %.0f %% to v%d. %s", r.Step+1, 100*r.Steps[r.Step].Share, r.To, r.Summary))
}

// finish ends a rollout: promoted makes the canary champion, aborted sends it back. Both versions stay resident.
func (s *Service) finish(ctx context.Context, tx *catalog.Tx, r *Rollout, state, reason string, now time.Time, fresh bool) error {
	r.State, r.Reason, r.EndedAt = state, reason, &now
	if r.Steps[r.Step].EndedAt == nil {
		r.Steps[r.Step].EndedAt = &now
	}
	route := serve.Route{Champion: r.From}
	kind, level, message := "rollout.aborted", "bad", fmt.Sprintf("v%d sent back, v%d answers everything: %s", r.To, r.From, reason)
	if state == Promoted {
		route.Champion = r.To
		kind, level, message = "rollout.promoted", "good", fmt.Sprintf("v%d answers everything: %s", r.To, reason)
	}
	store := s.update
	if fresh {
		store = s.insert
	}
	if err := store(ctx, tx, r); err != nil {
		return err
	}
	if err := s.serving.SetRoute(ctx, tx, r.Deployment, route); err != nil {
		return err
	}
	if state == Promoted {
		if err := s.models.SetAlias(ctx, tx, r.Project, r.Model, registry.Champion, r.To, now, reason); err != nil {
			return err
		}
	}
	return s.event(ctx, tx, r, kind, level, now, message)
}

func (s *Service) event(ctx context.Context, tx *catalog.Tx, r *Rollout, kind, level string, now time.Time, message string) error {
	return s.events.Append(ctx, tx, govern.Event{At: now, Project: r.Project, Kind: kind, Subject: "deployment/" + r.Deployment, Actor: govern.Actor(ctx), Level: level,
		Message: message, Data: map[string]any{"rollout": r.ID, "from": r.From, "to": r.To, "verdict": r.Verdict}})
}
