//go:build !race

package mlp_test

import (
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
)

// One row is predicted without allocating. The race detector makes a sync.Pool forget things on purpose.
func TestPredictRowAllocates(t *testing.T) {
	set := rings(200, 1, learner.Multiclass)
	m := fit(t, learner.Params{"hidden": []int{33, 20}, "epochs": 1}, set, learner.Multiclass, learner.Options{Workers: 1})
	row := make([]float64, m.Outputs())
	if n := testing.AllocsPerRun(100, func() { m.PredictRow(set.X.Row(0), row) }); n > 0 {
		t.Errorf("a row allocates %v times", n)
	}
}
