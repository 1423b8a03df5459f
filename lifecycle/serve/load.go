package serve

import (
	"strconv"

	"github.com/trimtab-ml/trimtab/lifecycle/serve/batching"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/cache"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

// Load is what a deployment has let in and sent away since the server started.
type Load struct {
	limit.Stats
	Cache  cache.Stats               `json:"cache"`
	Joined map[string]batching.Stats `json:"joined,omitempty" doc:"by version: what waited for engines in other processes, and was joined"`
}

// Load tells what a deployment has let in; nil when there is none of the name.
func (s *Service) Load(deployment string) *Load {
	e := s.endpoint(deployment)
	if e == nil {
		return nil
	}
	out := &Load{Stats: e.limiter.Stats(), Cache: e.answers.Stats()}
	for v, r := range e.live.Load().resident {
		if b, ok := r.pkg.Predictor.(*batching.Batcher); ok {
			if out.Joined == nil {
				out.Joined = map[string]batching.Stats{}
			}
			out.Joined[strconv.Itoa(v)] = b.Stats()
		}
	}
	return out
}

// engineCounts puts what the queue and the cache before the engine of a version counted into its statistics.
func (r *resident) engineCounts(out *Statistics) {
	if b, ok := r.pkg.Predictor.(*batching.Batcher); ok {
		st := b.Stats()
		out.Queue = Duration{Count: st.Requests, NS: st.QueueNS}
		out.ExecutionCount = st.Runs
	}
	if c, ok := r.engine.(cache.Counted); ok {
		hits, misses, hitNS, missNS := c.Counts()
		out.CacheHit, out.CacheMiss = Duration{Count: hits, NS: hitNS}, Duration{Count: misses, NS: missNS}
	}
}
