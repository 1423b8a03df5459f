package serve

import (
	"context"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

// maxKey bounds a key; an outcome's key has the same bound.
const maxKey = 1024

// Predict answers the rows of b by the deployment's route, or by one resident version (version 0 = by the route). It is Infer for
// callers that want predictions alone.
func (s *Service) Predict(ctx context.Context, deployment string, version int, b *Batch) ([]Prediction, error) {
	a, err := s.Infer(ctx, deployment, Choice{Version: version}, b)
	if err != nil {
		return nil, err
	}
	return a.Predictions, nil
}

// Infer answers a request: by the deployment's route, or by the version that c chooses. It returns after the recorder's promise holds
// for every row; when one row is refused none is answered. Faults name row, column and value.
//
// A row goes to the canary when the bucket of its key is below the canary's share, so that a growing share only adds keys. The champion
// scores what a canary answers too. A row that the canary cannot answer is answered by the champion, and counted as the canary's error.
//
// With b.Explain every prediction carries the contributions of its features, by the version that answered it; a version whose
// model cannot be explained refuses the request.
//
// A missing value is null to the model whatever the signature says: most learners take it. Only where no finite score comes out is the
// row refused, with the names of what is missing.
//
// Columns may come in any order and with others that the signature does not know. One tensor as wide as the signature has features, when
// none of them goes by its name, stands for all of them in the signature's order. A version of the task tensors takes its tensors by
// name and answers Outputs.
func (s *Service) Infer(ctx context.Context, deployment string, c Choice, b *Batch) (*Answer, error) {
	e, err := s.find(deployment)
	if err != nil {
		return nil, err
	}
	l, err := s.awake(ctx, e)
	if err != nil {
		return nil, err
	}
	first, pinned, err := l.choose(c, b)
	if err != nil {
		return nil, err
	}
	tensors := first.sig.Task == registry.TaskTensors
	n := 1
	if !tensors {
		if n, err = b.check(); err != nil {
			return nil, err
		}
	}
	asked := ctx
	times := s.trace(ctx)
	ctx, pass, err := e.limiter.Enter(ctx, b.Priority, n)
	if err != nil {
		return nil, err
	}
	defer pass.Leave()
	times.enter()
	if e.live.Load() != l { // the route changed while the request waited
		if l, err = s.awake(ctx, e); err != nil {
			return nil, err
		}
		if first, pinned, err = l.choose(c, b); err != nil {
			return nil, err
		}
		if now := first.sig.Task == registry.TaskTensors; now != tensors {
			return nil, fault.New(fault.Unavailable, "%s changed to another kind of model while the request waited", e.name).WithHint("try again")
		}
	}
	if tensors {
		a, err := s.inferTensors(ctx, e, l, first, pinned, b, times)
		return a, limit.Expired(ctx, err)
	}
	x := calls.Get().(*call)
	defer x.release()
	*x = call{times: times, service: s, ctx: ctx, endpoint: e, live: l, first: first, pinned: pinned, batch: b, groups: x.groups[:0], rows: x.rows, errs: x.errs, matrix: x.matrix, columns: x.columns[:0]}
	preds, err := x.run(n)
	if err != nil {
		err = limit.Expired(ctx, err)
		if fault.CodeOf(err) == fault.Internal {
			e.failed.Add(1)
		}
		return nil, err
	}
	if err := s.record(ctx, e, l, preds, x); err != nil {
		return nil, err
	}
	x.mirror(asked, preds)
	a := &Answer{Deployment: e.name, Version: preds[0].Version, Signature: preds[0].Signature, Predictions: preds}
	for i := range preds {
		if preds[i].Version != a.Version && preds[i].Arm == Champion {
			a.Version, a.Signature = preds[i].Version, preds[i].Signature
			break
		}
	}
	return a, nil
}

// call is a request of rows while it is answered. Its memory is used again by later ones; what predictions refer to is not part of it.
type call struct {
	times    traced
	service  *Service
	ctx      context.Context
	endpoint *endpoint
	live     *live
	first    *resident // the champion, or what the request chose
	pinned   bool      // the request chose
	batch    *Batch

	groups  []group
	rows    []int   // of groups, and of what failed
	errs    []error // by row, where the version that should answer it could not
	matrix  table.Matrix
	columns []boundColumn

	bound, scored time.Time
}

// group is the rows that one version answers.
type group struct {
	r    *resident
	from int // its rows are call.rows[from:to]
	to   int
}

var calls = sync.Pool{New: func() any { return new(call) }}

// keepRows is the most rows whose memory goes back into the pool.
const keepRows = 4096

func (x *call) release() {
	if cap(x.rows) > keepRows || cap(x.matrix.Data) > 64*keepRows {
		return
	}
	clear(x.groups)
	clear(x.errs)
	clear(x.columns)
	x.times = traced{}
	x.service, x.ctx, x.endpoint, x.live, x.first, x.batch = nil, nil, nil, nil, nil, nil
	calls.Put(x)
}

// run routes, reads and scores all rows.
func (x *call) run(n int) ([]Prediction, error) {
	b := x.batch
	if b.Explain {
		if err := x.first.explainable(n); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	preds, err := x.begin(n, start)
	if err != nil {
		return nil, err
	}
	x.errs = resize(x.errs, n)
	for k := range x.groups {
		g := &x.groups[k]
		if err := x.answer(g, preds); err != nil {
			return nil, err
		}
		if g.r != x.first && (g.r == x.live.canary || x.failed(g)) {
			if err := x.pair(g, preds); err != nil {
				return nil, err
			}
		}
	}
	if x.scored.IsZero() {
		x.scored = time.Now()
	}
	took := uint32(min(x.scored.Sub(start).Microseconds()/int64(n), math.MaxUint32))
	for i := range preds {
		preds[i].LatencyUS = took
	}
	if b.Explain {
		for i := range preds {
			p := &preds[i]
			if p.Explanation, err = x.live.resident[p.Version].explain(p.Inputs); err != nil {
				return nil, err
			}
		}
		x.scored = time.Now() // latencies stay those of scores
	}
	return preds, nil
}

// failed tells whether a row of a group was not answered.
func (x *call) failed(g *group) bool {
	for _, i := range x.rows[g.from:g.to] {
		if x.errs[i] != nil {
			return true
		}
	}
	return false
}

// begin names every row, gives it its key and time, and says which version answers it.
func (x *call) begin(n int, start time.Time) ([]Prediction, error) {
	s, b, l := x.service, x.batch, x.live
	received := start.UnixMicro()
	var clock int64
	if len(b.At) == 0 {
		clock = s.cfg.Clock(x.endpoint.project).Now().UnixMicro()
	}
	if len(b.Columns) > 0 {
		if err := x.match(x.first.compiled, n); err != nil {
			return nil, err
		}
	}
	preds := make([]Prediction, n)
	request := strings.Clone(b.Request)
	x.rows = resize(x.rows, 2*n)
	others := 0
	for i := range preds {
		p := &preds[i]
		p.ID, p.Request, p.Row, p.Deployment, p.Received = id.New(), request, i, x.endpoint.name, received
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
			p.Key = x.key(i)
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
		r := x.first
		if !x.pinned {
			r, p.Arm = l.pick(p.Bucket, x.first)
		}
		p.Version = r.pkg.Version
		if r != x.first {
			others++
		}
	}
	x.group(preds, others)
	return preds, nil
}

// group sorts the rows by the version that answers them, those of first at the front.
func (x *call) group(preds []Prediction, others int) {
	n := len(preds)
	x.rows = x.rows[:0]
	if others == 0 {
		for i := range n {
			x.rows = append(x.rows, i)
		}
		x.groups = append(x.groups, group{r: x.first, to: n})
		return
	}
	add := func(r *resident) {
		g := group{r: r, from: len(x.rows)}
		for i := range preds {
			if preds[i].Version == r.pkg.Version {
				x.rows = append(x.rows, i)
			}
		}
		if g.to = len(x.rows); g.to > g.from {
			x.groups = append(x.groups, g)
		}
	}
	add(x.first)
	for _, r := range x.live.resident {
		if r != x.first && len(x.rows) < n {
			add(r)
		}
	}
}

// answer reads and scores the rows of a group. Rows that first cannot answer end the request; those of another version leave their
// error in errs.
func (x *call) answer(g *group, preds []Prediction) error {
	r, rows := g.r, x.rows[g.from:g.to]
	if len(x.batch.Columns) > 0 && r != x.first {
		if err := x.match(r.compiled, len(preds)); err != nil {
			return err
		}
	}
	w := r.pool.Get().(*workspace)
	defer r.pool.Put(w)
	width := len(r.inputs)
	vals := make([]table.Value, len(rows)*width)
	scores := make([]float64, len(rows)*r.outputs)
	good := 0
	for k, i := range rows {
		p := &preds[i]
		mine := vals[k*width : (k+1)*width : (k+1)*width]
		if err := x.bind(r.compiled, w, i, mine, p); err != nil {
			if r == x.first {
				return err
			}
			x.errs[i] = err
			continue
		}
		p.Signature, p.Inputs, p.Scores = r.sig, mine, scores[k*r.outputs:(k+1)*r.outputs:(k+1)*r.outputs]
		good++
	}
	if good > 0 {
		if x.bound.IsZero() {
			x.bound = time.Now()
		}
		x.score(r, w, rows, preds)
	}
	if r != x.first {
		return nil
	}
	for _, i := range rows {
		if err := x.errs[i]; err != nil {
			return x.service.refuse(r, err)
		}
	}
	return nil
}

// pair has first score what another version answered too. Where that one could not, first's answer is served and the error is the
// other's; where neither can, it is the caller's mistake or first's fault.
func (x *call) pair(g *group, preds []Prediction) error {
	r, rows, first := g.r, x.rows[g.from:g.to], x.first
	s := x.service
	same := sameInputs(r.compiled, first.compiled)
	if len(x.batch.Columns) > 0 {
		if err := x.match(first.compiled, len(preds)); err != nil {
			return err
		}
	}
	w := first.pool.Get().(*workspace)
	defer first.pool.Put(w)
	own := make([]Prediction, len(preds))
	scores := make([]float64, len(rows)*first.outputs)
	failed := append([]error(nil), x.errs...)
	clear(x.errs)
	for k, i := range rows {
		p := &own[i]
		p.Signature, p.Version, p.Scores = first.sig, first.pkg.Version, scores[k*first.outputs:(k+1)*first.outputs:(k+1)*first.outputs]
		if same && failed[i] == nil {
			p.Inputs = preds[i].Inputs
			continue
		}
		p.Inputs = make([]table.Value, len(first.inputs))
		if err := x.bind(first.compiled, w, i, p.Inputs, p); err != nil {
			x.errs[i] = err
		}
	}
	x.score(first, w, rows, own)
	paired := !x.pinned && r == x.live.canary
	for _, i := range rows {
		p, q := &preds[i], &own[i]
		switch {
		case failed[i] == nil:
			if x.errs[i] == nil && paired {
				p.Champion, p.ChampionVersion = q.Scores, first.pkg.Version
			}
		case x.errs[i] != nil:
			return s.refuse(first, x.errs[i])
		default:
			r.counters.failed(time.Now(), 1)
			if n := r.counters.errors.Load(); n&(n-1) == 0 { // the 1st, 2nd, 4th, …: the rest is counted
				s.log.Warn("a version could not answer a row; the champion did", "deployment", p.Deployment, "version", r.pkg.Version, "errors", n, "error", failed[i])
			}
			p.Version, p.Arm, p.Signature, p.Inputs, p.Scores, p.Label = first.pkg.Version, Champion, first.sig, q.Inputs, q.Scores, q.Label
			p.Missing, p.Unseen, p.OutOfRange = q.Missing, q.Unseen, q.OutOfRange
		}
	}
	clear(x.errs)
	return nil
}

// record keeps the promise of the log, tells observers, and counts.
func (s *Service) record(ctx context.Context, e *endpoint, l *live, preds []Prediction, x *call) error {
	n := int64(len(preds))
	if x.scored.IsZero() {
		x.scored = time.Now()
	}
	if l.deployment.LogLevel == LogOff {
		s.count(e, l, preds, x, time.Now())
		return nil
	}
	if err := s.cfg.Recorder.Record(ctx, l.deployment.LogLevel, preds); err != nil {
		failed := time.Now()
		e.failed.Add(n)
		for i := range preds {
			l.resident[preds[i].Version].counters.failed(failed, 1)
		}
		return err
	}
	for _, o := range s.cfg.Observers {
		o.Observe(e.name, preds)
	}
	s.count(e, l, preds, x, time.Now())
	if b := x.batch; len(b.At) > 0 && s.cfg.Seen != nil {
		s.cfg.Seen(e.project, time.UnixMicro(slices.Max(b.At)).UTC())
	}
	return nil
}

// count adds an answered request to the statistics.
func (s *Service) count(e *endpoint, l *live, preds []Prediction, x *call, done time.Time) {
	recording := done.Sub(x.scored).Microseconds()
	for i := range preds {
		l.resident[preds[i].Version].counters.answered(done, int64(preds[i].LatencyUS)+recording)
	}
	l.resident[preds[0].Version].counters.request(preds, x.bound, x.scored, done)
	x.times.answered(e.name, &preds[0], len(preds), x.bound, x.scored, done)
	e.used.Store(done.UnixNano())
}

// check bounds what a request may hold and says how many rows it has.
func (b *Batch) check() (n int, err error) {
	if n = len(b.Rows); n == 0 {
		if n, err = b.height(); err != nil {
			return 0, err
		}
	}
	switch {
	case n == 0:
		return 0, fault.New(fault.Invalid, "the request has no rows")
	case n > MaxRows:
		return 0, fault.New(fault.TooLarge, "the request has %d rows; at most %d are taken", n, MaxRows).WithHint("send them in several requests, or score a file: trimtab predict")
	case len(b.Keys) > 0 && len(b.Keys) != n:
		return 0, fault.New(fault.Invalid, "the request has %d rows and %d keys", n, len(b.Keys))
	case len(b.At) > 1 && len(b.At) != n:
		return 0, fault.New(fault.Invalid, "the request has %d rows and %d times", n, len(b.At))
	case !utf8.ValidString(b.Request) || slices.ContainsFunc(b.Keys, func(key string) bool { return !utf8.ValidString(key) }):
		return 0, fault.New(fault.Invalid, "the request id and keys are texts in UTF-8")
	case len(b.Request) > maxKey:
		return 0, fault.New(fault.Invalid, "the request id has %d bytes; at most %d are taken", len(b.Request), maxKey)
	}
	for _, at := range b.At {
		if at < earliest.UnixMicro() || at > latest.UnixMicro() {
			return 0, fault.New(fault.Invalid, "at lies between %d and %d", earliest.Year(), latest.Year())
		}
	}
	return n, nil
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
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
