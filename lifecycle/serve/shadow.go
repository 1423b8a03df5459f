package serve

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Bounds of what waits for the shadow of one deployment.
const (
	shadowRequests = 1024
	shadowBytes    = 32 << 20
	// shadowTimeout bounds what a shadow may take for a request.
	shadowTimeout = 30 * time.Second
	// shadowPatience is how long a request waits until its answer has left, where nothing says that it has.
	shadowPatience = 5 * time.Millisecond
	// shadowChunk is how many rows a shadow is asked at once.
	shadowChunk = 256
)

// mirror asks the shadow of a deployment what the champion was asked, and compares. Requests hand over copies and go on: what the shadow
// takes, they never wait for. One goroutine works, while there is work, and it rests three times as long as a shadow in this process
// computed (as long, where the shadow is a process of its own), so that the shadow has at most a quarter of a core.
type mirror struct {
	s *Service
	e *endpoint

	mu      sync.Mutex // short sections only: requests take it
	queue   []*mirrored
	bytes   int64
	working bool
	stopped bool

	dropped atomic.Int64 // rows that were not asked
	tallies tallies
}

// mirrored is a request that an answer was given to, on its way to the shadow. It shares nothing with the request.
type mirrored struct {
	done   <-chan struct{} // closed when the answer has left; nil = it has
	at     time.Time
	live   *live
	shadow *resident
	bytes  int64
	params map[string]any

	preds  []Prediction // what was answered
	inputs [][]table.Value
	errs   []error // of reading rows by the shadow's signature; nil = all were read

	tensors []tensor.Named // of a version that answers tensors
	wanted  []string
	outputs []tensor.Named
}

// offer takes a request when there is room for it. make is called only then.
func (m *mirror) offer(bytes int64, rows int, make func() *mirrored) {
	m.mu.Lock()
	full := m.stopped || len(m.queue) >= shadowRequests || m.bytes+bytes > shadowBytes && len(m.queue) > 0
	if !full {
		m.bytes += bytes // held for what make makes
	}
	m.mu.Unlock()
	if full {
		m.dropped.Add(int64(rows))
		return
	}
	j := make()
	j.bytes = bytes
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		m.bytes -= bytes
		m.dropped.Add(int64(rows))
		return
	}
	m.queue = append(m.queue, j)
	if !m.working {
		m.working = true
		m.s.mirrors.Add(1)
		go m.work()
	}
}

// work asks the shadow until nothing waits.
func (m *mirror) work() {
	defer m.s.mirrors.Done()
	owed := time.Duration(0)
	for {
		m.mu.Lock()
		if len(m.queue) == 0 || m.stopped {
			for _, j := range m.queue {
				m.dropped.Add(int64(len(j.preds)))
			}
			m.queue, m.bytes, m.working = nil, 0, false
			m.mu.Unlock()
			return
		}
		j := m.queue[0]
		m.queue[0] = nil
		m.queue = m.queue[1:]
		m.mu.Unlock()
		j.await(m.s.life.Done())
		begun := time.Now()
		m.ask(j)
		m.mu.Lock()
		m.bytes -= j.bytes
		m.mu.Unlock()
		rest := 3
		if j.shadow.pkg.Predictor != nil {
			rest = 1
		}
		if owed += time.Duration(rest) * time.Since(begun); owed > time.Millisecond {
			pause(owed, m.s.life.Done())
			owed = 0
		}
	}
}

// await returns when the answer has left.
func (j *mirrored) await(stopping <-chan struct{}) {
	left := shadowPatience - time.Since(j.at)
	if j.done == nil || left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-j.done:
	case <-timer.C:
	case <-stopping:
	}
}

func pause(d time.Duration, stopping <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stopping:
	}
}

// ask has the shadow answer a request and counts how it differs.
func (m *mirror) ask(j *mirrored) {
	ctx, cancel := context.WithTimeout(m.s.life, shadowTimeout)
	defer cancel()
	t := m.tallies.of(j.shadow.pkg.Version, j.live.deployment.Route.Champion)
	defer func() {
		if p := recover(); p != nil {
			t.failed(len(j.preds), fault.New(fault.Internal, "the shadow panicked: %v", p))
		}
		m.keepNow(false)
	}()
	if j.tensors != nil {
		m.askTensors(ctx, j, t)
		return
	}
	for from := 0; from < len(j.preds); from += shadowChunk {
		to := min(from+shadowChunk, len(j.preds))
		m.askRows(ctx, j, t, from, to)
	}
}

func (m *mirror) askRows(ctx context.Context, j *mirrored, t *tally, from, to int) {
	r := j.shadow
	own := make([]Prediction, to-from)
	scores := make([]float64, len(own)*r.outputs)
	rows := make([]int, len(own))
	x := &call{service: m.s, ctx: ctx, endpoint: m.e, live: j.live, first: r, pinned: true, batch: &Batch{Params: j.params}, errs: make([]error, len(own))}
	for i := range own {
		rows[i] = i
		own[i].Inputs, own[i].Scores = j.inputs[from+i], scores[i*r.outputs:(i+1)*r.outputs:(i+1)*r.outputs]
		if j.errs != nil {
			x.errs[i] = j.errs[from+i]
		}
	}
	w := r.pool.Get().(*workspace)
	defer r.pool.Put(w)
	begun := time.Now()
	x.score(r, w, rows, own)
	took := time.Since(begun).Microseconds() / int64(len(own))
	for i := range own {
		p := &j.preds[from+i]
		if x.errs[i] != nil {
			t.failed(1, x.errs[i])
			continue
		}
		champion, label, ok := j.champion(p)
		if !ok {
			continue
		}
		t.compare(&pair{id: p.ID, key: p.Key, task: r.sig.Task, champion: champion, shadow: own[i].Scores, label: label, shadowLabel: own[i].Label, tookUS: int64(p.LatencyUS), shadowUS: took})
	}
}

// champion is what the champion said of a row: it answered, or it scored what another version answered.
func (j *mirrored) champion(p *Prediction) (scores []float64, label string, ok bool) {
	champion := j.live.deployment.Route.Champion
	switch {
	case p.Version == champion:
		return p.Scores, p.Label, true
	case p.ChampionVersion == champion && p.Champion != nil && j.live.champion != nil:
		return p.Champion, j.live.champion.decide(p.Champion), true
	}
	return nil, "", false
}

func (m *mirror) askTensors(ctx context.Context, j *mirrored, t *tally) {
	begun := time.Now()
	out, err := j.shadow.engine.Predict(ctx, &predictor.Request{Inputs: j.tensors, Wanted: j.wanted, Params: j.params})
	n := len(j.preds)
	if err != nil {
		t.failed(n, err)
		return
	}
	took := time.Since(begun).Microseconds() / int64(n)
	for i := range j.preds {
		p := &j.preds[i]
		if p.Version != j.live.deployment.Route.Champion {
			continue
		}
		champion, label := flat(j.outputs, n, i)
		shadow, shadowLabel := flat(out, n, i)
		t.compare(&pair{id: p.ID, key: p.Key, champion: champion, shadow: shadow, label: label, shadowLabel: shadowLabel, tookUS: int64(p.LatencyUS), shadowUS: took})
	}
}

// flat is the numbers and the texts of row i of an answer.
func flat(out []tensor.Named, n, i int) (numbers []float64, label string) {
	var texts strings.Builder
	for _, o := range out {
		from, to := span(o.Tensor, n, i)
		for k := from; k < to && len(numbers) < loggedNumbers; k++ {
			if v, ok := o.Number(k); ok {
				numbers = append(numbers, v)
			} else if d, ok := o.Data.([]string); ok && texts.Len() < loggedText {
				texts.WriteString(d[k])
				texts.WriteByte(0)
			}
		}
	}
	return numbers, texts.String()
}

// mirror hands an answered request of rows to the shadow, if the route has one and this request is among its share.
func (x *call) mirror(asked context.Context, preds []Prediction) {
	shadow := x.live.plan.shadow
	if shadow == nil || x.pinned || !x.live.shadowed(preds[0].ID) || shadow.sig.Task == registry.TaskTensors {
		return
	}
	x.endpoint.mirror.offer(int64(len(preds))*int64(200+48*len(shadow.inputs)), len(preds), func() *mirrored {
		j := &mirrored{done: asked.Done(), at: time.Now(), live: x.live, shadow: shadow, params: x.batch.Params, preds: preds, inputs: make([][]table.Value, len(preds))}
		var w *workspace
		for i := range preds {
			p := &preds[i]
			if answered := x.live.resident[p.Version]; answered != nil && sameInputs(answered.compiled, shadow.compiled) {
				j.inputs[i] = p.Inputs
				continue
			}
			// The shadow reads other columns than the version that answered: the row has to be read now, while it is there.
			if w == nil {
				w = shadow.pool.Get().(*workspace)
				defer shadow.pool.Put(w)
				j.errs = make([]error, len(preds))
				if len(x.batch.Columns) > 0 {
					if err := x.match(shadow.compiled, len(preds)); err != nil {
						for k := range j.errs {
							j.errs[k] = err
						}
						break
					}
				}
			}
			var own Prediction
			j.inputs[i] = make([]table.Value, len(shadow.inputs))
			j.errs[i] = x.bind(shadow.compiled, w, i, j.inputs[i], &own)
		}
		return j
	})
}

// mirrorTensors is mirror for a version that answers tensors.
func (s *Service) mirrorTensors(ctx context.Context, e *endpoint, l *live, pinned bool, preds []Prediction, q *predictor.Request, out []tensor.Named) {
	shadow := l.plan.shadow
	if shadow == nil || pinned || !l.shadowed(preds[0].ID) || shadow.sig.Task != registry.TaskTensors {
		return
	}
	bytes := int64(200 * len(preds))
	for _, t := range append(q.Inputs[:len(q.Inputs):len(q.Inputs)], out...) {
		bytes += int64(t.RawSize())
	}
	e.mirror.offer(bytes, len(preds), func() *mirrored {
		j := &mirrored{done: ctx.Done(), at: time.Now(), live: l, shadow: shadow, params: q.Params, preds: preds, wanted: q.Wanted, outputs: out, tensors: make([]tensor.Named, 0, len(q.Inputs))}
		for _, in := range q.Inputs {
			own, err := tensor.FromRaw(in.Type(), in.Shape, in.AppendRaw(nil))
			if err != nil {
				own = in.Tensor // it was answered as it is
			}
			j.tensors = append(j.tensors, tensor.Named{Name: strings.Clone(in.Name), Tensor: own})
		}
		return j
	})
}

// shadowed tells whether a request is in the shadow's share: by a bucket that has nothing to do with the route's, so that the same
// keys are not always the ones that are asked twice.
func (l *live) shadowed(id string) bool {
	below := l.plan.shadowBelow
	return below >= Buckets || Bucket("shadow", id) < below
}

// stop lets go of what waits. Work under way is cancelled by the service.
func (m *mirror) stop() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
}
