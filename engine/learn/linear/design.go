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
	e, err := expand.Fit(set.X, weights, expand.Options{Indicators: indicators, Workers: workers})
	if err != nil {
		return nil, err
	}
	d := &design{expansion: e, x: e.Matrix(set.X, workers), y: set.Y, workers: workers}
	d.weigh(weights, standardise)
	return d, nil
}

// weigh computes weighted means and standard deviations of the columns.
func (d *design) weigh(weights []float64, standardise bool) {
	p := d.x.Cols
	d.setWeights(weights)
	d.mean, d.inv, d.scale, d.factor = make([]float64, p), make([]float64, p), make([]float64, p), make([]float64, p)
	d.moments(d.mean, func(s []float64, w float64, row []float32) {
		for j, v := range row {
			s[j] += float64(w * float64(v))
		}
	})
	d.moments(d.scale, func(s []float64, w float64, row []float32) {
		mean := d.mean[:len(row)]
		for j, v := range row {
			c := float64(v) - mean[j]
			s[j] += float64(w * float64(c*c))
		}
	})
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

// moments writes the weighted mean over rows of what add sums up.
func (d *design) moments(out []float64, add func(s []float64, w float64, row []float32)) {
	parts := make([][]float64, pieces)
	shard.Run(d.workers, pieces, func(_, b int) {
		s := make([]float64, len(out))
		lo, hi := d.rows(b)
		for i := lo; i < hi; i++ {
			if w := d.weight(i); w != 0 {
				add(s, w, d.x.Row(i)[:len(s)])
			}
		}
		parts[b] = s
	})
	clear(out)
	for _, s := range parts {
		for j, v := range s {
			out[j] += v
		}
	}
	for j := range out {
		out[j] /= d.total
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
// standardised row, followed by a 1 when one is set. weight nil is the design's own. The rows are cut into pieces that
// each have a triangle of their own, as many as fit in 128 MiB: a number that depends on the columns alone.
func (d *design) gram(weight func(i int) float64, one bool) (a []float64, size, stride int) {
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
	n := d.x.Rows
	shard.Run(d.workers, parts, func(_, b int) {
		a, z := make([]float64, size*stride), make([]float64, 4*stride)
		var w, r [4]float64
		for i, end := n*b/parts, n*(b+1)/parts; i < end; i += 4 {
			w = [4]float64{}
			for k := range min(4, end-i) {
				w[k] = weight(i + k)
				d.row(i+k, z[k*stride:])
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
