package linear

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// fitLogistic minimises the mean log loss plus l2/(2 sum of weights) times the squared standardised coefficients, with
// L-BFGS from zero coefficients and the best constants. Binary has one margin, multiclass one per class.
func (l *Learner) fitLogistic(ctx context.Context, d *design, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	outputs := classes
	if task == learner.Binary {
		outputs = 1
	}
	o := &objective{design: d, outputs: outputs, penalty: l.L2 / d.total}
	p := d.x.Cols
	build := func(w []float64) *Model {
		coef, intercept := make([][]float64, outputs), make([]float64, outputs)
		for k := range outputs {
			at := k * (p + 1)
			coef[k], intercept[k] = w[at:at+p], w[at+p]
		}
		return d.model(Logistic, task, coef, intercept)
	}
	step := func(done int, w []float64, loss float64) error {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Canceled, "training stopped after %d iterations", done)
		}
		if opt.Progress != nil {
			opt.Progress(done, l.Iterations, loss)
		}
		if opt.Curve != nil {
			opt.Curve(done, l.Iterations, loss, validLoss(build(w), opt.Valid))
		}
		return nil
	}
	w, err := o.minimise(o.start(), l.Iterations, l.Tolerance, step)
	if err != nil {
		return nil, err
	}
	return build(w), nil
}

// report tells the loss of a finished model.
func report(m *Model, done, total int, train learner.Set, opt learner.Options) {
	loss := validLoss(m, &train)
	if opt.Progress != nil {
		opt.Progress(done, total, loss)
	}
	if opt.Curve != nil {
		opt.Curve(done, total, loss, validLoss(m, opt.Valid))
	}
}

func validLoss(m *Model, set *learner.Set) float64 {
	if set == nil {
		return math.NaN()
	}
	p := make([]float64, set.X.Rows*m.Outputs())
	m.Predict(set.X, p)
	return learner.MeanLoss(m.task, set.Y, p)
}

// objective is the penalised mean log loss as a function of the weights: per output the columns' standardised
// coefficients, then the intercept.
type objective struct {
	*design
	outputs int
	penalty float64
}

func (o *objective) start() []float64 {
	p := o.x.Cols
	w := make([]float64, o.outputs*(p+1))
	count := make([]float64, max(o.outputs, 2))
	for i, y := range o.y {
		count[int(y)] += o.weight(i)
	}
	// A class without weight must not start from minus infinity.
	share := func(k int) float64 { return max(count[k]/o.total, 1e-9) }
	if o.outputs == 1 {
		w[p] = math.Log(share(1) / share(0))
		return w
	}
	// Softmax does not see what all margins share. Intercepts start with mean 0 and gradients keep it.
	var mean float64
	for k := range o.outputs {
		mean += math.Log(share(k)) / float64(o.outputs)
	}
	for k := range o.outputs {
		w[k*(p+1)+p] = math.Log(share(k)) - mean
	}
	return w
}

// at is the penalised loss, the loss alone, and the gradient, which is written to grad.
func (o *objective) at(w, grad []float64) (value, loss float64) {
	p := o.x.Cols
	parts := make([][]float64, pieces)
	losses := make([]float64, pieces)
	shard.Run(o.workers, pieces, func(_, b int) {
		g := make([]float64, len(w))
		z := make([]float64, p)
		m := make([]float64, o.outputs)
		lo, hi := o.rows(b)
		var sum float64
		for i := lo; i < hi; i++ {
			o.row(i, z)
			for k := range m {
				m[k] = dot(w[k*(p+1):k*(p+1)+p], z) + w[k*(p+1)+p]
			}
			weight := o.weight(i)
			sum += weight * residuals(m, o.y[i])
			for k, r := range m {
				r *= weight
				gk := g[k*(p+1) : (k+1)*(p+1)]
				for j, v := range z {
					gk[j] += float64(r * v)
				}
				gk[p] += r
			}
		}
		parts[b], losses[b] = g, sum
	})
	clear(grad)
	for b, g := range parts {
		loss += losses[b]
		for j, v := range g {
			grad[j] += v
		}
	}
	loss /= o.total
	value = loss
	for j := range grad {
		grad[j] /= o.total
		if j%(p+1) != p {
			grad[j] += float64(o.penalty * w[j])
			value += float64(o.penalty*w[j]*w[j]) / 2
		}
	}
	return value, loss
}

// residuals replaces margins by probability minus truth and returns the log loss.
func residuals(m []float64, y float64) float64 {
	if len(m) == 1 {
		z := m[0]
		e := math.Exp(-math.Abs(z))
		p := 1 / (1 + e)
		if z < 0 {
			p = e * p
		}
		m[0] = p - y
		return math.Log1p(e) + math.Max(z, 0) - float64(y*z)
	}
	top := m[0]
	for _, v := range m[1:] {
		top = max(top, v)
	}
	own := m[int(y)] - top
	var sum float64
	for k, v := range m {
		m[k] = math.Exp(v - top)
		sum += m[k]
	}
	for k := range m {
		m[k] /= sum
	}
	m[int(y)]--
	return math.Log(sum) - own
}

func dot(a, b []float64) float64 {
	var s float64
	for i, v := range a {
		s += float64(v * b[i])
	}
	return s
}

// minimise is L-BFGS with ten pairs (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5) and a
// backtracking line search on Armijo's condition; the objective is convex, so that a pair is kept whenever its
// curvature is positive. step sees every iterate and may end the work with an error.
func (o *objective) minimise(w []float64, iterations int, tolerance float64, step func(int, []float64, float64) error) ([]float64, error) {
	const memory = 10
	type pair struct {
		s, y []float64
		rho  float64
	}
	var pairs []pair
	grad := make([]float64, len(w))
	value, loss := o.at(w, grad)
	for it := range iterations {
		if err := step(it, w, loss); err != nil {
			return nil, err
		}
		if largest(grad) <= tolerance {
			return w, nil
		}
		dir := make([]float64, len(w))
		for j, g := range grad {
			dir[j] = -g
		}
		alpha := make([]float64, len(pairs))
		for i := len(pairs) - 1; i >= 0; i-- {
			alpha[i] = pairs[i].rho * dot(pairs[i].s, dir)
			axpy(dir, -alpha[i], pairs[i].y)
		}
		if n := len(pairs); n > 0 {
			scale := 1 / (pairs[n-1].rho * dot(pairs[n-1].y, pairs[n-1].y))
			for j := range dir {
				dir[j] *= scale
			}
		}
		for i := range pairs {
			axpy(dir, alpha[i]-pairs[i].rho*dot(pairs[i].y, dir), pairs[i].s)
		}
		slope := dot(grad, dir)
		if slope >= 0 {
			// Rounding near the minimum: fall back on the steepest descent and forget.
			pairs = nil
			for j, g := range grad {
				dir[j] = -g
			}
			slope = -dot(grad, grad)
		}
		next, nextGrad := make([]float64, len(w)), make([]float64, len(w))
		var nextValue, nextLoss float64
		t, found := 1.0, false
		for range 40 {
			copy(next, w)
			axpy(next, t, dir)
			nextValue, nextLoss = o.at(next, nextGrad)
			if nextValue <= value+float64(1e-4*t*slope) {
				found = true
				break
			}
			t /= 2
		}
		if !found {
			return w, nil // no step is distinguishable from rounding
		}
		s, y := make([]float64, len(w)), make([]float64, len(w))
		for j := range w {
			s[j], y[j] = next[j]-w[j], nextGrad[j]-grad[j]
		}
		if sy := dot(s, y); sy > 1e-300 {
			if len(pairs) == memory {
				pairs = pairs[1:]
			}
			pairs = append(pairs, pair{s, y, 1 / sy})
		}
		w, grad, value, loss = next, nextGrad, nextValue, nextLoss
	}
	return w, nil
}

func axpy(dst []float64, a float64, x []float64) {
	for i, v := range x {
		dst[i] += float64(a * v)
	}
}

func largest(v []float64) float64 {
	var m float64
	for _, x := range v {
		m = max(m, math.Abs(x))
	}
	return m
}
