package forest_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/forest"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func fit(t testing.TB, name string, p learner.Params, set learner.Set, task learner.Task, classes int, opt learner.Options) *tree.Model {
	t.Helper()
	l, err := forest.New(name, p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, classes, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*tree.Model)
}

// field is rows of three numbers, one with gaps, and two categories, with a score that needs them all.
func field(rows int, seed uint64) (*table.Matrix, []float64) {
	r := rand.New(rand.NewPCG(seed, 5))
	x := table.NewMatrix(rows, []string{"a", "b", "c", "few", "many"})
	x.Levels = []int32{0, 0, 0, 4, 300}
	z := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		for j := range 3 {
			row[j] = float32(r.NormFloat64())
		}
		few, many := r.IntN(4), min(int(60*r.ExpFloat64()), 299)
		row[3], row[4] = float32(few), float32(many)
		z[i] = float64(row[0]) + math.Abs(float64(row[1])) + math.Sin(float64(many)) + []float64{0, 1, -1, 2}[few]*float64(row[2])
		if r.IntN(7) == 0 {
			row[1], row[4] = float32(math.NaN()), float32(math.NaN())
		}
	}
	return x, z
}

func classOf(z []float64, classes int) []float64 {
	y := make([]float64, len(z))
	for i, v := range z {
		y[i] = min(max(math.Floor(v+float64(classes)/2), 0), float64(classes-1))
	}
	return y
}

func binaryOf(z []float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 6))
	y := make([]float64, len(z))
	for i, v := range z {
		if r.Float64() < 1/(1+math.Exp(-2*v)) {
			y[i] = 1
		}
	}
	return y
}

// A lone tree without bounds learns its rows by heart: with few distinct values its splits part any two of them.
func TestTreeFitsItsRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	x := table.NewMatrix(400, []string{"a", "b"})
	y := make([]float64, x.Rows)
	for i := range y {
		x.Row(i)[0], x.Row(i)[1] = float32(i%20), float32(i/20)
		y[i] = float64(r.IntN(3))
	}
	out := make([]float64, 3*x.Rows)
	m := fit(t, forest.Tree, nil, learner.Set{X: x, Y: y}, learner.Multiclass, 3, learner.Options{})
	m.Predict(x, out)
	for i := range y {
		if out[3*i+int(y[i])] != 1 {
			t.Fatalf("row %d of class %v has shares %v", i, y[i], out[3*i:3*i+3])
		}
	}
	for i := range y {
		y[i] = 1e6 + r.NormFloat64()
	}
	m = fit(t, forest.Tree, nil, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
	m.Predict(x, out)
	for i := range y {
		if math.Abs(out[i]-y[i]) > 1e-9 {
			t.Fatalf("row %d: %v, not %v", i, out[i], y[i])
		}
	}
}

// Covers count the rows that reach a node by the rule that Tree documents, leaves hold their mean, splits gain what they
// say, and leaves have their rows. Weights count like repeated rows.
func TestNodesHoldTheRowsThatReachThem(t *testing.T) {
	x, z := field(3000, 2)
	weights := make([]float64, len(z))
	for i := range weights {
		weights[i] = float64(i % 4)
	}
	for _, name := range []string{forest.Tree, forest.ExtraTrees} {
		p := learner.Params{"min_leaf": 7, "max_features": "all", "cat_l2": 0}
		if name == forest.ExtraTrees {
			p["trees"] = 1
		}
		m := fit(t, name, p, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{Weights: weights})
		tr := &m.Trees[0]
		nodes := len(tr.Feature)
		w, sum, n := make([]float64, nodes), make([]float64, nodes), make([]int, nodes)
		wide := make([]float64, x.Cols)
		for i := range z {
			for j, v := range x.Row(i) {
				wide[j] = float64(v)
			}
			for at := int32(0); ; {
				w[at] += weights[i]
				sum[at] += weights[i] * z[i]
				if weights[i] > 0 {
					n[at]++
				}
				f := tr.Feature[at]
				if f < 0 {
					break
				}
				if tr.GoesLeft(at, wide[f], wide[f] != wide[f]) {
					at = tr.Left[at]
				} else {
					at = tr.Right[at]
				}
			}
		}
		categorical := 0
		for i, f := range tr.Feature {
			if math.Abs(tr.Cover[i]-w[i]) > 1e-9 {
				t.Fatalf("%s: node %d has cover %v, rows of weight %v reach it", name, i, tr.Cover[i], w[i])
			}
			if f < 0 {
				if n[i] < 7 {
					t.Fatalf("%s: leaf %d has %d rows", name, i, n[i])
				}
				if math.Abs(tr.Value[i]-sum[i]/w[i]) > 1e-9 {
					t.Fatalf("%s: leaf %d has value %v, its rows %v", name, i, tr.Value[i], sum[i]/w[i])
				}
				continue
			}
			l, r := tr.Left[i], tr.Right[i]
			want := sum[l]*sum[l]/w[l] + sum[r]*sum[r]/w[r] - sum[i]*sum[i]/w[i]
			if math.Abs(tr.Gain[i]-want) > 1e-6*(1+want) {
				t.Fatalf("%s: node %d gains %v, not %v", name, i, tr.Gain[i], want)
			}
			if tr.Categorical(int32(i)) {
				categorical++
			}
		}
		if categorical == 0 {
			t.Errorf("%s: no node splits on categories", name)
		}
	}
}

// The first split takes off as much of the Gini index as the best one that trying every threshold finds.
func TestFirstSplitIsTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 8 {
		x := table.NewMatrix(150, []string{"a", "b"})
		y := make([]float64, x.Rows)
		for i := range y {
			x.Row(i)[0], x.Row(i)[1] = float32(r.NormFloat64()), float32(r.IntN(9))
			y[i] = float64(min(3, int(math.Abs(float64(x.Row(i)[0])*2)+r.Float64()*2)))
			if r.IntN(6) == 0 {
				x.Row(i)[1] = float32(math.NaN())
			}
		}
		m := fit(t, forest.Tree, learner.Params{"max_depth": 1}, learner.Set{X: x, Y: y}, learner.Multiclass, 4, learner.Options{})
		var best float64
		for f := range 2 {
			for at := range x.Rows {
				for _, missingLeft := range []bool{true, false} {
					var count [2][4]float64
					var n [2]float64
					for i := range y {
						v, side := x.Row(i)[f], 1
						if v <= x.Row(at)[f] || v != v && missingLeft {
							side = 0
						}
						count[side][int(y[i])]++
						n[side]++
					}
					if n[0] == 0 || n[1] == 0 {
						continue
					}
					var gain float64
					for k := range 4 {
						all := count[0][k] + count[1][k]
						gain += count[0][k]*count[0][k]/n[0] + count[1][k]*count[1][k]/n[1] - all*all/(n[0]+n[1])
					}
					best = max(best, gain)
				}
			}
		}
		if got := m.Trees[0].Gain[0]; math.Abs(got-best) > 1e-9 {
			t.Errorf("the first split gains %v, the best %v", got, best)
		}
	}
}

func TestSameBytesForAnyWorkers(t *testing.T) {
	x, z := field(2500, 4)
	for _, c := range []struct {
		name    string
		task    learner.Task
		y       []float64
		classes int
		params  learner.Params
	}{
		{forest.Tree, learner.Regression, z, 0, nil},
		{forest.RandomForest, learner.Binary, binaryOf(z, 4), 2, learner.Params{"trees": 11}},
		{forest.RandomForest, learner.Multiclass, classOf(z, 5), 5, learner.Params{"trees": 11}},
		{forest.RandomForest, learner.Regression, z, 0, learner.Params{"trees": 11, "max_features": 0.4, "leaves": 90}},
		{forest.RandomForest, learner.Regression, z, 0, learner.Params{"trees": 11, "bootstrap": false, "subsample": 0.5}},
		{forest.ExtraTrees, learner.Binary, binaryOf(z, 4), 2, learner.Params{"trees": 11}},
		{forest.ExtraTrees, learner.Multiclass, classOf(z, 3), 3, learner.Params{"trees": 11, "bootstrap": true}},
	} {
		t.Run(fmt.Sprint(c.name, " ", c.task, " ", c.params), func(t *testing.T) {
			var first []byte
			var heard []float64
			for _, workers := range []int{1, 2, 3, 8} {
				var losses []float64
				opt := learner.Options{Workers: workers, Seed: 5, Curve: func(done, _ int, train, valid float64) {
					losses = append(losses, float64(done), train)
				}}
				if workers == 3 {
					opt.Curve = nil // being heard of changes nothing either
				}
				b, err := fit(t, c.name, c.params, learner.Set{X: x, Y: c.y}, c.task, c.classes, opt).MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first, heard = b, losses
				}
				if !bytes.Equal(first, b) {
					t.Errorf("%d workers give another model than one", workers)
				}
				if workers != 3 && fmt.Sprint(losses) != fmt.Sprint(heard) {
					t.Errorf("%d workers: losses %v, not %v", workers, losses, heard)
				}
			}
		})
	}
}

// A forest predicts better than a tree; its out-of-bag loss is near that on other rows.
func TestForestsGeneralise(t *testing.T) {
	x, z := field(4000, 6)
	vx, vz := field(4000, 7)
	y, vy := binaryOf(z, 6), binaryOf(vz, 7)
	valid := learner.Set{X: vx, Y: vy}
	loss := func(name string, p learner.Params) (outOfBag, other float64) {
		m := fit(t, name, p, learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{Seed: 1, Valid: &valid,
			Curve: func(_, _ int, train, v float64) { outOfBag, other = train, v }})
		out := make([]float64, len(vy))
		m.Predict(vx, out)
		for _, p := range out {
			if !(p >= 0 && p <= 1+1e-12) {
				t.Fatalf("%s predicts %v", name, p)
			}
		}
		if got := learner.MeanLoss(learner.Binary, vy, out); math.Abs(got-other) > 1e-9 {
			t.Errorf("%s: the curve ends at %v, the model's loss is %v", name, other, got)
		}
		return outOfBag, other
	}
	_, tree := loss(forest.Tree, learner.Params{"min_leaf": 5})
	_, random := loss(forest.RandomForest, learner.Params{"min_leaf": 5})
	_, extra := loss(forest.ExtraTrees, learner.Params{"min_leaf": 5})
	if random > 0.7*tree || extra > 0.7*tree {
		t.Errorf("losses: tree %v, random forest %v, extra trees %v", tree, random, extra)
	}
	var bag, other float64
	fit(t, forest.RandomForest, nil, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{Valid: &learner.Set{X: vx, Y: vz},
		Curve: func(_, _ int, train, v float64) { bag, other = train, v }})
	if math.Abs(bag-other) > 0.1*other {
		t.Errorf("out-of-bag loss %v, on other rows %v", bag, other)
	}
}

func TestBoundsOfTrees(t *testing.T) {
	x, z := field(2000, 8)
	set := learner.Set{X: x, Y: z}
	for _, leaves := range []int{2, 9, 64} {
		m := fit(t, forest.Tree, learner.Params{"leaves": leaves}, set, learner.Regression, 0, learner.Options{})
		n := 0
		for _, f := range m.Trees[0].Feature {
			if f < 0 {
				n++
			}
		}
		if n != leaves {
			t.Errorf("%d leaves instead of %d", n, leaves)
		}
	}
	m := fit(t, forest.Tree, learner.Params{"max_depth": 3, "min_split": 500}, set, learner.Regression, 0, learner.Options{})
	tr := &m.Trees[0]
	for i, f := range tr.Feature {
		if f >= 0 && tr.Cover[i] < 500 {
			t.Errorf("a node of %v rows is split", tr.Cover[i])
		}
	}
	if len(tr.Feature) > 15 {
		t.Errorf("%d nodes at depth 3", len(tr.Feature))
	}
}

func TestRefusals(t *testing.T) {
	x, z := field(100, 9)
	for _, c := range []struct {
		name string
		p    learner.Params
		task learner.Task
	}{
		{forest.Tree, learner.Params{"trees": 5}, learner.Regression},
		{forest.RandomForest, learner.Params{"max_features": "some"}, learner.Regression},
		{forest.RandomForest, learner.Params{"max_features": 2.5}, learner.Regression},
		{forest.ExtraTrees, learner.Params{"min_leaf": 0}, learner.Regression},
		{forest.ExtraTrees, nil, learner.Ranking},
	} {
		l, err := forest.New(c.name, c.p)
		if err == nil {
			set := learner.Set{X: x, Y: z}
			if c.task == learner.Ranking {
				set.Y, set.Query = make([]float64, x.Rows), make([]int32, x.Rows)
			}
			_, err = l.Fit(context.Background(), set, c.task, 0, learner.Options{})
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s %v: %v", c.name, c.p, err)
		}
	}
}

func TestPrunedAndCancelled(t *testing.T) {
	x, z := field(500, 10)
	l, err := forest.New(forest.RandomForest, nil)
	if err != nil {
		t.Fatal(err)
	}
	set := learner.Set{X: x, Y: z}
	if _, err := l.Fit(context.Background(), set, learner.Regression, 0, learner.Options{Prune: func(done, _ int, _, _ float64) bool { return done > 10 }}); err != learner.ErrPruned {
		t.Errorf("pruned: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err = l.Fit(ctx, set, learner.Regression, 0, learner.Options{Progress: func(int, int, float64) { cancel() }})
	if !fault.Is(err, fault.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	m := fit(t, forest.RandomForest, nil, set, learner.Regression, 0, learner.Options{Enough: func() bool { return true }})
	if n := len(m.Trees); n == 0 || n >= 100 {
		t.Errorf("%d trees are enough", n)
	}
}

func BenchmarkForest(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	x := table.NewMatrix(100_000, make([]string, 28))
	y := make([]float64, x.Rows)
	for i := range y {
		row := x.Row(i)
		var z float64
		for j := range row {
			v := r.NormFloat64()
			row[j] = float32(v)
			z += math.Sin(v*float64(j%5+1)) / 4
		}
		if r.Float64() < 1/(1+math.Exp(-z-float64(row[0]*row[1]))) {
			y[i] = 1
		}
	}
	for b.Loop() {
		fit(b, forest.RandomForest, learner.Params{"trees": 10}, learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{Workers: 1})
	}
}
