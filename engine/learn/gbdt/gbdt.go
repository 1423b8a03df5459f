// Package gbdt is histogram gradient boosting for two classes and more, numbers and rankings, with the losses of
// LightGBM or one of the user's. It owns the growing of trees and the losses that drive it; it must never know where a
// matrix comes from or what its columns mean.
//
// The design, in the order the code runs:
//
//   - package bins codes the columns: 255 parts or categories and "missing". Codes are kept twice, by row for histograms
//     and by column for splitting rows.
//   - objective.go, pointwise.go, classes.go, rank.go: gradients and hessians per row; core.go and kernel_amd64.go: how
//     training asks for them, and the loops that AVX2 does four at a time, bit for bit.
//   - loss.go: they are quantised to 15 bits with a scale that is a maximum over rows and so does not depend on their
//     order, and kept beside the row's codes (Shi et al., "Quantized Training of Gradient Boosting Decision Trees",
//     arXiv:2207.09682, who use 2 to 5 bits).
//   - histogram.go: one integer addition per row and column adds gradient and hessian; the larger sibling is the parent
//     minus the smaller one. Integer sums are associative: any number of workers gives the same histogram, and so the
//     same model, bit for bit.
//   - split.go, category.go, constraints.go, grow.go: best-gain-first ("leaf-wise") growth with a learned side for missing
//     values; leaf values are then renewed from the gradients before quantisation, summed in an order that is fixed by
//     the data.
//   - boost.go: the rounds; holdout.go: rows held out to know when to stop, and the model refitted on all.
package gbdt

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
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
	Growth
	Seed    uint64 // drives sampling and the holdout; default: the run's seed
	SeedSet bool

	Objective    string  // one of Objectives; default auto, by the task
	Alpha        float64 // of quantile: the quantile, default 0.9; of huber: where the loss turns straight, default 0.9
	TweediePower float64 // of tweedie: the power of the variance, above 1 and below 2; default 1.5
	Truncation   int     // of lambdarank: the places that count; default 30
	Norm         bool    // of lambdarank: even out queries and distances; default true

	ClassWeight    []float64 // weights of the classes by index, 1 beyond; default none
	Balanced       bool      // class_weight: balanced, n / (K * rows of the class)
	ScalePosWeight float64   // binary: factor on the weights of class 1; default 1

	Patience   int     // early_stopping_rounds: rounds without a better validation metric before stopping; default 0, off
	MinDelta   float64 // least change of the metric that counts as better; default 0
	Metric     string  // one of Metrics; default loss
	Validation float64 // validation_fraction: share of rows held out to stop early when none are given; default 0.1
	Refit      bool    // after such a holdout, train on all rows for 1.1 times the best rounds; default true

	Forest bool // boosting: rf, the mean of trees that do not know of each other, as LightGBM's
}

// Learner is a configured gradient boosting. The fields after Settings cannot be written in a configuration file, and
// Params do not have them.
type Learner struct {
	Settings

	// CustomObjective replaces the one that Settings name.
	CustomObjective Objective
	// CustomMetric replaces the one that Settings name.
	CustomMetric Metric
	// Init is a model to go on from: its trees stay, Rounds are added. Training for 50 rounds and then for 50 more gives
	// the bytes of 100 rounds, sampling or not, as long as the set, the other parameters and the seed are the same.
	Init *tree.Model
}

// New reads the parameters, which the fields of Settings name.
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
		Growth:       readGrowth(r),

		Objective:    r.Text("objective", auto, Objectives()...),
		Alpha:        r.Float("alpha", 0.9, 1e-6, 1e25),
		TweediePower: r.Float("tweedie_power", 1.5, 1.001, 1.999),
		Truncation:   r.Int("truncation", 30, 1, math.MaxInt32),
		Norm:         r.Bool("norm", true),

		ScalePosWeight: r.Float("scale_pos_weight", 1, 1e-6, 1e6),

		Patience:   r.Int("early_stopping_rounds", 0, 0, 100_000),
		MinDelta:   r.Float("min_delta", 0, 0, math.MaxFloat64),
		Metric:     readMetric(r, p),
		Validation: r.Float("validation_fraction", 0.1, 1e-3, 0.9),
		Refit:      r.Bool("refit", true),

		Forest: r.Text("boosting", "gbdt", "gbdt", "rf") == "rf",
	}
	s.ClassWeight, s.Balanced = readClassWeight(r)
	s.Seed, s.SeedSet = r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	if s.Objective == quantile && s.Alpha >= 1 {
		return nil, fault.New(fault.Invalid, "gbdt: alpha of objective quantile must be below 1, not %v", s.Alpha)
	}
	if s.Forest && s.Subsample == 1 && s.Colsample == 1 && s.ColsampleByNode == 1 && !s.ExtraTrees && s.Sampling == "none" {
		return nil, fault.New(fault.Invalid, "gbdt: boosting rf grows the same tree every round without sampling").
			WithHint("set subsample or colsample below 1, as in subsample: 0.632")
	}
	return &Learner{Settings: s}, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	boosting := "gbdt"
	if l.Forest {
		boosting = "rf"
	}
	p := learner.Params{
		"rounds": l.Rounds, "leaves": l.Leaves, "bins": l.Bins, "learning_rate": l.LearningRate, "min_leaf": l.MinLeaf,
		"min_hessian": l.MinHessian, "l2": l.L2, "subsample": l.Subsample, "colsample": l.Colsample,
		"objective": l.Objective, "alpha": l.Alpha, "tweedie_power": l.TweediePower, "truncation": l.Truncation,
		"norm": l.Norm, "scale_pos_weight": l.ScalePosWeight,
		"early_stopping_rounds": l.Patience, "min_delta": l.MinDelta, "metric": l.Metric,
		"validation_fraction": l.Validation, "refit": l.Refit, "boosting": boosting,
	}
	l.Growth.add(p)
	switch {
	case l.Balanced:
		p["class_weight"] = "balanced"
	case l.ClassWeight != nil:
		p["class_weight"] = l.ClassWeight
	}
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
	r, err := l.plan(train, task, classes, opt)
	if err != nil {
		return nil, err
	}
	if l.Patience > 0 && opt.Valid == nil {
		return r.holdOut(ctx)
	}
	b, err := newBooster(r, opt.Valid, nil)
	if err != nil {
		return nil, err
	}
	return b.run(ctx)
}

// plan is what a fit goes by, once checked.
type plan struct {
	Settings
	train     learner.Set
	weights   []float64 // of the classes too; nil for all ones
	task      learner.Task
	outputs   int
	objective Objective
	judge     Metric // nil for the loss
	init      *tree.Model
	opt       learner.Options
}

func (l *Learner) plan(train learner.Set, task learner.Task, classes int, opt learner.Options) (*plan, error) {
	p := &plan{Settings: l.Settings, train: train, task: task, objective: l.CustomObjective, judge: l.CustomMetric, init: l.Init, opt: opt}
	if !p.SeedSet {
		p.Seed = opt.Seed
	}
	var err error
	if p.objective == nil {
		p.objective = l.objective(task)
	}
	if p.outputs, err = p.objective.Outputs(task, classes); err != nil {
		return nil, err
	}
	if p.judge == nil {
		if p.judge, err = l.metric(task); err != nil {
			return nil, err
		}
	}
	if p.weights, err = l.classWeights(train.Y, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	return p, p.checkInit()
}

// checkInit refuses a model that cannot be gone on from, and a link that does not go with the task.
func (p *plan) checkInit() error {
	k := p.outputs
	_, err := tree.NewModel(Name, p.task, tree.Ensemble{Features: p.train.X.Cols, Base: make([]float64, max(k, 0)), Link: p.objective.Link(), Scale: 1})
	if err != nil {
		return fault.New(fault.Invalid, "gbdt: objective %s has %d outputs of link %q, which do not go with a %s task", p.objective.Name(), k, p.objective.Link(), p.task)
	}
	m := p.init
	if m == nil {
		return nil
	}
	if m.Task() != p.task || m.Features() != p.train.X.Cols || len(m.Base) != k || m.Link != p.objective.Link() {
		return fault.New(fault.Invalid, "gbdt: the model to go on from is for a %s task with %d features, %d outputs and link %s, and this is a %s task with %d, %d and %s",
			m.Task(), m.Features(), len(m.Base), m.Link, p.task, p.train.X.Cols, k, p.objective.Link())
	}
	if names := p.train.X.Names; m.Names != nil && len(names) > 0 && !slices.Equal(m.Names, names) {
		return fault.New(fault.Invalid, "gbdt: the model to go on from has other features, or in another order, than the rows").
			WithHint("its features are %s", strings.Join(m.Names, ", "))
	}
	if m.Average != p.Forest {
		return fault.New(fault.Invalid, "gbdt: boosting cannot go on from a forest, nor boosting rf from a boosted model").
			WithHint("use the boosting of the model that is gone on from")
	}
	if m.Scale != 1 || m.ZeroMissing != nil {
		return fault.New(fault.Invalid, "gbdt: a model whose logistic link is scaled, or to which zero is missing, cannot be gone on from")
	}
	return nil
}
