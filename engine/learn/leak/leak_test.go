package leak

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func TestLater(t *testing.T) {
	at, planned, arrived := make([]float64, 100), make([]float64, 100), make([]float64, 100)
	for i := range at {
		at[i], planned[i], arrived[i] = float64(i), float64(i-5), float64(i+10)
		if i%4 == 0 {
			arrived[i] = math.NaN()
		}
	}
	if a, ok := Later("planned", planned, at); ok {
		t.Errorf("planned: %v", a)
	}
	if a, ok := Later("arrived", arrived, at); !ok || a.Kind != KnownLater || a.Value != 1 {
		t.Errorf("arrived: %v", a)
	}
}

func TestCheck(t *testing.T) {
	const n = 1000
	r := rand.New(rand.NewPCG(1, 1))
	x := table.NewMatrix(n, []string{"noise", "leak", "missing", "row", "shop", "good"})
	x.Levels = []int32{0, 0, 0, 0, 3, 0}
	y := make([]float64, n)
	for i := range y {
		y[i] = float64(r.IntN(2))
		row := x.Row(i)
		row[0] = float32(r.NormFloat64())
		row[1] = float32(-5*y[i] + r.NormFloat64()/2)
		row[2] = 1
		if y[i] == 1 && i%300 != 0 { // missing says it all
			row[2] = float32(math.NaN())
		}
		row[3] = float32(i + 100)
		row[4] = float32(y[i])
		row[5] = float32(y[i] + r.NormFloat64())
	}
	got := map[string]Kind{}
	for _, a := range Check(x, y, learner.Binary, 2) {
		got[a.Column] = a.Kind
	}
	want := map[string]Kind{"leak": TooGood, "missing": TooGood, "row": Identifier, "shop": TooGood}
	if len(got) != len(want) {
		t.Errorf("alarms %v, not %v", got, want)
	}
	for c, k := range want {
		if got[c] != k {
			t.Errorf("%s: %q, not %q", c, got[c], k)
		}
	}
	z := make([]float64, n)
	for i := range z {
		z[i] = 3 * float64(x.Row(i)[0])
	}
	alarms := Check(x, z, learner.Regression, 0)
	if len(alarms) != 2 || alarms[0].Column != "noise" || alarms[1].Column != "row" {
		t.Errorf("regression: %v", alarms)
	}
}
