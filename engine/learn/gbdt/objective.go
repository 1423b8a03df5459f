package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// An Objective is what boosting makes small. The built-in ones are chosen by the parameter objective; another is set as
// Learner.CustomObjective. An Objective is not changed by its use.
type Objective interface {
	// Name is what users call it.
	Name() string
	// Outputs is the margins of a row, or fault.Invalid when the objective is not one for the task. classes is the
	// number of classes of a multiclass task.
	Outputs(task learner.Task, classes int) (int, error)
	// Link turns margins into predictions: tree.Identity, Logistic, Softmax, LogisticEach or Exp, and one that
	// tree.NewModel takes for the task.
	Link() tree.Link
	// Bind takes the rows to train on, or those to measure the loss on. It returns fault.Invalid for labels the
	// objective is not defined for.
	Bind(rows Rows) (Bound, error)
}

// Rows are the rows an objective is bound to. They are never changed.
type Rows struct {
	Y       []float64
	Weights []float64 // nil for all ones
	Query   []int32   // of each row, ranking only; the rows of a query stand together
	Outputs int
}

// weight is the weight of row i.
func (r *Rows) weight(i int) float64 {
	if r.Weights == nil {
		return 1
	}
	return r.Weights[i]
}

// Bound is an objective with its rows. Gradients and Losses are called from several goroutines at once, each with other
// rows, and must give the same numbers whatever the stretches; in ranking a stretch holds whole queries. Neither
// multiplies by the weights: that is done with what they return.
type Bound interface {
	// Base is the margins that boosting starts from, one per output: the best constant, weights minded.
	Base() []float64
	// Gradients writes, for each of the rows from lo to hi and each output, the first derivative of the row's loss by
	// its margin and the second one, or a number of at least 0 to stand for it. margins holds hi-lo rows of Outputs
	// numbers, grads as many pairs.
	Gradients(lo, hi int, margins []float64, grads []float32)
	// Losses writes the losses of the rows from lo to hi.
	Losses(lo, hi int, margins, losses []float64)
}

// Renewer is a Bound of one output that knows better leaf values than the Newton step -G/(H+l2).
type Renewer interface {
	Bound
	// Renew is what to add to the margins of the listed rows, which are in ascending order, for the least loss.
	// margins are those of all rows. The result is multiplied by the learning rate.
	Renew(rows []uint32, margins []float64) float64
}

// stepper is a Bound that bounds the size of a leaf value before the learning rate.
type stepper interface{ step() float64 }

// accelerated is a built-in Bound with a core of its own.
type accelerated interface {
	core() core
}

// The names of the built-in objectives.
const (
	auto       = "auto"
	l2         = "l2"
	l1         = "l1"
	quantile   = "quantile"
	huber      = "huber"
	poisson    = "poisson"
	gamma      = "gamma"
	tweedie    = "tweedie"
	logistic   = "logistic"
	softmax    = "softmax"
	lambdarank = "lambdarank"
)

// Objectives are the names that the parameter objective takes. auto is l2, logistic, softmax or lambdarank, by the task.
func Objectives() []string {
	return []string{auto, l2, l1, quantile, huber, poisson, gamma, tweedie, logistic, softmax, lambdarank}
}

// objective is the built-in objective that the settings name.
func (s *Settings) objective(task learner.Task) Objective {
	name := s.Objective
	if name == auto || name == "" {
		name = map[learner.Task]string{
			learner.Binary: logistic, learner.Multiclass: softmax, learner.Regression: l2, learner.Ranking: lambdarank,
		}[task]
	}
	return s.named(name)
}

func (s *Settings) named(name string) Objective {
	switch name {
	case l2:
		return squaredLoss{}
	case l1:
		return pinball{name: l1, alpha: 0.5, factor: 2}
	case quantile:
		return pinball{name: quantile, alpha: s.Alpha, factor: 1}
	case huber:
		return huberLoss{delta: s.Alpha}
	case poisson:
		return poissonLoss{}
	case gamma:
		return gammaLoss{}
	case tweedie:
		return tweedieLoss{power: s.TweediePower}
	case logistic:
		return logisticLoss{}
	case softmax:
		return softmaxLoss{}
	case lambdarank:
		return rankLoss{truncation: s.Truncation, norm: s.Norm}
	}
	panic("gbdt: unknown objective " + name)
}

// ofTask is the outputs of an objective that is one for the listed tasks.
func ofTask(name string, task learner.Task, outputs int, tasks ...learner.Task) (int, error) {
	for _, t := range tasks {
		if t == task {
			return outputs, nil
		}
	}
	return 0, fault.New(fault.Invalid, "gbdt: objective %s is not one for a %s task", name, task).
		WithHint("leave objective out to have it chosen by the task")
}

// mean is the weighted mean label.
func (r *Rows) mean() float64 {
	var sum, weight float64
	for i, y := range r.Y {
		w := r.weight(i)
		sum += float64(w * y)
		weight += w
	}
	return sum / weight
}

// logLoss is -log of the probability 1/(1+e^-z) of a row's own class at margin z towards it.
func logLoss(z float64) float64 {
	if z < 0 {
		return math.Log1p(math.Exp(z)) - z
	}
	return math.Log1p(math.Exp(-z))
}
