package linear

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxColumns bounds the normal equations: 8,192 squared is half a gibibyte.
const maxColumns = 8192

// fitRidge solves (Z'WZ + l2 I) c = Z'W(y - mean y) for standardised Z, or, when there are more columns than rows, the
// equations with as many unknowns as rows that have the same solution.
func (l *Learner) fitRidge(ctx context.Context, d *design, train learner.Set, opt learner.Options) (learner.Model, error) {
	p, n := d.x.Cols, d.x.Rows
	if min(p, n) > maxColumns {
		return nil, fault.New(fault.TooLarge, "%s has %d columns; at most %d are supported", l.Kind, p, maxColumns).WithHint("use lasso or gbdt")
	}
	penalty := l.L2
	if l.Kind == Ridge {
		penalty = l.Alpha
	}
	mean, _ := d.meanLabel()
	var coef []float64
	if p > n {
		coef = d.dual(penalty, mean)
	} else {
		a, _, stride := d.gram(1, nil, false)
		coef = d.correlations(func(i int) float64 { return d.y[i] - mean })
		if err := canceled(ctx, 0); err != nil {
			return nil, err
		}
		for j, f := range d.factor {
			a[j*stride+j] += float64(penalty * float64(f*f))
		}
		solve(a, coef, p, stride)
	}
	if err := canceled(ctx, 1); err != nil {
		return nil, err
	}
	// Standardised columns have mean 0, so that the intercept is the mean label.
	m := d.model(l.Kind, learner.Regression, [][]float64{coef}, []float64{mean})
	report(m, 1, 1, train, opt)
	return m, nil
}

// report tells the loss of a finished model.
func report(m *Model, done, total int, train learner.Set, opt learner.Options) {
	if opt.Progress == nil && opt.Curve == nil {
		return
	}
	loss := lossOn(m, &train)
	if opt.Progress != nil {
		opt.Progress(done, total, loss)
	}
	if opt.Curve != nil {
		opt.Curve(done, total, loss, lossOn(m, opt.Valid))
	}
}

// lossOn is the model's mean loss on the set, NaN without one.
func lossOn(m *Model, set *learner.Set) float64 {
	if set == nil {
		return math.NaN()
	}
	p := make([]float64, set.X.Rows*m.Outputs())
	m.Predict(set.X, p)
	return learner.MeanLoss(m.task, set.Y, p)
}

// correlations are the sums over rows of weight times standardised column times residual, one per column.
func (d *design) correlations(residual func(i int) float64) []float64 {
	p := d.x.Cols
	parts := make([][]float64, pieces)
	shard.Run(d.workers, pieces, func(_, b int) {
		s := make([]float64, padded(p))
		r := make([]float64, d.block())
		var total float64
		lo, hi := d.rows(b)
		for i := lo; i < hi; i += len(r) {
			own := r[:min(len(r), hi-i)]
			for k := range own {
				own[k] = d.weight(i+k) * residual(i+k)
				total += own[k]
			}
			axpys(s, own, d.x.Data[i*p:], p)
		}
		for j := range p {
			s[j] = (s[j] - float64(d.mean[j]*total)) * d.inv[j]
		}
		parts[b] = s
	})
	out := make([]float64, p)
	for _, s := range parts {
		for j := range out {
			out[j] += s[j]
		}
	}
	return out
}

// dual finds the coefficients as a combination of the rows: with S the standardised rows, each divided by the penalty
// factors and multiplied by the root of its weight, (SS' + penalty I) u = root of weight times (y - mean), c = S'u.
func (d *design) dual(penalty, mean float64) []float64 {
	n, p := d.x.Rows, d.x.Cols
	stride := padded(n)
	s := make([]float64, n*p)
	root := make([]float64, n)
	for i := range n {
		root[i] = math.Sqrt(d.weight(i))
		row := s[i*p : (i+1)*p]
		d.row(i, row)
		for j, v := range row {
			row[j] = 0
			if d.inv[j] != 0 {
				row[j] = v * root[i] / d.factor[j]
			}
		}
	}
	a, u := make([]float64, n*stride), make([]float64, n)
	shard.Run(d.workers, n, func(_, i int) {
		for k := i; k < n; k++ {
			a[i*stride+k] = dot(s[i*p:(i+1)*p], s[k*p:(k+1)*p])
		}
		a[i*stride+i] += penalty
		u[i] = root[i] * (d.y[i] - mean)
	})
	solve(a, u, n, stride)
	coef := make([]float64, p)
	for i, v := range u {
		axpy(coef, v, s[i*p:(i+1)*p])
	}
	for j, f := range d.factor {
		if d.inv[j] != 0 {
			coef[j] /= f
		}
	}
	return coef
}

// solve replaces b by the solution of the symmetric system whose upper triangle is a, in p rows of stride numbers. A
// column that depends on those before it, which can only happen without a penalty, gets the coefficient 0.
func solve(a, b []float64, p, stride int) {
	factorise(a, p, stride)
	substitute(a, b, p, stride)
}

// factorise replaces the upper triangle a by U'DU: D on the diagonal, the rows of DU right of it. D is 0 for a column
// that depends on those before it.
func factorise(a []float64, p, stride int) {
	var largest float64
	for j := range p {
		largest = max(largest, a[j*stride+j])
	}
	for j := range p {
		pivot := a[j*stride+j]
		if !(pivot > 1e-12*largest) {
			a[j*stride+j] = 0
			continue
		}
		for i := j + 1; i < p; i++ {
			if f := a[j*stride+i] / pivot; f != 0 {
				axpy(a[i*stride+i:i*stride+p], -f, a[j*stride+i:])
			}
		}
	}
}

// substitute replaces b by the solution of the system that factorise prepared.
func substitute(a, b []float64, p, stride int) {
	for j := range p {
		if pivot := a[j*stride+j]; pivot != 0 {
			axpy(b[j+1:p], -(b[j] / pivot), a[j*stride+j+1:])
		}
	}
	for j := p - 1; j >= 0; j-- {
		if a[j*stride+j] == 0 {
			b[j] = 0
			continue
		}
		b[j] = (b[j] - dot(a[j*stride+j+1:j*stride+p], b[j+1:])) / a[j*stride+j]
	}
}

func dot(a, b []float64) float64 {
	var s float64
	b = b[:len(a)]
	for i, v := range a {
		s += float64(v * b[i])
	}
	return s
}

func axpy(dst []float64, a float64, x []float64) {
	x = x[:len(dst)]
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
