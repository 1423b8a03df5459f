package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var distances = map[string]operator{
	"com.microsoft.CDist": {run: cdist},
	"com.microsoft.Solve": {run: solve},
}

// cdist is the distance of every row of one matrix from every row of another.
func cdist(c *call) {
	a, b := c.arg(0), c.arg(1)
	if len(a.Shape) != 2 || len(b.Shape) != 2 || a.Shape[1] != b.Shape[1] {
		throw(fault.Invalid, "the distances of %v and %v", slices.Clone(a.Shape), slices.Clone(b.Shape))
	}
	metric := c.attr.Text("metric")
	var f func(x, y []float64) float64
	switch metric {
	case "", "sqeuclidean", "euclidean":
		f = func(x, y []float64) float64 {
			s := 0.0
			for i, v := range x {
				d := v - y[i]
				s += d * d
			}
			if metric == "euclidean" {
				return math.Sqrt(s)
			}
			return s
		}
	case "cityblock", "manhattan":
		f = func(x, y []float64) float64 {
			s := 0.0
			for i, v := range x {
				s += math.Abs(v - y[i])
			}
			return s
		}
	default:
		throw(fault.FormatNotServed, "distances by %s", metric)
	}
	n, m, width := a.Shape[0], b.Shape[0], a.Shape[1]
	c.work(n, m, width)
	x, y := as[float64](a), as[float64](b)
	out := make([]float64, c.space(8, []int{n, m}))
	for i := range n {
		for j := range m {
			out[i*m+j] = f(x[i*width:(i+1)*width], y[j*width:(j+1)*width])
		}
	}
	c.like(0, a, out, n, m)
}

// solve finds X with A X = B by elimination with the greatest pivot.
func solve(c *call) {
	a, b := c.arg(0), c.arg(1)
	n, m := a.Shape[0], 1
	if len(a.Shape) != 2 || a.Shape[1] != n || len(b.Shape) == 0 || len(b.Shape) > 2 || b.Shape[0] != n {
		throw(fault.Invalid, "the equations of %v and %v", slices.Clone(a.Shape), slices.Clone(b.Shape))
	}
	if len(b.Shape) == 2 {
		m = b.Shape[1]
	}
	c.work(n, n, n+m)
	left, right := slices.Clone(as[float64](a)), slices.Clone(as[float64](b))
	if eliminate(left, right, n, m) == 0 && n > 0 {
		throw(fault.Invalid, "the equations have no single solution")
	}
	for i := n - 1; i >= 0; i-- {
		for j := range m {
			s := right[i*m+j]
			for k := i + 1; k < n; k++ {
				s -= left[i*n+k] * right[k*m+j]
			}
			right[i*m+j] = s / left[i*n+i]
		}
	}
	c.like(0, a, right, b.Shape...)
}
