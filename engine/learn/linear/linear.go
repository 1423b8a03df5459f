// Package linear holds the learners whose margin is a weighted sum of the inputs: linear and ridge (least squares with
// an L2 penalty), lasso and elastic_net (with an L1 penalty too, by coordinate descent along a path), and logistic
// (binary and multinomial, with either penalty). It owns their fitting, their model and its format; it must never know
// where a matrix comes from or what its columns mean.
//
// Categories become columns and gaps are filled as package expand says, so that a missing number counts as the training
// mean of its column, in training and in prediction. The result is given in the inputs' own units: a slope per number
// and a table per set of categories.
//
// Penalties act on coefficients of standardised columns (mean 0, standard deviation 1), so that their meaning does not
// depend on units, or on those of the columns as they are when standardise is off, which is what scikit-learn does;
// never on the intercept. l2 of logistic is scikit-learn's 1/C, and so is l1; l2 of linear is alpha of its Ridge; alpha
// and l1_ratio of the others are those of its classes of the same name. Row weights multiply a row's loss: a row of
// weight 2 is the row written twice.
package linear

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The learners' names in configuration files and in model files.
const (
	Logistic   = "logistic"
	Linear     = "linear"
	Ridge      = "ridge"
	Lasso      = "lasso"
	ElasticNet = "elastic_net"
)

// Names are the learners of this package.
func Names() []string { return []string{Logistic, Linear, Ridge, Lasso, ElasticNet} }

// Solver is how logistic is fitted.
type Solver string

// The solvers. Auto takes Newton's method when its matrix is small beside the work of the gradient, else L-BFGS; an L1
// penalty always takes proximal Newton steps with coordinate descent.
const (
	Auto   Solver = "auto"
	Newton Solver = "newton"
	LBFGS  Solver = "lbfgs"
)

// Learner is a configured linear model.
type Learner struct {
	Kind        string  // one of Names
	L1          float64 // logistic: factor of the sum of |coefficient|; default 0
	L2          float64 // logistic, linear: factor of half (logistic) or all (linear) of the sum of squares; default 1
	Standardise bool    // penalties act on standardised columns; default true
	Indicators  bool    // a column of gaps beside each number that has some; default false

	Alpha     float64 // ridge, lasso, elastic_net: the penalty; default 1 for ridge
	AutoAlpha bool    // lasso, elastic_net: Alpha is chosen by cross-validation; the default
	L1Ratio   float64 // elastic_net: the share of the L1 penalty; default 0.5
	Alphas    int     // penalties on the path that is searched; default 100
	Folds     int     // of that cross-validation; default 5

	Iterations  int       // logistic: most iterations, default 300; lasso, elastic_net: most sweeps a penalty, default 10000
	Tolerance   float64   // when to stop, see New
	Solver      Solver    // logistic
	Balanced    bool      // logistic: classes weigh the same
	ClassWeight []float64 // logistic: a factor per class, or nil
}

// New reads the parameters of the named learner.
//
// All have standardise and missing_indicators, and accept a seed without effect: nothing is drawn. logistic has l1, l2,
// max_iterations, tolerance (it stops when no component of the mean loss's gradient by standardised coefficients is
// larger, default 1e-7), solver (auto, newton or lbfgs) and class_weight (balanced, or a list with a number per class).
// linear has l2; ridge has alpha. lasso and elastic_net have alpha (a number or auto), alphas, folds, max_iterations and
// tolerance (they stop when no coefficient moves predictions by more than this share of the labels' standard deviation,
// default 1e-7); elastic_net has l1_ratio.
func New(name string, p learner.Params) (*Learner, error) {
	r := learner.NewReader(name, p)
	l := &Learner{Kind: name, Standardise: r.Bool("standardise", true), Indicators: r.Bool("missing_indicators", false)}
	switch name {
	case Logistic:
		l.L1, l.L2 = r.Float("l1", 0, 0, math.MaxFloat64), r.Float("l2", 1, 0, math.MaxFloat64)
		l.Iterations = r.Int("max_iterations", 300, 1, 100_000)
		l.Tolerance = r.Float("tolerance", 1e-7, 1e-14, 1)
		l.Solver = Solver(r.Text("solver", string(Auto), string(Auto), string(Newton), string(LBFGS)))
		if l.Balanced = r.Is("class_weight", "balanced"); l.Balanced {
			r.Text("class_weight", "")
		} else {
			l.ClassWeight = r.Floats("class_weight", nil, 0, 1e12)
		}
	case Linear:
		l.L2 = r.Float("l2", 1, 0, math.MaxFloat64)
	case Ridge:
		l.Alpha = r.Float("alpha", 1, 0, math.MaxFloat64)
	case Lasso, ElasticNet:
		if l.AutoAlpha = p["alpha"] == nil || r.Is("alpha", "auto"); l.AutoAlpha {
			r.Text("alpha", "auto")
		} else {
			l.Alpha = r.Float("alpha", 1, 0, math.MaxFloat64)
		}
		l.L1Ratio = 1
		if name == ElasticNet {
			l.L1Ratio = r.Float("l1_ratio", 0.5, 0, 1)
		}
		l.Alphas, l.Folds = r.Int("alphas", 100, 1, 10_000), r.Int("folds", 5, 2, 100)
		l.Iterations = r.Int("max_iterations", 10_000, 1, 10_000_000)
		l.Tolerance = r.Float("tolerance", 1e-7, 1e-15, 1)
	}
	r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	return l, nil
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return l.Kind }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := learner.Params{"standardise": l.Standardise, "missing_indicators": l.Indicators}
	switch l.Kind {
	case Logistic:
		p["l1"], p["l2"], p["solver"] = l.L1, l.L2, string(l.Solver)
		p["max_iterations"], p["tolerance"] = l.Iterations, l.Tolerance
		if l.Balanced {
			p["class_weight"] = "balanced"
		} else if l.ClassWeight != nil {
			p["class_weight"] = l.ClassWeight
		}
	case Linear:
		p["l2"] = l.L2
	case Ridge:
		p["alpha"] = l.Alpha
	default:
		p["alpha"], p["alphas"], p["folds"] = l.Alpha, l.Alphas, l.Folds
		if l.AutoAlpha {
			p["alpha"] = "auto"
		}
		if l.Kind == ElasticNet {
			p["l1_ratio"] = l.L1Ratio
		}
		p["max_iterations"], p["tolerance"] = l.Iterations, l.Tolerance
	}
	return p
}

// Fit implements learner.Learner. A value that is infinite is fault.Invalid.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	if err := learner.CheckValid(opt.Valid, train, task, classes); err != nil {
		return nil, err
	}
	if l.Kind == Logistic && task != learner.Binary && task != learner.Multiclass {
		return nil, fault.New(fault.Invalid, "logistic predicts classes, and the task is %s", task).WithHint("use linear or gbdt")
	}
	if l.Kind != Logistic && task != learner.Regression {
		return nil, fault.New(fault.Invalid, "%s predicts numbers, and the task is %s", l.Kind, task).WithHint("use logistic or gbdt")
	}
	d, err := newDesign(train, opt.Weights, l.Standardise, l.Indicators, shard.Workers(opt.Workers))
	if err != nil {
		return nil, err
	}
	if l.Kind == Logistic {
		if task == learner.Binary {
			classes = 2
		}
		// Columns are standardised by the rows' own weights; those of the classes count in the loss alone.
		weights, err := l.classWeights(train.Y, opt.Weights, classes)
		if err != nil {
			return nil, err
		}
		d.setWeights(weights)
	}
	if err := canceled(ctx, 0); err != nil {
		return nil, err
	}
	switch l.Kind {
	case Logistic:
		return l.fitLogistic(ctx, d, train, task, classes, opt)
	case Linear, Ridge:
		return l.fitRidge(ctx, d, train, opt)
	}
	return l.fitPath(ctx, d, train, opt)
}

func canceled(ctx context.Context, done int) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Canceled, "training stopped after %d iterations", done)
	}
	return nil
}

// classWeights multiplies the row weights by those of the classes. balanced is scikit-learn's: the total weight divided
// by the number of classes that are there times the weight of the class.
func (l *Learner) classWeights(y, weights []float64, classes int) ([]float64, error) {
	factor := l.ClassWeight
	if factor != nil && len(factor) != classes {
		return nil, fault.New(fault.Invalid, "class_weight has %d numbers for %d classes", len(factor), classes)
	}
	if l.Balanced {
		factor = make([]float64, classes)
		var total, seen float64
		for i, v := range y {
			w := 1.0
			if weights != nil {
				w = weights[i]
			}
			factor[int(v)] += w
			total += w
		}
		for _, f := range factor {
			if f > 0 {
				seen++
			}
		}
		for k, f := range factor {
			if f > 0 {
				factor[k] = total / (seen * f)
			}
		}
	}
	if factor == nil {
		return weights, nil
	}
	out, total := make([]float64, len(y)), 0.0
	for i, v := range y {
		if out[i] = factor[int(v)]; weights != nil {
			out[i] *= weights[i]
		}
		total += out[i]
	}
	if total == 0 {
		return nil, fault.New(fault.Invalid, "class_weight leaves no row any weight")
	}
	return out, nil
}
