package retrain

import (
	"context"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Tick asks the policies that look at the clock and at labels: "cron: SPEC" and "new_labels: N".
func (s *Service) Tick(ctx context.Context, projectName string, from, now time.Time) error {
	p, err := s.projects.Get(ctx, projectName)
	if err != nil {
		return err
	}
	if p.File.Retrain == nil || p.File.Model == nil {
		return nil
	}
	for _, cause := range p.File.Retrain.Causes() {
		switch cause.Kind {
		case "cron":
			err = s.cron(ctx, p, cause.Cron, from, now)
		case "new_labels":
			err = s.newLabels(ctx, p, cause.N, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) cron(ctx context.Context, p *project.Project, schedule *project.Cron, from, now time.Time) error {
	next, ok := schedule.Next(from)
	if !ok || next.After(now) {
		return nil
	}
	why := "schedule " + schedule.String()
	_, err := s.trigger(ctx, p, Trigger{Policy: "cron", Cause: why}, Request{Project: p.Name, Cause: why})
	return err
}

// newLabels counts the labels that became known since the last training.
func (s *Service) newLabels(ctx context.Context, p *project.Project, want int64, now time.Time) error {
	aliases, err := s.models.Aliases(ctx, p.File.Model.Name)
	if err != nil {
		return err
	}
	since := time.Time{}
	if version := aliases[registry.Candidate]; version > 0 {
		v, err := s.models.Get(ctx, p.File.Model.Name, version)
		if err != nil {
			return err
		}
		since = v.AsOf
	}
	known := p.File.Model.Label.KnownAfter.D()
	_, labeled, err := s.truth.Coverage(ctx, p.Deployment(), since.Add(-known), now)
	if err != nil || labeled < want {
		return err
	}
	cause := fmt.Sprintf("%d new labels or more", want)
	_, err = s.trigger(ctx, p, Trigger{Policy: "new_labels", Cause: cause, Values: map[string]float64{"labels": float64(labeled)}}, Request{Project: p.Name, Cause: cause})
	return err
}
