package profile

import (
	"math"
	"slices"
	"sort"
)

// Bars is a histogram of a column for people: reference beside current, reduced from the cells.
type Bars struct {
	Bars []Bar `json:"bars"`
	// Reduced is the number of filled cells that the bars were drawn from.
	Reduced int `json:"reduced_from"`
}

// Bar is one bar: a range of a number (from included) or a word, with the share of reference and current rows.
type Bar struct {
	From      *float64 `json:"from,omitempty"`
	To        *float64 `json:"to,omitempty"`
	Word      string   `json:"word,omitempty"`
	Special   string   `json:"special,omitempty"` // missing, unseen, other, infinite: not a value
	Reference float64  `json:"reference"`
	Current   float64  `json:"current"`
}

// Histogram draws at most limit bars, then one bar each for missing, unseen, other and infinite where either side has any.
// For a number the bars are of equal width over what both sides hold between their 0.5 and 99.5 percentiles; the outermost take
// all that lies beyond. For text they are the most frequent words of both sides together.
func (c *RefColumn) Histogram(cur *Counts, limit int) Bars {
	n, m := math.Max(1, float64(c.Counts.Total())), math.Max(1, float64(cur.Total()))
	var out Bars
	for i := range cur.Cells {
		if c.Counts.Cells[i]+cur.Cells[i] > 0 {
			out.Reduced++
		}
	}
	special := func(name string, cells ...int) {
		b := Bar{Special: name}
		for _, cell := range cells {
			b.Reference += float64(c.Counts.Cells[cell]) / n
			b.Current += float64(cur.Cells[cell]) / m
		}
		if b.Reference+b.Current > 0 {
			out.Bars = append(out.Bars, b)
		}
	}
	if !c.Numeric() {
		c.wordBars(&out, cur, limit, n, m)
		special("unseen", cellUnseen)
		special("missing", cellMissing)
		return out
	}
	c.rangeBars(&out, cur, limit, n, m)
	special("infinite", cellNegInf, cellPosInf)
	special("missing", cellMissing)
	return out
}

func (c *RefColumn) wordBars(out *Bars, cur *Counts, limit int, n, m float64) {
	share := func(i int) (r, k float64) {
		return float64(c.Counts.Cells[firstWord+i]) / n, float64(cur.Cells[firstWord+i]) / m
	}
	order := make([]int, len(c.Words))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := share(order[i])
		x, y := share(order[j])
		return a+b > x+y
	})
	rest := Bar{Special: "other", Reference: float64(c.Counts.Cells[cellOther]) / n, Current: float64(cur.Cells[cellOther]) / m}
	for k, i := range order {
		r, q := share(i)
		if k < limit {
			out.Bars = append(out.Bars, Bar{Word: c.Words[i], Reference: r, Current: q})
			continue
		}
		rest.Reference += r
		rest.Current += q
	}
	if rest.Reference+rest.Current > 0 {
		out.Bars = append(out.Bars, rest)
	}
}

func (c *RefColumn) rangeBars(out *Bars, cur *Counts, limit int, n, m float64) {
	ends := []float64{c.Quantile(c.Counts, 0.005), c.Quantile(cur, 0.005), c.Quantile(c.Counts, 0.995), c.Quantile(cur, 0.995)}
	ends = slices.DeleteFunc(ends, math.IsNaN)
	if len(ends) == 0 || limit < 1 {
		return
	}
	lo, hi := slices.Min(ends), slices.Max(ends)
	if !(hi > lo) {
		limit, hi = 1, lo
	}
	width := (hi - lo) / float64(limit)
	r, k := make([]float64, limit), make([]float64, limit)
	place := func(x float64) int {
		if width <= 0 {
			return 0
		}
		return min(max(int((x-lo)/width), 0), limit-1)
	}
	least, most := math.Min(c.Counts.Least, cur.Least), math.Max(c.Counts.Greatest, cur.Greatest)
	for _, cell := range c.ordered() {
		a, b := float64(c.Counts.Cells[cell])/n, float64(cur.Cells[cell])/m
		if a+b == 0 {
			continue
		}
		from, to := c.span(int(cell), least, most)
		i, j := place(from), place(to)
		if i == j || to <= from {
			r[i] += a
			k[i] += b
			continue
		}
		for at := i; at <= j; at++ { // a cell over several bars is shared by length
			left, right := lo+float64(at)*width, lo+float64(at+1)*width
			if at == i {
				left = from
			}
			if at == j {
				right = to
			}
			part := (right - left) / (to - from)
			r[at] += a * part
			k[at] += b * part
		}
	}
	for i := range limit {
		from, to := lo+float64(i)*width, lo+float64(i+1)*width
		out.Bars = append(out.Bars, Bar{From: &from, To: &to, Reference: r[i], Current: k[i]})
	}
}
