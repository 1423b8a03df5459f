package gbdt

import (
	"context"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// booster is one training run.
type booster struct {
	*plan
	workers int

	data   *bins.Set
	loss   *loss
	grower *grower
	base   []float64
	trees  []tree.Tree // those gone on from first, then round by round one for each output
	first  int         // rounds gone on from
	sums   *margins    // of the training rows, to tell a forest's loss; nil when nobody asks
	valid  *validation

	best  int  // rounds added when the validation metric was best
	spent bool // Options.Enough ended the run
}

// newBooster prepares a run. valid may be nil, and so may its weights.
func newBooster(p *plan, valid *learner.Set, validWeights []float64) (*booster, error) {
	b := &booster{plan: p, workers: shard.Workers(p.opt.Workers)}
	monotone, err := p.directions(p.train.X)
	if err != nil {
		return nil, err
	}
	interactions, err := p.together(p.train.X)
	if err != nil {
		return nil, err
	}
	b.loss, err = newLoss(p.objective, Rows{Y: p.train.Y, Weights: p.weights, Query: p.train.Query, Outputs: p.outputs}, b.workers)
	if err != nil {
		return nil, err
	}
	if b.base = b.loss.bound.Base(); len(b.base) != p.outputs || slices.ContainsFunc(b.base, math.IsNaN) {
		return nil, fault.New(fault.Invalid, "gbdt: objective %s starts from %v, which are not %d numbers", p.objective.Name(), b.base, p.outputs)
	}
	if p.init != nil {
		b.base = p.init.Base
		b.trees = append(b.trees, p.init.Trees...)
		b.first = p.init.Rounds()
	}
	told := p.opt.Progress != nil || p.opt.Curve != nil || p.opt.Prune != nil
	b.loss.measured = told && !p.Forest
	if told && p.Forest {
		b.sums = new(newMargins(p.train.X.Rows, b.base, true))
	}
	if valid != nil {
		b.valid, err = newValidation(p.objective, valid, validWeights, p.judge, newMargins(valid.X.Rows, b.base, p.Forest), b.workers)
		if err != nil {
			return nil, err
		}
	}
	b.data = bins.Make(p.train.X, bins.Options{Bins: p.Bins, Workers: b.workers, Bundle: true, Records: true, Room: gradientRoom})
	b.grower = newGrower(p.Settings, newConstraints(monotone, interactions, b.data), b.data, b.workers)
	b.start()
	return b, nil
}

// start sets the margins to those of the model gone on from.
func (b *booster) start() {
	b.loss.start(b.base)
	if b.init == nil {
		return
	}
	if !b.Forest {
		b.init.Margins(b.train.X, b.loss.margins)
	}
	for i := range b.trees {
		if b.sums != nil {
			b.sums.add(&b.trees[i], b.train.X, b.workers)
		}
		if b.valid != nil {
			b.valid.score.add(&b.trees[i], b.valid.set.X, b.workers)
		}
	}
}

// run trains and returns the model.
func (b *booster) run(ctx context.Context) (*tree.Model, error) {
	if b.opt.Ready != nil {
		b.opt.Ready()
	}
	told := b.loss.measured || b.sums != nil
	best := math.Inf(1)
	if b.valid != nil && b.first > 0 {
		best = b.valid.measure(b.first)
	}
	for done := range b.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.Canceled, "training stopped after %d of %d rounds", done, b.Rounds)
		}
		bag := b.bag(b.first + done)
		if err := b.loss.prepare(); err != nil {
			return nil, err
		}
		if told && done > 0 && b.report(done) {
			return nil, learner.ErrPruned
		}
		if err := b.round(b.first+done, bag); err != nil {
			return nil, err
		}
		if b.valid != nil && (told || b.Patience > 0) {
			if v := b.valid.measure(b.first + done + 1); v < best-b.MinDelta || math.IsInf(best, 1) && v == v {
				best, b.best = v, done+1
			} else if b.Patience > 0 && done+1-b.best >= b.Patience {
				break
			}
		}
		if b.opt.Enough != nil && b.opt.Enough() {
			b.spent = true
			break
		}
	}
	if told {
		if err := b.loss.prepare(); err != nil {
			return nil, err
		}
		b.report(len(b.trees)/b.outputs - b.first)
	}
	if b.Patience > 0 && b.valid != nil {
		b.trees = b.trees[:max(b.first+b.best, 1)*b.outputs]
	}
	e := tree.Ensemble{
		Features: b.train.X.Cols, Names: b.train.X.Names, Base: b.base, Trees: b.trees, Average: b.Forest,
		Link: b.objective.Link(), Scale: 1, Single: b.init == nil || b.init.Single,
	}
	return tree.NewModel(Name, b.task, e)
}

// round grows a tree for each output. number counts from the first round of a model gone on from.
func (b *booster) round(number int, bag []uint32) error {
	rate := b.LearningRate
	if b.Forest {
		rate = 1
	}
	for k := range b.outputs {
		if err := b.loss.gradients(k); err != nil {
			return err
		}
		if b.Sampling == "goss" && float64(number) >= 1/b.LearningRate {
			bag = oneSide(b.loss.grads, b.TopRate, b.OtherRate, bins.Mix(b.Seed, 0x676f7373, uint64(number*b.outputs+k)), b.workers)
			b.loss.measure()
		}
		key := bins.Mix(b.Seed, uint64(number), uint64(k))
		b.loss.quantise(b.grower, key)
		g := b.grower.grow(bag, b.loss.quantumG, b.loss.quantumH, b.columns(number*b.outputs+k), key)
		b.loss.renew(g, b.grower, b.L2, rate)
		switch {
		case !b.Forest:
			b.loss.add(b.loss.margins, g, k, b.grower, bag != nil)
		case b.sums != nil:
			b.loss.add(b.sums.values, g, k, b.grower, bag != nil)
		}
		b.trees = append(b.trees, g.tree(b.data, k))
		if b.valid != nil {
			b.valid.score.add(&b.trees[len(b.trees)-1], b.valid.set.X, b.workers)
		}
	}
	return nil
}

// report tells how the model stands after the rounds done, and returns whether to give up.
func (b *booster) report(done int) (prune bool) {
	var train float64
	if b.sums != nil {
		train = meanLoss(b.loss.bound, b.sums.after(b.first+done), b.outputs, b.weights, b.train.Query, b.workers)
	} else {
		train = b.loss.mean()
	}
	if b.opt.Progress != nil {
		b.opt.Progress(done, b.Rounds, train)
	}
	valid := math.NaN()
	if b.valid != nil {
		valid = b.valid.last
	}
	if b.opt.Curve != nil {
		b.opt.Curve(done, b.Rounds, train, valid)
	}
	return b.opt.Prune != nil && b.opt.Prune(done, b.Rounds, train, valid)
}
