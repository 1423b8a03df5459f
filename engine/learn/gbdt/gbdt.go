// Package gbdt is histogram gradient boosting: binary (log loss), multiclass (softmax, one tree per class and round)
// and regression (squared error). It owns its trees, their training and their evaluation; it must never know where a
// matrix comes from or what its columns mean.
//
// The design, in the order the code runs:
//
//   - package bins codes the columns: 255 parts or categories and "missing". Codes are kept twice, by row for histograms
//     and by column for splitting rows.
//   - loss.go: gradients and hessians per row, quantised to 15 bits with a scale that is a maximum over rows and so does
//     not depend on their order, and kept beside the row's codes (Shi et al., "Quantized Training of Gradient
//     Boosting Decision Trees", arXiv:2207.09682, who use 2 to 5 bits).
//   - histogram.go: one integer addition per row and column adds gradient and hessian; the larger sibling is the parent minus the smaller one.
//     Integer sums are associative: any number of workers gives the same histogram, and so the same model, bit for bit.
//   - split.go, category.go, constraints.go, grow.go: best-gain-first ("leaf-wise") growth with a learned side for missing
//     values; leaf values are then renewed from the gradients before quantisation, summed in an order that is fixed by the data.
package gbdt

import (
	"context"
	"math"
	"sort"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Name is the learner's name in configuration files and in model files.
const Name = "gbdt"

// Settings are the parameters of a boosting run. The defaults are those of LightGBM except L2, which there is 0 and
// lets leaves of nearly pure rows ruin the log loss of small or imbalanced sets.
type Settings struct {
	Rounds       int     // boosting rounds; default 100, 1 to 100,000
	Leaves       int     // most leaves of a tree; default 31, 2 to 65,535
	Bins         int     // most value bins of a column, besides the one for missing; default 255, 2 to 255
	LearningRate float64 // factor on every leaf value; default 0.1, above 0 to 1
	MinLeaf      int     // fewest rows in a leaf, estimated from its share of the hessian as LightGBM does; default 20
	MinHessian   float64 // least sum of hessians in a leaf; default 0.001
	L2           float64 // penalty on leaf values; default 3
	Subsample    float64 // share of rows drawn without replacement for each round; default 1
	Colsample    float64 // share of columns drawn for each tree; default 1
	Patience     int     // early_stopping_rounds: rounds without a better validation loss before stopping; default 0, off
	Growth
	Seed    uint64 // drives subsample and colsample; default: the run's seed
	SeedSet bool
}

// Learner is a configured gradient boosting.
type Learner struct{ Settings }

// New reads the parameters rounds, leaves, bins, learning_rate, min_leaf, min_hessian, l2, subsample, colsample,
// early_stopping_rounds, seed and those of Growth.
func New(p learner.Params) (*Learner, error) {
	r := learner.NewReader(Name, p)
	s := Settings{
		Rounds:       r.Int("rounds", 100, 1, 100_000),
		Leaves:       r.Int("leaves", 31, 2, 65_535),
		Bins:         r.Int("bins", 255, 2, bins.Most),
		LearningRate: r.Float("learning_rate", 0.1, 1e-6, 1),
		MinLeaf:      r.Int("min_leaf", 20, 1, math.MaxInt32),
		MinHessian:   r.Float("min_hessian", 1e-3, 0, math.MaxFloat64),
		L2:           r.Float("l2", 3, 0, math.MaxFloat64),
		Subsample:    r.Float("subsample", 1, 1e-3, 1),
		Colsample:    r.Float("colsample", 1, 1e-3, 1),
		Patience:     r.Int("early_stopping_rounds", 0, 0, 100_000),
		Growth:       readGrowth(r),
	}
	s.Seed, s.SeedSet = r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return &Learner{s}, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{
		"rounds": l.Rounds, "leaves": l.Leaves, "bins": l.Bins, "learning_rate": l.LearningRate, "min_leaf": l.MinLeaf,
		"min_hessian": l.MinHessian, "l2": l.L2, "subsample": l.Subsample, "colsample": l.Colsample,
		"early_stopping_rounds": l.Patience,
	}
	l.Growth.add(p)
	if l.SeedSet {
		p["seed"] = l.Seed
	}
	return p
}

// Fit implements learner.Learner.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	if l.Patience > 0 && opt.Valid == nil {
		return nil, fault.New(fault.Invalid, "gbdt: early_stopping_rounds needs validation rows").
			WithHint("split off a validation part, or remove early_stopping_rounds")
	}
	b, err := newBooster(l.Settings, train, task, classes, opt)
	if err != nil {
		return nil, err
	}
	if opt.Ready != nil {
		opt.Ready()
	}
	return b.run(ctx)
}

// booster is one training run.
type booster struct {
	Settings
	train   learner.Set
	task    learner.Task
	outputs int
	opt     learner.Options
	workers int

	data   *bins.Set
	loss   *loss
	grower *grower
	base   []float64
	trees  []tree.Tree
	valid  *validation
}

func newBooster(s Settings, train learner.Set, task learner.Task, classes int, opt learner.Options) (*booster, error) {
	monotone, err := s.directions(train.X)
	if err != nil {
		return nil, err
	}
	interactions, err := s.together(train.X)
	if err != nil {
		return nil, err
	}
	if !s.SeedSet {
		s.Seed = opt.Seed
	}
	b := &booster{Settings: s, train: train, task: task, outputs: 1, opt: opt, workers: shard.Workers(opt.Workers)}
	if task == learner.Multiclass {
		b.outputs = classes
	}
	b.data = bins.Make(train.X, bins.Options{Bins: s.Bins, Workers: b.workers, Bundle: true, Records: true, Room: gradientRoom})
	b.loss = newLoss(task, b.outputs, train.Y, opt.Weights, b.workers)
	b.grower = newGrower(s, newConstraints(monotone, interactions, b.data), b.data, b.workers)
	b.base = b.loss.base()
	if opt.Valid != nil {
		b.valid = newValidation(opt.Valid, task, b.base)
	}
	return b, nil
}

func (b *booster) run(ctx context.Context) (learner.Model, error) {
	best, bestRound := math.Inf(1), 0
	report := b.opt.Progress != nil || b.opt.Curve != nil || b.opt.Prune != nil
	b.loss.measured = report
	b.loss.start(b.base)
	for round := range b.Rounds {
		if err := ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.Canceled, "training stopped after %d of %d rounds", round, b.Rounds)
		}
		bag := b.bag(round)
		b.loss.prepare()
		if report && round > 0 && b.report(round) {
			return nil, learner.ErrPruned
		}
		for k := range b.outputs {
			b.loss.gradients(k)
			if b.Sampling == "goss" && float64(round) >= 1/b.LearningRate {
				bag = oneSide(b.loss.grads, b.TopRate, b.OtherRate, bins.Mix(b.Seed, 0x676f7373, uint64(round*b.outputs+k)), b.workers)
				b.loss.measure()
			}
			key := bins.Mix(b.Seed, uint64(round), uint64(k))
			b.loss.quantise(b.grower, key)
			g := b.grower.grow(bag, b.loss.quantumG, b.loss.quantumH, b.columns(round*b.outputs+k), key)
			b.loss.update(g, k, b.grower, b.L2, b.LearningRate, bag != nil)
			b.trees = append(b.trees, g.tree(b.data, k))
			if b.valid != nil {
				b.valid.add(&b.trees[len(b.trees)-1], k, b.workers)
			}
		}
		if b.valid != nil {
			if l := b.valid.measure(); l < best {
				best, bestRound = l, round+1
			} else if b.Patience > 0 && round+1-bestRound >= b.Patience {
				break
			}
		}
		if b.opt.Enough != nil && b.opt.Enough() {
			break
		}
	}
	if report {
		b.loss.prepare()
		b.report(len(b.trees) / b.outputs)
	}
	if b.Patience > 0 {
		b.trees = b.trees[:max(bestRound, 1)*b.outputs]
	}
	return tree.NewModel(Name, b.task, tree.Ensemble{
		Features: b.train.X.Cols, Names: b.train.X.Names, Base: b.base, Trees: b.trees,
		Link: tree.LinkOf(b.task), Scale: 1, Single: true,
	})
}

// report tells how the model stands after the rounds done, and returns whether to give up.
func (b *booster) report(done int) (prune bool) {
	train := b.loss.mean()
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

// bag is the rows drawn for a round in ascending order, or nil for all rows. A row is drawn by the hash of its number,
// not by a running generator, so that no order of work can change the draw.
func (b *booster) bag(round int) []uint32 {
	if b.Subsample >= 1 {
		return nil
	}
	key := bins.Mix(b.Seed, 0x726f7773, uint64(round))
	limit := uint64(b.Subsample * (1 << 53))
	rows := make([]uint32, 0, int(float64(b.data.Rows)*b.Subsample*1.01)+64)
	for i := range b.data.Rows {
		if bins.Mix(key, uint64(i), 0)>>11 < limit {
			rows = append(rows, uint32(i))
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return rows
}

// columns is the columns drawn for a tree, those with the smallest hashes, or nil for all.
func (b *booster) columns(tree int) []bool {
	m := len(b.data.Columns)
	keep := int(math.Ceil(b.Colsample * float64(m)))
	if keep >= m {
		return nil
	}
	return smallest(m, keep, bins.Mix(b.Seed, 0x636f6c73, uint64(tree)))
}

// smallest marks the keep numbers of [0, n) with the smallest hashes.
func smallest(n, keep int, key uint64) []bool {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return bins.Mix(key, uint64(order[a]), 0) < bins.Mix(key, uint64(order[b]), 0) })
	out := make([]bool, n)
	for _, i := range order[:keep] {
		out[i] = true
	}
	return out
}
