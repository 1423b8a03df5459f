package learn_test

import (
	"fmt"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learnertest"
)

// subjects are what learners of the door are tried on: every name of learn.Names must be among them.
var subjects = []learnertest.Subject{
	{Name: "gbdt", Task: learn.Binary, Params: learn.Params{"rounds": 15, "leaves": 8}, Rounds: true, Ones: 0.1, Learns: 0.85},
	{Name: "gbdt", Task: learn.Multiclass, Params: learn.Params{"rounds": 8, "leaves": 8}, Rounds: true, Ones: 0.1, Learns: 0.9},
	{Name: "gbdt", Task: learn.Regression, Params: learn.Params{"rounds": 15, "leaves": 8}, Rounds: true, Ones: 0.1, Learns: 0.7},
	{Name: "tree", Task: learn.Binary, Params: learn.Params{"min_leaf": 60}, Learns: 0.95},
	{Name: "tree", Task: learn.Regression, Params: learn.Params{"leaves": 60}, Learns: 0.7},
	{Name: "random_forest", Task: learn.Multiclass, Params: learn.Params{"trees": 16, "min_leaf": 4}, Rounds: true, Learns: 0.9},
	{Name: "random_forest", Task: learn.Regression, Params: learn.Params{"trees": 16}, Rounds: true, Learns: 0.7},
	{Name: "extra_trees", Task: learn.Binary, Params: learn.Params{"trees": 16, "min_leaf": 4}, Rounds: true, Learns: 0.9},
	{Name: "logistic", Task: learn.Binary, Rounds: true, Repeats: 1e-6, Learns: 0.85},
	{Name: "logistic", Task: learn.Multiclass, Rounds: true, Repeats: 1e-6, Learns: 0.85},
	{Name: "logistic", Task: learn.Binary, Params: learn.Params{"l1": 2, "l2": 1, "class_weight": "balanced", "missing_indicators": true}, Rounds: true, Repeats: 1e-6, Learns: 0.9},
	{Name: "logistic", Task: learn.Multiclass, Params: learn.Params{"l1": 2, "l2": 0, "standardise": false, "class_weight": []float64{1, 1, 2, 1}}, Rounds: true, Repeats: 1e-6, Learns: 0.9},
	{Name: "linear", Task: learn.Regression, Repeats: 1e-9, Learns: 0.7},
	{Name: "linear", Task: learn.Regression, Params: learn.Params{"l2": 0, "missing_indicators": true}, Repeats: 1e-6, Learns: 0.7},
	{Name: "ridge", Task: learn.Regression, Params: learn.Params{"standardise": false}, Repeats: 1e-9, Learns: 0.7},
	{Name: "lasso", Task: learn.Regression, Params: learn.Params{"alphas": 20}, Rounds: true, Learns: 0.7},
	{Name: "lasso", Task: learn.Regression, Params: learn.Params{"alpha": 0.01}, Repeats: 1e-6, Learns: 0.7},
	{Name: "elastic_net", Task: learn.Regression, Params: learn.Params{"alphas": 20, "l1_ratio": 0.2, "missing_indicators": true}, Rounds: true, Learns: 0.7},
	{Name: "knn", Task: learn.Binary, Params: learn.Params{"k": 15}, Ones: 1e-6, Learns: 0.95},
	{Name: "knn", Task: learn.Multiclass, Params: learn.Params{"weights": "distance", "metric": "manhattan"}, Ones: 1e-6},
	{Name: "knn", Task: learn.Regression, Params: learn.Params{"weights": "distance"}, Ones: 1e-6, Learns: 0.8},
	{Name: "naive_bayes", Task: learn.Binary, Repeats: 1e-9, Learns: 0.9},
	{Name: "naive_bayes", Task: learn.Multiclass, Params: learn.Params{"alpha": 0.5}, Repeats: 1e-9, Learns: 0.9},
	{Name: "mlp", Task: learn.Binary, Params: learn.Params{"hidden": []int{24}, "epochs": 6, "batch": 32, "validation_fraction": 0}, Rounds: true, Ones: 1e-6, Learns: 0.9},
	{Name: "mlp", Task: learn.Multiclass, Params: learn.Params{"hidden": []int{24, 16}, "epochs": 6, "batch": 32, "validation_fraction": 0, "activation": "mish"}, Rounds: true, Ones: 1e-6, Learns: 0.9},
	{Name: "mlp", Task: learn.Regression, Params: learn.Params{"hidden": []int{24}, "epochs": 8, "batch": 32, "validation_fraction": 0, "activation": "relu"}, Rounds: true, Ones: 1e-6, Learns: 0.8},
	{Name: "dummy", Task: learn.Binary, Params: learn.Params{"strategy": "stratified", "seed": 7}, Repeats: 1e-12},
	{Name: "dummy", Task: learn.Multiclass, Repeats: 1e-12, Learns: 1.01},
	{Name: "dummy", Task: learn.Regression, Params: learn.Params{"strategy": "median"}, Repeats: 1e-12, Learns: 1.1},
	{Name: "dummy", Task: learn.Ranking, Repeats: 1e-12},
}

// Every learner keeps the contract.
func TestConformance(t *testing.T) {
	missing := map[string]bool{}
	for _, name := range learn.Names() {
		missing[name] = true
	}
	for _, s := range subjects {
		delete(missing, s.Name)
		s.New = func(p learn.Params) (learn.Learner, error) { return learn.New(s.Name, p) }
		s.Load = learn.Load
		t.Run(fmt.Sprint(s.Name, " ", s.Task, " ", s.Params), func(t *testing.T) {
			learnertest.Run(t, s)
		})
	}
	for name := range missing {
		t.Errorf("%s has no subject here", name)
	}
}
