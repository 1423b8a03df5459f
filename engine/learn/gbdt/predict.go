package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// flat is all trees in two arrays. A reference that is negative is a leaf: its complement indexes values.
type flat struct {
	nodes  []step
	values []float64
	roots  []int32
}

// step is a split in 16 bytes. Feature's sign bit is set when missing values go left.
type step struct {
	threshold   float32
	feature     uint32
	left, right int32
}

const missingLeftBit = 1 << 31

// flatten builds the arrays that predictions run on.
func (m *Model) flatten() error {
	var f flat
	for i := range m.Trees {
		t := &m.Trees[i]
		place := make([]int32, len(t.Feature))
		splits := len(f.nodes)
		for j, feature := range t.Feature {
			if feature < 0 {
				place[j] = ^int32(len(f.values))
				f.values = append(f.values, t.Value[j])
			} else {
				place[j] = int32(splits)
				splits++
			}
		}
		if splits > math.MaxInt32/2 || len(f.values) > math.MaxInt32/2 {
			return fault.New(fault.TooLarge, "the model has more than a billion nodes")
		}
		for j, feature := range t.Feature {
			if feature < 0 {
				continue
			}
			s := step{threshold: t.Threshold[j], feature: uint32(feature), left: place[t.Left[j]], right: place[t.Right[j]]}
			if t.MissingLeft[j] {
				s.feature |= missingLeftBit
			}
			f.nodes = append(f.nodes, s)
		}
		f.roots = append(f.roots, place[0])
	}
	m.flat = f
	return nil
}

// leaf is the value of the leaf that x falls into, from the root.
func (f *flat) leaf(root int32, x []float32) float64 {
	n := root
	for n >= 0 {
		s := &f.nodes[n]
		v := x[s.feature&^missingLeftBit]
		n = s.left
		if !(v <= s.threshold) {
			n = s.right
		}
		if v != v && s.feature&missingLeftBit != 0 {
			n = s.left
		}
	}
	return f.values[^n]
}

// Margin writes the Outputs margins of one row to dst without allocating.
func (m *Model) Margin(x []float32, dst []float64) {
	k := len(m.Base)
	x, dst = x[:m.features], dst[:k]
	copy(dst, m.Base)
	if k == 1 {
		sum := dst[0]
		for _, root := range m.flat.roots {
			sum += m.flat.leaf(root, x)
		}
		dst[0] = sum
		return
	}
	for i := 0; i < len(m.flat.roots); i += k {
		for j, root := range m.flat.roots[i : i+k] {
			dst[j] += m.flat.leaf(root, x)
		}
	}
}

// PredictRow implements learner.Model.
func (m *Model) PredictRow(x []float32, dst []float64) {
	m.Margin(x, dst)
	link(m.task, dst[:len(m.Base)])
}

// predictBlock is the rows that one tree is walked for before the next: few enough for their values to stay in the
// first cache, many enough for the tree to be read once for all of them.
const predictBlock = 64

// Predict implements learner.Model. Large matrices are shared among GOMAXPROCS goroutines.
func (m *Model) Predict(x *table.Matrix, dst []float64) {
	if x.Cols != m.features {
		panic("gbdt: matrix and model differ in features")
	}
	k := len(m.Base)
	dst = dst[:x.Rows*k]
	workers := 1
	if x.Rows >= 16*predictBlock {
		workers = shard.Workers(0)
	}
	shard.Run(workers, shard.Blocks(x.Rows, predictBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, predictBlock)
		out := dst[lo*k : hi*k]
		for i := range hi - lo {
			copy(out[i*k:], m.Base)
		}
		for t, root := range m.flat.roots {
			j := t % k
			for i := lo; i < hi; i++ {
				out[j] += m.flat.leaf(root, x.Data[i*x.Cols:(i+1)*x.Cols])
				j += k
			}
		}
		for i := range hi - lo {
			link(m.task, out[i*k:(i+1)*k])
		}
	})
}

// link turns margins into what the task predicts, in place.
func link(task learner.Task, margins []float64) {
	switch task {
	case learner.Binary:
		margins[0] = 1 / (1 + math.Exp(-margins[0]))
	case learner.Multiclass:
		top := margins[0]
		for _, v := range margins[1:] {
			top = max(top, v)
		}
		var sum float64
		for i, v := range margins {
			margins[i] = math.Exp(v - top)
			sum += margins[i]
		}
		for i := range margins {
			margins[i] /= sum
		}
	}
}
