package exchange

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// ensembles are random ones with what no golden model has: thresholds at infinity, categories whose gaps go left, zeros
// that are missing, means over unequal numbers of trees, bases, and every link.
func ensembles(t *testing.T) map[string]*tree.Model {
	t.Helper()
	out := map[string]*tree.Model{}
	for i, c := range []struct {
		link    tree.Link
		task    learner.Task
		outputs int
	}{
		{tree.Identity, learner.Regression, 1}, {tree.Identity, learner.Regression, 3}, {tree.Identity, learner.Binary, 1}, {tree.Identity, learner.Multiclass, 3},
		{tree.Identity, learner.Ranking, 1}, {tree.Logistic, learner.Binary, 1}, {tree.Logistic, learner.Regression, 1}, {tree.Softmax, learner.Multiclass, 3},
		{tree.LogisticApart, learner.Multiclass, 3}, {tree.LogisticEach, learner.Multiclass, 4}, {tree.Exp, learner.Regression, 1},
		{tree.SignedSquare, learner.Regression, 1}, {tree.Softplus, learner.Regression, 2}, {tree.Step, learner.Binary, 1},
	} {
		for variant := range 4 {
			r := rand.New(rand.NewPCG(uint64(i), uint64(variant)))
			e := tree.Ensemble{Features: 5, Base: make([]float64, c.outputs), Link: c.link, Scale: 1, Average: variant%2 == 1, Single: variant >= 2}
			if c.link != tree.Identity && variant == 1 {
				e.Scale = 1.5
			}
			if variant == 0 || variant == 3 {
				e.ZeroMissing = []bool{true, false, true, false, false}
			}
			for k := range e.Base {
				if variant > 0 {
					e.Base[k] = r.NormFloat64()
				}
			}
			for range 3 * c.outputs {
				e.Trees = append(e.Trees, randomTree(r, r.IntN(c.outputs)))
			}
			m, err := tree.NewModel("gbdt", c.task, e)
			if err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprintf("%s %s of %d, variant %d", c.task, c.link, c.outputs, variant)] = m
		}
	}
	return out
}

// randomTree splits columns 0 to 2 and 4 by number, and column 3 by category.
func randomTree(r *rand.Rand, output int) tree.Tree {
	t := tree.Tree{Output: output}
	var grow func(depth int) int32
	grow = func(depth int) int32 {
		if depth == 4 || r.IntN(5) == 0 {
			return t.Add(tree.Leaf, 0, false, r.NormFloat64()/4, 0, float64(1+r.IntN(50)))
		}
		feature := int32(r.IntN(5))
		threshold := math.Round(r.NormFloat64()*8) / 8
		switch r.IntN(12) {
		case 0:
			threshold = math.Inf(1)
		case 1:
			threshold = r.NormFloat64() // no float32
		}
		n := t.Add(feature, threshold, r.IntN(2) == 0, 0, r.Float64(), float64(100+r.IntN(50)))
		if feature == 3 {
			t.Threshold[n] = 0
			var set []int
			for code := range 70 {
				if r.IntN(4) == 0 {
					set = append(set, code)
				}
			}
			t.SetCategories(n, set)
		}
		left, right := grow(depth+1), grow(depth+1)
		t.Left[n], t.Right[n] = left, right
		return n
	}
	grow(0)
	return t
}

// randomRows has gaps, zeros, values on the grid of the thresholds, and codes of which some are in no set.
func randomRows(r *rand.Rand, rows int) []float64 {
	x := make([]float64, 5*rows)
	for i := range x {
		switch {
		case r.IntN(8) == 0:
			x[i] = math.NaN()
		case i%5 == 3:
			x[i] = float64(r.IntN(75))
		case r.IntN(8) == 0:
			x[i] = 0
		case r.IntN(3) == 0:
			x[i] = math.Round(r.NormFloat64()*8) / 8
		default:
			x[i] = float64(float32(r.NormFloat64()))
		}
	}
	return x
}

func ownModels(t *testing.T) (jobs []written) {
	x, rows := randomRows(rand.New(rand.NewPCG(5, 6)), 200), 200
	for name, m := range ensembles(t) {
		want := predictWide(m, x, rows)
		for _, format := range []string{Trimtab, LightGBM, ONNX} {
			file, err := Write(format, m, []string{"a", "b c", "c", "d", "é"})
			if err != nil {
				if fault.CodeOf(err) != fault.NotSupported || format != LightGBM || m.Link != tree.Step && m.Link != tree.LogisticEach && m.Link != tree.Softplus {
					t.Errorf("%s as %s: %v", name, format, err)
				}
				continue
			}
			again, info, err := Read(file)
			if err != nil {
				t.Errorf("%s as %s, read again: %v", name, format, err)
				continue
			}
			near := 1e-12
			if format == ONNX {
				near = 1e-5
			}
			hold(t, name+" as "+format+", read again", predictWide(again, x, rows), want, near)
			if format == Trimtab {
				continue
			}
			if len(info.Names) != 5 || info.Names[4] != "é" {
				t.Errorf("%s as %s: the names are %q", name, format, info.Names)
			}
			answer := want
			if format == ONNX && m.Task() == learner.Binary {
				answer = nil
				for _, p := range want {
					answer = append(answer, 1-p, p)
				}
			}
			if format == ONNX {
				hold(t, name+", graph evaluator", evaluate(t, file, x, rows), answer, near)
			}
			if tr, ok := again.(*tree.Model); ok && len(tr.Trees) > 0 && format == ONNX && !sameCovers(tr, m) {
				t.Errorf("%s: the covers are lost", name)
			}
			jobs = append(jobs, written{name, format, file, x, rows, answer, near})
		}
	}
	return jobs
}

// sameCovers compares the covers of the roots.
func sameCovers(a, b *tree.Model) bool {
	var x, y float64
	for i := range a.Trees {
		x += a.Trees[i].Cover[0]
	}
	for i := range b.Trees {
		y += b.Trees[i].Cover[0]
	}
	return math.Abs(x-y) < 1e-6*y
}

func TestLinearModelsGoThroughONNX(t *testing.T) {
	for name, task := range map[string]learner.Task{"regression": learner.Regression, "binary": learner.Binary, "multiclass": learner.Multiclass} {
		k := 1
		if task == learner.Multiclass {
			k = 3
		}
		coef := make([][]float64, k)
		r := rand.New(rand.NewPCG(1, uint64(k)))
		for o := range coef {
			for range 5 {
				coef[o] = append(coef[o], r.NormFloat64()/10)
			}
		}
		m, err := linear.NewModel("onnx_linear", task, coef, make([]float64, k), []float64{1, 2, 3, 4, 5})
		if err != nil {
			t.Fatal(err)
		}
		file, err := Write(ONNX, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := Read(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		x := randomRows(r, 50)
		hold(t, name, predictWide(again, x, 50), predictWide(m, x, 50), 1e-12)
	}
}

// linearWithCategories holds the tables and gaps of trained models; such a graph is for the evaluator.
func linearWithCategories(t *testing.T) (jobs []written) {
	r := rand.New(rand.NewPCG(3, 4))
	const rows = 300
	x := randomRows(r, rows)
	train := narrow(x, rows, 5)
	for i := 3; i < len(train.Data); i += 5 {
		if v := train.Data[i]; v == v {
			train.Data[i] = float32(int(v) % 8)
		}
	}
	train.Levels = []int32{0, 0, 0, 8, 0}
	for name, task := range map[string]learn.Task{"logistic": learn.Multiclass, "ridge": learn.Regression} {
		y := make([]float64, rows)
		for i := range y {
			y[i] = float64(r.IntN(3))
		}
		l, err := learn.New(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := l.Fit(t.Context(), learn.Set{X: train, Y: y}, task, 3, learn.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		file, err := Write(ONNX, m, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Read(file); fault.CodeOf(err) != fault.NotSupported {
			t.Errorf("%s: %v, want a graph for the evaluator", name, err)
		}
		test := make([]float64, len(x))
		for i := range test {
			test[i] = float64(train.Data[i])
		}
		test[3], test[8], test[13], test[0] = 8, -1, 2.5, 3e38 // categories of no table, and a large number
		want := make([]float64, rows*m.Outputs())
		m.Predict(narrow(test, rows, 5), want)
		hold(t, name+", graph evaluator", evaluate(t, file, test, rows), want, 1e-5)
		jobs = append(jobs, written{name, ONNX, file, test, rows, want, 1e-5})
	}
	return jobs
}
