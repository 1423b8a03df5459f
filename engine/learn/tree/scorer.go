package tree

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Scorer computes margins. It is safe for concurrent use. Each margin is Base plus the leaf values of its trees, added
// one by one in the order of the trees, whichever kernel computes it; with Average it is Base plus their sum times the
// reciprocal of their number.
type Scorer struct {
	e      *Ensemble
	flat   flat      // empty with category sets or ZeroMissing
	scale  []float64 // per output, with Average: one over its trees
	leaves []int     // of each tree
	mean   int       // leaves of a tree

	seen    atomic.Int64 // rows scored together without the plan
	once    sync.Once
	plan    *plan
	scratch sync.Pool

	single      atomic.Int64 // rows scored one by one without quick
	quick       atomic.Pointer[quickRow]
	quickMemory sync.Pool
}

// NewScorer prepares an ensemble that passed Check; the ensemble must not be changed afterwards. More nodes than fit
// 31 bits are fault.TooLarge.
func NewScorer(e *Ensemble) (*Scorer, error) {
	s := &Scorer{e: e, leaves: make([]int, len(e.Trees))}
	var total int
	count := make([]int, len(e.Base))
	plain := e.ZeroMissing == nil
	var queue []int32
	for i := range e.Trees {
		t := &e.Trees[i]
		total += len(t.Feature)
		count[t.Output]++
		plain = plain && t.Set == nil
		queue = t.splits(queue)
		s.leaves[i] = len(queue) + 1
	}
	if total > math.MaxInt32 {
		return nil, fault.New(fault.TooLarge, "the model has %d nodes; at most %d can be predicted with", total, math.MaxInt32)
	}
	for _, n := range s.leaves {
		s.mean += n
	}
	s.mean /= max(1, len(e.Trees))
	if e.Average {
		s.scale = make([]float64, len(count))
		for k, n := range count {
			s.scale[k] = 1 / float64(max(n, 1))
		}
	}
	if plain {
		s.flat = newFlat(e, total)
	}
	return s, nil
}

// Kernel names what scores many rows on this processor: scalar, or the vector instructions it uses. The results are
// the same.
func Kernel() string { return levels[level] }

// Row writes the margins of one row of Features values to dst, without allocating. It panics when x or dst is too
// short.
func (s *Scorer) Row(x []float32, dst []float64) {
	x, dst = x[:s.e.Features], dst[:len(s.e.Base)]
	s.start(dst)
	if q := s.quickly(); q != nil {
		c, _ := s.quickMemory.Get().(*quickScratch)
		if c == nil {
			c = q.scratch()
		}
		q.row(s.e, c, x, dst)
		s.quickMemory.Put(c)
	} else if s.flat.nodes != nil {
		s.flat.row(x, dst)
	} else {
		for i := range s.e.Trees {
			t := &s.e.Trees[i]
			dst[t.Output] += t.Value[find(s.e, t, x)]
		}
	}
	s.finish(dst)
}

// quickRows is the rows scored one by one after which the tables of quick scoring are worth their making.
const quickRows = 500

// quickLeast is the trees from which on quick scoring beats walking, without and with vector instructions: it costs
// about 0.5 microseconds and 7 nanoseconds a tree with them.
var quickLeast = [2]int{256, 48}

// quickly is what scores one row quickly, or nil when rows have been few or the ensemble is not one for it.
func (s *Scorer) quickly() quickRow {
	if q := s.quick.Load(); q != nil {
		return *q
	}
	if s.single.Add(1) == quickRows {
		var q quickRow
		if len(s.e.Trees) >= quickLeast[min(level, 1)] {
			q = newQuick(s.e, s.leaves)
		}
		s.quick.Store(&q)
		return q
	}
	return nil
}

// start sets the margins of one row or more to what leaf values are added to.
func (s *Scorer) start(margins []float64) {
	if s.scale != nil {
		clear(margins)
		return
	}
	k := len(s.e.Base)
	for ; len(margins) > 0; margins = margins[k:] {
		copy(margins, s.e.Base)
	}
}

// finish turns the sums of start and leaf values into margins.
func (s *Scorer) finish(sums []float64) {
	if s.scale == nil {
		return
	}
	k := len(s.e.Base)
	for i := range sums {
		sums[i] = s.e.Base[i%k] + float64(sums[i]*s.scale[i%k])
	}
}

// find is Ensemble.Find for float32 too.
func find[T float32 | float64](e *Ensemble, t *Tree, x []T) int32 {
	n := int32(0)
	for t.Feature[n] != Leaf {
		f := t.Feature[n]
		v := float64(x[f])
		if e.Single {
			v = float64(float32(v))
		}
		if t.GoesLeft(n, v, e.Missing(int(f), v)) {
			n = t.Left[n]
		} else {
			n = t.Right[n]
		}
	}
	return n
}

// planRows is the rows that cost about as much to walk as arranging the ensemble for sliced scoring does.
const planRows = 1000

// leastRows is the rows of a block from which on slicing beats walking: a block costs about the same for one row as
// for all, more so without vectors and with many leaves. walkable says that the flat trees can walk them.
func (s *Scorer) leastRows(walkable bool) int {
	many := s.mean > 64
	switch {
	case level > 0 && many:
		return 32
	case level > 0:
		return 8
	case !walkable:
		return 32
	case many || len(s.e.Trees) < 100:
		return block + 1
	}
	return 128
}

// sliced is the plan when rows are enough for it, and otherwise nil.
func (s *Scorer) sliced(rows, least int) *plan {
	if min(rows, block) < least || len(s.e.Base) > maxSums || s.seen.Load() < planRows && s.seen.Add(int64(rows)) < planRows {
		return nil
	}
	s.once.Do(func() { s.plan = newPlan(s.e, s.leaves) })
	return s.plan
}

// Rows writes the rows x Outputs margins of a row-major matrix of rows x Features values. workers bounds the
// goroutines; 0 means GOMAXPROCS. It panics when data or dst is too short.
func (s *Scorer) Rows(data []float32, rows int, dst []float64, workers int) {
	scoreRows(s, data, rows, dst, workers)
}

// RowsWide is Rows for values of float64.
func (s *Scorer) RowsWide(data []float64, rows int, dst []float64, workers int) {
	if !s.e.Single {
		scoreRows(s, data, rows, dst, workers)
		return
	}
	// Rounded first, as Single asks: a piece at a time, so that the copy stays small.
	k, p := len(s.e.Base), s.e.Features
	data, dst = data[:rows*p], dst[:rows*k]
	shard.Run(shard.Workers(workers), shard.Blocks(rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, block)
		single := make([]float32, (hi-lo)*p)
		for i, v := range data[lo*p : hi*p] {
			single[i] = float32(v)
		}
		scoreRows(s, single, hi-lo, dst[lo*k:hi*k], 1)
	})
}

// parallelRows is the rows below which another goroutine is not worth its start.
const parallelRows = 4 * block

func scoreRows[T float32 | float64](s *Scorer, data []T, rows int, dst []float64, workers int) {
	k, p := len(s.e.Base), s.e.Features
	data, dst = data[:rows*p], dst[:rows*k]
	if rows < parallelRows {
		workers = 1
	}
	_, single := any(data).([]float32)
	least := s.leastRows(single && s.flat.nodes != nil)
	plan := s.sliced(rows, least)
	shard.Run(shard.Workers(workers), shard.Blocks(rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, block)
		x, out := data[lo*p:hi*p], dst[lo*k:hi*k]
		if plan != nil && hi-lo >= least {
			scoreBlock(s, plan, x, hi-lo, out)
			return
		}
		s.start(out)
		for t := range s.e.Trees {
			walk(s, t, x, hi-lo, out[s.e.Trees[t].Output:], k)
		}
		s.finish(out)
	})
}

// scoreBlock scores at most block rows by the plan.
func scoreBlock[T float32 | float64](s *Scorer, p *plan, data []T, rows int, dst []float64) {
	c, _ := s.scratch.Get().(*scratch)
	if c == nil {
		c = newScratch(p, len(s.e.Base))
	}
	defer s.scratch.Put(c)
	quantise(p, c, s.e, data, rows)
	for k, base := range s.e.Base {
		if s.scale != nil {
			base = 0
		}
		sums := c.sums[k*block:][:rows]
		for i := range sums {
			sums[i] = base
		}
	}
	for i := range p.parts {
		part := &p.parts[i]
		if part.walked {
			walk(s, part.first, data, rows, c.sums[s.e.Trees[part.first].Output*block:], 1)
			continue
		}
		c.fill(part)
		c.scoreTrees(part, rows)
	}
	k := len(s.e.Base)
	for j := range k {
		for i, v := range c.sums[j*block:][:rows] {
			dst[i*k+j] = v
		}
	}
	s.finish(dst)
}

// walk adds the values of tree t to the sums of rows, which stand step apart.
func walk[T float32 | float64](s *Scorer, t int, data []T, rows int, sums []float64, step int) {
	p := s.e.Features
	if single, ok := any(data).([]float32); ok && s.flat.nodes != nil {
		s.flat.rows(t, single, p, rows, sums, step)
		return
	}
	tree := &s.e.Trees[t]
	for i := range rows {
		sums[i*step] += tree.Value[find(s.e, tree, data[i*p:(i+1)*p])]
	}
}
