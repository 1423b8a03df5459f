package linear

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// newtonSize is the most unknowns for which Newton's method is chosen: its matrix costs about as much as size/4 gradients.
const newtonSize = 40

// fitLogistic minimises the mean log loss plus, divided by the sum of weights, l2/2 times the sum of squared coefficients
// and l1 times the sum of their absolute values, from zero coefficients and the best constants. Binary has one margin,
// multiclass one per class.
func (l *Learner) fitLogistic(ctx context.Context, d *design, train learner.Set, task learner.Task, classes int, opt learner.Options) (learner.Model, error) {
	outputs := classes
	if task == learner.Binary {
		outputs = 1
	}
	p := d.x.Cols
	o := &objective{design: d, outputs: outputs, l1: make([]float64, p), l2: make([]float64, p)}
	for j, f := range d.factor {
		o.l1[j], o.l2[j] = l.L1*f/d.total, l.L2*f*f/d.total
	}
	build := func(w []float64) *Model {
		coef, intercept := make([][]float64, outputs), make([]float64, outputs)
		for k := range outputs {
			at := k * (p + 1)
			coef[k], intercept[k] = w[at:at+p], w[at+p]
		}
		return d.model(Logistic, task, coef, intercept)
	}
	step := func(done int, w []float64, loss float64) error {
		if err := canceled(ctx, done); err != nil {
			return err
		}
		if opt.Progress != nil {
			opt.Progress(done, l.Iterations, loss)
		}
		if opt.Curve == nil && opt.Prune == nil {
			return nil
		}
		valid := math.NaN()
		if opt.Valid != nil {
			valid = lossOn(build(w), opt.Valid)
		}
		if opt.Curve != nil {
			opt.Curve(done, l.Iterations, loss, valid)
		}
		if opt.Prune != nil && opt.Prune(done, l.Iterations, loss, valid) {
			return learner.ErrPruned
		}
		return nil
	}
	w := o.start()
	var err error
	switch {
	case l.L1 > 0:
		w, err = o.proximal(ctx, w, l.Iterations, l.Tolerance, step)
	case l.Solver == Newton || l.Solver == Auto && len(w) <= newtonSize:
		w, err = o.minimise(w, &newton{objective: o}, l.Iterations, l.Tolerance, step)
	default:
		w, err = o.minimise(w, &memory{objective: o}, l.Iterations, l.Tolerance, step)
	}
	if err != nil {
		return nil, err
	}
	o.centre(w, l.L1 == 0)
	return build(w), nil
}

// objective is the penalised mean log loss as a function of the weights: per output the columns' standardised
// coefficients, then the intercept.
type objective struct {
	*design
	outputs int
	l1, l2  []float64 // per column
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
	for k := range o.outputs {
		w[k*(p+1)+p] = math.Log(share(k))
	}
	o.centre(w, false)
	return w
}

// centre takes from the intercepts what all outputs share, which softmax does not see, and from the coefficients too
// when nothing but squares is penalised, which it lowers.
func (o *objective) centre(w []float64, coefficients bool) {
	if o.outputs == 1 {
		return
	}
	p := o.x.Cols
	from := p
	if coefficients {
		from = 0
	}
	for j := from; j <= p; j++ {
		var mean float64
		for k := range o.outputs {
			mean += w[k*(p+1)+j] / float64(o.outputs)
		}
		for k := range o.outputs {
			w[k*(p+1)+j] -= mean
		}
	}
}

// raw turns standardised coefficients into those of the columns as they are, padded for the kernels, and the intercept.
func (o *objective) raw(w []float64) (slopes []float64, intercept float64) {
	p := o.x.Cols
	slopes, intercept = make([]float64, padded(p)), w[p]
	for j := range p {
		slopes[j] = w[j] * o.inv[j]
		intercept -= float64(slopes[j] * o.mean[j])
	}
	return slopes, intercept
}

// at is the penalised loss, the loss alone, and the gradient of the smooth part, which is written to grad.
func (o *objective) at(w, grad []float64) (value, loss float64) {
	p, k := o.x.Cols, o.outputs
	slopes, intercept := make([][]float64, k), make([]float64, k)
	for c := range k {
		slopes[c], intercept[c] = o.raw(w[c*(p+1):])
	}
	type part struct {
		g    [][]float64 // per output, sums of residual times column
		r    []float64   // per output, the sum of residuals
		loss float64
	}
	parts := make([]part, pieces)
	shard.Run(o.workers, pieces, func(_, b int) {
		out := part{g: make([][]float64, k), r: make([]float64, k)}
		for c := range out.g {
			out.g[c] = make([]float64, padded(p))
		}
		size := o.block()
		m := make([]float64, k*size) // margins, then residuals, output by output
		row := make([]float64, k)
		lo, hi := o.rows(b)
		for i := lo; i < hi; i += size {
			n := min(size, hi-i)
			x := o.x.Data[i*p : (i+n)*p]
			for c := range k {
				dots(m[c*size:c*size+n], slopes[c], x, p)
			}
			if k == 1 {
				out.loss += o.binary(m[:n], i, intercept[0])
			} else {
				for r := range n {
					for c := range row {
						row[c] = m[c*size+r] + intercept[c]
					}
					weight := o.weight(i + r)
					out.loss += float64(weight * residuals(row, o.y[i+r]))
					for c, v := range row {
						m[c*size+r] = weight * v
					}
				}
			}
			for c := range k {
				own := m[c*size : c*size+n]
				axpys(out.g[c], own, x, p)
				for _, v := range own {
					out.r[c] += v
				}
			}
		}
		parts[b] = out
	})
	clear(grad)
	for _, part := range parts {
		loss += part.loss
		for c := range k {
			own := grad[c*(p+1) : (c+1)*(p+1)]
			for j := range p {
				own[j] += part.g[c][j]
			}
			own[p] += part.r[c]
		}
	}
	loss /= o.total
	for c := range k {
		own := grad[c*(p+1) : (c+1)*(p+1)]
		sum := own[p]
		for j := range p {
			own[j] = (own[j] - float64(o.mean[j]*sum)) * o.inv[j] / o.total
		}
		own[p] = sum / o.total
	}
	return loss + o.penalise(w, grad), loss
}

// penalise is the value of the penalties; it adds the gradient of the smooth one to grad.
func (o *objective) penalise(w, grad []float64) (value float64) {
	p := o.x.Cols
	for i, c := range w {
		j := i % (p + 1)
		if j == p {
			continue
		}
		value += float64(o.l2[j]*float64(c*c))/2 + float64(o.l1[j]*math.Abs(c))
		if grad != nil {
			grad[i] += float64(o.l2[j] * c)
		}
	}
	return value
}

// binary replaces the margins, short of the intercept, of the rows from first on by weight times (probability minus
// label), and returns the sum of weighted losses. Without weights the logarithms of up to 64 rows are taken together.
func (o *objective) binary(m []float64, first int, intercept float64) (loss float64) {
	product, factors := 1.0, 0
	for r, z := range m {
		z += intercept
		y := o.y[first+r]
		size := math.Abs(z)
		e := math.Exp(-size)
		// Half of tanh(z/2), without a branch that cannot be foreseen.
		m[r] = 0.5 - y + math.Copysign((1-e)/(1+e)/2, z)
		own := (size+z)/2 - float64(y*z)
		if o.weights != nil {
			w := o.weights[first+r]
			m[r] *= w
			loss += float64(w * (math.Log1p(e) + own))
			continue
		}
		loss += own
		product *= 1 + e
		if factors++; factors == 64 {
			loss += math.Log(product)
			product, factors = 1, 0
		}
	}
	return loss + math.Log(product)
}

// residuals replaces the margins of several outputs by probability minus truth and returns the log loss.
func residuals(m []float64, y float64) float64 {
	own := m[int(y)]
	top := m[0]
	for _, v := range m[1:] {
		top = max(top, v)
	}
	var sum float64
	for k, v := range m {
		m[k] = math.Exp(v - top)
		sum += m[k]
	}
	for k := range m {
		m[k] /= sum
	}
	m[int(y)]--
	return math.Log(sum) - (own - top)
}

// margins writes the margins of all rows, output by output, for the coefficients w; intercepts are left out of a change.
func (o *objective) margins(dst, w []float64) {
	p, n := o.x.Cols, o.x.Rows
	for c := range o.outputs {
		slopes, intercept := o.raw(w[c*(p+1):])
		shard.Run(o.workers, pieces, func(_, b int) {
			lo, hi := o.rows(b)
			own := dst[c*n+lo : c*n+hi]
			dots(own, slopes, o.x.Data[lo*p:hi*p], p)
			for i := range own {
				own[i] += intercept
			}
		})
	}
}
