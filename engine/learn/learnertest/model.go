package learnertest

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// parameters: all of them are told, and the learner made of what was told is the same learner, also after a journey
// through JSON. Fit changes none.
func (s *Subject) parameters(t *testing.T) {
	l := s.learner(t)
	told := l.Params()
	for name, want := range s.Params {
		got, ok := told[name]
		if !ok {
			t.Errorf("Params leaves out %s", name)
		} else if a, b := plain(t, got), plain(t, want); !reflect.DeepEqual(a, b) {
			t.Errorf("Params says %s is %v, not %v", name, a, b)
		}
	}
	set := s.sample(300, 1)
	m := s.fit(t, set, learner.Options{Seed: 5})
	text, err := json.Marshal(told)
	if err != nil {
		t.Fatal(err)
	}
	var read learner.Params
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]learner.Params{"from Params": told, "from Params through JSON": read} {
		clone, err := s.New(p)
		if err != nil {
			t.Errorf("New does not take %s: %v", what, err)
			continue
		}
		if a, b := plain(t, clone.Params()), plain(t, told); !reflect.DeepEqual(a, b) {
			t.Errorf("a learner %s has the parameters %v, not %v", what, a, b)
		}
		again, err := s.attempt(t, t.Context(), clone, set, learner.Options{Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "a learner made "+what, m, again)
	}
	if _, err := s.attempt(t, t.Context(), l, set, learner.Options{}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(plain(t, l.Params()), plain(t, told)) {
		t.Error("Fit changes the parameters")
	}
	told["no_such_thing"] = 1
	if _, err := s.New(told); !fault.Is(err, fault.Invalid) {
		t.Errorf("a parameter nobody has is not refused: %v", err)
	}
	if reflect.DeepEqual(plain(t, l.Params()), plain(t, told)) {
		t.Error("a change of what Params returned changes the learner")
	}
}

// plain is the value as JSON tells it, in which 1 and 1.0 are one.
func plain(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// prediction: a model says what it is, one row predicts what the matrix predicts without allocating, importances are
// shares, and the training set is left as it was.
func (s *Subject) prediction(t *testing.T) {
	set := s.sample(1500, 1)
	data, y := slices.Clone(set.X.Data), slices.Clone(set.Y)
	m := s.fit(t, set, learner.Options{})
	for i, v := range data {
		if math.Float32bits(v) != math.Float32bits(set.X.Data[i]) {
			t.Fatal("Fit changes the matrix")
		}
	}
	if !slices.Equal(y, set.Y) {
		t.Fatal("Fit changes the labels")
	}
	if m.Kind() == "" || m.Task() != s.Task {
		t.Errorf("the model is a %q for the task %q", m.Kind(), m.Task())
	}
	s.predictions(t, m, set.X)
	s.predictions(t, m, s.sample(333, 2).X)
	if empty := s.sample(2, 3).X.Take(nil); empty.Rows == 0 {
		m.Predict(empty, nil)
	}
	s.shares(t, m)
	row, dst := set.X.Row(0), make([]float64, m.Outputs())
	if n := testing.AllocsPerRun(100, func() { m.PredictRow(row, dst) }); n != 0 && !s.Allocates {
		t.Errorf("PredictRow allocates %v times", n)
	}
	long := slices.Repeat([]float64{-7}, m.Outputs()+1) // what stands after the outputs is not the model's
	m.PredictRow(row, long)
	if long[m.Outputs()] != -7 {
		t.Error("PredictRow writes more numbers than it has outputs")
	}
}

func (s *Subject) shares(t testing.TB, m learner.Model) {
	t.Helper()
	shares := m.Importance()
	if len(shares) != m.Features() {
		t.Fatalf("there are %d importances for %d features", len(shares), m.Features())
	}
	var sum float64
	for j, v := range shares {
		if !(v >= 0) {
			t.Errorf("the importance of feature %d is %v", j, v)
		}
		sum += v
	}
	if sum != 0 && math.Abs(sum-1) > 1e-9 {
		t.Errorf("importances add up to %v", sum)
	}
}

// storage: what is stored and loaded is the same model.
func (s *Subject) storage(t *testing.T) {
	m := s.fit(t, s.sample(800, 1), learner.Options{})
	b := encoded(t, m)
	loaded, err := s.Load(b)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if !bytes.Equal(b, encoded(t, m)) || !bytes.Equal(b, encoded(t, loaded)) {
		t.Error("stored again, the model has other bytes")
	}
	if loaded.Kind() != m.Kind() || loaded.Task() != m.Task() || loaded.Outputs() != m.Outputs() || loaded.Features() != m.Features() {
		t.Errorf("loaded %s %s with %d outputs of %d features", loaded.Kind(), loaded.Task(), loaded.Outputs(), loaded.Features())
	}
	x := s.sample(200, 2).X
	for i, v := range s.predictions(t, loaded, x) {
		if want := s.predictions(t, m, x.Take([]int{i / m.Outputs()}))[i%m.Outputs()]; v != want {
			t.Fatalf("the loaded model predicts %v, the fitted one %v", v, want)
		}
	}
	if a, b := loaded.Importance(), m.Importance(); !slices.Equal(a, b) {
		t.Errorf("the loaded model has the importances %v, not %v", a, b)
	}
}

// damage: a model cut short is refused; one with a flipped byte is refused or still predicts without a panic.
func (s *Subject) damage(t *testing.T) {
	b := encoded(t, s.fit(t, s.sample(60, 1), learner.Options{}))
	step := 1 + len(b)/1500
	for i := 0; i < len(b); i += step {
		if _, err := s.Load(b[:i]); err == nil {
			t.Fatalf("loaded from %d of %d bytes", i, len(b))
		} else if fault.CodeOf(err) == fault.Internal {
			t.Fatalf("%d of %d bytes are not answered with a fault: %v", i, len(b), err)
		}
		for _, flip := range []byte{1, 0x80, 0xff} {
			c := bytes.Clone(b)
			c[i] ^= flip
			if m, err := s.Load(c); err == nil {
				m.PredictRow(make([]float32, m.Features()), make([]float64, m.Outputs()))
				m.Importance()
			}
		}
	}
}

// workers: the same bytes for any number of them. The set is larger than the pieces that learners cut work into.
func (s *Subject) workers(t *testing.T) {
	rows := 6000
	if testing.Short() {
		rows = 2000
	}
	set := s.sample(rows, 7)
	weights := make([]float64, rows)
	for i := range weights {
		weights[i] = float64(i%5) / 2
	}
	for what, w := range map[string][]float64{"without weights": nil, "with weights": weights} {
		one := s.fit(t, set, learner.Options{Workers: 1, Seed: 3, Weights: w})
		for _, n := range []int{2, 3, 8} {
			m := s.fit(t, set, learner.Options{Workers: n, Seed: 3, Weights: w})
			if !bytes.Equal(encoded(t, one), encoded(t, m)) {
				t.Errorf("%d workers, %s: other bytes than with one", n, what)
			}
		}
	}
}

// together: one learner fits several sets at once, and one model predicts on several goroutines.
func (s *Subject) together(t *testing.T) {
	l := s.learner(t)
	sets := []learner.Set{s.sample(200, 1), s.sample(150, 2), s.sample(200, 1)}
	models := make([]learner.Model, len(sets))
	var wg sync.WaitGroup
	for i := range sets {
		wg.Go(func() {
			m, err := l.Fit(t.Context(), sets[i], s.Task, s.Classes, learner.Options{Seed: 1})
			if err != nil {
				t.Error(err)
			}
			models[i] = m
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	same(t, "fits at the same time", models[0], models[2])
	x := sets[0].X
	want := s.predictions(t, models[0], x)
	for range 4 {
		wg.Go(func() {
			got := make([]float64, len(want))
			models[0].Predict(x, got)
			if !slices.Equal(got, want) {
				t.Error("predictions at the same time differ")
			}
		})
	}
	wg.Wait()
}
