package linear

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// director finds a direction of descent from a gradient.
type director interface {
	// direction writes where to go from w to dir.
	direction(w, grad, dir []float64)
	// moved tells the change of the weights and of the gradient.
	moved(s, y []float64)
	// forget drops what was learned, after a direction that does not descend.
	forget()
}

// minimise goes down along the directions with a backtracking line search on Armijo's condition, until no component of
// the gradient is larger than tolerance. step sees every iterate and may end the work with an error.
func (o *objective) minimise(w []float64, by director, iterations int, tolerance float64, step func(int, []float64, float64) error) ([]float64, error) {
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
		by.direction(w, grad, dir)
		slope := dot(grad, dir)
		if !(slope < 0) {
			by.forget()
			for j, g := range grad {
				dir[j] = -g
			}
			slope = -dot(grad, grad)
		}
		next, nextGrad := make([]float64, len(w)), make([]float64, len(w))
		var nextValue, nextLoss float64
		t, found := 1.0, false
		// The loss is a sum that is known to about 16 digits: near the minimum only the gradient can tell steps apart.
		slack := 1e-15 * math.Abs(value)
		for range 40 {
			copy(next, w)
			axpy(next, t, dir)
			nextValue, nextLoss = o.at(next, nextGrad)
			if nextValue <= value+float64(1e-4*t*slope) || nextValue <= value+slack && largest(nextGrad) < largest(grad) {
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
		by.moved(s, y)
		w, grad, value, loss = next, nextGrad, nextValue, nextLoss
	}
	return w, nil
}

// memory directs by L-BFGS with ten pairs (Nocedal and Wright, Numerical Optimization, algorithm 7.4). The objective is
// convex, so that a pair is kept whenever its curvature is positive. It starts from second derivatives that are estimated
// on a part of the rows, output by output, once at the beginning and again where the first steps have led; when columns
// are many, from a diagonal matrix.
type memory struct {
	*objective
	pairs   []pair
	factors [][]float64 // per output, what factorise made of its matrix; nil for the diagonal
	calls   int
}

type pair struct {
	s, y []float64
	rho  float64
}

const (
	remembered   = 10
	mostEstimate = 512 // columns up to which matrices are estimated
	refreshed    = 3   // the direction before which they are estimated again
)

func (m *memory) direction(w, grad, dir []float64) {
	if m.x.Cols < mostEstimate && (m.calls == 0 || m.calls == refreshed) {
		m.estimate(w)
	}
	m.calls++
	for j, g := range grad {
		dir[j] = -g
	}
	alpha := make([]float64, len(m.pairs))
	for i := len(m.pairs) - 1; i >= 0; i-- {
		alpha[i] = m.pairs[i].rho * dot(m.pairs[i].s, dir)
		axpy(dir, -alpha[i], m.pairs[i].y)
	}
	m.precondition(dir)
	if n := len(m.pairs); n > 0 {
		last := m.pairs[n-1]
		y := append([]float64{}, last.y...)
		m.precondition(y)
		factor := 1 / (last.rho * dot(last.y, y))
		for j := range dir {
			dir[j] *= factor
		}
	}
	for i := range m.pairs {
		axpy(dir, alpha[i]-float64(m.pairs[i].rho*dot(m.pairs[i].y, dir)), m.pairs[i].s)
	}
}

// precondition solves with the matrices to start from.
func (m *memory) precondition(v []float64) {
	p := m.x.Cols
	for c := range m.outputs {
		own := v[c*(p+1) : (c+1)*(p+1)]
		if m.factors != nil {
			substitute(m.factors[c], own, p+1, padded(p+1))
			continue
		}
		for j := range own {
			bound := 0.25 // of the second derivative by a standardised coefficient
			if j < p {
				bound += m.l2[j]
			}
			own[j] /= bound
		}
	}
}

// estimate makes the matrices of second derivatives at w, on about as many rows as tell them within a tenth.
func (m *memory) estimate(w []float64) {
	p, n, k := m.x.Cols, m.x.Rows, m.outputs
	step := max(n/max(20*(p+1), 4096), 1)
	slopes, intercept := make([][]float64, k), make([]float64, k)
	for c := range k {
		slopes[c], intercept[c] = m.raw(w[c*(p+1):])
	}
	rows := (n + step - 1) / step
	curve := make([]float64, k*rows)
	row, total := make([]float64, k), 0.0
	for r := range rows {
		i := r * step
		for c := range row {
			row[c] = dotRow(slopes[c], m.x.Row(i)) + intercept[c]
		}
		if k == 1 {
			row[0] = 1 / (1 + math.Exp(-row[0]))
		} else {
			softmax(row)
		}
		total += m.weight(i)
		for c, v := range row {
			curve[c*rows+r] = m.weight(i) * v * (1 - v)
		}
	}
	if !(total > 0) {
		return
	}
	m.factors = make([][]float64, k)
	for c := range k {
		a, size, stride := m.gram(step, func(i int) float64 { return curve[c*rows+i/step] }, true)
		// Directions that the part of the rows does not show must stay open.
		least := 1e-3*a[p*stride+p]/total + 1e-9
		for i := range a {
			a[i] /= total
		}
		for j := range size {
			if a[j*stride+j] += least; j < p {
				a[j*stride+j] += m.l2[j]
			}
		}
		factorise(a, size, stride)
		m.factors[c] = a
	}
}

func (m *memory) moved(s, y []float64) {
	sy := dot(s, y)
	if !(sy > 1e-300) {
		return
	}
	if len(m.pairs) == remembered {
		m.pairs = m.pairs[1:]
	}
	m.pairs = append(m.pairs, pair{s, y, 1 / sy})
}

func (m *memory) forget() { m.pairs = nil }

// newton directs by the exact second derivatives.
type newton struct {
	*objective
	steepest bool
}

func (o *newton) direction(w, grad, dir []float64) {
	p, size := o.x.Cols, len(w)
	stride := padded(size)
	if o.steepest {
		for j, g := range grad {
			dir[j] = -g
		}
		o.steepest = false
		return
	}
	h := o.hessian(w)
	for i := range w {
		if j := i % (p + 1); j < p {
			h[i*stride+i] += o.l2[j]
		}
	}
	copy(dir, grad)
	solve(h, dir, size, stride)
	for j := range dir {
		dir[j] = -dir[j]
	}
}

func (o *newton) moved(_, _ []float64) {}

func (o *newton) forget() { o.steepest = true }

// hessian is the upper triangle of the mean log loss's second derivatives at w, in rows of padded(len(w)) numbers.
func (o *objective) hessian(w []float64) []float64 {
	n, k := o.x.Rows, o.outputs
	size := len(w)
	stride := padded(size)
	shares := o.shares(w)
	h := make([]float64, size*stride)
	for c := range k {
		for e := c; e < k; e++ {
			g, own, from := o.gram(1, func(i int) float64 {
				v := -shares[e*n+i]
				if c == e {
					v++
				}
				return float64(o.weight(i)*shares[c*n+i]) * v
			}, true)
			for i := range own {
				for j := range own {
					if c != e || j >= i {
						h[(c*own+i)*stride+e*own+j] = g[min(i, j)*from+max(i, j)] / o.total
					}
				}
			}
		}
	}
	return h
}

// shares are the probabilities of all rows, output by output.
func (o *objective) shares(w []float64) []float64 {
	n, k := o.x.Rows, o.outputs
	out := make([]float64, k*n)
	o.margins(out, w)
	shard.Run(o.workers, pieces, func(_, b int) {
		row := make([]float64, k)
		lo, hi := o.rows(b)
		for i := lo; i < hi; i++ {
			for c := range row {
				row[c] = out[c*n+i]
			}
			if k == 1 {
				row[0] = 1 / (1 + math.Exp(-row[0]))
			} else {
				softmax(row)
			}
			for c, v := range row {
				out[c*n+i] = v
			}
		}
	})
	return out
}
