package explain

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// expect is the definition of the path-dependent game: the margin of output k when the features in known are known. A
// split on another feature gives the mean of both sides, weighted by their covers.
func expect(e *tree.Ensemble, k int, x []float64, known uint) float64 {
	var sum float64
	count := 0
	for i := range e.Trees {
		t := &e.Trees[i]
		if t.Output != k {
			continue
		}
		count++
		var at func(n int32) float64
		at = func(n int32) float64 {
			f := t.Feature[n]
			if f == tree.Leaf {
				return t.Value[n]
			}
			l, r := t.Left[n], t.Right[n]
			if known>>f&1 == 1 {
				v := x[f]
				if e.Single {
					v = float64(float32(v))
				}
				if t.GoesLeft(n, v, e.Missing(int(f), v)) {
					return at(l)
				}
				return at(r)
			}
			if t.Cover[l]+t.Cover[r] == 0 {
				return (at(l) + at(r)) / 2
			}
			return (at(l)*t.Cover[l] + at(r)*t.Cover[r]) / (t.Cover[l] + t.Cover[r])
		}
		sum += at(0)
	}
	if e.Average && count > 0 {
		sum /= float64(count)
	}
	return e.Base[k] + sum
}

// shapley is the contributions of all features to output k by the sum over all subsets (Shapley 1953).
func shapley(e *tree.Ensemble, k int, x []float64) []float64 {
	p := e.Features
	game := make([]float64, 1<<p)
	for s := range game {
		game[s] = expect(e, k, x, uint(s))
	}
	weight := make([]float64, p) // by the size of the subset: s! (p-s-1)! / p!
	for s := range weight {
		a, _ := math.Lgamma(float64(s + 1))
		b, _ := math.Lgamma(float64(p - s))
		c, _ := math.Lgamma(float64(p + 1))
		weight[s] = math.Exp(a + b - c)
	}
	out := make([]float64, p)
	for i := range out {
		for s := range game {
			if s>>i&1 == 0 {
				out[i] += weight[bits.OnesCount(uint(s))] * (game[s|1<<i] - game[s])
			}
		}
	}
	return out
}

// kind is what a random ensemble is made of.
type kind struct {
	features, outputs, trees, leaves int
	average, single, sets, zeros     bool
	empty                            bool // some covers are 0
	deep                             bool // grow one path
}

// random makes an ensemble whose covers are whole numbers, and rows that meet its thresholds, zeros, categories and NaN.
func random(t testing.TB, r *rand.Rand, c kind) *tree.Model {
	e := tree.Ensemble{Features: c.features, Average: c.average, Single: c.single, Link: tree.Identity, Scale: 1}
	task := learner.Regression
	for range c.outputs {
		e.Base = append(e.Base, r.NormFloat64())
	}
	if c.outputs > 1 {
		task = learner.Multiclass
	}
	if c.zeros {
		e.ZeroMissing = make([]bool, c.features)
		for j := range e.ZeroMissing {
			e.ZeroMissing[j] = r.IntN(2) == 0
		}
	}
	for i := range c.trees {
		e.Trees = append(e.Trees, randomTree(r, c, i%c.outputs))
	}
	m, err := tree.NewModel("test", task, e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func randomTree(r *rand.Rand, c kind, output int) tree.Tree {
	t := tree.Tree{Output: output}
	t.Add(tree.Leaf, 0, false, r.NormFloat64(), 0, 1000)
	open := []int32{0}
	for leaves := 1; leaves < c.leaves; leaves++ {
		at := r.IntN(len(open))
		if c.deep {
			at = len(open) - 1
		}
		n := open[at]
		open = slices.Delete(open, at, at+1)
		t.Feature[n], t.Value[n] = int32(r.IntN(c.features)), 0
		t.Threshold[n] = math.Round(r.NormFloat64()*4) / 4
		if r.IntN(4) == 0 {
			t.Threshold[n] = r.NormFloat64()
		}
		t.MissingLeft[n] = r.IntN(2) == 0
		left := math.Floor(t.Cover[n] * (0.05 + 0.9*r.Float64()))
		if c.empty && r.IntN(3) == 0 {
			left = 0
		}
		l := t.Add(tree.Leaf, 0, false, r.NormFloat64(), 0, left)
		right := t.Add(tree.Leaf, 0, false, r.NormFloat64(), 0, t.Cover[n]-left)
		t.Left[n], t.Right[n] = l, right
		if c.sets && r.IntN(2) == 0 {
			t.SetCategories(n, []int{r.IntN(4), 2 + r.IntN(4), 40})
		}
		open = append(open, l, right)
	}
	return t
}

func randomRow(r *rand.Rand, x []float64) {
	for j := range x {
		switch r.IntN(6) {
		case 0:
			x[j] = math.NaN()
		case 1:
			x[j] = 0
		case 2:
			x[j] = float64(r.IntN(8) - 1)
		case 3:
			x[j] = math.Round(r.NormFloat64()*4) / 4
		default:
			x[j] = r.NormFloat64()
		}
	}
}

var kinds = map[string]kind{
	"one split":          {features: 3, outputs: 1, trees: 1, leaves: 2, single: true},
	"no split":           {features: 3, outputs: 2, trees: 2, leaves: 1, single: true},
	"boosting":           {features: 8, outputs: 1, trees: 20, leaves: 31, single: true},
	"doubles":            {features: 7, outputs: 1, trees: 10, leaves: 15},
	"classes":            {features: 6, outputs: 3, trees: 12, leaves: 12, single: true},
	"forest":             {features: 9, outputs: 3, trees: 9, leaves: 40, average: true},
	"categories":         {features: 6, outputs: 1, trees: 8, leaves: 16, sets: true},
	"zero is missing":    {features: 6, outputs: 1, trees: 8, leaves: 16, zeros: true, single: true},
	"all kinds":          {features: 6, outputs: 2, trees: 9, leaves: 20, zeros: true, sets: true, average: true},
	"nobody came by":     {features: 6, outputs: 1, trees: 10, leaves: 20, empty: true, single: true},
	"repeated on a path": {features: 2, outputs: 1, trees: 4, leaves: 40, deep: true, single: true},
	"long paths":         {features: 12, outputs: 1, trees: 2, leaves: 60, deep: true, single: true},
	"features not used":  {features: 11, outputs: 1, trees: 2, leaves: 3, single: true},
}

// Contributions are those of the sum over all subsets, add up to the margin, and are 0 for what the model does not read.
func TestAgainstAllSubsets(t *testing.T) {
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			m := random(t, r, c)
			e, err := New(m)
			if err != nil {
				t.Fatal(err)
			}
			used := make([]bool, c.features)
			for i := range m.Trees {
				for _, f := range m.Trees[i].Feature {
					if f != tree.Leaf {
						used[f] = true
					}
				}
			}
			x, got := make([]float64, c.features), make([]float64, c.outputs*c.features)
			margins := make([]float64, c.outputs)
			for range 10 {
				randomRow(r, x)
				e.RowWide(x, got)
				m.MarginsWide(x, 1, margins)
				for k := range c.outputs {
					if want := expect(&m.Ensemble, k, x, 0); !near(e.Expected()[k], want, 1e-12) {
						t.Fatalf("output %d: expected %v, not %v", k, e.Expected()[k], want)
					}
					sum := e.Expected()[k]
					for j, want := range shapley(&m.Ensemble, k, x) {
						v := got[k*c.features+j]
						if !near(v, want, 1e-12) || !used[j] && v != 0 {
							t.Fatalf("output %d, feature %d: %v, not %v", k, j, v, want)
						}
						sum += v
					}
					if !near(sum, margins[k], 1e-12) {
						t.Fatalf("output %d: contributions add up to %v, the margin is %v", k, sum, margins[k])
					}
				}
			}
		})
	}
}

func near(a, b, tolerance float64) bool {
	return math.Abs(a-b) <= tolerance*max(1, math.Abs(a), math.Abs(b))
}

// The same bits come out for one row and for many, for any number of workers, for kept factors and for those made anew,
// for float32 and the same values as float64, and from the assembly and its twin.
func TestSameBits(t *testing.T) {
	for name, c := range kinds {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(2, uint64(len(name))))
			m := random(t, r, c)
			made, err := New(m)
			if err != nil {
				t.Fatal(err)
			}
			const rows = 200
			x := table.NewMatrix(rows, make([]string, c.features))
			wide := make([]float64, len(x.Data))
			randomRow(r, wide)
			for i, v := range wide {
				x.Data[i] = float32(v)
				wide[i] = float64(x.Data[i])
			}
			width := c.outputs * c.features
			want, got := make([]float64, rows*width), make([]float64, rows*width)
			for i := range rows {
				made.Row(x.Row(i), want[i*width:])
			}
			check := func(what string) {
				t.Helper()
				for i := range want {
					if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
						t.Fatalf("%s: %v, not %v", what, got[i], want[i])
					}
				}
				clear(got)
			}
			for _, workers := range []int{1, 2, 3, 8} {
				made.Rows(x, got, workers)
				check("rows")
			}
			made.RowsWide(wide, rows, got, 2)
			check("doubles")
			before := kernel
			kernel = descend
			made.Rows(x, got, 1)
			kernel = before
			check("twin of the kernel")
			made.explainer.(*trees).kept = false // as for a large ensemble
			made.Rows(x, got, 2)
			check("factors made anew")
		})
	}
}
