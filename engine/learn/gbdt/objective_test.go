package gbdt

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// bound is a built-in objective over rows of fitting labels, with weights when weighted.
func bound(t testing.TB, name string, n int, weighted bool) (Objective, Rows, Bound) {
	t.Helper()
	s := &Settings{Objective: name, Alpha: 0.7, TweediePower: 1.4, Truncation: 5, Norm: true}
	o := s.named(name)
	r := rand.New(rand.NewPCG(7, 7))
	rows := Rows{Outputs: 1, Y: make([]float64, n)}
	for i := range rows.Y {
		switch name {
		case logistic:
			rows.Y[i] = float64(r.IntN(2))
		case softmax, lambdarank:
			rows.Y[i] = float64(r.IntN(4))
			rows.Query = append(rows.Query, int32(i/9))
		case poisson:
			rows.Y[i] = float64(r.IntN(6))
		case gamma, tweedie:
			rows.Y[i] = r.ExpFloat64() + 0.01
		default:
			rows.Y[i] = 2 * r.NormFloat64()
		}
	}
	if name == softmax {
		rows.Outputs, rows.Query = 4, nil
	}
	if weighted {
		for range n {
			rows.Weights = append(rows.Weights, 0.5+r.Float64())
		}
	}
	b, err := o.Bind(rows)
	if err != nil {
		t.Fatal(err)
	}
	return o, rows, b
}

// A gradient is the loss's slope, by a central difference; a hessian is the gradient's, times what the objective is
// documented to multiply it by, or 1 where it stands for a curve that is flat.
func TestGradientsAreSlopes(t *testing.T) {
	const n, step = 300, 1e-4
	for name, factor := range map[string]float64{
		l2: 1, l1: 0, quantile: 0, huber: 0, poisson: math.Exp(0.7), gamma: 1, tweedie: 1, logistic: 1, softmax: 4.0 / 3,
	} {
		t.Run(name, func(t *testing.T) {
			_, rows, b := bound(t, name, n, false)
			k := rows.Outputs
			r := rand.New(rand.NewPCG(3, 3))
			margins := make([]float64, n*k)
			for i := range margins {
				margins[i] = r.NormFloat64()
			}
			grads := make([]float32, 2*n*k)
			b.Gradients(0, n, margins, grads)
			slope := func(of func(m []float64) []float64, i, j int) float64 {
				m := slices.Clone(margins[i*k : (i+1)*k])
				m[j] += step
				up := of(m)
				m[j] -= 2 * step
				return (up[j] - of(m)[j]) / (2 * step)
			}
			for i := range n {
				loss := func(m []float64) []float64 {
					out := make([]float64, 1)
					b.Losses(i, i+1, m, out)
					return slices.Repeat(out, k)
				}
				gradient := func(m []float64) []float64 {
					g := make([]float32, 2*k)
					b.Gradients(i, i+1, m, g)
					out := make([]float64, k)
					for j := range out {
						out[j] = float64(g[2*j])
					}
					return out
				}
				for j := range k {
					at := 2 * (i*k + j)
					if want := slope(loss, i, j); math.Abs(float64(grads[at])-want) > 1e-4*(1+math.Abs(want)) {
						t.Fatalf("row %d output %d: gradient %v, slope %v", i, j, grads[at], want)
					}
					want := factor * slope(gradient, i, j)
					if factor == 0 {
						want = 1
					}
					if math.Abs(float64(grads[at+1])-want) > 2e-2*(1+math.Abs(want)) { // differences of float32
						t.Fatalf("row %d output %d: hessian %v, not %v", i, j, grads[at+1], want)
					}
				}
			}
		})
	}
}

// What an accelerated core does in one pass is what the general one makes of Gradients, Losses and weights, and the
// base is where the sum of the gradients is 0.
func TestCoresAgreeWithTheirObjectives(t *testing.T) {
	const n = 700
	for _, name := range Objectives()[1:] {
		for _, weighted := range []bool{false, true} {
			t.Run(fmt.Sprint(name, weighted), func(t *testing.T) {
				o, rows, b := bound(t, name, n, weighted)
				l, err := newLoss(o, rows, 1)
				if err != nil {
					t.Fatal(err)
				}
				plain := *l
				plain.core, plain.grads, plain.margins = newGeneral(b), make([]float32, 2*n), slices.Clone(l.margins)
				plain.losses, plain.maxima = slices.Clone(l.losses), slices.Clone(l.maxima)
				l.measured, plain.measured = true, true
				base := b.Base()
				for at, shift := range []float64{0, 1.5} {
					for i := range l.margins {
						l.margins[i] = base[i%len(base)] + shift*math.Sin(float64(i))
						plain.margins[i] = l.margins[i]
					}
					for _, x := range []*loss{l, &plain} {
						if err := x.prepare(); err != nil {
							t.Fatal(err)
						}
					}
					if a, b := l.mean(), plain.mean(); math.Abs(a-b) > 1e-7*(1+math.Abs(b)) {
						t.Fatalf("loss %v, not %v", a, b)
					}
					for k := range rows.Outputs {
						for _, x := range []*loss{l, &plain} {
							if err := x.gradients(k); err != nil {
								t.Fatal(err)
							}
						}
						var sum, size float64
						for i, v := range l.grads {
							if math.Abs(float64(v-plain.grads[i])) > 1e-6 {
								t.Fatalf("gradient %d of output %d: %v, not %v", i, k, v, plain.grads[i])
							}
							if i%2 == 0 {
								sum, size = sum+float64(v), size+math.Abs(float64(v))
							}
						}
						if got, want := l.maxima[0], plain.maxima[0]; math.Abs(got[0]-want[0]) > 1e-6 || math.Abs(got[1]-want[1]) > 1e-6 {
							t.Fatalf("maxima %v, not %v", got, want)
						}
						// Huber starts at the mean, as in LightGBM, which is not its best constant.
						if at == 0 && name != huber && math.Abs(sum) > 0.01*size {
							t.Errorf("gradients at the base add up to %v of %v", sum, size)
						}
					}
				}
			})
		}
	}
}

// The gradients of a query, by the definition and without any order of work.
func TestLambdaRankByItsDefinition(t *testing.T) {
	for _, norm := range []bool{true, false} {
		y := []float64{0, 2, 1, 4, 0, 0, 3, 1}
		m := []float64{0.3, -0.2, 0.9, 0.1, 0.3, -1.5, 0.2, 2}
		const truncation = 3
		b, err := rankLoss{truncation, norm}.Bind(Rows{Y: y, Query: make([]int32, len(y)), Outputs: 1})
		if err != nil {
			t.Fatal(err)
		}
		place := make([]int, len(y))
		for i := range y {
			for j := range y {
				if m[j] > m[i] || m[j] == m[i] && j < i {
					place[i]++
				}
			}
		}
		best := 15 + 7/math.Log2(3) + 3/math.Log2(4) // grades 4, 3, 2
		g, h := make([]float64, len(y)), make([]float64, len(y))
		var total float64
		for i := range y {
			for j := range y {
				if y[i] <= y[j] || min(place[i], place[j]) >= truncation {
					continue
				}
				weight := (math.Exp2(y[i]) - math.Exp2(y[j])) / best *
					math.Abs(1/math.Log2(float64(place[i]+2))-1/math.Log2(float64(place[j]+2)))
				if norm {
					weight /= 0.01 + math.Abs(m[i]-m[j])
				}
				p := 1 / (1 + math.Exp(m[i]-m[j]))
				g[i], g[j] = g[i]-p*weight, g[j]+p*weight
				h[i], h[j] = h[i]+p*(1-p)*weight, h[j]+p*(1-p)*weight
				total += 2 * p * weight
			}
		}
		if norm {
			for i := range g {
				g[i] *= math.Log2(1+total) / total
				h[i] *= math.Log2(1+total) / total
			}
		}
		grads := make([]float32, 2*len(y))
		b.Gradients(0, len(y), m, grads)
		for i := range y {
			if math.Abs(float64(grads[2*i])-g[i]) > 1e-6 || math.Abs(float64(grads[2*i+1])-h[i]) > 1e-6 {
				t.Errorf("norm %v, row %d: %v and %v, not %v and %v", norm, i, grads[2*i], grads[2*i+1], g[i], h[i])
			}
		}
	}
}

func TestQuantiles(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 60; n++ {
		v := make([]float64, n)
		ones := make([]float64, n)
		for i := range v {
			v[i], ones[i] = float64(r.IntN(n)), 1
		}
		sorted := slices.Sorted(slices.Values(v))
		for _, alpha := range []float64{0.001, 0.1, 0.5, 0.77, 0.999} {
			at := alpha * float64(n-1)
			k := int(at)
			want := sorted[k]
			if k+1 < n {
				want += (at - float64(k)) * (sorted[k+1] - sorted[k])
			}
			if got := quantileOf(slices.Clone(v), alpha); math.Abs(got-want) > 1e-12 {
				t.Fatalf("the %v quantile of %v is %v, not %v", alpha, sorted, got, want)
			}
			if got := weightedQuantile(v, ones, alpha); math.Abs(got-want) > 1e-9 {
				t.Fatalf("the weighted %v quantile of %v is %v, not %v", alpha, sorted, got, want)
			}
		}
	}
	// Weights 3 and 1 are worth 16/10 rows, and the window is 1/1.6 wide around the middle: .9 of it on 5, .1 on 9.
	if got := weightedQuantile([]float64{9, 1, 5}, []float64{1, 0, 3}, 0.5); math.Abs(got-5.4) > 1e-12 {
		t.Errorf("the weighted median is %v, not 5.4", got)
	}
	if got := weightedQuantile([]float64{5}, []float64{0}, 0.2); got != 0 {
		t.Errorf("no weight has quantile %v", got)
	}
}

func TestBlocksKeepQueriesWhole(t *testing.T) {
	query := make([]int32, 3*lossBlock)
	for i := range query {
		query[i] = int32(i / 1000)
	}
	b := blocks(len(query), query)
	if b[0] != 0 || b[len(b)-1] != len(query) || len(b) < 3 {
		t.Fatalf("blocks %v", b)
	}
	for _, at := range b[1 : len(b)-1] {
		if query[at] == query[at-1] {
			t.Errorf("row %d is cut from its query", at)
		}
	}
	if got := blocks(2*lossBlock, nil); !slices.Equal(got, []int{0, lossBlock, 2 * lossBlock}) {
		t.Errorf("blocks %v", got)
	}
	if got := blocks(2*lossBlock, make([]int32, 2*lossBlock)); !slices.Equal(got, []int{0, 2 * lossBlock}) {
		t.Errorf("blocks of one query %v", got)
	}
}

func TestLabelsOfObjectives(t *testing.T) {
	for _, c := range []struct {
		name    string
		y       []float64
		message string
	}{
		{poisson, []float64{1, -1}, "gbdt: the label of row 1 is -1; objective poisson needs labels at least 0"},
		{tweedie, []float64{-0.5, 1}, "gbdt: the label of row 0 is -0.5; objective tweedie needs labels at least 0"},
		{gamma, []float64{1, 2, 0}, "gbdt: the label of row 2 is 0; objective gamma needs labels above 0"},
		{poisson, []float64{0, 0}, "gbdt: every label is 0; objective poisson has nothing to learn"},
	} {
		o := (&Settings{TweediePower: 1.5}).named(c.name)
		if _, err := o.Bind(Rows{Y: c.y, Outputs: 1}); !fault.Is(err, fault.Invalid) || err.Error() != c.message {
			t.Errorf("%s of %v: %v", c.name, c.y, err)
		}
	}
}

// Metrics on a few rows, by hand, ties and weights and all.
func TestMetrics(t *testing.T) {
	binary := &learner.Set{Y: []float64{0, 1, 1, 0}}
	query := &learner.Set{Y: []float64{0, 2, 1, 0, 0}, Query: []int32{4, 4, 4, 5, 5}}
	number := &learner.Set{Y: []float64{1, 10}}
	for _, c := range []struct {
		name    string
		task    learner.Task
		set     *learner.Set
		weights []float64
		p       []float64
		want    float64
	}{
		{"auc", learner.Binary, binary, nil, []float64{.1, .4, .9, .4}, 3.5 / 4},
		{"auc", learner.Binary, binary, []float64{1, 2, 1, 3}, []float64{.1, .4, .9, .4}, (2*(1+1.5) + 4) / 12},
		{"error", learner.Binary, binary, nil, []float64{.1, .5, .9, .6}, 0.5},
		{"error", learner.Multiclass, &learner.Set{Y: []float64{0, 2}}, nil, []float64{.4, .4, .2, .1, .2, .7}, 0},
		{"logloss", learner.Binary, binary, nil, []float64{.5, .5, .25, .5}, (3*math.Ln2 + math.Log(4)) / 4},
		{"rmse", learner.Regression, number, nil, []float64{4, 6}, math.Sqrt(12.5)},
		{"mae", learner.Regression, number, []float64{3, 1}, []float64{4, 6}, 13.0 / 4},
		{"mape", learner.Regression, number, nil, []float64{4, 6}, 1.7},
		{"poisson", learner.Regression, number, nil, []float64{1, math.E}, (1 + math.E - 10) / 2},
		{"ndcg@1", learner.Ranking, query, nil, []float64{3, 2, 1, 0, 0}, 0.5},
		{"ndcg@2", learner.Ranking, query, nil, []float64{3, 1, 2, 0, 0}, ((1/math.Log2(3))/(3+1/math.Log2(3)) + 1) / 2},
	} {
		m, err := (&Settings{Metric: c.name}).metric(c.task)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Measure(c.set, c.weights, c.p); math.Abs(got-c.want) > 1e-12 || m.Name() != c.name && c.name != "poisson" {
			t.Errorf("%s of %v is %v, not %v", c.name, c.p, got, c.want)
		}
	}
}

// The kernels write the bits that the plain loops write, for any number of rows.
func TestKernelsAreTheirTwins(t *testing.T) {
	if !vector {
		t.Skip("this processor has none")
	}
	r := rand.New(rand.NewPCG(8, 8))
	for n := range 70 {
		margins, towards := make([]float64, n), make([]float32, n)
		for i := range n {
			margins[i] = math.Ldexp(r.NormFloat64(), r.IntN(12)-4)
			if r.IntN(20) == 0 {
				margins[i] = []float64{0, math.Copysign(0, -1), 40, -40, math.Inf(1), math.Inf(-1), 1e300, 1e-300}[r.IntN(8)]
			}
			towards[i] = float32(2*r.IntN(2) - 1)
		}
		own, grads, most := make([]float64, n), make([]float32, 2*n), [2]float64{1e-9, 0.1}
		ownV, gradsV, mostV := make([]float64, n), make([]float32, 2*n), most
		logisticRows(margins, own, towards, grads, &most)
		logisticBlock(margins, ownV, towards, gradsV, &mostV)
		if fmt.Sprint(own, grads, most) != fmt.Sprint(ownV, gradsV, mostV) {
			t.Fatalf("%d rows: %v %v %v, not %v %v %v", n, ownV, gradsV, mostV, own, grads, most)
		}
	}

	for n := range 70 {
		own := placed{margin: 3, gain: 0.4, discount: 0.9, near: 0.01, distance: 1}
		if n%2 == 0 {
			own.near, own.distance = 1, 0
		}
		fill := func(of func() float64) []float64 {
			v := make([]float64, n)
			for i := range v {
				v[i] = of()
			}
			return v
		}
		margins := fill(func() float64 { return []float64{3, 2.9, 3 - r.ExpFloat64(), -100}[r.IntN(4)] })
		gains := fill(func() float64 { return float64(r.IntN(6)) / 5 })
		discounts := fill(func() float64 { return 0.9 * r.Float64() })
		g, h, sums := fill(r.Float64), fill(r.Float64), pairSums{}
		gV, hV, sumsV := slices.Clone(g), slices.Clone(h), sums
		pairRows(&own, &sums, margins, gains, discounts, g, h)
		pairBlock(&own, &sumsV, margins, gains, discounts, gV, hV)
		if !slices.Equal(g, gV) || !slices.Equal(h, hV) || sums != sumsV {
			t.Fatalf("%d pairs: %v, not %v", n, sumsV, sums)
		}
	}

	x := table.NewMatrix(71, make([]string, 9))
	for i := range x.Data {
		x.Data[i] = float32(r.IntN(50))
	}
	for n := range 70 {
		grads := make([]float32, 2*70)
		for i := range grads {
			grads[i] = float32(r.NormFloat64())
			if i%2 == 1 {
				grads[i] = float32(r.ExpFloat64() / 4)
			}
		}
		scales := [2]float64{gradMax / 6.0, gradMax / 6.0}
		a, b := newGrower(Settings{}, &constraints{}, makeBins(x), 1), newGrower(Settings{}, &constraints{}, makeBins(x), 1)
		quantiseRows(a, grads, n/3, n, &scales, 0, false)
		quantiseBlock(b, grads, n/3, n, &scales)
		if !slices.Equal(a.data.Records, b.data.Records) {
			t.Fatalf("rows %d to %d: other records", n/3, n)
		}
	}
}
