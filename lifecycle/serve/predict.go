package serve

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// maxKey bounds a key; an outcome's key has the same bound.
const maxKey = 1024

// Predict answers the rows of b: by the deployment's route, or by one resident version (version 0 = by the route). It returns after
// the recorder's promise holds for every row; when one row is refused none is answered. Faults name row, column and value.
//
// A row goes to the canary when the bucket of its key is below the canary's share, so that a growing share only adds keys. The champion
// scores what a canary answers too. A row that the canary cannot answer is answered by the champion, and counted as the canary's error.
//
// With b.Explain every prediction carries the contributions of its features, by the version that answered it; a version whose
// model cannot be explained refuses the request.
//
// A missing value is null to the model whatever the signature says: most learners take it. Only where no finite score comes out is the
// row refused, with the names of what is missing.
func (s *Service) Predict(ctx context.Context, deployment string, version int, b *Batch) ([]Prediction, error) {
	e, err := s.find(deployment)
	if err != nil {
		return nil, err
	}
	l := e.live.Load()
	first, err := l.version(version)
	if err != nil {
		return nil, err
	}
	if err := check(b); err != nil {
		return nil, err
	}
	if b.Explain {
		if err := first.explainable(len(b.Rows)); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	received := now.UnixMicro()
	var clock, greatest int64 = 0, math.MinInt64
	if len(b.At) == 0 {
		clock = s.cfg.Clock(e.project).Now().UnixMicro()
	} else {
		for _, at := range b.At {
			greatest = max(greatest, at)
		}
	}
	n := len(b.Rows)
	preds := make([]Prediction, n)
	request := strings.Clone(b.Request)
	for i := range b.Rows {
		p := &preds[i]
		p.ID, p.Request, p.Row, p.Deployment, p.Received = id.New(), request, i, e.name, received
		switch len(b.At) {
		case 0:
			p.At = clock
		case 1:
			p.At = b.At[0]
		default:
			p.At = b.At[i]
		}
		if len(b.Keys) > 0 && b.Keys[i] != "" {
			p.Key = strings.Clone(b.Keys[i])
		} else {
			p.Key = first.key(b.Rows[i], s.pseudonymise)
		}
		hashed := p.Key
		if p.Key == "" {
			p.Key = p.ID
			if hashed = request; hashed == "" {
				hashed = p.ID
			}
		}
		if len(p.Key) > maxKey {
			return nil, fault.New(fault.Invalid, "the key of row %d has %d bytes; at most %d are taken", i, len(p.Key), maxKey)
		}
		p.Bucket = Bucket(l.deployment.Route.Salt, hashed)
		if now, err = s.answer(l, first, version, b.Rows[i], i, p, b.Explain, now); err != nil {
			if fault.CodeOf(err) == fault.Internal {
				e.failed.Add(1)
			}
			return nil, err
		}
	}
	scored := now
	if err := s.cfg.Recorder.Record(ctx, l.deployment.LogLevel, preds); err != nil {
		failed := time.Now()
		e.failed.Add(int64(n))
		for i := range preds {
			l.resident[preds[i].Version].counters.failed(failed, 1)
		}
		return nil, err
	}
	for _, o := range s.cfg.Observers {
		o.Observe(e.name, preds)
	}
	done := time.Now()
	recording := done.Sub(scored).Microseconds()
	for i := range preds {
		l.resident[preds[i].Version].counters.answered(done, int64(preds[i].LatencyUS)+recording)
	}
	if greatest != math.MinInt64 && s.cfg.Seen != nil {
		s.cfg.Seen(e.project, time.UnixMicro(greatest).UTC())
	}
	return preds, nil
}

// check bounds what a request may hold.
func check(b *Batch) error {
	n := len(b.Rows)
	switch {
	case n == 0:
		return fault.New(fault.Invalid, "the request has no rows")
	case n > MaxRows:
		return fault.New(fault.TooLarge, "the request has %d rows; at most %d are taken", n, MaxRows).WithHint("send them in several requests, or score a file: trimtab predict")
	case len(b.Keys) > 0 && len(b.Keys) != n:
		return fault.New(fault.Invalid, "the request has %d rows and %d keys", n, len(b.Keys))
	case len(b.At) > 1 && len(b.At) != n:
		return fault.New(fault.Invalid, "the request has %d rows and %d times", n, len(b.At))
	case len(b.Request) > maxKey:
		return fault.New(fault.Invalid, "the request id has %d bytes; at most %d are taken", len(b.Request), maxKey)
	}
	for _, at := range b.At {
		if at < earliest.UnixMicro() || at > latest.UnixMicro() {
			return fault.New(fault.Invalid, "at lies between %d and %d", earliest.Year(), latest.Year())
		}
	}
	return nil
}

// answer scores one row, begun at start, and returns when it was done.
func (s *Service) answer(l *live, first *resident, version int, row Row, i int, p *Prediction, explain bool, start time.Time) (time.Time, error) {
	r := first
	if version == 0 && l.canary != nil && p.Bucket < l.below {
		r = l.canary
	}
	vals := make([]table.Value, len(r.inputs))
	scores := make([]float64, r.outputs, r.outputs+first.outputs)
	err := s.run(r.compiled, row, i, vals, scores, p)
	if r == l.canary && version == 0 {
		// The pair: the champion's scores of the same row, which are not served.
		var own Prediction
		ownVals, ownScores := vals, make([]float64, first.outputs)
		if err != nil || !sameInputs(r.compiled, first.compiled) {
			ownVals = make([]table.Value, len(first.inputs))
		}
		ownErr := s.run(first.compiled, row, i, ownVals, ownScores, &own)
		if err != nil {
			if ownErr != nil {
				return start, s.refuse(first, ownErr) // neither takes the row: the caller's mistake, or the champion's fault
			}
			r.counters.failed(time.Now(), 1)
			if n := r.counters.errors.Load(); n&(n-1) == 0 { // the 1st, 2nd, 4th, …: the rest is counted
				s.log.Warn("the canary could not answer a row; the champion did", "deployment", p.Deployment, "version", r.pkg.Version, "errors", n, "error", err)
			}
			r, vals, scores, err = first, ownVals, ownScores, nil
			p.Missing, p.Unseen, p.OutOfRange = own.Missing, own.Unseen, own.OutOfRange
		} else if ownErr == nil {
			p.Champion, p.ChampionVersion = ownScores, first.pkg.Version
		}
	}
	if err != nil {
		return start, s.refuse(r, err)
	}
	if r == l.canary && version == 0 {
		p.Arm = Canary
	}
	p.Version, p.Signature, p.Inputs, p.Scores, p.Label = r.pkg.Version, r.sig, vals, scores, r.decide(scores)
	end := time.Now()
	p.LatencyUS = uint32(min(end.Sub(start).Microseconds(), math.MaxUint32))
	if explain {
		if p.Explanation, err = r.explain(vals); err != nil {
			return start, err
		}
		end = time.Now() // latencies stay those of scores
	}
	return end, nil
}

// run binds and scores a row.
func (s *Service) run(c *compiled, row Row, i int, vals []table.Value, scores []float64, p *Prediction) error {
	w := c.pool.Get().(*workspace)
	defer c.pool.Put(w)
	if err := c.bind(w, row, i, vals, p, s.pseudonymise); err != nil {
		return err
	}
	return c.score(w, vals, i, scores)
}

// refuse counts an error that is the version's and not the caller's.
func (s *Service) refuse(r *resident, err error) error {
	if fault.CodeOf(err) == fault.Internal {
		r.counters.failed(time.Now(), 1)
	}
	return err
}

func (s *Service) pseudonymise(text string) string {
	if s.cfg.Pseudonymise == nil {
		return ""
	}
	return s.cfg.Pseudonymise(text)
}

// sameInputs reports whether two versions read a row into the same values, so that one may use the other's.
func sameInputs(a, b *compiled) bool {
	if a == b {
		return true
	}
	if len(a.inputs) != len(b.inputs) {
		return false
	}
	for i := range a.inputs {
		if x, y := &a.inputs[i], &b.inputs[i]; x.name != y.name || x.kind != y.kind || x.personal != y.personal {
			return false
		}
	}
	return true
}

// Bucket is the routing bucket of a key, 0..9999: FNV-1a (64 bits) of salt, a zero byte and key, finished by MurmurHash3's 64-bit mixer
// so that near keys fall far apart. Buckets are uniform, and a key keeps its bucket for as long as the salt stays.
func Bucket(salt, key string) uint16 {
	const prime = 1099511628211
	h := uint64(14695981039346656037)
	for i := range len(salt) {
		h = (h ^ uint64(salt[i])) * prime
	}
	h *= prime
	for i := range len(key) {
		h = (h ^ uint64(key[i])) * prime
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return uint16(h % Buckets)
}
