package gbdt

import (
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// validation follows the loss on rows that are not trained on.
type validation struct {
	set     *learner.Set
	task    learner.Task
	outputs int
	margins []float64
	last    float64
}

func newValidation(set *learner.Set, task learner.Task, base []float64) *validation {
	v := &validation{set: set, task: task, outputs: len(base), margins: make([]float64, set.X.Rows*len(base))}
	for i := range v.margins {
		v.margins[i] = base[i%len(base)]
	}
	return v
}

// add adds a tree of output k to the margins.
func (v *validation) add(t *Tree, k, workers int) {
	x := v.set.X
	shard.Run(workers, shard.Blocks(x.Rows, lossBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, lossBlock)
		for i := lo; i < hi; i++ {
			row := x.Data[i*x.Cols : (i+1)*x.Cols]
			n := int32(0)
			for t.Feature[n] >= 0 {
				f := row[t.Feature[n]]
				if f <= t.Threshold[n] || f != f && t.MissingLeft[n] {
					n = t.Left[n]
				} else {
					n = t.Right[n]
				}
			}
			v.margins[i*v.outputs+k] += t.Value[n]
		}
	})
}

// measure is the mean loss of the margins, as learner.MeanLoss defines it.
func (v *validation) measure() float64 {
	p := append([]float64(nil), v.margins...)
	for i := 0; i < len(p); i += v.outputs {
		link(v.task, p[i:i+v.outputs])
	}
	v.last = learner.MeanLoss(v.task, v.set.Y, p)
	return v.last
}
