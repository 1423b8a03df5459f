package feedback

import (
	"context"
	"time"

	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// CompactJob is the queue's name for moving a deployment's settled days to Parquet.
const CompactJob = "compact"

const (
	compactEvery = 7 * 24 * time.Hour // of project time
	compactAfter = 7 * 24 * time.Hour // days older than this are settled: late predictions for them are rare and find their way too
)

type compactArgs struct {
	Deployment string    `json:"deployment"`
	Before     time.Time `json:"before"`
}

// Compactor enqueues compactions by the clock of projects.
type Compactor struct {
	truth   *Service
	jobs    *queue.Queue
	serving *serve.Service
}

// NewCompactor makes it and registers its job.
func NewCompactor(s *Service, jobs *queue.Queue, serving *serve.Service) *Compactor {
	jobs.Register(CompactJob, func(ctx context.Context, r *queue.Running) error {
		var a compactArgs
		if err := r.Decode(&a); err != nil {
			return err
		}
		return s.Compact(ctx, a.Deployment, a.Before)
	})
	return &Compactor{truth: s, jobs: jobs, serving: serving}
}

// Tick enqueues a compaction of each deployment of a project whose segments hold a full one, once a week of its time. It is a hook of the project's clock.
func (c *Compactor) Tick(ctx context.Context, project string, from, to time.Time) error {
	if from.Truncate(compactEvery).Equal(to.Truncate(compactEvery)) {
		return nil
	}
	all, err := c.serving.List(ctx)
	if err != nil {
		return err
	}
	for _, d := range all {
		if d.Project != project || c.truth.segmentBytes(d.Name) < segmentSize {
			continue // a small log is read faster as it is than as a file per day
		}
		e := queue.Enqueue{Kind: CompactJob, Project: project, Key: d.Name, Cause: "weekly", Args: compactArgs{Deployment: d.Name, Before: to.Add(-compactAfter)}}
		if _, err := c.jobs.Enqueue(ctx, nil, e); err != nil {
			return err
		}
	}
	return nil
}

// segmentBytes is the size of a deployment's segments of predictions; 0 without a log.
func (s *Service) segmentBytes(deployment string) int64 {
	l := s.logOf(deployment)
	if l == nil {
		return 0
	}
	j := l.predictions
	j.mu.Lock()
	defer j.mu.Unlock()
	var n int64
	for _, seg := range j.segments {
		n += seg.size
	}
	return n
}
