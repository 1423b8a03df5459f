package gbdt_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/gbdt"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/table"
)

func fit(t testing.TB, p learner.Params, set learner.Set, task learner.Task, classes int, opt learner.Options) *gbdt.Model {
	t.Helper()
	l, err := gbdt.New(p)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Fit(context.Background(), set, task, classes, opt)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*gbdt.Model)
}

// mixed is rows of a smooth column, a coarse one with gaps and one of noise, with a score that needs the first two.
func mixed(rows int, seed uint64) (*table.Matrix, []float64) {
	r := rand.New(rand.NewPCG(seed, 9))
	x := table.NewMatrix(rows, []string{"smooth", "coarse", "noise"})
	z := make([]float64, rows)
	for i := range rows {
		row := x.Row(i)
		row[0], row[1], row[2] = float32(r.NormFloat64()), float32(r.IntN(6)), float32(r.NormFloat64())
		z[i] = math.Sin(2*float64(row[0])) + float64(row[1])/3*float64(row[0])
		if r.IntN(5) == 0 {
			row[1] = float32(math.NaN())
			z[i] -= 1
		}
	}
	return x, z
}

// path is the nodes that a row passes, by the rule that Tree documents.
func path(t *tree.Tree, x []float32) []int32 {
	nodes := []int32{0}
	for n := int32(0); t.Feature[n] >= 0; nodes = append(nodes, n) {
		v := x[t.Feature[n]]
		if float64(v) <= t.Threshold[n] || v != v && t.MissingLeft[n] {
			n = t.Left[n]
		} else {
			n = t.Right[n]
		}
	}
	return nodes
}

// The rows that a tree's thresholds send to a node are the rows it had in training: their number is its cover, their
// gradients give a leaf its value, -rate * G/(H+l2), and a split its gain. The second set has so many rows that
// histograms start wide, are subtracted and become narrow on the way down.
func TestNodesHoldTheRowsThatReachThem(t *testing.T) {
	for _, c := range []struct{ rows, rounds int }{{5000, 15}, {120_000, 2}} {
		x, z := mixed(c.rows, 1)
		r := rand.New(rand.NewPCG(4, 4))
		y := make([]float64, len(z))
		for i := range y {
			if r.Float64() < 1/(1+math.Exp(-z[i])) {
				y[i] = 1
			}
		}
		const rate, l2 = 0.2, 1.5
		p := learner.Params{"rounds": c.rounds, "learning_rate": rate, "l2": l2, "leaves": 40}
		m := fit(t, p, learner.Set{X: x, Y: y}, learner.Binary, 2, learner.Options{})
		margin := make([]float64, len(y))
		for i := range margin {
			margin[i] = m.Base[0]
		}
		for k := range m.Trees {
			tree := &m.Trees[k]
			nodes := len(tree.Feature)
			g, h, n := make([]float64, nodes), make([]float64, nodes), make([]float64, nodes)
			for i := range y {
				p := 1 / (1 + math.Exp(-margin[i]))
				passed := path(tree, x.Row(i))
				for _, j := range passed {
					g[j] += p - y[i]
					h[j] += p * (1 - p)
					n[j]++
				}
				margin[i] += tree.Value[passed[len(passed)-1]]
			}
			score := func(j int32) float64 { return g[j] * g[j] / (h[j] + l2) }
			for j, f := range tree.Feature {
				if tree.Cover[j] != n[j] {
					t.Fatalf("%d rows, tree %d node %d: cover %v, but %v rows reach it", c.rows, k, j, tree.Cover[j], n[j])
				}
				if f < 0 {
					if want := -rate * g[j] / (h[j] + l2); math.Abs(tree.Value[j]-want) > 1e-6 {
						t.Fatalf("%d rows, tree %d leaf %d: value %v, not %v", c.rows, k, j, tree.Value[j], want)
					}
					continue
				}
				want := score(tree.Left[j]) + score(tree.Right[j]) - score(int32(j))
				if math.Abs(tree.Gain[j]-want) > 0.005*want+0.01 { // 15-bit gradients
					t.Fatalf("%d rows, tree %d node %d: gain %v, not %v", c.rows, k, j, tree.Gain[j], want)
				}
			}
		}
		got := []float64{0}
		for i := range margin {
			if m.Margin(x.Row(i), got); got[0] != margin[i] {
				t.Fatalf("row %d: margin %v, its trees add up to %v", i, got[0], margin[i])
			}
		}
	}
}

// The root's split gains as much as the best one that trying every threshold finds.
func TestRootSplitIsTheBest(t *testing.T) {
	for seed := range uint64(10) {
		x, z := mixed(200, seed) // every distinct value has its own bin
		m := fit(t, learner.Params{"rounds": 1, "leaves": 2, "l2": 2, "min_leaf": 10}, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
		var mean float64
		for _, v := range z {
			mean += v / float64(len(z))
		}
		score := func(g, n float64) float64 { return g * g / (n + 2) }
		best := 0.0
		for f := range x.Cols {
			for at := range x.Rows {
				for _, missingLeft := range []bool{false, true} {
					var g, n [2]float64
					for i := range x.Rows {
						v, side := x.Row(i)[f], 1
						if v <= x.Row(at)[f] || v != v && missingLeft {
							side = 0
						}
						g[side] += mean - z[i]
						n[side]++
					}
					if n[0] >= 10 && n[1] >= 10 {
						best = max(best, score(g[0], n[0])+score(g[1], n[1])-score(g[0]+g[1], n[0]+n[1]))
					}
				}
			}
		}
		if got := m.Trees[0].Gain[0]; math.Abs(got-best) > 1e-3*best {
			t.Errorf("seed %d: the split gains %v, the best %v", seed, got, best)
		}
	}
}

func TestMinLeafIsExactWithoutHessians(t *testing.T) {
	x, z := mixed(3000, 3)
	m := fit(t, learner.Params{"rounds": 5, "min_leaf": 77, "leaves": 200}, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
	for _, tree := range m.Trees {
		for j, f := range tree.Feature {
			if f < 0 && tree.Cover[j] < 77 {
				t.Fatalf("a leaf has %v rows", tree.Cover[j])
			}
		}
	}
}

// A side for missing values is learned where they occur; where they never did, they follow the heavier side.
func TestMissingSides(t *testing.T) {
	x := table.NewMatrix(900, []string{"gaps", "full"})
	y := make([]float64, 900)
	for i := range y {
		x.Row(i)[0], x.Row(i)[1] = float32(i%10), 0
		if i%3 == 0 {
			x.Row(i)[0] = float32(math.NaN())
			y[i] = 10
		}
		if i%90 == 1 {
			x.Row(i)[1] = 1
			y[i] -= 500
		}
	}
	m := fit(t, learner.Params{"rounds": 50, "min_leaf": 5, "l2": 0}, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
	predict := func(gaps, full float32) float64 {
		out := []float64{0}
		m.PredictRow([]float32{gaps, full}, out)
		return out[0]
	}
	nan := float32(math.NaN())
	if a, b := predict(nan, 0), predict(5, 0); a-b < 5 {
		t.Errorf("missing gives %v, known %v", a, b)
	}
	if a, b := predict(3, nan), predict(3, 0); a != b {
		t.Errorf("a gap where there was none gives %v, the usual value %v", a, b)
	}
}

// Rows of weight 0 teach nothing: labels that contradict everything else do no harm there.
func TestWeights(t *testing.T) {
	x, z := mixed(6000, 5)
	y, w := make([]float64, len(z)), make([]float64, len(z))
	for i := range z {
		w[i] = 2
		if y[i] = z[i]; i%2 == 0 {
			y[i], w[i] = -50*z[i], 0
		}
	}
	m := fit(t, learner.Params{"rounds": 100}, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{Weights: w})
	p := make([]float64, len(z))
	m.Predict(x, p)
	var lost, spread float64
	for i := range z {
		lost += (p[i] - z[i]) * (p[i] - z[i])
		spread += z[i] * z[i]
	}
	if lost > 0.05*spread {
		t.Errorf("%.3f of the variance is left", lost/spread)
	}
}

// One enormous label sets the gradients' scale; rounding by hash keeps the small ones from vanishing.
func TestOutlierDoesNotSilenceTheRest(t *testing.T) {
	x, z := mixed(6000, 6)
	y := append([]float64(nil), z...)
	y[17] = 1e5
	weights := make([]float64, len(y))
	for i := range weights {
		weights[i] = 1
	}
	weights[17] = 1e-4 // so that its error does not outweigh all others, though its label sets the base
	m := fit(t, learner.Params{"rounds": 100}, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{Weights: weights})
	p := make([]float64, len(z))
	m.Predict(x, p)
	var lost, spread float64
	for i := range z {
		if i != 17 {
			lost += (p[i] - z[i]) * (p[i] - z[i])
			spread += z[i] * z[i]
		}
	}
	if lost > 0.1*spread {
		t.Errorf("%.3f of the variance is left", lost/spread)
	}
}

func TestEarlyStoppingKeepsTheBestRound(t *testing.T) {
	x, z := mixed(600, 7)
	vx, vz := mixed(600, 8)
	r := rand.New(rand.NewPCG(1, 1))
	noisy := func(z []float64) []float64 {
		y := make([]float64, len(z))
		for i := range z {
			y[i] = z[i] + 2*r.NormFloat64()
		}
		return y
	}
	valid := learner.Set{X: vx, Y: noisy(vz)}
	var losses []float64
	m := fit(t, learner.Params{"rounds": 500, "early_stopping_rounds": 10, "min_leaf": 5}, learner.Set{X: x, Y: noisy(z)}, learner.Regression, 0,
		learner.Options{Valid: &valid, Curve: func(_, _ int, _, v float64) { losses = append(losses, v) }})
	best := 0
	for i, l := range losses {
		if l < losses[best] {
			best = i
		}
	}
	if m.Rounds() != best+1 || len(losses) != best+11 {
		t.Errorf("%d rounds kept, %d run, the best was round %d", m.Rounds(), len(losses), best+1)
	}
	p := make([]float64, len(vz))
	m.Predict(vx, p)
	if got := learner.MeanLoss(learner.Regression, valid.Y, p); math.Abs(got-losses[best]) > 1e-9 {
		t.Errorf("the kept model's loss is %v, the best round's %v", got, losses[best])
	}
}

func TestSeedDrivesSampling(t *testing.T) {
	x, z := mixed(2000, 10)
	set := learner.Set{X: x, Y: z}
	bytes := func(p learner.Params, seed uint64) string {
		b, err := fit(t, p, set, learner.Regression, 0, learner.Options{Seed: seed}).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	all := learner.Params{"rounds": 3, "subsample": 0.5}
	if bytes(all, 1) == bytes(all, 2) {
		t.Error("the run's seed does not change the draw")
	}
	own := learner.Params{"rounds": 3, "subsample": 0.5, "seed": 5}
	if bytes(own, 1) != bytes(own, 2) {
		t.Error("the parameter seed does not win over the run's")
	}
	columns := learner.Params{"rounds": 4, "colsample": 0.3, "seed": 1}
	m := fit(t, columns, set, learner.Regression, 0, learner.Options{})
	for i, tree := range m.Trees {
		used := map[int32]bool{}
		for _, f := range tree.Feature {
			if f >= 0 {
				used[f] = true
			}
		}
		if len(used) > 1 {
			t.Errorf("tree %d uses %d columns of one drawn", i, len(used))
		}
	}
}

// Columns beyond one group and rows beyond one block take other paths through the histograms.
func TestManyColumns(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	x := table.NewMatrix(33_000, make([]string, 150)) // two groups of 64 and a rest; more rows than a narrow histogram takes
	y := make([]float64, x.Rows)
	for i := range y {
		row := x.Row(i)
		for j := range row {
			row[j] = float32(r.IntN(4))
		}
		y[i] = float64(row[3]) + 2*float64(row[70]) - float64(row[149])
	}
	m := fit(t, learner.Params{"rounds": 8, "learning_rate": 0.6, "leaves": 63}, learner.Set{X: x, Y: y}, learner.Regression, 0, learner.Options{})
	p := make([]float64, len(y))
	m.Predict(x, p)
	if loss := learner.MeanLoss(learner.Regression, y, p); loss > 0.05 {
		t.Errorf("loss %v", loss)
	}
	share := m.Importance()
	if share[3]+share[70]+share[149] < 0.99 {
		t.Errorf("importance of the three columns that matter: %v %v %v", share[3], share[70], share[149])
	}
}

func BenchmarkPredict(b *testing.B) {
	x, z := mixed(20_000, 12)
	m := fit(b, learner.Params{"rounds": 500}, learner.Set{X: x, Y: z}, learner.Regression, 0, learner.Options{})
	out := make([]float64, x.Rows)
	b.Run("row", func(b *testing.B) {
		i := 0
		for b.Loop() {
			m.PredictRow(x.Row(i%x.Rows), out)
			i++
		}
	})
	b.Run("matrix", func(b *testing.B) {
		for b.Loop() {
			m.Predict(x, out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(x.Rows), "ns/row")
	})
}
