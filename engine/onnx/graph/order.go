package graph

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var orders = map[string]operator{
	"ArgMax": {run: halves(func(c *call) { argBest(c, 1) })},
	"ArgMin": {run: halves(func(c *call) { argBest(c, -1) })},
	"TopK":   {run: halves(topK)},
	"CumSum": {run: halves(cumSum)},
	"Unique": {run: unique},
}

// lines calls f for every line of values along an axis: the place of the first, and the step to the next.
func lines(shape []int, axis int, f func(first, step, n int)) {
	inner := size(shape[axis+1:])
	n := shape[axis]
	for k := range size(shape[:axis]) {
		for j := range inner {
			f(k*n*inner+j, inner, n)
		}
	}
}

func argBest(c *call, sign float64) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", 0), len(t.Shape))
	last := c.attr.Int("select_last_index", 0) != 0
	out := alloc[int64](c, 0, without(t.Shape, []int{axis}, c.attr.Int("keepdims", 1) != 0)...)
	if t.Shape[axis] == 0 && len(out) > 0 {
		throw(fault.Invalid, "the greatest of no values")
	}
	at := 0
	pick := func(better func(a, b int) bool) {
		lines(t.Shape, axis, func(first, step, n int) {
			best := 0
			for i := 1; i < n; i++ {
				if better(first+i*step, first+best*step) || last && !better(first+best*step, first+i*step) {
					best = i
				}
			}
			out[at] = int64(best)
			at++
		})
	}
	switch x := t.Data.(type) {
	case []int64:
		pick(func(a, b int) bool { return x[a] != x[b] && (x[a] > x[b]) == (sign > 0) })
	case []float32:
		pick(func(a, b int) bool { return float64(x[a])*sign > float64(x[b])*sign })
	default:
		y := as[float64](t)
		pick(func(a, b int) bool { return y[a]*sign > y[b]*sign })
	}
}

func topK(c *call) {
	t := c.arg(0)
	axis := axisOf(c.attr.Int("axis", -1), len(t.Shape))
	k := c.attr.Int("k", 0)
	if given := c.opt(1); given != nil {
		k = as[int64](given)[0]
	}
	width := t.Shape[axis]
	if k < 0 || k > int64(width) {
		throw(fault.Invalid, "the best %d of %d", k, width)
	}
	largest := c.attr.Int("largest", 1) != 0
	shape := slices.Clone(t.Shape)
	shape[axis] = int(k)
	places := alloc[int64](c, 1, shape...)
	c.work(t.Len(), 1+int(math.Log2(float64(max(width, 1)))))
	order := make([]int, width)
	inner := size(t.Shape[axis+1:])
	var by func(a, b int) int
	x, whole := t.Data.([]int64)
	var y []float64
	if whole {
		by = func(a, b int) int { return cmp.Compare(x[a], x[b]) }
	} else {
		y = as[float64](t)
		by = func(a, b int) int { return cmp.Compare(y[a], y[b]) }
	}
	from := make([]int, len(places))
	line := 0
	lines(t.Shape, axis, func(first, step, n int) {
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			o := by(first+a*step, first+b*step)
			if largest {
				o = -o
			}
			if o == 0 {
				return a - b
			}
			return o
		})
		to := line/max(inner, 1)*int(k)*inner + line%max(inner, 1)
		for i := range int(k) {
			places[to+i*inner] = int64(order[i])
			from[to+i*inner] = first + order[i]*step
		}
		line++
	})
	out := c.made(0, t.Type(), shape...)
	put := blocks(out, t)
	for at, p := range from {
		put(at, p, 1)
	}
}

func cumSum(c *call) {
	t := c.arg(0)
	axis := axisOf(as[int64](c.arg(1))[0], len(t.Shape))
	exclusive, reverse := c.attr.Int("exclusive", 0) != 0, c.attr.Int("reverse", 0) != 0
	if x, ok := t.Data.([]int64); ok {
		cumulate(x, alloc[int64](c, 0, t.Shape...), t.Shape, axis, exclusive, reverse)
		return
	}
	out := make([]float64, t.Len())
	cumulate(as[float64](t), out, t.Shape, axis, exclusive, reverse)
	c.like(0, t, out, t.Shape...)
}

func cumulate[T float64 | int64](x, out []T, shape []int, axis int, exclusive, reverse bool) {
	lines(shape, axis, func(first, step, n int) {
		var sum T
		for i := range n {
			at := first + i*step
			if reverse {
				at = first + (n-1-i)*step
			}
			if exclusive {
				out[at] = sum
			}
			sum += x[at]
			if !exclusive {
				out[at] = sum
			}
		}
	})
}

// unique gives the different values, where they are first, where each value went, and how many there are.
func unique(c *call) {
	t := c.arg(0)
	axis, given := c.attr["axis"].(int64)
	flat := &Tensor{Shape: []int{t.Len()}, Data: t.Data}
	along := 0
	if given {
		flat, along = t, axisOf(axis, len(t.Shape))
	}
	n := flat.Shape[along]
	outer, inner := size(flat.Shape[:along]), size(flat.Shape[along+1:])
	texts, isText := t.Data.([]string)
	var numbers []float64
	if !isText {
		numbers = as[float64](t)
	}
	by := func(a, b int) int {
		for k := range outer {
			for j := range inner {
				p, q := (k*n+a)*inner+j, (k*n+b)*inner+j
				o := 0
				if isText {
					o = cmp.Compare(texts[p], texts[q])
				} else {
					o = cmp.Compare(numbers[p], numbers[q])
				}
				if o != 0 {
					return o
				}
			}
		}
		return 0
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, by)
	groups := [][]int{}
	for i, p := range order {
		if i == 0 || by(order[i-1], p) != 0 {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], p)
	}
	if sorted := c.attr.Int("sorted", 1); sorted == 0 {
		slices.SortFunc(groups, func(a, b []int) int { return a[0] - b[0] })
	}
	first, back, counts := alloc[int64](c, 1, len(groups)), alloc[int64](c, 2, n), alloc[int64](c, 3, len(groups))
	places := make([]int64, len(groups))
	for i, g := range groups {
		first[i], counts[i], places[i] = int64(g[0]), int64(len(g)), int64(g[0])
		for _, p := range g {
			back[p] = int64(i)
		}
	}
	if flat.Type() == tensor.None {
		wrongType(flat)
	}
	c.gather(flat, places, []int{len(places)}, along)
}
