package learnertest

import (
	"math"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// weights: all ones are none at all; rows without weight teach nothing and a weight of 2 is the row twice, where the
// learner promises it. Few rows and one weight for all are fine.
func (s *Subject) weights(t *testing.T) {
	set := s.sample(400, 1)
	ones := make([]float64, 400)
	for i := range ones {
		ones[i] = 1
	}
	plain := s.predictions(t, s.fit(t, set, learner.Options{Seed: 1}), set.X)
	weighted := s.predictions(t, s.fit(t, set, learner.Options{Seed: 1, Weights: ones}), set.X)
	tolerance := max(s.Ones, s.Repeats, 1e-9)
	if d := distance(plain, weighted); d > tolerance {
		t.Errorf("with weights of 1 predictions differ by %v", d)
	}
	if s.Repeats == 0 {
		return
	}
	var rows []int
	for i := range ones {
		ones[i] = float64(i % 3)
		if set.Query != nil {
			ones[i] = float64(int(set.Query[i]) % 3)
		}
		for range int(ones[i]) {
			rows = append(rows, i)
		}
	}
	weighted = s.predictions(t, s.fit(t, set, learner.Options{Seed: 1, Weights: ones}), set.X)
	twice := s.predictions(t, s.fit(t, take(set, rows), learner.Options{Seed: 1}), set.X)
	if d := distance(weighted, twice); d > s.Repeats {
		t.Errorf("rows of weight 2 and rows written twice give predictions that differ by %v", d)
	}
}

// distance is the largest difference relative to the larger of 1 and the value.
func distance(a, b []float64) float64 {
	var d float64
	for i, v := range a {
		d = max(d, math.Abs(v-b[i])/max(1, math.Abs(v)))
	}
	return d
}

// learning: on rows not seen, less is lost than with the best constant.
func (s *Subject) learning(t *testing.T) {
	if s.Learns == 0 || s.Task == learner.Ranking {
		t.Skip("nothing promised")
	}
	set, unseen := s.sample(3000, 1), s.sample(1500, 2)
	m := s.fit(t, set, learner.Options{})
	got := learner.MeanLoss(s.Task, unseen.Y, s.predictions(t, m, unseen.X))
	if best := constantLoss(set, unseen, s.Task, s.Classes); !(got <= s.Learns*best) {
		t.Errorf("loss %v on unseen rows, more than %v of the best constant's %v", got, s.Learns, best)
	}
}

// constantLoss is the loss on rows of what is best for the training set without looking at the inputs.
func constantLoss(train, rows learner.Set, task learner.Task, classes int) float64 {
	var p []float64
	switch task {
	case learner.Multiclass:
		p = make([]float64, classes)
		for _, y := range train.Y {
			p[int(y)] += 1 / float64(len(train.Y))
		}
	default:
		p = make([]float64, 1)
		for _, y := range train.Y {
			p[0] += y / float64(len(train.Y))
		}
	}
	var all []float64
	for range rows.Y {
		all = append(all, p...)
	}
	return learner.MeanLoss(task, rows.Y, all)
}

// missing: gaps in training and prediction, a column of nothing else and rows of nothing else.
func (s *Subject) missing(t *testing.T) {
	set := s.sample(400, 1)
	for i := range set.X.Rows {
		set.X.Row(i)[6] = nan // never there
		if i%9 == 0 {
			for j := range set.X.Row(i) {
				set.X.Row(i)[j] = nan
			}
		}
		if i%4 == 0 {
			set.X.Row(i)[few], set.X.Row(i)[many] = nan, nan
		}
	}
	m := s.fit(t, set, learner.Options{})
	s.predictions(t, m, set.X)
	for j := range set.X.Row(1) {
		set.X.Row(1)[j] = nan
	}
	s.predictions(t, m, set.X.Take([]int{1, 2}))

	whole := s.numbers(300, 4, 1) // gaps come only later
	m = s.fit(t, whole, learner.Options{})
	holes := whole.X.Take([]int{0, 1, 2})
	holes.Data[0], holes.Data[5], holes.Data[11] = nan, nan, nan
	s.predictions(t, m, holes)

	nothing := s.numbers(100, 2, 1)
	for i := range nothing.X.Data {
		nothing.X.Data[i] = nan
	}
	if m := s.either(t, nothing, learner.Options{}); m != nil {
		s.predictions(t, m, nothing.X)
		s.predictions(t, m, columns(whole.X, 2))
	}
}

// categories: codes that training did not see, codes that are no codes, and columns with one category or none used.
func (s *Subject) categories(t *testing.T) {
	if s.NoCategories {
		t.Skip("the learner reads categories as numbers")
	}
	set := s.sample(500, 1)
	m := s.fit(t, set, learner.Options{})
	odd := set.X.Take([]int{0, 1, 2, 3, 4, 5, 6, 7})
	for i, v := range []float32{fewCodes, 200, -1, 2.5, 1e30, nan, inf, -inf} {
		odd.Row(i)[few], odd.Row(i)[many] = v, v
	}
	s.predictions(t, m, odd)

	one := s.sample(200, 2)
	one.X.Levels[few], one.X.Levels[many] = 1, 300
	for i := range one.X.Rows {
		one.X.Row(i)[few] = 0
		one.X.Row(i)[many] = float32(100 + i%2) // most categories have no rows
	}
	s.predictions(t, s.fit(t, one, learner.Options{}), one.X)

	only := learner.Set{X: table.NewMatrix(set.X.Rows, []string{"few"}), Y: set.Y, Query: set.Query}
	only.X.Levels = []int32{fewCodes}
	for i := range set.X.Rows {
		only.X.Data[i] = set.X.Row(i)[few]
	}
	s.predictions(t, s.fit(t, only, learner.Options{}), only.X)
}

// edges: sets that are small, alike, wide or large in value give a model or a clear refusal, and predictions that are
// numbers also for values that training never saw.
func (s *Subject) edges(t *testing.T) {
	far := func(t *testing.T, m learner.Model, x *table.Matrix) {
		t.Helper()
		odd := x.Take(make([]int, 7))
		for i, v := range []float32{1e30, -1e30, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, inf, -inf} {
			for j := range odd.Cols {
				if odd.Categories(j) == 0 {
					odd.Row(i)[j] = v
				}
			}
		}
		s.predictions(t, m, odd)
	}
	t.Run("ordinary", func(t *testing.T) {
		set := s.sample(300, 1)
		far(t, s.fit(t, set, learner.Options{}), set.X)
	})
	for name, set := range map[string]learner.Set{
		"one row": s.sample(1, 1), "two rows": s.sample(2, 1), "five rows": s.sample(5, 4), "wide": s.numbers(30, 200, 1),
		"one column": s.numbers(200, 1, 1), "constant columns": s.changed(200, func(_, _ int) float32 { return 4 }),
		"zero columns": s.changed(200, func(_, _ int) float32 { return 0 }),
		"huge":         s.changed(200, func(i, j int) float32 { return float32(i%7-3) * 1e30 * float32(1+j) }),
		"largest": s.changed(200, func(i, _ int) float32 {
			if i%2 == 0 {
				return -math.MaxFloat32
			}
			return math.MaxFloat32
		}),
		"tiny":        s.changed(200, func(i, _ int) float32 { return float32(i) * math.SmallestNonzeroFloat32 }),
		"huge offset": s.changed(200, func(i, _ int) float32 { return 1e9 + float32(i)*64 }),
		"infinite":    s.changed(200, func(i, j int) float32 { return inf * float32(i%2*2-1) }),
		"one outlier": s.changed(200, func(i, j int) float32 {
			if i == 7 {
				return 1e30
			}
			return float32(i%13) / 13
		}),
		"copies": s.changed(200, func(i, j int) float32 { return float32(i % 11) }),
	} {
		t.Run(name, func(t *testing.T) {
			if m := s.either(t, set, learner.Options{}); m != nil {
				s.predictions(t, m, set.X)
				s.shares(t, m)
				far(t, m, set.X)
				if _, err := s.Load(encoded(t, m)); err != nil {
					t.Errorf("Load: %v", err)
				}
			}
		})
	}
	labels := map[string]func(i int) float64{"one label": func(int) float64 { return 1 }}
	if s.Task == learner.Regression {
		labels["huge labels"] = func(i int) float64 { return float64(i%5-2) * 1e25 }
		labels["tiny labels"] = func(i int) float64 { return float64(i%5-2) * 1e-300 }
		labels["offset labels"] = func(i int) float64 { return 1e12 + float64(i%3) }
	}
	if s.Task == learner.Multiclass {
		labels["rare class"] = func(i int) float64 {
			if i == 3 {
				return float64(s.Classes - 1)
			}
			return float64(i % 2)
		}
	}
	if s.Task == learner.Binary {
		labels["separable"] = func(i int) float64 { return float64(i % 2) }
	}
	for name, label := range labels {
		t.Run(name, func(t *testing.T) {
			set := s.numbers(120, 3, 1)
			for i := range set.Y {
				set.Y[i] = label(i)
				set.X.Row(i)[1] = float32(set.Y[i])
			}
			for j := range set.X.Data {
				set.X.Data[j] = min(set.X.Data[j], 1e30)
			}
			if m := s.either(t, set, learner.Options{}); m != nil {
				s.predictions(t, m, set.X)
				s.shares(t, m)
				far(t, m, set.X)
			}
		})
	}
	t.Run("heavy and light rows", func(t *testing.T) {
		set := s.sample(200, 1)
		w := make([]float64, 200)
		for i := range w {
			w[i] = []float64{1e12, 1e-12, 0, 1}[i%4]
		}
		if m := s.either(t, set, learner.Options{Weights: w}); m != nil {
			s.predictions(t, m, set.X)
		}
		clear(w)
		w[0], w[1] = 1, 1 // the only ones left
		if m := s.either(t, set, learner.Options{Weights: w}); m != nil {
			s.predictions(t, m, set.X)
		}
	})
}

// changed is a set of three numeric columns with the given values.
func (s *Subject) changed(rows int, value func(i, j int) float32) learner.Set {
	set := s.numbers(rows, 3, 1)
	for i := range rows {
		for j := range 3 {
			set.X.Row(i)[j] = value(i, j)
		}
	}
	return set
}
