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

// Release brings a version to traffic as the project's file says: at once when nothing answers yet or the strategy is immediate or
// blue/green, else as a canary, a shadow or in an A/B test. A version that answers already, or is on its way, is left alone (nil rollout when there is nothing to do).
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
	if err := s.warm(ctx, v); err != nil {
		return nil, err
	}
	now := s.projects.Clock(req.Project).Now()
	d, err := s.serving.Ensure(ctx, serve.Deployment{Project: req.Project, Name: name, Model: req.Model, LogLevel: deploy.Log, CreatedAt: now})
	if err != nil {
		return nil, err
	}
	if err := s.limit(ctx, name, deploy); err != nil {
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
	if len(d.Route.Variants) > 0 {
		return nil, fault.New(fault.Conflict, "%s has an A/B test that was set by hand", name).WithHint("end it: trimtab deployments route %s --ab none --reason TEXT", name)
	}
	r := &Rollout{ID: id.New(), Project: req.Project, Deployment: name, Model: req.Model, From: d.Route.Champion, To: req.Version, State: Running, Strategy: deploy.Strategy,
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
		if r.From == 0 || r.Steps == nil {
			r.Steps = []Step{{Share: 1}}
			r.Steps[0].StartedAt = &now
			return s.finish(ctx, tx, r, Promoted, "first version", now, true)
		}
		r.Steps[0].StartedAt = &now
		var began string
		began, r.Summary = r.began()
		if err := s.insert(ctx, tx, r); err != nil {
			return err
		}
		if err := s.serving.SetRoute(ctx, tx, name, r.route(d.Route)); err != nil {
			return err
		}
		return s.event(ctx, tx, r, "rollout.started", "info", now, began+": "+r.Cause)
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

// warm opens a version of another library once, so that what cannot be served leaves no empty deployment behind, and so that its engine is
// there when the route is written.
func (s *Service) warm(ctx context.Context, v *registry.Version) error {
	if v.Format == registry.FormatTrimtab {
		return nil
	}
	p, err := s.models.LoadPackage(ctx, v.Model, v.Version)
	if err != nil {
		return err
	}
	return p.Close()
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

// steps resolves the file's strategy; none: at once.
func steps(d *project.Deploy) ([]Step, error) {
	switch d.Strategy {
	case Immediate:
		return nil, nil
	case BlueGreen:
		if d.BlueGreen != nil && d.BlueGreen.Switch == "by_hand" {
			return []Step{{Mode: ModeStandby, Waits: true}}, nil
		}
		return nil, nil
	case ABTest:
		share, err := shareOf(d.AB.GetShare())
		return []Step{{Mode: ModeAB, Share: share, Waits: true}}, err
	case ShadowStrategy:
		share, err := shareOf(d.Shadow.GetShare())
		if err != nil {
			return nil, err
		}
		first := Step{Mode: ModeShadow, Share: share, Requests: project.DefaultShadowRequests, Waits: true}
		if d.Shadow == nil {
			return []Step{first}, nil
		}
		if d.Shadow.Requests > 0 {
			first.Requests = d.Shadow.Requests
		}
		first.Waits = d.Shadow.Then == "" || d.Shadow.Then == "hold"
		if d.Shadow.Then != CanaryStrategy {
			return []Step{first}, nil
		}
		more, err := canarySteps(d)
		return append([]Step{first}, more...), err
	}
	return canarySteps(d)
}

func shareOf(text string) (float64, error) { return project.ParseShare(text) }

// canarySteps resolves the file's steps. The last one, at 100 %, is the promotion and takes no traffic of its own.
func canarySteps(d *project.Deploy) ([]Step, error) {
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

// route is that of the step that holds now, on the ground of what was set by hand.
func (r *Rollout) route(base serve.Route) serve.Route {
	out := r.without(base)
	out.Paused, out.Salt = r.State == Paused, fmt.Sprintf("%s/v%d", r.Deployment, r.To)
	switch step := r.now(); step.Mode {
	case ModeShadow:
		out.Shadow, out.ShadowShare = r.To, step.Share
	case ModeStandby:
		out.Standby = r.To
	case ModeAB:
		out.Variants = []serve.Variant{{Version: r.To, Share: step.Share}}
	default:
		out.Canary, out.CanaryShare = r.To, step.Share
	}
	return out
}

// without is a route without the version that is on its way: the champion before it answers.
func (r *Rollout) without(base serve.Route) serve.Route {
	out := base.Settled(r.From)
	if out.Shadow == r.To {
		out.Shadow, out.ShadowShare = 0, 0
	}
	if out.Standby == r.To {
		out.Standby = 0
	}
	return out
}

// began says what a rollout's first step does: as an event, and as the state before anything is known.
func (r *Rollout) began() (event, summary string) {
	share := 100 * r.now().Share
	switch r.now().Mode {
	case ModeShadow:
		return fmt.Sprintf("v%d began as a shadow of %.0f %% of the requests", r.To, share), "The shadow has been compared on nothing yet"
	case ModeStandby:
		return fmt.Sprintf("v%d stands by", r.To), fmt.Sprintf("v%d is loaded and waits for the switch", r.To)
	case ModeAB:
		return fmt.Sprintf("A/B test of v%d began with %.0f %% of the keys", r.To, share), "The contender has answered nothing yet"
	}
	return fmt.Sprintf("Canary of v%d began at %.0f %%", r.To, share), "The canary has answered nothing yet"
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
	step := r.now()
	due := !step.Waits && step.Seen >= step.Requests && now.Sub(*step.StartedAt) >= step.Hold && step.Seen > 0
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
	var cond *project.Condition
	if r.AbortWhen != "" {
		var err error
		if cond, err = project.CompileCondition(r.AbortWhen, project.RolloutConditions); err != nil {
			return err
		}
	}
	r.CheckedAt = &now
	switch r.now().Mode {
	case ModeShadow:
		return s.judgeShadow(r, cond)
	case ModeStandby:
		_, r.Summary = r.began()
		return nil
	}
	rows, err := s.truth.Rows(ctx, r.Deployment, r.StartedAt, farFuture, false)
	if err != nil {
		return err
	}
	arm := serve.Canary
	if r.now().Mode == ModeAB {
		arm = serve.Contender
	}
	var paired, own, champion []feedback.Labeled
	r.Steps[r.Step].Seen = 0
	for _, row := range rows {
		if row.Version == r.From && row.Arm == serve.Champion {
			champion = append(champion, row)
		}
		if row.Version != r.To || row.Arm != arm {
			continue
		}
		own = append(own, row)
		if row.At >= r.Steps[r.Step].StartedAt.UnixMicro() {
			r.Steps[r.Step].Seen++
		}
		if row.ChampionVersion == r.From && len(row.Champion) > 0 {
			paired = append(paired, row)
		}
	}
	e := Evidence{Paired: paired, Champion: s.armStats(r.Deployment, r.From), Canary: s.armStats(r.Deployment, r.To)}
	if r.now().Mode == ModeAB {
		r.Checks, r.Verdict, r.Summary, err = JudgeApart(e, champion, own, cond)
	} else {
		r.Checks, r.Verdict, r.Summary, err = Judge(e, cond)
	}
	return err
}

// judgeShadow judges by what the shadow said to the same rows.
func (s *Service) judgeShadow(r *Rollout, cond *project.Condition) error {
	st, err := s.serving.Shadow(r.Deployment, r.To)
	if err != nil {
		return err
	}
	r.now().Seen = st.Rows + st.Errors
	r.Checks, r.Verdict, r.Summary, err = JudgeShadow(st, cond)
	return err
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
	d, err := s.serving.Get(ctx, r.Deployment)
	if err != nil {
		return err
	}
	if err := s.serving.SetRoute(ctx, tx, r.Deployment, r.route(d.Route)); err != nil {
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
	d, err := s.serving.Get(ctx, r.Deployment)
	if err != nil {
		return err
	}
	route := r.without(d.Route)
	kind, level, message := "rollout.aborted", "bad", fmt.Sprintf("v%d sent back, v%d answers everything: %s", r.To, r.From, reason)
	if state == Promoted {
		if route = route.Settled(r.To); r.Strategy == BlueGreen {
			route.Standby = r.From
		}
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
