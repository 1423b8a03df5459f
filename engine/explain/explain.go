// Package explain says what each feature of a row contributed to a prediction: Shapley values of the model's margin,
// exact for trees and for linear models. It owns the algorithms and the summaries drawn from them; it must never know
// where a model is kept, how a feature was prepared or who asks.
//
// Everything is in margin space: contributions and the expected value add up to the model's margin, which is the
// log-odds of a logistic model, the score before the softmax, the logarithm of what a Poisson model predicts, and the
// prediction itself where the link is the identity, as in a regression or a forest's mean of probabilities. What a link
// bends does not split into sums; margins do. Explainer.Unit says which it is.
//
// Trees are explained by the path-dependent game of Lundberg, Erion and Lee (arXiv 1802.03888): a feature that is not
// known sends a row both ways, in proportion to the training rows that went there. See compiled for the algorithm.
package explain

import (
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Explainer explains the rows of one model. It is immutable and safe for concurrent use.
//
// The contributions of a row are Outputs x Features numbers, those of output 0 first. The contributions of output k and
// Expected()[k] add up to the margin of output k, to rounding. A feature that the model does not read gets 0.
type Explainer struct {
	explainer
	features, outputs int
	expected          []float64
	unit              string
}

// explainer is one way to explain a kind of model.
type explainer interface {
	// rows writes the contributions of row-major rows of float32; the numbers do not depend on workers.
	rows(x []float32, rows int, dst []float64, workers int)
	// wide is rows for float64.
	wide(x []float64, rows int, dst []float64, workers int)
	// bytes is the memory that the explainer holds beside the model.
	bytes() int
	// steps is the work of a row, in steps of the kernel.
	steps() int
}

// What margins, and so contributions, are measured in.
const (
	LogOdds     = "log_odds"    // of the positive class
	Score       = "score"       // of a class before the softmax, of a ranked row, or before a scaled link
	Log         = "log"         // of what is predicted
	Probability = "probability" // of forests, which average probabilities
	Value       = "value"       // what is predicted
)

// New prepares a model of trees, a linear one, a preset's blend of those, or what is under a calibration: then margins are
// those before it. Other kinds are fault.NotSupported, and so are trees that do not say how many training rows went each
// way, without which nothing can be expected of a feature that is not known.
func New(m learner.Model) (*Explainer, error) {
	if c, ok := m.(interface{ Inner() learner.Model }); ok {
		return New(c.Inner())
	}
	e := &Explainer{features: m.Features(), outputs: m.Outputs()}
	var err error
	switch m := m.(type) {
	case *tree.Model:
		e.explainer, e.expected, err = newTrees(&m.Ensemble, nil, m.Features())
	case *combine.Model:
		e.explainer, e.expected, err = newCombined(m)
	case *linear.Model:
		e.explainer, e.expected = newLinear(m)
	case *preset.Model:
		e.explainer, e.expected, err = newBlend(m)
	default:
		return nil, fault.New(fault.NotSupported, "a model of kind %q cannot be explained", m.Kind()).
			WithHint("models of trees, linear models and blends of both can be")
	}
	if err != nil {
		return nil, err
	}
	e.unit = unitOf(m)
	return e, nil
}

// Features is the numbers a row must have.
func (e *Explainer) Features() int { return e.features }

// Outputs is the margins of a row, each with its own contributions.
func (e *Explainer) Outputs() int { return e.outputs }

// Expected is the margin of each output when no feature is known: for trees Base plus the mean of the leaves, weighted
// by the training rows that reached them; for linear models the margin of the training means. It must not be changed.
func (e *Explainer) Expected() []float64 { return e.expected }

// Unit is what margins, contributions and expected values are measured in.
func (e *Explainer) Unit() string { return e.unit }

func unitOf(m learner.Model) string {
	link := tree.LinkOf(m.Task())
	t, ok := m.(*tree.Model)
	if c, combined := m.(*combine.Model); combined {
		t, ok = c.Trees, true
	}
	if ok {
		if link = t.Link; link == tree.Logistic && t.Scale != 1 {
			return Score
		}
	}
	switch {
	case link == tree.Logistic:
		return LogOdds
	case link == tree.Exp:
		return Log
	case link != tree.Identity, m.Task() == learner.Ranking:
		return Score
	case m.Task() == learner.Regression:
		return Value
	}
	return Probability
}

// Bytes is the memory that the explainer holds beside the model.
func (e *Explainer) Bytes() int { return e.bytes() }

// Steps is the work that one row takes, in steps of about 10 ns each on one processor; callers bound by it how many rows
// they explain at a time.
func (e *Explainer) Steps() int { return e.steps() }

// Row writes the Outputs x Features contributions of one row to dst. It panics when x or dst is too short.
func (e *Explainer) Row(x []float32, dst []float64) {
	e.rows(x[:e.features], 1, dst[:e.outputs*e.features], 1)
}

// RowWide is Row for values of float64.
func (e *Explainer) RowWide(x []float64, dst []float64) {
	e.wide(x[:e.features], 1, dst[:e.outputs*e.features], 1)
}

// Rows writes the Rows x Outputs x Features contributions of the rows of m, equal to those of Row bit for bit. workers
// bounds the goroutines; 0 means GOMAXPROCS. It panics when m has other columns than the model or dst is too short.
func (e *Explainer) Rows(m *table.Matrix, dst []float64, workers int) {
	if m.Cols != e.features {
		panic("explain: matrix and model differ in features")
	}
	e.rows(m.Data[:m.Rows*m.Cols], m.Rows, dst[:m.Rows*e.outputs*e.features], workers)
}

// RowsWide is Rows for the row-major rows x Features values of x.
func (e *Explainer) RowsWide(x []float64, rows int, dst []float64, workers int) {
	e.wide(x[:rows*e.features], rows, dst[:rows*e.outputs*e.features], workers)
}

func (l linearly) steps() int { return 1 + l.m.Outputs()*l.m.Features()/16 }
