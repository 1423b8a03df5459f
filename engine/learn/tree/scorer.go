package tree

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Scorer computes margins. It is immutable and safe for concurrent use. Each margin is Base plus the leaf values of
// its trees, added one by one in the order of the trees, whichever kernel computes it; with Average it is Base plus
// their sum times the reciprocal of their number.
type Scorer struct {
	e      *Ensemble
	flat   flat
	plain  bool      // every row takes the general way
	scale  []float64 // per output, with Average: one over its trees
	widest int       // features
}

// NewScorer prepares an ensemble that passed Check; the ensemble must not be changed afterwards. More nodes than fit
// 31 bits are fault.TooLarge.
func NewScorer(e *Ensemble) (*Scorer, error) {
	s := &Scorer{e: e, plain: !e.Single || e.ZeroMissing != nil, widest: e.Features}
	var total int
	count := make([]int, len(e.Base))
	for i := range e.Trees {
		total += len(e.Trees[i].Feature)
		count[e.Trees[i].Output]++
		s.plain = s.plain || e.Trees[i].Set != nil
	}
	if total > math.MaxInt32 {
		return nil, fault.New(fault.TooLarge, "the model has %d nodes; at most %d can be predicted with", total, math.MaxInt32)
	}
	if e.Average {
		s.scale = make([]float64, len(count))
		for k, n := range count {
			s.scale[k] = 1 / float64(max(n, 1))
		}
	}
	if s.plain {
		return s, nil
	}
	s.flat = flat{nodes: make([]step, 0, total), values: make([]float64, 0, total)}
	for i := range e.Trees {
		s.flat.roots = append(s.flat.roots, int32(len(s.flat.nodes)))
		s.flat.outputs = append(s.flat.outputs, int32(e.Trees[i].Output))
		s.flat.add(&e.Trees[i])
	}
	return s, nil
}

// Row writes the margins of one row of Features values to dst. It panics when x or dst is too short.
func (s *Scorer) Row(x []float32, dst []float64) {
	k := len(s.e.Base)
	x, dst = x[:s.widest], dst[:k]
	if s.plain {
		wide := make([]float64, len(x))
		for j, v := range x {
			wide[j] = float64(v)
		}
		s.general(wide, dst)
		return
	}
	s.start(dst)
	roots, outputs := s.flat.roots, s.flat.outputs
	for ; len(roots) >= 4; roots, outputs = roots[4:], outputs[4:] {
		v0, v1, v2, v3 := s.flat.fourTrees(roots[0], roots[1], roots[2], roots[3], x)
		dst[outputs[0]] += v0
		dst[outputs[1]] += v1
		dst[outputs[2]] += v2
		dst[outputs[3]] += v3
	}
	for i, root := range roots {
		dst[outputs[i]] += s.flat.leaf(root, x)
	}
	s.finish(dst)
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

// general scores one row of float64 by the definition.
func (s *Scorer) general(x []float64, dst []float64) {
	s.start(dst)
	for i := range s.e.Trees {
		t := &s.e.Trees[i]
		dst[t.Output] += t.Value[s.e.Find(t, x)]
	}
	s.finish(dst)
}

// block is the rows that one tree is walked for before the next: few enough for their values to stay in the first
// cache, many enough for the tree to be read once for all of them.
const block = 64

// Rows writes the rows x Outputs margins of a row-major matrix of rows x Features values. workers bounds the
// goroutines; 0 means GOMAXPROCS. It panics when data or dst is too short.
func (s *Scorer) Rows(data []float32, rows int, dst []float64, workers int) {
	k, p := len(s.e.Base), s.widest
	data, dst = data[:rows*p], dst[:rows*k]
	if rows < 16*block {
		workers = 1
	}
	shard.Run(shard.Workers(workers), shard.Blocks(rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, block)
		if s.plain {
			for i := lo; i < hi; i++ {
				s.Row(data[i*p:(i+1)*p], dst[i*k:(i+1)*k])
			}
			return
		}
		out := dst[lo*k : hi*k]
		s.start(out)
		for t, root := range s.flat.roots {
			j, i := int(s.flat.outputs[t]), lo
			for ; i+4 <= hi; i += 4 {
				v0, v1, v2, v3 := s.flat.fourRows(root, data[i*p:(i+1)*p], data[(i+1)*p:(i+2)*p], data[(i+2)*p:(i+3)*p], data[(i+3)*p:(i+4)*p])
				out[j] += v0
				out[j+k] += v1
				out[j+2*k] += v2
				out[j+3*k] += v3
				j += 4 * k
			}
			for ; i < hi; i++ {
				out[j] += s.flat.leaf(root, data[i*p:(i+1)*p])
				j += k
			}
		}
		s.finish(out)
	})
}

// RowsWide is Rows for values of float64.
func (s *Scorer) RowsWide(data []float64, rows int, dst []float64, workers int) {
	k, p := len(s.e.Base), s.widest
	data, dst = data[:rows*p], dst[:rows*k]
	shard.Run(shard.Workers(workers), shard.Blocks(rows, block), func(_, b int) {
		lo, hi := shard.Bounds(b, rows, block)
		for i := lo; i < hi; i++ {
			s.general(data[i*p:(i+1)*p], dst[i*k:(i+1)*k])
		}
	})
}
