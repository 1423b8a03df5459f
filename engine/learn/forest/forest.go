// Package forest is decision trees, random forests (Breiman, Machine Learning 45, 2001) and extremely randomised trees
// (Geurts, Ernst and Wehenkel, Machine Learning 63, 2006). It owns how such trees are grown; it must never know where a
// matrix comes from or what its columns mean.
//
// Columns are coded by package bins as in boosting: at most 255 parts per number, so that a tree splits where CART does
// while a column has no more distinct values, and at one of 254 quantiles beyond. Missing values and categories are native. A
// tree is grown by one goroutine from the root down, depth first, from float64 sums in row order; trees are grown side by
// side, and nothing depends on their order, so that any number of workers gives the same model.
//
// Splits minimise squared error, which for two classes is the Gini index; with more classes one tree serves all of them
// and splits minimise the Gini index over the classes. The model holds that tree once per class, with the class's shares.
package forest

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The learners' names in configuration files and in model files.
const (
	Tree         = "tree"
	RandomForest = "random_forest"
	ExtraTrees   = "extra_trees"
)

// Settings are the parameters of a forest. The defaults are scikit-learn's.
type Settings struct {
	Trees       int     // default 100, 1 to 100,000; a decision tree is one
	MaxDepth    int     // most splits from the root to a leaf; default 0, no bound
	Leaves      int     // most leaves, the best splits first; default 0, no bound
	MinLeaf     int     // fewest rows in a leaf, each row counted once however often it was drawn; default 1
	MinSplit    int     // fewest rows in a node that is split; default 2
	MinGain     float64 // what a split must take off the weighted sum of squares or Gini index; default 0
	Bins        int     // most parts of a column; default 255, 2 to 255
	MaxFeatures string  // columns drawn for each node: "all", "sqrt" or "log2" of them; see Share
	Share       float64 // or this share of them; 0 when MaxFeatures says. Default: sqrt for classes, all for numbers and for a decision tree
	Bootstrap   bool    // train each tree on rows drawn with replacement; default true in a random forest
	Subsample   float64 // rows drawn, as a share of all; default 1
	CatSmooth   float64 // weight that a category needs to be sorted, and that pulls its mean to its node's; default 10
	CatL2       float64 // rows' worth of penalty on splits of sorted categories, of columns with more than four; default 10
	Seed        uint64  // default: the run's seed
	SeedSet     bool
}

// Learner is a configured tree or forest.
type Learner struct {
	Settings
	name string
}

// New reads the parameters of the named learner: trees (not of a decision tree), max_depth, leaves, min_leaf, min_split, min_gain,
// bins, max_features ("auto", "all", "sqrt", "log2" or a share from 0 to 1), bootstrap and subsample (not of a decision
// tree), cat_smooth, cat_l2 and seed.
func New(name string, p learner.Params) (*Learner, error) {
	r := learner.NewReader(name, p)
	s := Settings{
		Trees:     1,
		MaxDepth:  r.Int("max_depth", 0, 0, 1<<16),
		Leaves:    r.Int("leaves", 0, 0, 65_535),
		MinLeaf:   r.Int("min_leaf", 1, 1, math.MaxInt32),
		MinSplit:  r.Int("min_split", 2, 2, math.MaxInt32),
		MinGain:   r.Float("min_gain", 0, 0, math.MaxFloat64),
		Bins:      r.Int("bins", bins.Most, 2, bins.Most),
		Subsample: 1,
		CatSmooth: r.Float("cat_smooth", 10, 0, math.MaxFloat64),
		CatL2:     r.Float("cat_l2", 10, 0, math.MaxFloat64),
	}
	if _, text := r.Any("max_features").(string); text || r.Any("max_features") == nil {
		s.MaxFeatures = r.Text("max_features", "auto", "auto", "all", "sqrt", "log2")
	} else {
		s.Share = r.Float("max_features", 1, 1e-6, 1)
	}
	if name != Tree {
		s.Trees = r.Int("trees", 100, 1, 100_000)
		s.Bootstrap = r.Bool("bootstrap", name == RandomForest)
		s.Subsample = r.Float("subsample", 1, 1e-3, 1)
	}
	s.Seed, s.SeedSet = r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return &Learner{Settings: s, name: name}, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return l.name }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{
		"max_depth": l.MaxDepth, "leaves": l.Leaves, "min_leaf": l.MinLeaf, "min_split": l.MinSplit, "min_gain": l.MinGain,
		"bins": l.Bins, "max_features": l.MaxFeatures, "cat_smooth": l.CatSmooth, "cat_l2": l.CatL2,
	}
	if l.Share > 0 {
		p["max_features"] = l.Share
	}
	if l.name != Tree {
		p["trees"], p["bootstrap"], p["subsample"] = l.Trees, l.Bootstrap, l.Subsample
	}
	if l.SeedSet {
		p["seed"] = l.Seed
	}
	return p
}

// drawn is how many of n columns a node is offered.
func (l *Learner) drawn(n int, task learner.Task) int {
	k := float64(n)
	switch {
	case l.Share > 0:
		k *= l.Share
	case l.MaxFeatures == "sqrt", l.MaxFeatures == "auto" && l.name != Tree && (task == learner.Binary || task == learner.Multiclass):
		k = math.Sqrt(k)
	case l.MaxFeatures == "log2":
		k = math.Log2(k)
	}
	return max(1, min(int(k), n))
}

// Fit implements learner.Learner. Progress, Curve and Prune hear of the forest every few trees. The training loss they
// get is the out-of-bag one, of each row by the trees that did not draw it, when rows are drawn.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	if task == learner.Ranking {
		return nil, fault.New(fault.Invalid, "%s does not rank", l.name).WithHint("use gbdt, or the task regression on the grades")
	}
	workers := shard.Workers(opt.Workers)
	f := &fit{Learner: l, ctx: ctx, train: train, task: task, outputs: 1, opt: opt, workers: workers, seed: l.Seed}
	if !l.SeedSet {
		f.seed = opt.Seed
	}
	if task == learner.Multiclass {
		f.outputs = classes
	}
	f.data = bins.Make(train.X, bins.Options{Bins: l.Bins, Workers: workers})
	f.columns = l.drawn(train.X.Cols, task)
	if opt.Ready != nil {
		opt.Ready()
	}
	return f.run()
}

// fit is one training run.
type fit struct {
	*Learner
	ctx     context.Context
	train   learner.Set
	task    learner.Task
	outputs int
	opt     learner.Options
	workers int
	seed    uint64
	data    *bins.Set
	columns int // offered to a node

	trees []tree.Tree // Outputs for each tree grown
	track *track
}

// perTurn is the fewest trees that are grown before the caller hears of them. It does not depend on the workers, for what
// is reported must not.
const perTurn = 8

func (f *fit) run() (learner.Model, error) {
	if f.opt.Progress != nil || f.opt.Curve != nil || f.opt.Prune != nil {
		f.track = newTrack(f)
	}
	growers := make([]*grower, f.workers)
	for done := 0; done < f.Trees; {
		turn := min(max(f.Trees/20, perTurn), f.Trees-done)
		if f.track == nil && f.opt.Enough == nil {
			turn = f.Trees - done
		}
		grown := make([]*grown, turn)
		shard.Run(f.workers, turn, func(w, i int) {
			if f.ctx.Err() != nil {
				return
			}
			if growers[w] == nil {
				growers[w] = newGrower(f)
			}
			grown[i] = growers[w].grow(bins.Mix(f.seed, 0x74726565, uint64(done+i)))
		})
		if err := f.ctx.Err(); err != nil {
			return nil, fault.Wrap(err, fault.Canceled, "training stopped after %d of %d trees", done, f.Trees)
		}
		for _, g := range grown {
			f.trees = append(f.trees, g.trees(f)...)
		}
		done += turn
		if f.track != nil && f.track.report(grown, done) {
			return nil, learner.ErrPruned
		}
		if f.opt.Enough != nil && f.opt.Enough() {
			break
		}
	}
	return tree.NewModel(f.name, f.task, tree.Ensemble{
		Features: f.train.X.Cols, Names: f.train.X.Names, Base: make([]float64, f.outputs), Trees: f.trees,
		Average: true, Link: tree.Identity, Scale: 1, Single: true,
	})
}

func (f *fit) weight(row int) float64 {
	if f.opt.Weights == nil {
		return 1
	}
	return f.opt.Weights[row]
}
