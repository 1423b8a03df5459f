package gbdt_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/gbdt"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// shop is rows with two numbers, a category of few levels, one of forty with gaps and one of 2,000 levels, most of them
// rare. Scores need all of them; one number has gaps too.
func shop(rows int, seed uint64) (*table.Matrix, []float64) {
	r := rand.New(rand.NewPCG(seed, 3))
	x := table.NewMatrix(rows, []string{"price", "age", "kind", "town", "item"})
	x.Levels = []int32{0, 0, 3, 40, 2000}
	z := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		row[0], row[1] = float32(r.NormFloat64()), float32(r.ExpFloat64())
		kind, town := r.IntN(3), r.IntN(40)
		item := min(int(40*r.ExpFloat64()), 1999)
		row[2], row[3], row[4] = float32(kind), float32(town), float32(item)
		z[i] = float64(row[0]) + []float64{-1, 0, 1.5}[kind] + 2*math.Sin(float64(town*town)) + math.Cos(float64(7*item))
		if r.IntN(6) == 0 {
			row[3] = float32(math.NaN())
			z[i] += 1
		}
		if r.IntN(9) == 0 {
			row[1] = float32(math.NaN())
		}
	}
	return x, z
}

func labels(z []float64, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 4))
	y := make([]float64, len(z))
	for i := range y {
		if r.Float64() < 1/(1+math.Exp(-z[i])) {
			y[i] = 1
		}
	}
	return y
}

// Each option gives the same bytes for any number of workers, with enough rows and cells that work is shared.
func TestSameBytesForAnyWorkers(t *testing.T) {
	const rows = 34_000 // two pieces of 16,384 and a rest
	x, z := shop(rows, 1)
	y := labels(z, 1)
	wide, wideZ := oneHot(2_000, 30, 12)
	grades := make([]float64, rows)
	for i := range grades {
		grades[i] = float64(int(math.Abs(z[i]))) // 0, 1, 2 …
		grades[i] = min(grades[i], 2)
	}
	weights := make([]float64, rows)
	for i := range weights {
		weights[i] = float64(i%5) / 2
	}
	type option struct {
		name    string
		set     learner.Set
		task    learner.Task
		classes int
		params  learner.Params
		weights []float64
	}
	binary, numbers := learner.Set{X: x, Y: y}, learner.Set{X: x, Y: z}
	options := []option{
		{"binary", binary, learner.Binary, 2, nil, nil},
		{"weights", binary, learner.Binary, 2, nil, weights},
		{"multiclass", learner.Set{X: x, Y: grades}, learner.Multiclass, 3, nil, nil},
		{"regression", numbers, learner.Regression, 0, nil, nil},
		{"one against rest", numbers, learner.Regression, 0, learner.Params{"max_onehot": 50}, nil},
		{"depth and gain", numbers, learner.Regression, 0, learner.Params{"max_depth": 4, "min_gain": 1.5}, nil},
		{"extra trees", numbers, learner.Regression, 0, learner.Params{"extra_trees": true}, nil},
		{"columns by node", numbers, learner.Regression, 0, learner.Params{"colsample_bynode": 0.5}, nil},
		{"subsample", numbers, learner.Regression, 0, learner.Params{"subsample": 0.9, "colsample": 0.7}, nil},
		{"goss", binary, learner.Binary, 2, learner.Params{"sampling": "goss", "top_rate": 0.5, "other_rate": 0.4, "learning_rate": 1.0}, nil},
		{"goss multiclass", learner.Set{X: x, Y: grades}, learner.Multiclass, 3, learner.Params{"sampling": "goss", "learning_rate": 1.0}, nil},
		{"monotone", numbers, learner.Regression, 0, learner.Params{"monotone": map[string]int{"price": 1, "age": -1}}, nil},
		{"interactions", numbers, learner.Regression, 0, learner.Params{"interactions": [][]string{{"price", "town"}, {"kind", "age"}}}, nil},
		{"bundles", learner.Set{X: wide, Y: wideZ}, learner.Regression, 0, nil, nil},
	}
	for _, o := range options {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			p := learner.Params{"rounds": 2, "leaves": 24}
			for k, v := range o.params {
				p[k] = v
			}
			var first []byte
			for _, workers := range []int{1, 2, 3, 8} {
				b, err := fit(t, p, o.set, o.task, o.classes, learner.Options{Workers: workers, Weights: o.weights, Seed: 7}).MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = b
				} else if !bytes.Equal(first, b) {
					t.Errorf("%d workers give another model than one", workers)
				}
			}
		})
	}
}

// Rows reach the nodes whose covers count them, by the rule that Tree documents, and the model predicts what training
// left in the leaves: then the codes that training splits on and the categories of the model agree.
func TestCategoriesReachTheirNodes(t *testing.T) {
	x, z := shop(6000, 2)
	for _, p := range []learner.Params{
		{"min_data_per_group": 10, "cat_smooth": 1, "cat_l2": 0},
		{"max_onehot": 255},
		{"extra_trees": true, "min_data_per_group": 1},
	} {
		p["rounds"], p["learning_rate"], p["l2"], p["min_leaf"] = 1, 1.0, 0, 5
		m := fit(t, p, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
		tr := &m.Trees[0]
		cover, sum := make([]float64, len(tr.Feature)), make([]float64, len(tr.Feature))
		wide := make([]float64, x.Cols)
		sets := 0
		for i := range z {
			for j, v := range x.Row(i) {
				wide[j] = float64(v)
			}
			for n := int32(0); ; {
				cover[n]++
				sum[n] += z[i]
				f := tr.Feature[n]
				if f < 0 {
					break
				}
				if tr.GoesLeft(n, wide[f], wide[f] != wide[f]) {
					n = tr.Left[n]
				} else {
					n = tr.Right[n]
				}
			}
		}
		for n, f := range tr.Feature {
			if tr.Cover[n] != cover[n] {
				t.Fatalf("%v: %v rows reach node %d, not %v", p, cover[n], n, tr.Cover[n])
			}
			if f >= 2 {
				if !tr.Categorical(int32(n)) {
					t.Fatalf("%v: node %d splits categories of column %d by order", p, n, f)
				}
				sets++
			}
			if want := sum[n]/cover[n] - m.Base[0]; f < 0 && math.Abs(tr.Value[n]-want) > 1e-5 {
				t.Fatalf("%v: leaf %d has value %v, its rows %v", p, n, tr.Value[n], want)
			}
		}
		if sets == 0 {
			t.Errorf("%v: no node splits on categories", p)
		}
	}
}

// Splits on categories gain more than splits on their numbers, whose order says nothing; categories that training did
// not see go right, like those too rare for a code of their own.
func TestCategoriesBeatTheirNumbers(t *testing.T) {
	x, z := shop(20_000, 3)
	vx, vz := shop(5_000, 4)
	loss := func(levels []int32) float64 {
		a, b := *x, *vx
		a.Levels, b.Levels = levels, levels
		m := fit(t, learner.Params{"rounds": 60}, learner.Set{X: &a, Y: z}, learner.Regression, 0, learner.Options{})
		p := make([]float64, len(vz))
		m.Predict(&b, p)
		for i := range m.Trees {
			tr := &m.Trees[i]
			for n := range tr.Feature {
				for _, unseen := range []float64{1999.5, 5000, -3, math.Inf(1)} {
					if tr.Categorical(int32(n)) && tr.Feature[n] == 4 && tr.GoesLeft(int32(n), unseen, false) {
						t.Fatalf("category %v goes left", unseen)
					}
				}
			}
		}
		return learner.MeanLoss(learner.Regression, vz, p)
	}
	if native, numbers := loss(x.Levels), loss(nil); native > 0.8*numbers {
		t.Errorf("loss %v with categories, %v with numbers", native, numbers)
	}
}

// A gap in a category is one more category: here it alone decides.
func TestMissingCategory(t *testing.T) {
	x := table.NewMatrix(1200, []string{"c"})
	x.Levels = []int32{12}
	y := make([]float64, x.Rows)
	for i := range y {
		x.Data[i] = float32(i % 12)
		if i%12 >= 9 {
			x.Data[i], y[i] = float32(math.NaN()), 5
		}
	}
	for _, onehot := range []int{4, 100} {
		p := learner.Params{"rounds": 1, "learning_rate": 1.0, "l2": 0, "cat_l2": 0, "max_onehot": onehot}
		m := fit(t, p, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
		out := []float64{0}
		for v, want := range map[float32]float64{float32(math.NaN()): 5, 3: 0, 8: 0} {
			if m.PredictRow([]float32{v}, out); math.Abs(out[0]-want) > 0.01 {
				t.Errorf("max_onehot %d: %v gives %v, not %v", onehot, v, out[0], want)
			}
		}
	}
}

func depth(t *tree.Tree, n int32) int {
	if t.Feature[n] < 0 {
		return 0
	}
	return 1 + max(depth(t, t.Left[n]), depth(t, t.Right[n]))
}

func TestDepthAndGainBoundTrees(t *testing.T) {
	x, z := shop(5000, 5)
	set := learner.Set{X: x, Y: z}
	for _, most := range []int{1, 3, 6} {
		m := fit(t, learner.Params{"rounds": 3, "leaves": 200, "max_depth": most}, set, learner.Regression, 0, learner.Options{})
		for i := range m.Trees {
			if d := depth(&m.Trees[i], 0); d != most {
				t.Errorf("max_depth %d: tree %d is %d deep", most, i, d)
			}
		}
	}
	m := fit(t, learner.Params{"rounds": 3, "leaves": 200, "min_gain": 40.0}, set, learner.Regression, 0, learner.Options{})
	splits := 0
	for _, tr := range m.Trees {
		for n, f := range tr.Feature {
			if f >= 0 {
				splits++
				if tr.Gain[n] <= 40 {
					t.Errorf("a split gains %v", tr.Gain[n])
				}
			}
		}
	}
	if splits == 0 {
		t.Error("nothing was split")
	}
}

// Predictions never fall along a column that they must rise with, whatever the other columns are, though the data fall
// in places; columns that are not named stay free.
func TestMonotone(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	x := table.NewMatrix(8000, []string{"up", "down", "free", "kind"})
	x.Levels = []int32{0, 0, 0, 6}
	y := make([]float64, x.Rows)
	for i := range y {
		row := x.Row(i)
		for j := range 3 {
			row[j] = float32(r.Float64())
		}
		row[3] = float32(r.IntN(6))
		a, b, c := float64(row[0]), float64(row[1]), float64(row[2])
		y[i] = 3*a + math.Sin(12*a) - 2*b + math.Cos(15*b) + math.Sin(20*c)*a + float64(row[3])*b + r.NormFloat64()/2
	}
	for _, monotone := range []any{map[string]any{"up": 1.0, "down": -1}, []int{1, -1, 0, 0}} {
		for _, more := range []learner.Params{nil, {"extra_trees": true}, {"subsample": 0.5, "l2": 0}, {"max_depth": 3}} {
			p := learner.Params{"rounds": 60, "leaves": 31, "monotone": monotone}
			for k, v := range more {
				p[k] = v
			}
			m := fit(t, p, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
			out := []float64{0}
			rises := false
			for range 300 {
				row := []float32{0, 0, float32(r.Float64()), float32(r.IntN(6))}
				other := float32(r.Float64())
				for column, sign := range []float64{1, -1} {
					row[1-column] = other
					last := math.Inf(-1)
					for step := range 101 {
						row[column] = float32(step) / 100
						m.PredictRow(row, out)
						if sign*out[0] < last-1e-9 {
							t.Fatalf("%v: column %d at %v: %v after %v", p, column, row[column], sign*out[0], last)
						}
						rises = rises || sign*out[0] > last+0.1 && step > 0
						last = sign * out[0]
					}
				}
			}
			if !rises {
				t.Errorf("%v: predictions do not move at all", p)
			}
		}
	}
}

// On a path from the root only columns of one group meet; columns in no group make up one more.
func TestInteractions(t *testing.T) {
	x, z := shop(8000, 7)
	for i := range z {
		z[i] += float64(x.Row(i)[0]) * float64(x.Row(i)[2])
	}
	group := []int{0, 1, 0, 1, 2} // of each column
	for _, groups := range []any{
		[][]string{{"price", "kind"}, {"age", "town"}},
		[]any{[]any{0.0, "kind"}, []any{1, 3}},
	} {
		m := fit(t, learner.Params{"rounds": 20, "interactions": groups}, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
		meet := 0
		for i := range m.Trees {
			tr := &m.Trees[i]
			var walk func(n int32, above int)
			walk = func(n int32, above int) {
				f := tr.Feature[n]
				if f < 0 {
					return
				}
				if above >= 0 {
					meet++
					if group[f] != group[above] {
						t.Fatalf("columns %d and %d meet in tree %d", f, above, i)
					}
				}
				walk(tr.Left[n], int(f))
				walk(tr.Right[n], int(f))
			}
			walk(0, -1)
		}
		if meet == 0 {
			t.Error("no tree is deeper than one split")
		}
	}
}

// A third of the rows, the largest gradients among them, ranks nearly as well as all of them, and better than as many
// rows drawn without regard to their gradients would need to.
func TestGOSS(t *testing.T) {
	x, z := shop(20_000, 8)
	y := labels(z, 8)
	vx, vz := shop(5_000, 9)
	vy := labels(vz, 9)
	loss := func(p learner.Params) float64 {
		p["rounds"] = 60
		m := fit(t, p, learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{})
		out := make([]float64, len(vy))
		m.Predict(vx, out)
		return learner.MeanLoss(learner.Binary, vy, out)
	}
	all, goss := loss(learner.Params{}), loss(learner.Params{"sampling": "goss"})
	if goss > 1.03*all || goss == all {
		t.Errorf("loss %v with all rows, %v with a third of them", all, goss)
	}
}

// Choices of columns per node reach columns that a tree alone would not use.
func TestColumnsByNode(t *testing.T) {
	x, z := shop(5000, 10)
	m := fit(t, learner.Params{"rounds": 10, "colsample_bynode": 0.2}, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{Seed: 3})
	roots := map[int32]int{}
	for _, tr := range m.Trees {
		roots[tr.Feature[0]]++
	}
	if len(roots) < 3 {
		t.Errorf("with one column of five for each node, the roots split on %v", roots)
	}
}

func TestGrowthRefuses(t *testing.T) {
	x, z := shop(200, 11)
	for name, p := range map[string]learner.Params{
		"unknown column":      {"monotone": map[string]int{"prise": 1}},
		"direction":           {"monotone": map[string]int{"price": 2}},
		"length":              {"monotone": []int{1}},
		"categories":          {"monotone": map[string]int{"town": 1}},
		"form":                {"monotone": "up"},
		"group form":          {"interactions": []string{"price"}},
		"group column":        {"interactions": [][]int{{0, 17}}},
		"rates":               {"sampling": "goss", "top_rate": 0.9, "other_rate": 0.5},
		"sampling":            {"sampling": "gos"},
		"negative depth":      {"max_depth": -1},
		"extra trees, number": {"extra_trees": 1},
	} {
		l, err := gbdt.New(p)
		if err == nil {
			_, err = l.Fit(context.Background(), learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
		}
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// oneHot is families of one-hot columns, each row with one set in each family, and a score of the sum of their weights.
func oneHot(rows, levels, families int) (*table.Matrix, []float64) {
	r := rand.New(rand.NewPCG(12, 12))
	x := table.NewMatrix(rows, make([]string, levels*families))
	weights := make([]float64, levels*families)
	for i := range weights {
		weights[i] = r.NormFloat64()
	}
	z := make([]float64, rows)
	for i := range rows {
		for f := range families {
			j := f*levels + r.IntN(levels)
			x.Row(i)[j] = 1
			z[i] += weights[j]
		}
	}
	return x, z
}
