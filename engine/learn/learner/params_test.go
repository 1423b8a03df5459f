package learner_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
)

func TestNearest(t *testing.T) {
	names := []string{"rounds", "leaves", "learning_rate", "l2", "bins", "min_leaf"}
	for typed, want := range map[string]string{
		"round": "rounds", "leafs": "leaves", "Leaves": "leaves", "learningrate": "learning_rate", "lr": "l2",
		"min_laef": "min_leaf", "max_depth": "", "": "",
	} {
		if got := learner.Nearest(typed, names); got != want {
			t.Errorf("%q: %q, not %q", typed, got, want)
		}
	}
}

// A configuration may come from YAML, from JSON or from Go: every kind of number is one.
func TestNumbersOfEveryKind(t *testing.T) {
	for _, v := range []any{7, int32(7), int64(7), uint(7), uint32(7), uint64(7), float32(7), 7.0, json.Number("7")} {
		r := learner.NewReader("gbdt", learner.Params{"n": v, "x": v, "seed": v})
		seed, set := r.Seed()
		if n, x := r.Int("n", 1, 0, 10), r.Float("x", 1, 0, 10); n != 7 || x != 7 || seed != 7 || !set || r.Done() != nil {
			t.Errorf("%T: %d, %v, seed %d, %v", v, n, x, seed, r.Done())
		}
	}
	for _, v := range []any{"7", true, []any{7}, json.Number("x"), math.NaN(), math.Inf(1)} {
		r := learner.NewReader("gbdt", learner.Params{"x": v})
		if r.Float("x", 1, 0, 10); r.Done() == nil {
			t.Errorf("%T %v was taken as a number", v, v)
		}
	}
	r := learner.NewReader("gbdt", learner.Params{"n": nil})
	if n := r.Int("n", 3, 0, 10); n != 3 || r.Done() != nil {
		t.Errorf("nothing given: %d, %v", n, r.Done())
	}
}
