package exchange

import (
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// xgboostLinear makes a linear model of gblinear's weights: features x outputs, then a bias for each output. A value
// that is missing adds nothing. Of several base scores it adds the first to every output, as GBLinear::PredictBatchInternal does.
func xgboostLinear(weights singles, task learner.Task, link tree.Link, base []float64, features int) (*linear.Model, error) {
	k := len(base)
	if len(weights)%k != 0 || len(weights)/k != features+1 {
		return nil, fault.New(fault.Corrupt, "there are %d weights for %d features and %d outputs", len(weights), features, k)
	}
	if usual := tree.LinkOf(task); link != usual || task == learner.Regression && k > 1 {
		return nil, fault.New(fault.NotSupported, "a linear model of task %s with %d outputs cannot have the link %s", task, k, link).
			WithHint("train it with booster gbtree")
	}
	coef, intercept := make([][]float64, k), make([]float64, k)
	for out := range coef {
		coef[out] = make([]float64, features)
		for j := range coef[out] {
			coef[out][j] = float64(weights[j*k+out])
		}
		intercept[out] = base[0] + float64(weights[features*k+out])
	}
	return linear.NewModel(XGBoost+learn.LinearKind, task, coef, intercept, make([]float64, features))
}
