// Package learn is the door to Trimtab's learners: it names them, makes them from parameters and loads what they made.
// The contract's types live in package learner and are shown here under their own names, because the algorithms below
// this package need them too. It must never know where rows come from or where models are kept.
package learn

import (
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn/bayes"
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/engine/learn/dummy"
	"github.com/trimtab-ml/trimtab/engine/learn/forest"
	"github.com/trimtab-ml/trimtab/engine/learn/gbdt"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/mlp"
	"github.com/trimtab-ml/trimtab/engine/learn/neighbours"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The contract, documented in package learner.
type (
	Task    = learner.Task
	Params  = learner.Params
	Options = learner.Options
	Set     = learner.Set
	Learner = learner.Learner
	Model   = learner.Model
	Wide    = learner.Wide
)

// ErrPruned is what a fit ends with when Options.Prune asked for it.
var ErrPruned = learner.ErrPruned

// The tasks.
const (
	Binary     = learner.Binary
	Multiclass = learner.Multiclass
	Regression = learner.Regression
	Ranking    = learner.Ranking
)

// Kinds of models that are read from files of other libraries (package exchange); a linear one ends with LinearKind, and
// trees that read combinations of features with CombinedKind.
const (
	LightGBM   = "lightgbm"
	XGBoost    = "xgboost"
	CatBoost   = "catboost"
	ONNX       = "onnx"
	LinearKind = "_linear"

	CombinedKind = "_combined"
)

// Names are the learners that New makes, in the order to show them.
func Names() []string {
	return []string{gbdt.Name, forest.Tree, forest.RandomForest, forest.ExtraTrees, linear.Logistic, linear.Linear, linear.Ridge, linear.Lasso, linear.ElasticNet, neighbours.Name, bayes.Name, dummy.Name, mlp.Name}
}

// Presets are the learners that need no tuning, in the order of their effort; New makes them too.
func Presets() []string { return preset.Names() }

// New makes the named learner or preset, or "calibrated", which wraps one of them. An unknown name or parameter, or a value outside its range, is fault.Invalid with the
// nearest name as hint.
func New(name string, p Params) (Learner, error) {
	switch name {
	case gbdt.Name:
		return gbdt.New(p)
	case forest.Tree, forest.RandomForest, forest.ExtraTrees:
		return forest.New(name, p)
	case linear.Logistic, linear.Linear, linear.Ridge, linear.Lasso, linear.ElasticNet:
		return linear.New(name, p)
	case neighbours.Name:
		return neighbours.New(p)
	case bayes.Name:
		return bayes.New(p)
	case dummy.Name:
		return dummy.New(p)
	case mlp.Name:
		return mlp.New(p)
	case calibrate.Kind:
		return calibrate.NewLearner(p, New)
	}
	if slices.Contains(preset.Names(), name) {
		return preset.New(name, p, New)
	}
	e := fault.New(fault.Invalid, "there is no learner %q", name)
	if near := learner.Nearest(name, Names()); near != "" {
		return nil, e.WithHint("did you mean %q? Learners are %s", near, strings.Join(Names(), ", "))
	}
	return nil, e.WithHint("learners are %s", strings.Join(Names(), ", "))
}

// Load reads a model that MarshalBinary wrote. Bytes that are not one, or are cut or altered so that a prediction
// could go out of bounds, are fault.Corrupt; it never panics.
func Load(b []byte) (Model, error) { return load(b, 0) }

// deepest is how far models may lie within models: a calibration holds a blend, which holds learners' models.
const deepest = 4

func load(b []byte, depth int) (Model, error) {
	if depth > deepest {
		return nil, fault.New(fault.Corrupt, "the model has models within models, %d deep", depth)
	}
	within := func(b []byte) (Model, error) { return load(b, depth+1) }
	r, version, kind, err := wire.Open(b)
	if err != nil {
		return nil, err
	}
	switch kind {
	case preset.Kind:
		return preset.Load(r, version, within)
	case calibrate.Kind:
		return calibrate.Load(r, version, within)
	case gbdt.Name, forest.Tree, forest.RandomForest, forest.ExtraTrees, LightGBM, XGBoost, CatBoost, ONNX:
		return tree.Load(r, version, kind)
	case CatBoost + CombinedKind:
		return combine.Load(r, version, kind)
	case linear.Logistic, linear.Linear, linear.Ridge, linear.Lasso, linear.ElasticNet, XGBoost + LinearKind, ONNX + LinearKind:
		return linear.Load(r, version, kind)
	case neighbours.Name:
		return neighbours.Load(r, version)
	case bayes.Name:
		return bayes.Load(r, version)
	case dummy.Name:
		return dummy.Load(r, version)
	case mlp.Name:
		return mlp.Load(r, version)
	}
	return nil, fault.New(fault.FormatNotServed, "a model of kind %q cannot be read by this version", kind)
}

// Clone makes a learner like l with the changes applied over its parameters.
func Clone(l Learner, changes Params) (Learner, error) {
	p := l.Params()
	for k, v := range changes {
		p[k] = v
	}
	return New(l.Name(), p)
}
