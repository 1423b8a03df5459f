package gbdt_test

import (
	"fmt"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/gbdt"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/learnertest"
)

// Objectives, forests and holdouts keep the learner contract as the default does, which package learn holds to it.
func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("half a second for each")
	}
	for _, s := range []learnertest.Subject{
		{Task: learner.Regression, Params: learner.Params{"objective": "l1"}, Learns: 0.8},
		{Task: learner.Regression, Params: learner.Params{"objective": "huber", "alpha": 1.5}, Learns: 0.8},
		{Task: learner.Regression, Params: learner.Params{"boosting": "rf", "subsample": 0.6}, Learns: 0.9},
		{Task: learner.Multiclass, Params: learner.Params{"boosting": "rf", "subsample": 0.6}, Learns: 0.95},
		{Task: learner.Binary, Params: learner.Params{"class_weight": "balanced"}, Learns: 0.95},
		{Task: learner.Ranking, Params: learner.Params{}},
	} {
		s.Name, s.Rounds, s.Ones = gbdt.Name, true, 0.1
		s.Params = with(s.Params, "rounds", 8, "leaves", 8)
		s.New = func(p learner.Params) (learner.Learner, error) { return gbdt.New(p) }
		s.Load = learn.Load
		t.Run(fmt.Sprint(s.Task, " ", s.Params), func(t *testing.T) { learnertest.Run(t, s) })
	}
}
