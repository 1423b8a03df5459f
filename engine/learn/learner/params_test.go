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
	for _, c := range []struct {
		typed string
		names []string
		want  string
	}{
		{"y", []string{"a", "Y"}, "Y"},
		{"y", []string{"a", "b"}, ""},
		{"Label", []string{"id", "LABEL"}, "LABEL"},
	} {
		if got := learner.Nearest(c.typed, c.names); got != c.want {
			t.Errorf("%q of %q is meant as %q, not %q", c.typed, c.names, got, c.want)
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

func TestTextsBoolsAndLists(t *testing.T) {
	p := learner.Params{"how": "fast", "on": true, "list": []any{1, json.Number("2"), 3.0}, "sizes": []int{3, 4}, "alpha": "auto"}
	r := learner.NewReader("mine", p)
	how, on := r.Text("how", "slow", "slow", "fast"), r.Bool("on", false)
	list, sizes := r.Floats("list", nil, 0, 10), r.Ints("sizes", nil, 1, 10)
	if how != "fast" || !on || len(list) != 3 || list[1] != 2 || len(sizes) != 2 || sizes[1] != 4 {
		t.Errorf("read %q, %v, %v, %v", how, on, list, sizes)
	}
	if !r.Is("alpha", "auto") || r.Is("how", "auto") || r.Is("none", "auto") {
		t.Error("Is takes one word for another")
	}
	if r.Text("alpha", ""); r.Done() != nil {
		t.Error(r.Done())
	}
	for name, bad := range map[string]any{"how": "fats", "on": 1, "list": []any{1, "x"}, "sizes": []float64{1.5}} {
		r := learner.NewReader("mine", learner.Params{name: bad})
		how, on = r.Text("how", "slow", "slow", "fast"), r.Bool("on", true)
		list, sizes = r.Floats("list", []float64{7}, 0, 10), r.Ints("sizes", []int{7}, 1, 10)
		if r.Done() == nil || how != "slow" || !on || list[0] != 7 || sizes[0] != 7 {
			t.Errorf("%s %v: read %q, %v, %v, %v, %v", name, bad, how, on, list, sizes, r.Done())
		}
	}
}
