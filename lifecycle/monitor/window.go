package monitor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// monday is 5 January 1970, a Monday, 00:00 UTC, in microseconds: windows are whole widths after it, so that days begin at 00:00 UTC
// and weeks on Mondays.
const monday = int64(4 * 24 * time.Hour / time.Microsecond)

// align is the start of the window of that width that holds at; both in microseconds.
func align(at, width int64) int64 {
	d := at - monday
	k := d / width
	if d%width < 0 {
		k--
	}
	return monday + k*width
}

func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }

func instant(us int64) time.Time { return time.UnixMicro(us).UTC() }

type layoutKey struct {
	model   string
	version int
}

// layout is how rows are counted against a version: which cell of a row goes to which column of its reference.
type layout struct {
	version    int
	ref        *profile.Reference
	sig        *registry.Signature
	importance map[string]float64
	views      []view
	mappings   sync.Map // *registry.Signature of the answering version -> *mapping
}

// view is a joined feature view: rows that agree in these inputs share its values.
type view struct {
	name   string
	inputs []string
}

// mapping finds the cells of a reference's columns among the inputs of a signature.
type mapping struct {
	columns []int // per column of the reference; absent or score below
	views   [][]int
	kinds   []table.Kind // of the inputs
}

const (
	absent = -1
	score  = -2
)

func newLayout(version int, ref *profile.Reference, sig *registry.Signature) *layout {
	l := &layout{version: version, ref: ref, sig: sig}
	values := map[string][]string{}
	keys := map[string][]string{}
	for _, in := range sig.Inputs {
		if in.View == "" {
			continue
		}
		values[in.View] = append(values[in.View], in.Name)
		complete := len(in.Entity) > 0
		key := slices.Clone(in.Entity)
		if in.Time != "" {
			key = append(key, in.Time)
		}
		for _, k := range key {
			if found, _ := sig.Input(k); found == nil {
				complete = false
			}
		}
		if complete {
			keys[in.View] = key
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		inputs := keys[name]
		if inputs == nil {
			inputs = values[name] // the entity is not in the rows: the values themselves tell them apart
		}
		l.views = append(l.views, view{name: name, inputs: inputs})
	}
	return l
}

func (l *layout) mapping(sig *registry.Signature) *mapping {
	if m, ok := l.mappings.Load(sig); ok {
		return m.(*mapping)
	}
	m := &mapping{columns: make([]int, len(l.ref.Columns)), views: make([][]int, len(l.views))}
	for i, c := range l.ref.Columns {
		m.columns[i] = absent
		if c.Name == profile.ScoreColumn {
			m.columns[i] = score
		} else if in, at := sig.Input(c.Name); in != nil && (in.Kind == table.String) == (c.Kind == table.String) {
			m.columns[i] = at
		}
	}
	for _, in := range sig.Inputs {
		m.kinds = append(m.kinds, in.Kind)
	}
	for i, v := range l.views {
		for _, name := range v.inputs {
			if in, at := sig.Input(name); in != nil {
				m.views[i] = append(m.views[i], at)
			}
		}
	}
	l.mappings.Store(sig, m)
	return m
}

// fact is what is counted of a prediction.
type fact struct {
	at      int64
	version int // the champion it was meant for
	sig     *registry.Signature
	inputs  []table.Value
	scores  []float64 // of the champion where they are known
}

func factOf(at int64, version int, arm serve.Arm, championVersion int, sig *registry.Signature, inputs []table.Value, scores, champion []float64) fact {
	f := fact{at: at, version: version, sig: sig, inputs: inputs, scores: scores}
	if arm == serve.Canary && championVersion > 0 && champion != nil {
		f.version, f.scores = championVersion, champion
	}
	return f
}

// tally is rows counted against a version.
type tally struct {
	layout   *layout
	profile  *profile.Profile
	distinct []map[uint64]struct{} // per view
	row      []table.Value
}

func newTally(l *layout) *tally {
	t := &tally{layout: l, profile: l.ref.New(), distinct: make([]map[uint64]struct{}, len(l.views)), row: make([]table.Value, len(l.ref.Columns))}
	for i := range t.distinct {
		t.distinct[i] = map[uint64]struct{}{}
	}
	return t
}

func (t *tally) add(f *fact) {
	m := t.layout.mapping(f.sig)
	for i, at := range m.columns {
		switch {
		case at >= 0 && at < len(f.inputs):
			t.row[i] = f.inputs[at]
		case at == score:
			t.row[i] = t.layout.answer(f.scores, t.layout.ref.Columns[i].Kind)
		default:
			t.row[i] = table.Null
		}
	}
	t.profile.Add(t.row)
	for i, inputs := range m.views {
		h := profile.HashStart
		for _, at := range inputs {
			if at < len(f.inputs) {
				h = profile.HashValue(h, f.inputs[at], m.kinds[at])
			}
		}
		t.distinct[i][h] = struct{}{}
	}
}

// answer is a prediction as one cell: see profile.ScoreColumn.
func (l *layout) answer(scores []float64, kind table.Kind) table.Value {
	if len(scores) == 0 {
		return table.Null
	}
	best := 0
	for i := range scores {
		if scores[i] > scores[best] {
			best = i
		}
	}
	if kind != table.String {
		return table.Number(scores[best])
	}
	if best < len(l.sig.Classes) {
		return table.Text(l.sig.Classes[best])
	}
	return table.Null
}

func (t *tally) merge(o *tally) error {
	if err := t.profile.Merge(o.profile); err != nil {
		return err
	}
	for i, set := range o.distinct {
		maps.Copy(t.distinct[i], set)
	}
	return nil
}

// effective is the number of independent values of an input: the distinct keys of its view, or all rows.
func (t *tally) effective(viewName string) float64 {
	for i, v := range t.layout.views {
		if v.name == viewName {
			return float64(min(int64(len(t.distinct[i])), t.profile.Rows))
		}
	}
	return float64(t.profile.Rows)
}

// cellKey names a tally: the span of a width that begins at start, and the version.
type cellKey struct {
	start, width int64
	version      int
}

const (
	// shards is how many goroutines can count for one deployment without waiting for each other.
	shards = 4
	// maxSpans is how many spans of the common width a window may be summed from; a finer one would cost more memory than counting
	// every row once per window.
	maxSpans = 48
	// maxCells bounds the tallies of a shard, about 10 KB per number column each: rows may carry any time. The log has what is not counted.
	maxCells = 64
)

type shard struct {
	mu    sync.Mutex
	cells map[cellKey]*tally
	_     [40]byte // a shard to a cache line
}

// watch is a deployment that is counted. Where the windows are not too different, rows are counted once, in spans of the greatest width
// that divides both; else once per window.
type watch struct {
	plan   Plan
	widths []int64 // of the spans, µs

	shards  [shards]shard
	layouts sync.Map // version -> *layout; nil value while it loads
}

func newWatch(p Plan) *watch {
	w := &watch{plan: p, widths: spanWidths(&p)}
	for i := range w.shards {
		w.shards[i].cells = map[cellKey]*tally{}
	}
	return w
}

func spanWidths(p *Plan) []int64 {
	quality, drift := widthOf(p, Quality), widthOf(p, Drift)
	switch {
	case quality == 0 && drift == 0:
		return nil
	case quality == 0 || drift == 0:
		return []int64{quality + drift}
	}
	common := quality
	for rest := drift; rest != 0; {
		common, rest = rest, common%rest
	}
	if max(quality, drift)/common > maxSpans {
		return []int64{quality, drift}
	}
	return []int64{common}
}

// spanOf is the width of the spans that a window is summed from.
func (w *watch) spanOf(window int64) int64 {
	for _, width := range w.widths {
		if width == window {
			return width
		}
	}
	for _, width := range w.widths {
		if window%width == 0 {
			return width
		}
	}
	return window
}

// widthOf is the window of a kind in microseconds; 0 when it is not watched.
func widthOf(p *Plan, kind string) int64 {
	switch m := &p.Monitor; {
	case kind == Quality && m.Quality != nil:
		return micros(m.Quality.Window.D())
	case kind == Sudden:
		return micros(suddenWidth(p))
	case kind == Drift && m.Drift != nil:
		return micros(m.Drift.Window.D())
	case kind == Performance && m.Performance != nil:
		return micros(m.Performance.Window.D())
	}
	return 0
}

// adopt begins to watch the deployments of plans. A watch whose windows changed begins anew; the log has what it forgets.
func (s *Service) adopt(plans []Plan) {
	for _, p := range plans {
		if old, ok := s.watches.Load(p.Deployment); ok {
			w := old.(*watch)
			if slices.Equal(w.widths, spanWidths(&p)) && w.plan.Model == p.Model {
				continue
			}
		}
		s.watches.Store(p.Deployment, newWatch(p))
	}
}

// Observe counts predictions; it implements serve.Observer. It takes about a microsecond per row of twenty inputs.
func (s *Service) Observe(deployment string, recs []serve.Prediction) {
	found, ok := s.watches.Load(deployment)
	if !ok {
		s.unknown.Store(true)
		return
	}
	w := found.(*watch)
	sh := w.lock()
	defer sh.mu.Unlock()
	for i := range recs {
		r := &recs[i]
		if r.Signature == nil {
			continue
		}
		f := factOf(r.At, r.Version, r.Arm, r.ChampionVersion, r.Signature, r.Inputs, r.Scores, r.Champion)
		l, ok := w.layouts.Load(f.version)
		if !ok {
			s.load(w, f.version)
			continue
		}
		if l == nil {
			continue // still loading; the log has the row
		}
		for _, width := range w.widths {
			sh.count(cellKey{align(f.at, width), width, f.version}, l.(*layout), &f)
		}
	}
}

func (w *watch) lock() *shard {
	for i := range w.shards {
		if w.shards[i].mu.TryLock() {
			return &w.shards[i]
		}
	}
	w.shards[0].mu.Lock()
	return &w.shards[0]
}

func (sh *shard) count(key cellKey, l *layout, f *fact) {
	t := sh.cells[key]
	if t == nil {
		if len(sh.cells) >= maxCells {
			return
		}
		t = newTally(l)
		sh.cells[key] = t
	}
	t.add(f)
}

// load fetches the reference of a version beside the requests; rows that pass meanwhile are counted from the log.
func (s *Service) load(w *watch, version int) {
	if _, loading := w.layouts.LoadOrStore(version, nil); loading {
		return
	}
	s.wait.Add(1)
	go func() {
		defer s.wait.Done()
		l, err := s.layout(context.Background(), w.plan.Model, version)
		if err != nil {
			s.Logger.Warn("the reference of a version cannot be read; its rows are counted from the log", "deployment", w.plan.Deployment, "version", version, "error", err)
			w.layouts.Delete(version)
			return
		}
		w.layouts.Store(version, l)
	}()
}

func (s *Service) layout(ctx context.Context, model string, version int) (*layout, error) {
	key := layoutKey{model, version}
	s.layoutMu.Lock()
	defer s.layoutMu.Unlock()
	if l, ok := s.layouts[key]; ok {
		return l, nil
	}
	ref, sig, err := s.References.Reference(ctx, model, version)
	if err != nil {
		return nil, fmt.Errorf("reference of %s version %d: %w", model, version, err)
	}
	l := newLayout(version, ref, sig)
	if r, ok := s.References.(interface {
		Importance(ctx context.Context, model string, version int) (map[string]float64, error)
	}); ok {
		if l.importance, err = r.Importance(ctx, model, version); err != nil {
			return nil, fmt.Errorf("importance of %s version %d: %w", model, version, err)
		}
	}
	s.layouts[key] = l
	return l, nil
}

// gather is the counts of [from, to) by champion version. Spans of which memory has fewer rows than the log are counted from it.
func (s *Service) gather(ctx context.Context, w *watch, from, to int64) (map[int]*tally, error) {
	sum := map[int]*tally{}
	width := w.spanOf(to - from)
	for start := from; start < to; start += width {
		predictions, _, err := s.Log.Coverage(ctx, w.plan.Deployment, instant(start), instant(start+width))
		if err != nil {
			return nil, fmt.Errorf("count the predictions of %s: %w", w.plan.Deployment, err)
		}
		if predictions == 0 {
			continue
		}
		cells, err := w.live(start, width)
		if err != nil {
			return nil, err
		}
		var rows int64
		for _, t := range cells {
			rows += t.profile.Rows
		}
		if rows < predictions {
			if cells, err = s.recount(ctx, w, start, width); err != nil {
				return nil, err
			}
		}
		if err := mergeInto(sum, cells); err != nil {
			return nil, err
		}
	}
	return sum, nil
}

func mergeInto(sum, cells map[int]*tally) error {
	for version, t := range cells {
		if sum[version] == nil {
			sum[version] = newTally(t.layout)
		}
		if err := sum[version].merge(t); err != nil {
			return err
		}
	}
	return nil
}

// live is a copy of what memory counted in a span.
func (w *watch) live(start, width int64) (map[int]*tally, error) {
	out := map[int]*tally{}
	for i := range w.shards {
		if err := w.shards[i].copyInto(out, start, width); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (sh *shard) copyInto(out map[int]*tally, start, width int64) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for key, t := range sh.cells {
		if key.start != start || key.width != width {
			continue
		}
		if err := mergeInto(out, map[int]*tally{key.version: t}); err != nil {
			return err
		}
	}
	return nil
}

// recount counts a span from the log, an hour at a time to bound memory, and keeps a copy in the place of what memory had.
func (s *Service) recount(ctx context.Context, w *watch, start, width int64) (map[int]*tally, error) {
	out := map[int]*tally{}
	hour := micros(time.Hour)
	for from := start; from < start+width; from += hour {
		rows, err := s.Log.Rows(ctx, w.plan.Deployment, instant(from), instant(min(from+hour, start+width)), false)
		if err != nil {
			return nil, fmt.Errorf("read the log of %s: %w", w.plan.Deployment, err)
		}
		for i := range rows {
			f := labeledFact(&rows[i])
			if f.sig == nil {
				continue
			}
			t := out[f.version]
			if t == nil {
				l, err := s.layout(ctx, w.plan.Model, f.version)
				if err != nil {
					return nil, err
				}
				t = newTally(l)
				out[f.version] = t
			}
			t.add(&f)
		}
	}
	kept := map[int]*tally{}
	if err := mergeInto(kept, out); err != nil {
		return nil, err
	}
	for i := range w.shards {
		w.shards[i].drop(func(k cellKey) bool { return k.start == start && k.width == width })
	}
	w.shards[0].keep(kept, start, width)
	return out, nil
}

func (sh *shard) drop(which func(cellKey) bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	maps.DeleteFunc(sh.cells, func(k cellKey, _ *tally) bool { return which(k) })
}

func (sh *shard) keep(cells map[int]*tally, start, width int64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for version, t := range cells {
		sh.cells[cellKey{start, width, version}] = t
	}
}

func labeledFact(r *feedback.Labeled) fact {
	return factOf(r.At, r.Version, r.Arm, r.ChampionVersion, r.Signature, r.Inputs, r.Scores, r.Champion)
}

// forget drops the counts of spans that end at or before: no open window holds them.
func (w *watch) forget(before int64) {
	for i := range w.shards {
		w.shards[i].drop(func(k cellKey) bool { return k.start+k.width <= before })
	}
}

// leading is the version with the most rows, the newer one of equals; nil when there are none.
func leading(cells map[int]*tally) *tally {
	var best *tally
	for _, version := range slices.Sorted(maps.Keys(cells)) {
		if t := cells[version]; best == nil || t.profile.Rows >= best.profile.Rows {
			best = t
		}
	}
	return best
}
