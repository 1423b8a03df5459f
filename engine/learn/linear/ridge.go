package linear

import (
	"context"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxColumns bounds the normal equations: 8,192 squared is half a gibibyte.
const maxColumns = 8192

// fitRidge solves (Z'WZ + l2 I) c = Z'W(y - mean y) for standardised Z by Cholesky's factorisation.
func (l *Learner) fitRidge(ctx context.Context, d *design, opt learner.Options) (learner.Model, error) {
	p := d.x.Cols
	if p > maxColumns {
		return nil, fault.New(fault.TooLarge, "linear has %d columns; at most %d are supported", p, maxColumns)
	}
	var mean float64
	for i, y := range d.y {
		mean += d.weight(i) * y
	}
	mean /= d.total

	a, b := d.normal(mean)
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.Canceled, "training stopped")
	}
	for j := range p {
		a[j*p+j] += l.L2
	}
	// Standardised columns have mean 0, missing values included, so that the intercept is the mean label.
	solve(a, b, p)
	m := d.model(Linear, learner.Regression, [][]float64{b}, []float64{mean})
	if opt.Progress != nil || opt.Curve != nil {
		report(m, 1, 1, learner.Set{X: d.x, Y: d.y}, opt)
	}
	return m, nil
}

// normal is the upper triangle of Z'WZ, row-major, and Z'W(y - mean). The rows are cut into pieces that each have a
// triangle of their own, as many as fit in 128 MiB: a number that depends on the columns alone.
func (d *design) normal(mean float64) (a, b []float64) {
	p := d.x.Cols
	parts := min(max((1<<24)/(p*p), 1), pieces)
	as, bs := make([][]float64, parts), make([][]float64, parts)
	n := d.x.Rows
	shard.Run(d.workers, parts, func(_, k int) {
		a, b, z := make([]float64, p*p), make([]float64, p), make([]float64, p)
		for i := n * k / parts; i < n*(k+1)/parts; i++ {
			d.row(i, z)
			w := d.weight(i)
			r := w * (d.y[i] - mean)
			for j, v := range z {
				if v == 0 {
					continue
				}
				b[j] += float64(r * v)
				wv := w * v
				row := a[j*p : (j+1)*p]
				for c := j; c < p; c++ {
					row[c] += float64(wv * z[c])
				}
			}
		}
		as[k], bs[k] = a, b
	})
	a, b = as[0], bs[0]
	for k := 1; k < parts; k++ {
		for i, v := range as[k] {
			a[i] += v
		}
		for i, v := range bs[k] {
			b[i] += v
		}
	}
	return a, b
}

// solve replaces b by the solution of the symmetric system whose upper triangle is a. A column that depends on those
// before it, which can only happen without a penalty, gets the coefficient 0.
func solve(a, b []float64, p int) {
	var largest float64
	for j := range p {
		largest = max(largest, a[j*p+j])
	}
	dropped := make([]bool, p)
	// U'DU in place: row j of U right of the diagonal, D on the diagonal.
	for j := range p {
		pivot := a[j*p+j]
		if pivot <= 1e-12*largest {
			dropped[j] = true
			continue
		}
		for i := j + 1; i < p; i++ {
			f := a[j*p+i] / pivot
			if f == 0 {
				continue
			}
			for c := i; c < p; c++ {
				a[i*p+c] -= float64(f * a[j*p+c])
			}
			b[i] -= float64(f * b[j])
		}
	}
	for j := p - 1; j >= 0; j-- {
		if dropped[j] {
			b[j] = 0
			continue
		}
		s := b[j]
		for c := j + 1; c < p; c++ {
			s -= float64(a[j*p+c] * b[c])
		}
		b[j] = s / a[j*p+j]
	}
}
