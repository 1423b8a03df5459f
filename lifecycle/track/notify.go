package track

import (
	"context"
	"fmt"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// notify tells webhooks that want it that a run began or ended. It is no record, which the run is itself: there may be thousands a minute.
func (s *Service) notify(ctx context.Context, tx *catalog.Tx, r *record, before string) error {
	kind, level := "run.started", govern.Info
	switch r.run.State {
	case before, Scheduled:
		return nil
	case Finished:
		kind, level = "run.finished", govern.Good
	case Failed:
		kind, level = "run.failed", govern.Bad
	case Killed:
		kind, level = "run.killed", govern.Attention
	}
	if s.events == nil || !s.events.Wanted(kind) {
		return nil
	}
	return s.events.Notify(ctx, tx, govern.Event{Project: r.run.Project, Kind: kind, Subject: "run/" + r.run.ID, Level: level,
		Message: fmt.Sprintf("run %s is %s", r.run.Name, r.run.State),
		Data:    map[string]any{"run_id": r.run.ID, "name": r.run.Name, "experiment_id": r.run.ExperimentID, "state": r.run.State, "user": r.run.User}})
}
