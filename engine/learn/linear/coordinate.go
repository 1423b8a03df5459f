package linear

import (
	"context"
	"math"
)

// quadratic is a sum of squares in the coefficients, which coordinate descent minimises together with penalties. It
// knows the negative gradient by each coefficient, either from the matrix of second derivatives, which is kept up to date
// in full, or from the rows' residuals, which costs a pass over a column each time but needs no matrix.
type quadratic struct {
	coef  []float64
	curve []float64 // second derivative by each coefficient; 0 for a column of one value

	matrix   []float64 // size x stride, symmetric; nil when rows are used
	stride   int
	negative []float64

	columns  [][]float32 // as they are; nil for the column of ones
	mean     []float64
	inv      []float64
	weight   []float64 // per row
	residual []float64 // per row, times its weight, padded
	total    float64   // of the residuals
}

// mirrored fills the lower triangle.
func mirrored(a []float64, size, stride int) []float64 {
	for i := range size {
		for j := range i {
			a[i*stride+j] = a[j*stride+i]
		}
	}
	return a
}

// byColumn is the matrix's columns.
func (d *design) byColumn() [][]float32 {
	n, p := d.x.Rows, d.x.Cols
	data := make([]float32, n*p)
	out := make([][]float32, p)
	for j := range out {
		out[j] = data[j*n : (j+1)*n]
	}
	for i := range n {
		for j, v := range d.x.Row(i) {
			out[j][i] = v
		}
	}
	return out
}

// gradient is the negative gradient by coefficient j.
func (q *quadratic) gradient(j int) float64 {
	if q.matrix != nil {
		return q.negative[j]
	}
	if q.columns[j] == nil {
		return q.total
	}
	return (dotRow(q.residual, q.columns[j]) - float64(q.mean[j]*q.total)) * q.inv[j]
}

// shift adds by to coefficient j.
func (q *quadratic) shift(j int, by float64) {
	q.coef[j] += by
	if q.matrix != nil {
		axpy(q.negative, -by, q.matrix[j*q.stride:])
		return
	}
	q.total = 0
	if q.columns[j] == nil {
		for i, w := range q.weight {
			q.residual[i] -= float64(w * by)
			q.total += q.residual[i]
		}
		return
	}
	slope, mean := by*q.inv[j], q.mean[j]
	for i, v := range q.columns[j] {
		q.residual[i] -= float64(q.weight[i] * float64(slope*(float64(v)-mean)))
		q.total += q.residual[i]
	}
}

// descend goes over the coefficients in turn, each to its minimum given the others, first over those in the set, until
// no step moves the fit by more than tolerance; then it adds those outside that the optimality conditions ask for, and
// goes on (Friedman, Hastie and Tibshirani 2010; Tibshirani and others 2012, section 7, for the set).
func (q *quadratic) descend(ctx context.Context, l1, l2 []float64, set []bool, sweeps int, tolerance float64) error {
	step := func(j int) float64 {
		a := q.curve[j]
		if a <= 0 {
			return 0
		}
		old := q.coef[j]
		z := q.gradient(j) + float64(a*old)
		to := 0.0
		if z > l1[j] {
			to = (z - l1[j]) / (a + l2[j])
		} else if z < -l1[j] {
			to = (z + l1[j]) / (a + l2[j])
		}
		if to == old {
			return 0
		}
		q.shift(j, to-old)
		return math.Sqrt(a) * math.Abs(to-old)
	}
	sweep := 0
	for sweep < sweeps {
		if err := canceled(ctx, sweep); err != nil {
			return err
		}
		var moved float64
		for j, in := range set {
			if in {
				moved = max(moved, step(j))
			}
		}
		sweep++
		if moved > tolerance {
			for moved > tolerance && sweep < sweeps { // those that are not zero settle first
				if sweep&15 == 0 {
					if err := canceled(ctx, sweep); err != nil {
						return err
					}
				}
				moved = 0
				for j, c := range q.coef {
					if c != 0 {
						moved = max(moved, step(j))
					}
				}
				sweep++
			}
			continue
		}
		added := false
		for j := range set {
			if !set[j] && q.curve[j] > 0 && math.Abs(q.gradient(j)) > l1[j] {
				set[j], added = true, true
			}
		}
		if !added {
			return nil
		}
	}
	return nil
}
