package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Promote makes the canary champion now, whatever the evidence says. It needs a reason, which is audited.
func (s *Service) Promote(ctx context.Context, deployment, reason string) (*Rollout, error) {
	return s.operate(ctx, deployment, reason, func(tx *catalog.Tx, r *Rollout) error {
		return s.finish(ctx, tx, r, Promoted, reason, s.now(r), false)
	})
}

// Abort sends the canary back now.
func (s *Service) Abort(ctx context.Context, deployment, reason string) (*Rollout, error) {
	return s.operate(ctx, deployment, reason, func(tx *catalog.Tx, r *Rollout) error {
		return s.finish(ctx, tx, r, Aborted, reason, s.now(r), false)
	})
}

// Pause holds the share where it is until Resume. Guards still abort.
func (s *Service) Pause(ctx context.Context, deployment, reason string) (*Rollout, error) {
	return s.hold(ctx, deployment, reason, Paused, "rollout.paused")
}

// Resume lets a paused rollout go on.
func (s *Service) Resume(ctx context.Context, deployment, reason string) (*Rollout, error) {
	return s.hold(ctx, deployment, reason, Running, "rollout.resumed")
}

func (s *Service) hold(ctx context.Context, deployment, reason, state, kind string) (*Rollout, error) {
	return s.operate(ctx, deployment, reason, func(tx *catalog.Tx, r *Rollout) error {
		if r.State == state {
			return nil
		}
		r.State = state
		if err := s.update(ctx, tx, r); err != nil {
			return err
		}
		d, err := s.serving.Get(ctx, deployment)
		if err != nil {
			return err
		}
		if err := s.serving.SetRoute(ctx, tx, deployment, r.route(d.Route)); err != nil {
			return err
		}
		return s.event(ctx, tx, r, kind, "info", s.now(r), fmt.Sprintf("Rollout of v%d %s: %s", r.To, state, reason))
	})
}

func (s *Service) operate(ctx context.Context, deployment, reason string, do func(tx *catalog.Tx, r *Rollout) error) (*Rollout, error) {
	if reason == "" {
		return nil, fault.New(fault.Invalid, "moving traffic by hand needs a reason").WithHint("give --reason TEXT")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.Active(ctx, deployment)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, fault.New(fault.Conflict, "%s has no rollout under way", deployment).WithHint("trimtab deployments show %s says who answers", deployment)
	}
	if err := s.db.Write(ctx, func(tx *catalog.Tx) error { return do(tx, r) }); err != nil {
		return nil, err
	}
	return r, nil
}

// Rollback gives all traffic to an earlier champion at once. An active rollout is aborted first. Version 0 is the champion before this one.
func (s *Service) Rollback(ctx context.Context, deployment string, version int, reason string) error {
	if reason == "" {
		return fault.New(fault.Invalid, "a rollback needs a reason").WithHint("give --reason TEXT")
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
	now := s.projects.Clock(d.Project).Now()
	if version == 0 {
		if version, err = s.previous(ctx, d); err != nil {
			return err
		}
	}
	return s.db.Write(ctx, func(tx *catalog.Tx) error {
		if active != nil {
			if err := s.finish(ctx, tx, active, Aborted, reason, now, false); err != nil {
				return err
			}
		}
		if err := s.serving.SetRoute(ctx, tx, deployment, d.Route.Settled(version)); err != nil {
			return err
		}
		return s.models.SetAlias(ctx, tx, d.Project, d.Model, registry.Champion, version, now, "rollback: "+reason)
	})
}

// previous is the version that the champion alias named before the one that answers now.
func (s *Service) previous(ctx context.Context, d *serve.Deployment) (int, error) {
	moves, err := s.models.History(ctx, d.Model)
	if err != nil {
		return 0, err
	}
	for _, m := range moves {
		if m.Alias == registry.Champion && m.To == d.Route.Champion && m.From != 0 {
			return m.From, nil
		}
	}
	return 0, fault.New(fault.Conflict, "%s has had no champion before v%d", d.Name, d.Route.Champion)
}

func (s *Service) now(r *Rollout) time.Time { return s.projects.Clock(r.Project).Now() }
