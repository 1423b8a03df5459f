package serve

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// States of a model in the repository, as Triton names them.
const (
	RepositoryReady       = "READY"
	RepositoryUnavailable = "UNAVAILABLE"
)

// RepositoryModel is a version as the repository shows it.
type RepositoryModel struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	State   string `json:"state,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// Catalog tells serve about registered models that are not deployed yet.
type Catalog interface {
	// Servable is the version of a model that a deployment would begin with: its champion, else its newest that may be served.
	Servable(ctx context.Context, model string) (version int, project string, err error)
	// ModelNames lists the registered models.
	ModelNames(ctx context.Context) ([]string, error)
}

// awake gives what requests read, and loads the versions again of a deployment that gave them up for others. A deployment that was
// unloaded by hand stays so.
func (s *Service) awake(ctx context.Context, e *endpoint) (*live, error) {
	l := e.live.Load()
	if !l.asleep {
		return l, nil
	}
	e.change.Lock()
	defer e.change.Unlock()
	if l = e.live.Load(); !l.asleep {
		return l, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	next, problem := s.wake(context.WithoutCancel(ctx), e, l.deployment)
	if problem != nil && next.champion == nil {
		return nil, fault.New(fault.Unavailable, "%s cannot be loaded again: %v", e.name, problem)
	}
	e.live.Store(next)
	s.fit(e)
	return next, nil
}

// wake loads the versions of a deployment.
func (s *Service) wake(ctx context.Context, e *endpoint, d Deployment) (*live, error) {
	l := &live{resident: map[int]*resident{}}
	var problem error
	for _, v := range append(d.Route.versions(), d.Resident...) {
		if v == 0 || l.resident[v] != nil {
			continue
		}
		c, err := s.load(ctx, d.Model, v)
		if err != nil {
			s.log.Error("a deployed version does not load", "deployment", d.Name, "model", d.Model, "version", v, "error", err)
			if slices.Contains(d.Route.versions(), v) {
				problem, d.Problem = err, err.Error()
			}
			continue
		}
		l.resident[v] = e.resident(c)
	}
	return l.routed(d), problem
}

// resident puts a version into the deployment.
func (e *endpoint) resident(c *compiled) *resident {
	r := &resident{compiled: c, counters: e.counts(c.pkg.Version)}
	if c.pkg.Predictor != nil {
		r.engine = e.answers.Wrap(c.pkg.Predictor, c.pkg.Version)
	}
	return r
}

// counts are those of a version of the deployment, whose life is longer than its stay in memory.
func (e *endpoint) counts(version int) *counters {
	e.countsMu.Lock()
	defer e.countsMu.Unlock()
	if e.kept == nil {
		e.kept = map[int]*counters{}
	}
	if e.kept[version] == nil {
		e.kept[version] = &counters{}
	}
	return e.kept[version]
}

// fit puts the deployments to sleep that were asked longest ago until what is loaded fits the budget. spared, pinned ones and those with
// a canary stay.
func (s *Service) fit(spared *endpoint) {
	if s.cfg.Memory <= 0 {
		return
	}
	s.residency.Lock()
	defer s.residency.Unlock()
	all := make([]*endpoint, 0, len(*s.deployments.Load()))
	for _, e := range *s.deployments.Load() {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *endpoint) int { return int(a.used.Load()>>20) - int(b.used.Load()>>20) })
	for _, e := range all {
		if s.Memory() <= s.cfg.Memory {
			return
		}
		l := e.live.Load()
		if e == spared || l.asleep || len(l.resident) == 0 || l.canary != nil || l.deployment.Settings.Pinned || !e.change.TryLock() {
			continue
		}
		l = e.live.Load()
		asleep := &live{deployment: l.deployment, resident: map[int]*resident{}, asleep: true}
		asleep.deployment.State = StateAsleep
		e.live.Store(asleep)
		s.forget(l)
		e.change.Unlock()
		s.log.Info("a deployment sleeps: others need its memory", "deployment", e.name)
	}
}

// forget lets go of versions that no deployment holds any longer.
func (s *Service) forget(l *live) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range l.resident {
		if !s.held(r.compiled) {
			s.loaded = slices.DeleteFunc(s.loaded, func(c *compiled) bool { return c == r.compiled })
			s.close(r.compiled)
		}
	}
}

// held tells whether a deployment has a version loaded. s.mu is held.
func (s *Service) held(c *compiled) bool {
	for _, e := range *s.deployments.Load() {
		for _, r := range e.live.Load().resident {
			if r.compiled == c {
				return true
			}
		}
	}
	return false
}

// closing is how long a version that was let go may still answer what it was asked.
const closing = 30 * time.Second

// close ends the engine of a version, after the requests that have it.
func (s *Service) close(c *compiled) {
	if c.pkg.Predictor == nil {
		return
	}
	time.AfterFunc(closing, func() {
		if err := c.pkg.Predictor.Close(); err != nil {
			s.log.Warn("an engine did not end well", "model", c.pkg.Model, "version", c.pkg.Version, "error", err)
		}
	})
}

// Memory is the bytes that loaded versions hold, about.
func (s *Service) Memory() int64 {
	seen := map[*compiled]bool{}
	var n int64
	for _, e := range *s.deployments.Load() {
		for _, r := range e.live.Load().resident {
			if !seen[r.compiled] {
				seen[r.compiled] = true
				n += r.memory()
			}
		}
	}
	return n
}

func (c *compiled) memory() int64 {
	if reporter, ok := c.pkg.Predictor.(predictor.Reporter); ok {
		if m := reporter.Status().Memory; m > 0 {
			return m
		}
	}
	return max(c.pkg.Memory, 64<<10)
}

// Stop ends the engines of all versions.
func (s *Service) Stop(context.Context) error {
	s.stopMirrors()
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[*compiled]bool{}
	var errs []error
	end := func(c *compiled) {
		if !seen[c] && c.pkg.Predictor != nil {
			errs = append(errs, c.pkg.Predictor.Close())
		}
		seen[c] = true
	}
	for _, e := range *s.deployments.Load() {
		for _, r := range e.live.Load().resident {
			end(r.compiled)
		}
	}
	for _, c := range s.loaded {
		end(c)
	}
	s.loaded = nil
	return errors.Join(errs...)
}

// Repository lists what is loaded, and the registered models that are not, by name.
func (s *Service) Repository(ctx context.Context) ([]RepositoryModel, error) {
	all, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []RepositoryModel{}
	deployed := map[string]bool{}
	for _, d := range all {
		deployed[d.Name] = true
		if len(d.Resident) == 0 || d.State != StateReady {
			reason := d.Problem
			if d.State == StateUnloaded {
				reason = "unloaded"
			}
			out = append(out, RepositoryModel{Name: d.Name, State: RepositoryUnavailable, Reason: reason})
			continue
		}
		for _, v := range d.Resident {
			out = append(out, RepositoryModel{Name: d.Name, Version: strconv.Itoa(v), State: RepositoryReady})
		}
	}
	if s.cfg.Catalog != nil {
		names, err := s.cfg.Catalog.ModelNames(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if !deployed[name] {
				out = append(out, RepositoryModel{Name: name, State: RepositoryUnavailable, Reason: "not loaded"})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b RepositoryModel) int {
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return out, nil
}

// LoadModel makes a deployment of its own name answer with a registered model, or loads one again that was unloaded or put to sleep.
func (s *Service) LoadModel(ctx context.Context, name string) error {
	e := s.endpoint(name)
	if e == nil {
		if s.cfg.Catalog == nil {
			return fault.New(fault.NotFound, "failed to load %q: there is no such model", clip(name))
		}
		version, project, err := s.cfg.Catalog.Servable(ctx, name)
		if err != nil {
			return fault.Wrap(err, fault.CodeOf(err), "failed to load %q", clip(name))
		}
		if _, err := s.load(ctx, name, version); err != nil { // before a deployment is made of it
			return fault.Wrap(err, fault.CodeOf(err), "failed to load %q", clip(name))
		}
		if _, err := s.Ensure(ctx, Deployment{Project: project, Name: name, Model: name}); err != nil {
			return err
		}
		return s.SetRoute(ctx, nil, name, Route{Champion: version})
	}
	if err := s.Configure(ctx, name, func(set *Settings) { set.Unloaded = false }); err != nil {
		return err
	}
	e.change.Lock()
	defer e.change.Unlock()
	l := e.live.Load()
	if l.deployment.State == StateReady && !l.asleep {
		return nil
	}
	next, problem := s.wake(ctx, e, l.deployment)
	if next.champion == nil && problem != nil {
		return fault.Wrap(problem, fault.CodeOf(problem), "failed to load %q", clip(name))
	}
	e.live.Store(next)
	return nil
}

// UnloadModel frees what a deployment holds in memory; it answers fault.Unavailable until it is loaded again.
func (s *Service) UnloadModel(ctx context.Context, name string) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	if err := s.Configure(ctx, name, func(set *Settings) { set.Unloaded = true }); err != nil {
		return err
	}
	e.change.Lock()
	l := e.live.Load()
	gone := &live{deployment: l.deployment, resident: map[int]*resident{}}
	gone.deployment.State = StateUnloaded
	e.live.Store(gone)
	e.change.Unlock()
	s.forget(l)
	return nil
}

// Configure changes the settings of a deployment and stores them.
func (s *Service) Configure(ctx context.Context, name string, change func(*Settings)) error {
	e, err := s.find(name)
	if err != nil {
		return err
	}
	e.change.Lock()
	defer e.change.Unlock()
	l := e.live.Load()
	d := l.deployment
	change(&d.Settings)
	if d.Settings == l.deployment.Settings {
		return nil
	}
	d.UpdatedAt = s.now(e.project)
	if err := s.cfg.DB.Write(ctx, func(tx *catalog.Tx) error { return store(ctx, tx, &d) }); err != nil {
		return err
	}
	next := *l
	next.deployment = d
	e.live.Store(&next)
	e.limiter.Set(d.Settings.Limits)
	e.answers.Set(d.Settings.Cache)
	return nil
}

// Default is the deployment that answers where a request names none: the one that is set to, or the only one.
func (s *Service) Default() (string, error) {
	all := *s.deployments.Load()
	only := ""
	for name, e := range all {
		if e.live.Load().deployment.Settings.Default {
			return name, nil
		}
		only = name
	}
	if len(all) == 1 {
		return only, nil
	}
	if len(all) == 0 {
		return "", fault.New(fault.NotFound, "nothing is deployed yet").WithHint("trimtab apply or trimtab models import --deploy deploys a model")
	}
	return "", fault.New(fault.NotFound, "%d deployments answer here, and none is the default", len(all)).
		WithHint("name one: /d/DEPLOYMENT/…, or make one the default: trimtab deployments set NAME --default")
}

// Status is how the engine of a resident version does; nil when it has nothing to tell.
func (s *Service) Status(deployment string, version int) *predictor.Status {
	e := s.endpoint(deployment)
	if e == nil {
		return nil
	}
	r := e.live.Load().resident[version]
	if r == nil {
		return nil
	}
	if reporter, ok := r.pkg.Predictor.(predictor.Reporter); ok {
		status := reporter.Status()
		return &status
	}
	engine := r.pkg.Engine
	if engine == "" {
		engine = "native"
	}
	return &predictor.Status{Engine: engine, Memory: r.memory()}
}

// Package is what a resident version is served from; nil when it is not loaded.
func (s *Service) Package(deployment string, version int) *registry.Package {
	if e := s.endpoint(deployment); e != nil {
		if r := e.live.Load().resident[version]; r != nil {
			return r.pkg
		}
	}
	return nil
}
