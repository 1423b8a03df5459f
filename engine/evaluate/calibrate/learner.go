package calibrate

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// AutoMethod is Platt's for two classes and the temperature for several.
const AutoMethod Method = "auto"

// Choices are what method may be, in the order to show them.
func Choices() []string {
	out := []string{string(AutoMethod)}
	for _, m := range Methods() {
		out = append(out, string(m))
	}
	return out
}

// Learner fits another learner and calibrates it by predictions out of fold. Its parameters are learner (gbdt), method
// (auto) and calibration_folds (5); all others are the other learner's.
type Learner struct {
	inner  learner.Learner
	method Method
	folds  int
	seed   uint64
	seeded bool
}

// foldsParam is no name that a learner within has: several have folds of their own.
const foldsParam = "calibration_folds"

// Around makes the learner that fits the named one with the parameters and calibrates it; calibration_folds is taken from
// among them. make makes the learner within, which therefore refuses what it does not know.
func Around(name string, p learner.Params, method Method, make func(name string, p learner.Params) (learner.Learner, error)) (*Learner, error) {
	own := learner.Params{"learner": name, "method": string(method)}
	for key, v := range p {
		if _, taken := own[key]; taken {
			return nil, fault.New(fault.Invalid, "%s: unknown parameter %q", name, key)
		}
		own[key] = v
	}
	return NewLearner(own, make)
}

// NewLearner reads the parameters; make makes the learner within.
func NewLearner(p learner.Params, make func(name string, p learner.Params) (learner.Learner, error)) (*Learner, error) {
	own, rest := learner.Params{}, maps.Clone(p)
	for _, name := range []string{"learner", "method", foldsParam, "seed"} {
		if v, ok := p[name]; ok {
			own[name] = v
			if name != "seed" { // which both read
				delete(rest, name)
			}
		}
	}
	r := learner.NewReader(Kind, own)
	name := r.Text("learner", "gbdt")
	l := &Learner{method: Method(r.Text("method", string(AutoMethod), Choices()...)), folds: r.Int(foldsParam, 5, 2, 100)}
	l.seed, l.seeded = r.Seed()
	if err := r.Done(); err != nil {
		return nil, err
	}
	if name == Kind {
		return nil, fault.New(fault.Invalid, "%s: the learner within cannot be calibrated itself", Kind)
	}
	var err error
	l.inner, err = make(name, rest)
	return l, err
}

// Name implements learner.Learner.
func (l *Learner) Name() string { return Kind }

// Params implements learner.Learner.
func (l *Learner) Params() learner.Params {
	p := maps.Clone(l.inner.Params())
	p["learner"], p["method"], p[foldsParam] = l.inner.Name(), string(l.method), l.folds
	if l.seeded {
		p["seed"] = l.seed
	}
	return p
}

// Fit implements learner.Learner. The rows of each class are dealt to the folds in an order drawn from the seed, so that
// every fold has about as many; a class of one row is always trained on and never calibrated on.
func (l *Learner) Fit(ctx context.Context, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	if task != learner.Binary && task != learner.Multiclass {
		return nil, fault.New(fault.Invalid, "a model of task %q has no probabilities to calibrate", task).WithHint("use the learner %s itself", l.inner.Name())
	}
	if err := learner.Check(train, task, classes, opt.Weights); err != nil {
		return nil, err
	}
	method := l.method
	if method == AutoMethod {
		method = PlattMethod
		if task == learner.Multiclass {
			method = TemperatureMethod
		}
	}
	seed := opt.Seed
	if l.seeded {
		seed = l.seed
	}
	return FitModel(ctx, l.inner, train, task, classes, opt, deal(train.Y, max(classes, 2), l.folds, seed), method)
}

// deal gives each row a fold.
func deal(y []float64, classes, folds int, seed uint64) []int32 {
	rows := make([][]int, classes)
	for i, v := range y {
		c := int(math.Round(v))
		rows[c] = append(rows[c], i)
	}
	out := make([]int32, len(y))
	next := 0
	for c, own := range rows {
		if len(own) == 1 {
			out[own[0]] = -1
			continue
		}
		r := rand.New(rand.NewPCG(seed, uint64(c)))
		r.Shuffle(len(own), func(a, b int) { own[a], own[b] = own[b], own[a] })
		for _, i := range own {
			out[i] = int32(next % folds)
			next++
		}
	}
	return out
}
