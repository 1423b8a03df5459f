package linear

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/expand"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// pieces is how many parts the rows are cut into for sums; it depends on nothing but this constant, so that floating
// point sums are the same for any number of workers.
const pieces = 16

// design is the training set as numbers without gaps, with what standardising needs. A standardised value is
// (x-mean)*inv. All solvers work on standardised columns; a penalty that should act on the columns as they are is
// factor times as strong (its square for squares).
type design struct {
	expansion *expand.Expansion
	x         *table.Matrix // expanded
	y         []float64
	weights   []float64 // nil for all ones
	total     float64   // sum of the weights
	mean      []float64
	inv       []float64 // 1/standard deviation, 0 for a column of one value
	scale     []float64 // standard deviation
	factor    []float64
	workers   int
}

func newDesign(set learner.Set, weights []float64, standardise, indicators bool, workers int) (*design, error) {
	e, x, err := expand.FitMatrix(set.X, weights, expand.Options{Indicators: indicators, Workers: workers})
	if err != nil {
		return nil, err
	}
	d := &design{expansion: e, x: x, y: set.Y, workers: workers}
	d.weigh(weights, standardise)
	return d, nil
}

// weigh computes weighted means and standard deviations of the columns.
func (d *design) weigh(weights []float64, standardise bool) {
	p := d.x.Cols
	d.setWeights(weights)
	d.mean, d.inv, d.scale, d.factor = make([]float64, p), make([]float64, p), make([]float64, p), make([]float64, p)
	d.moments(d.mean, func(s, r []float64, x []float32) { axpys(s, r, x, p) })
	d.moments(d.scale, func(s, r []float64, x []float32) { squares(s, r, x, d.mean) })
	for j, v := range d.scale {
		d.scale[j], d.factor[j] = math.Sqrt(v), 1
		// A column of one value has nothing but rounding here.
		if d.scale[j] > 1e-12*math.Abs(d.mean[j]) && d.scale[j] > math.SmallestNonzeroFloat32/1e10 {
			d.inv[j] = 1 / d.scale[j]
		} else {
			d.scale[j] = 0
		}
		if !standardise {
			d.factor[j] = d.inv[j]
		}
	}
}

func (d *design) setWeights(weights []float64) {
	d.weights, d.total = weights, 0
	for i := range d.y {
		d.total += d.weight(i)
	}
}

// moments writes the weighted mean over rows of what add sums up, from the weights of some rows and the rows.
func (d *design) moments(out []float64, add func(s, r []float64, x []float32)) {
	p := len(out)
	parts := make([][]float64, pieces)
	shard.Run(d.workers, pieces, func(_, b int) {
		s, r := make([]float64, padded(p)), make([]float64, d.block())
		lo, hi := d.rows(b)
		for i := lo; i < hi; i += len(r) {
			own := r[:min(len(r), hi-i)]
			for k := range own {
				own[k] = d.weight(i + k)
			}
			add(s, own, d.x.Data[i*p:])
		}
		parts[b] = s
	})
	clear(out)
	for _, s := range parts {
		for j := range out {
			out[j] += s[j]
		}
	}
	for j := range out {
		out[j] /= d.total
	}
}

// squares adds the squared distances of the rows of x from the means to s, row i times r[i].
func squares(s, r []float64, x []float32, mean []float64) {
	p := len(mean)
	s = s[:p]
	i := 0
	for ; i+4 <= len(r); i += 4 {
		x0, x1, x2, x3 := x[i*p:(i+1)*p], x[(i+1)*p:(i+2)*p], x[(i+2)*p:(i+3)*p], x[(i+3)*p:(i+4)*p]
		r0, r1, r2, r3 := r[i], r[i+1], r[i+2], r[i+3]
		for j, m := range mean {
			d0, d1, d2, d3 := float64(x0[j])-m, float64(x1[j])-m, float64(x2[j])-m, float64(x3[j])-m
			s[j] += (float64(r0*float64(d0*d0)) + float64(r1*float64(d1*d1))) + (float64(r2*float64(d2*d2)) + float64(r3*float64(d3*d3)))
		}
	}
	for ; i < len(r); i++ {
		for j, m := range mean {
			d := float64(x[i*p+j]) - m
			s[j] += float64(r[i] * float64(d*d))
		}
	}
}

func (d *design) weight(i int) float64 {
	if d.weights == nil {
		return 1
	}
	return d.weights[i]
}

// rows is the row range of a piece.
func (d *design) rows(piece int) (lo, hi int) {
	return d.x.Rows * piece / pieces, d.x.Rows * (piece + 1) / pieces
}

// block is how many rows stay in the nearest cache while a kernel goes over them twice.
func (d *design) block() int { return min(max(32<<10/(4*d.x.Cols), 4), 256) &^ 3 }

// row writes the standardised values of row i.
func (d *design) row(i int, dst []float64) {
	mean, inv, dst := d.mean, d.inv, dst[:d.x.Cols]
	for j, v := range d.x.Row(i)[:len(dst)] {
		dst[j] = (float64(v) - mean[j]) * inv[j]
	}
}

// meanLabel is the weighted mean of the labels, and their standard deviation.
func (d *design) meanLabel() (mean, deviation float64) {
	for i, y := range d.y {
		mean += float64(d.weight(i) * y)
	}
	mean /= d.total
	for i, y := range d.y {
		deviation += float64(d.weight(i) * float64((y-mean)*(y-mean)))
	}
	return mean, math.Sqrt(deviation / d.total)
}

// gram is the upper triangle, in rows of stride numbers, of the sum over rows of weight(i) times z z', where z is the
// standardised row, followed by a 1 when one is set, over every step-th row. weight nil is the design's own. The rows are cut into pieces that
// each have a triangle of their own, as many as fit in 128 MiB: a number that depends on the columns alone.
func (d *design) gram(step int, weight func(i int) float64, one bool) (a []float64, size, stride int) {
	p := d.x.Cols
	size = p
	if one {
		size++
	}
	stride = padded(size)
	if weight == nil {
		weight = d.weight
	}
	parts := min(max((1<<24)/(stride*stride), 1), pieces)
	triangles := make([][]float64, parts)
	n := (d.x.Rows + step - 1) / step
	shard.Run(d.workers, parts, func(_, b int) {
		a, z := make([]float64, size*stride), make([]float64, 4*stride)
		var w, r [4]float64
		for i, end := n*b/parts, n*(b+1)/parts; i < end; i += 4 {
			w = [4]float64{}
			for k := range min(4, end-i) {
				w[k] = weight((i + k) * step)
				d.row((i+k)*step, z[k*stride:])
				if one {
					z[k*stride+p] = 1
				}
			}
			for j := range size {
				for k := range r {
					r[k] = w[k] * z[k*stride+j]
				}
				from := j &^ 7
				outer(a[j*stride+from:(j+1)*stride], &r, z[from:], stride)
			}
		}
		triangles[b] = a
	})
	a = triangles[0]
	for _, t := range triangles[1:] {
		for i, v := range t {
			a[i] += v
		}
	}
	return a, size, stride
}

// model turns coefficients of standardised columns (outputs x expanded columns) and intercepts into units of the inputs.
func (d *design) model(kind string, task learner.Task, coef [][]float64, intercept []float64) *Model {
	e := d.expansion
	n, k := e.Features(), len(coef)
	m := &Model{kind: kind, task: task, Fill: make([]float64, n), Scale: make([]float64, n), Tables: make([][]float64, n)}
	slopes := make([][]float64, k)
	for o := range coef {
		slopes[o] = make([]float64, d.x.Cols)
		b := intercept[o]
		for j, c := range coef[o] {
			slopes[o][j] = c * d.inv[j]
			b -= float64(slopes[o][j] * d.mean[j])
		}
		m.Intercept = append(m.Intercept, b)
		m.Coef = append(m.Coef, make([]float64, n))
		m.Gap = append(m.Gap, make([]float64, n))
		m.Average = append(m.Average, make([]float64, n))
	}
	cell := make([]float32, 0, 8)
	shares, total := make([]float64, n), 0.0
	for f := range n {
		lo, hi := e.Columns(f)
		cell = append(cell[:0], make([]float32, hi-lo)...)
		effect := func(o int, v float32) (sum float64) {
			e.Value(f, v, cell)
			for c, x := range cell {
				sum += float64(slopes[o][lo+c] * float64(x))
			}
			return sum
		}
		for o := range coef {
			for c := lo; c < hi; c++ {
				m.Average[o][f] += float64(slopes[o][c] * d.mean[c])
			}
		}
		if levels := e.Categories(f); levels > 0 {
			table := make([]float64, 0, (levels+2)*k)
			for c := range levels + 1 { // the last is a category that training did not see
				for o := range coef {
					table = append(table, effect(o, float32(c)))
				}
			}
			for o := range coef {
				table = append(table, effect(o, float32(math.NaN())))
			}
			m.Tables[f] = table
		} else {
			e.Value(f, float32(math.NaN()), cell)
			m.Fill[f], m.Scale[f] = float64(cell[0]), d.scale[lo]
			for o := range coef {
				m.Coef[o][f] = slopes[o][lo]
				for c := lo + 1; c < hi; c++ {
					m.Gap[o][f] += slopes[o][c]
				}
			}
		}
		for c := lo; c < hi; c++ {
			for o := range coef {
				if d.inv[c] != 0 {
					shares[f] += math.Abs(coef[o][c])
				}
			}
		}
		total += shares[f]
	}
	if total > 0 {
		for f := range shares {
			shares[f] /= total
		}
	}
	m.shares = shares
	return m
}
