package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
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
func (v *validation) add(t *tree.Tree, k, workers int) {
	x := v.set.X
	shard.Run(workers, shard.Blocks(x.Rows, lossBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, lossBlock)
		for i := lo; i < hi; i++ {
			row := x.Data[i*x.Cols : (i+1)*x.Cols]
			n := int32(0)
			for t.Feature[n] >= 0 {
				f := row[t.Feature[n]]
				if float64(f) <= t.Threshold[n] || f != f && t.MissingLeft[n] {
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
