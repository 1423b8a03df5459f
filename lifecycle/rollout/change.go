package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Change is what an operator changes of a route. What is left out stays as it is.
type Change struct {
	Champion    int             `json:"champion,omitempty" minimum:"1" doc:"version that answers from now on"`
	Standby     int             `json:"standby,omitempty" minimum:"1" doc:"version that a swap makes champion"`
	Shadow      int             `json:"shadow,omitempty" minimum:"1" doc:"version that is asked what the champion was asked; nobody sees its answers"`
	ShadowShare float64         `json:"shadow_share,omitempty" exclusiveMinimum:"0" maximum:"1" doc:"of the requests; left out: all"`
	Variants    []serve.Variant `json:"variants,omitempty" doc:"of an A/B test, in place of the one before; the champion answers the keys that are left"`
	Rules       []serve.Rule    `json:"rules,omitempty" doc:"by header, in place of those before; the first that matches counts"`
	Labels      map[string]int  `json:"labels,omitempty" doc:"by name, beside those before; 0 removes a label"`
	Clear       []string        `json:"clear,omitempty" enum:"standby,shadow,variants,rules,labels" doc:"parts of the route that end"`
}

// Parts of a route that Change.Clear may name.
const (
	partStandby  = "standby"
	partShadow   = "shadow"
	partVariants = "variants"
	partRules    = "rules"
	partLabels   = "labels"
)

// Change changes a route by hand: at once, and audited with its reason. While a rollout moves traffic, only labels, rules and a shadow of
// one's own may change.
func (s *Service) Change(ctx context.Context, deployment string, c Change, reason string) error {
	if reason == "" {
		return fault.New(fault.Invalid, "moving traffic by hand needs a reason").WithHint("give --reason TEXT")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.serving.Get(ctx, deployment)
	if err != nil {
		return err
	}
	active, err := s.Active(ctx, deployment)
	if err != nil {
		return err
	}
	clears := func(part string) bool { return slices.Contains(c.Clear, part) }
	if active != nil {
		traffic := c.Champion != 0 || c.Standby != 0 || len(c.Variants) > 0 || clears(partStandby) || clears(partVariants)
		if traffic || active.now().Mode == ModeShadow && (c.Shadow != 0 || clears(partShadow)) {
			return underway(active)
		}
	}
	r := d.Route
	switch {
	case c.Champion != 0 && c.Champion != r.Champion:
		if r.Shadow == c.Champion {
			r.Shadow, r.ShadowShare = 0, 0
		}
		r.Champion = c.Champion
	case len(c.Clear) == 0 && c.Standby == 0 && c.Shadow == 0 && len(c.Variants) == 0 && len(c.Rules) == 0 && len(c.Labels) == 0 && c.Champion == 0:
		return fault.New(fault.Invalid, "the change is empty")
	}
	if clears(partStandby) {
		r.Standby = 0
	}
	if c.Standby != 0 {
		r.Standby = c.Standby
	}
	if clears(partShadow) {
		r.Shadow, r.ShadowShare = 0, 0
	}
	if c.Shadow != 0 {
		r.Shadow, r.ShadowShare = c.Shadow, c.ShadowShare
	}
	if clears(partVariants) {
		r.Variants, r.Salt = nil, ""
	}
	if len(c.Variants) > 0 {
		if len(r.Variants) == 0 {
			r.Salt = deployment + "/" + id.New() // a new test draws new keys; one whose shares change keeps its own
		}
		r.Variants = c.Variants
	}
	if clears(partRules) {
		r.Rules = nil
	}
	if len(c.Rules) > 0 {
		r.Rules = c.Rules
	}
	if clears(partLabels) {
		r.Labels = nil
	}
	for label, v := range c.Labels {
		if v == 0 {
			delete(r.Labels, label)
			continue
		}
		if r.Labels == nil {
			r.Labels = map[string]int{}
		}
		r.Labels[label] = v
	}
	if err := s.releasable(ctx, d, &r); err != nil {
		return err
	}
	return s.reroute(ctx, d, r, "route.changed", reason)
}

// releasable refuses versions that may not answer anybody: a shadow may be any.
func (s *Service) releasable(ctx context.Context, d *serve.Deployment, r *serve.Route) error {
	answering := []int{r.Champion, r.Standby}
	for _, v := range r.Variants {
		answering = append(answering, v.Version)
	}
	for _, rule := range r.Rules {
		answering = append(answering, rule.Version)
	}
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		answering = append(answering, r.Labels[label])
	}
	slices.Sort(answering)
	for _, v := range slices.Compact(answering) {
		if v <= 0 || slices.Contains(d.Resident, v) {
			continue
		}
		version, err := s.models.Ready(ctx, d.Model, v)
		if err != nil {
			return err
		}
		if version.State == registry.Refused {
			return version.Gate.Refusal(version.Model, version.Version)
		}
		if version.Certificate.Refuses() {
			return version.Certificate.Refusal(version.Model, version.Version)
		}
		if err := version.Served(); err != nil {
			return err
		}
		if err := s.warm(ctx, version); err != nil {
			return err
		}
	}
	return nil
}

// reroute stores a route that somebody set, with its event, and the champion's alias where that changes.
func (s *Service) reroute(ctx context.Context, d *serve.Deployment, r serve.Route, kind, reason string) error {
	now := s.projects.Clock(d.Project).Now()
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		if err := s.serving.SetRoute(ctx, tx, d.Name, r); err != nil {
			return err
		}
		if r.Champion != d.Route.Champion {
			if err := s.models.SetAlias(ctx, tx, d.Project, d.Model, registry.Champion, r.Champion, now, reason); err != nil {
				return err
			}
		}
		return s.events.Append(ctx, tx, govern.Event{At: now, Project: d.Project, Kind: kind, Subject: "deployment/" + d.Name, Actor: govern.Actor(ctx), Level: "info",
			Message: fmt.Sprintf("%s: %s", r.String(), reason), Data: map[string]any{"from": d.Route.Champion, "to": r.Champion, "before": d.Route, "after": r}})
	})
}

func underway(r *Rollout) error {
	return fault.New(fault.Conflict, "%s is moving to v%d", r.Deployment, r.To).
		WithHint("wait for it, or: trimtab deployments abort %s --reason TEXT", r.Deployment)
}

// Swap makes the standby champion and the champion standby, at once. A version that waits for its switch is promoted by it. Another
// version than the standby may be named; it is loaded first.
func (s *Service) Swap(ctx context.Context, deployment string, to int, reason string) error {
	active, err := s.Active(ctx, deployment)
	if err != nil {
		return err
	}
	if active != nil {
		if active.now().Mode != ModeStandby || to != 0 && to != active.To {
			return underway(active)
		}
		_, err := s.Promote(ctx, deployment, reason)
		return err
	}
	return s.swap(ctx, deployment, to, reason, "route.swapped")
}

// Back undoes a swap or a release at once: a rollout under way is aborted; else the standby, or the champion before this one, answers.
func (s *Service) Back(ctx context.Context, deployment, reason string) error {
	active, err := s.Active(ctx, deployment)
	if err != nil {
		return err
	}
	if active != nil {
		_, err := s.Abort(ctx, deployment, reason)
		return err
	}
	d, err := s.serving.Get(ctx, deployment)
	if err != nil {
		return err
	}
	if d.Route.Standby == 0 {
		return s.Rollback(ctx, deployment, 0, reason)
	}
	return s.swap(ctx, deployment, 0, reason, "route.back")
}

func (s *Service) swap(ctx context.Context, deployment string, to int, reason, kind string) error {
	if reason == "" {
		return fault.New(fault.Invalid, "moving traffic by hand needs a reason").WithHint("give --reason TEXT")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.serving.Get(ctx, deployment)
	if err != nil {
		return err
	}
	if to == 0 {
		to = d.Route.Standby
	}
	switch {
	case to == 0:
		return fault.New(fault.Conflict, "%s has no standby to swap with", deployment).WithHint("name a version: trimtab deployments swap %s --to VERSION --reason TEXT", deployment)
	case to == d.Route.Champion:
		return fault.New(fault.Conflict, "v%d answers already", to)
	}
	r := d.Route.Clone()
	r.Champion, r.Standby = to, d.Route.Champion
	if r.Shadow == to {
		r.Shadow, r.ShadowShare = 0, 0
	}
	if err := s.releasable(ctx, d, &r); err != nil {
		return err
	}
	return s.reroute(ctx, d, r, kind, reason)
}

// Configure brings what the project's file says of limits to its deployment, if it has one.
func (s *Service) Configure(ctx context.Context, projectName string) error {
	p, err := s.projects.Get(ctx, projectName)
	if err != nil || p.File.Deploy == nil {
		return err
	}
	return s.limit(ctx, p.Deployment(), p.File.Deploy)
}

// limit sets the limits of a deployment. A file that says nothing of them leaves what was set by hand.
func (s *Service) limit(ctx context.Context, deployment string, deploy *project.Deploy) error {
	l := deploy.Limits
	if l == nil {
		return nil
	}
	if _, err := s.serving.Get(ctx, deployment); fault.Is(err, fault.NotFound) {
		return nil
	}
	return s.serving.Configure(ctx, deployment, func(set *serve.Settings) {
		set.Limits.Concurrency, set.Limits.Queue, set.Limits.Timeout, set.Limits.MaxRows = l.Concurrency, l.Queue, time.Duration(l.Timeout), l.MaxRows
		set.Cache.Bytes, set.Cache.TTL = 0, 0
		if c := l.Cache; c != nil {
			set.Cache.Bytes, set.Cache.TTL = c.Megabytes<<20, time.Duration(c.TTL)
		}
	})
}
