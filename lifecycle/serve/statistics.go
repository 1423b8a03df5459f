package serve

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Duration is a count and the time of all together, in nanoseconds.
type Duration struct {
	Count int64 `json:"count"`
	NS    int64 `json:"ns"`
}

// Statistics is what a version did since the server started, request by request, in the words of Triton's statistics.
type Statistics struct {
	Name           string             `json:"name"`
	Version        int                `json:"version"`
	LastInference  int64              `json:"last_inference"`  // milliseconds since the epoch; 0 = never
	InferenceCount int64              `json:"inference_count"` // rows
	ExecutionCount int64              `json:"execution_count"` // times that the engine was asked
	Success        Duration           `json:"success"`         // requests
	Fail           Duration           `json:"fail"`
	Queue          Duration           `json:"queue"`
	ComputeInput   Duration           `json:"compute_input"` // reading rows by the signature
	ComputeInfer   Duration           `json:"compute_infer"`
	ComputeOutput  Duration           `json:"compute_output"` // the log and the watchers
	CacheHit       Duration           `json:"cache_hit"`
	CacheMiss      Duration           `json:"cache_miss"`
	Batches        map[int64]Duration `json:"batches"` // by rows of a request, rounded up to a power of two
}

// duration is a Duration that is counted concurrently.
type duration struct{ count, ns atomic.Int64 }

func (d *duration) add(took time.Duration) {
	d.count.Add(1)
	d.ns.Add(int64(max(took, 0)))
}

func (d *duration) read() Duration { return Duration{d.count.Load(), d.ns.Load()} }

// requests counts requests; counters count rows.
type requests struct {
	last                                                     atomic.Int64
	rows                                                     atomic.Int64
	success, fail, queue, input, infer, output, hits, misses duration
	batches                                                  [16]duration // of up to 1, 2, 4, … rows
}

// request counts an answered request: bound is when its rows were read, scored when the model was done, done when all was.
func (c *counters) request(preds []Prediction, bound, scored, done time.Time) {
	q := &c.requests
	began := time.UnixMicro(preds[0].Received)
	q.last.Store(done.UnixMilli())
	q.rows.Add(int64(len(preds)))
	total := done.Sub(scored)
	if !bound.IsZero() {
		q.input.add(bound.Sub(began))
		q.infer.add(scored.Sub(bound))
		total += scored.Sub(began)
	}
	q.output.add(done.Sub(scored))
	q.queue.count.Add(1)
	q.success.add(total)
	q.batches[min(len(q.batches)-1, int(math.Ceil(math.Log2(float64(len(preds))))))].add(scored.Sub(bound))
}

// Statistics tells of a resident version; version 0 is the champion.
func (s *Service) Statistics(name string, version int) (Statistics, error) {
	e, err := s.find(name)
	if err != nil {
		return Statistics{}, err
	}
	l := e.live.Load()
	if version == 0 {
		version = l.deployment.Route.Champion
	}
	if version == 0 {
		return Statistics{}, fault.New(fault.NotFound, "%s has no version yet", name)
	}
	if l.resident[version] == nil && !l.asleep {
		_, err := l.version(version)
		return Statistics{}, err
	}
	q := &e.counts(version).requests
	out := Statistics{Name: name, Version: version, LastInference: q.last.Load(), InferenceCount: q.rows.Load(), ExecutionCount: q.infer.count.Load(), Success: q.success.read(),
		Fail: q.fail.read(), Queue: q.queue.read(), ComputeInput: q.input.read(), ComputeInfer: q.infer.read(), ComputeOutput: q.output.read(),
		CacheHit: q.hits.read(), CacheMiss: q.misses.read(), Batches: map[int64]Duration{}}
	for i := range q.batches {
		if d := q.batches[i].read(); d.Count > 0 {
			out.Batches[1<<i] = d
		}
	}
	if r := l.resident[version]; r != nil {
		r.engineCounts(&out)
	}
	return out, nil
}
