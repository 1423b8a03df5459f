package forest

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

const trackBlock = 4096

// track follows the loss of a growing forest.
type track struct {
	*fit
	sums  []float64 // rows x outputs: values of the trees that did not draw the row, or of all without drawing
	votes []float64 // of how many trees
	valid []float64 // sums of the validation rows over the trees before seen
	seen  int
}

func newTrack(f *fit) *track {
	t := &track{fit: f, sums: make([]float64, f.data.Rows*f.outputs), votes: make([]float64, f.data.Rows)}
	if f.opt.Valid != nil {
		t.valid = make([]float64, f.opt.Valid.X.Rows*f.outputs)
	}
	return t
}

// report adds the trees grown last and tells how the forest of done trees stands; it returns whether to give up.
func (t *track) report(last []*grown, done int) (prune bool) {
	k := t.outputs
	shard.Run(t.workers, shard.Blocks(t.data.Rows, trackBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, t.data.Rows, trackBlock)
		for _, g := range last {
			for i := lo; i < hi; i++ {
				if g.bag != nil && g.bag[i] > 0 {
					continue
				}
				t.votes[i]++
				leaf := int(g.leaf(t.data, i))
				for j := range k {
					t.sums[i*k+j] += g.values[leaf*k+j]
				}
			}
		}
	})
	var y, p []float64
	for i, votes := range t.votes {
		if votes == 0 {
			continue
		}
		y = append(y, t.train.Y[i])
		for _, v := range t.sums[i*k : (i+1)*k] {
			p = append(p, v/votes)
		}
	}
	train, valid := math.NaN(), math.NaN()
	if len(y) > 0 {
		train = learner.MeanLoss(t.task, y, p)
	}
	if t.valid != nil {
		valid = t.validate(done)
	}
	if t.opt.Progress != nil {
		t.opt.Progress(done, t.Trees, train)
	}
	if t.opt.Curve != nil {
		t.opt.Curve(done, t.Trees, train, valid)
	}
	return t.opt.Prune != nil && t.opt.Prune(done, t.Trees, train, valid)
}

// validate adds the trees since the last call to the sums of the validation rows and returns their loss.
func (t *track) validate(done int) float64 {
	x, k := t.opt.Valid.X, t.outputs
	e := tree.Ensemble{Features: x.Cols, Single: true}
	fresh := t.trees[t.seen:]
	t.seen = len(t.trees)
	shard.Run(t.workers, shard.Blocks(x.Rows, trackBlock), func(_, b int) {
		lo, hi := shard.Bounds(b, x.Rows, trackBlock)
		wide := make([]float64, x.Cols)
		for i := lo; i < hi; i++ {
			for j, v := range x.Row(i) {
				wide[j] = float64(v)
			}
			for at := 0; at < len(fresh); at += k {
				leaf := e.Find(&fresh[at], wide)
				for j := range k {
					t.valid[i*k+j] += fresh[at+j].Value[leaf]
				}
			}
		}
	})
	p := make([]float64, len(t.valid))
	for i, v := range t.valid {
		p[i] = v / float64(done)
	}
	return learner.MeanLoss(t.task, t.opt.Valid.Y, p)
}
