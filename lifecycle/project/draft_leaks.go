package project

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// minEvidence is how many rows of the sample must agree before a column is called a leak.
const minEvidence = 50

// leaks finds columns that tell the label too well to be known beforehand: copies of it under another name, columns whose
// being filled says it, and numbers that a single cut or a straight line turns into it. The values are reasons.
func (d *draft) leaks() map[string]string {
	out := map[string]string{}
	if d.look.Sample == nil {
		return out
	}
	label := columnOf(d.look.Sample, d.label.Name)
	if label == nil {
		return out
	}
	codes, classes := codesOf(label, d.missing)
	for _, c := range d.columns {
		other := columnOf(d.look.Sample, c.Name)
		if c.exclude != "" || other == nil {
			continue
		}
		switch {
		case d.task != "regression" && tells(other, codes, classes):
			out[c.Name] = "its value tells the label of every row that was looked at"
		case d.task != "regression" && classes == 2 && filledTells(other, codes):
			out[c.Name] = "it is filled exactly where the label has one value"
		case d.task == "binary" && classes == 2 && other.Kind != table.String && other.Kind != table.Boolean && cutTells(other, codes):
			out[c.Name] = "one cut through its numbers tells the label of every row that was looked at"
		case d.task == "regression" && other.Kind != table.String && lineTells(other, label):
			out[c.Name] = "the label is a straight line of it"
		}
	}
	return out
}

func columnOf(t *table.Table, name string) *table.Column {
	i := slices.IndexFunc(t.Columns, func(c *table.Column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return t.Columns[i]
}

// codesOf numbers the values of a column; -1 is missing, as are the texts given.
func codesOf(c *table.Column, missing []string) (codes []int, distinct int) {
	seen := map[table.Value]int{}
	codes = make([]int, c.Len())
	for i := range codes {
		v := c.Value(i)
		if v.Null || missing != nil && slices.Contains(missing, sqlText(v.S)) {
			codes[i] = -1
			continue
		}
		code, ok := seen[v]
		if !ok {
			code = len(seen)
			seen[v] = code
		}
		codes[i] = code
	}
	return codes, len(seen)
}

// tells reports whether each value of the column, of which each must come often, goes with one label only, and every label is told.
func tells(c *table.Column, label []int, classes int) bool {
	codes, distinct := codesOf(c, nil)
	if distinct < 2 || distinct > 100 {
		return false
	}
	means := make([]int, distinct+1)
	for i := range means {
		means[i] = -1
	}
	told := map[int]bool{}
	n := 0
	for i, code := range codes {
		if label[i] < 0 {
			continue
		}
		n++
		at := code + 1 // a missing value is a value of its own
		if means[at] >= 0 && means[at] != label[i] {
			return false
		}
		means[at] = label[i]
		told[label[i]] = true
	}
	return n >= minEvidence && n >= 5*distinct && len(told) == classes && classes >= 2
}

// filledTells reports whether being missing goes with one label and being there with the other.
func filledTells(c *table.Column, label []int) bool {
	count := [2][2]int{}
	for i, y := range label {
		if y < 0 {
			continue
		}
		filled := 1
		if c.IsNull(i) {
			filled = 0
		}
		count[filled][y]++
	}
	straight := count[0][1] == 0 && count[1][0] == 0 && count[0][0] > 0 && count[1][1] > 0
	crossed := count[0][0] == 0 && count[1][1] == 0 && count[0][1] > 0 && count[1][0] > 0
	return (straight || crossed) && count[0][0]+count[0][1]+count[1][0]+count[1][1] >= minEvidence
}

// cutTells reports whether all numbers of one label lie above all numbers of the other.
func cutTells(c *table.Column, label []int) bool {
	lo, hi := [2]float64{math.Inf(1), math.Inf(1)}, [2]float64{math.Inf(-1), math.Inf(-1)}
	n := [2]int{}
	for i, y := range label {
		if y < 0 || c.IsNull(i) {
			continue
		}
		v := c.Floats[i]
		lo[y], hi[y] = min(lo[y], v), max(hi[y], v)
		n[y]++
	}
	return n[0] >= 10 && n[1] >= 10 && n[0]+n[1] >= minEvidence && (hi[0] < lo[1] || hi[1] < lo[0])
}

// lineTells reports whether the correlation with the label is 1 or -1 but for rounding.
func lineTells(c, label *table.Column) bool {
	var n, sx, sy, sxx, syy, sxy float64
	for i := range label.Floats {
		if c.IsNull(i) || label.IsNull(i) {
			continue
		}
		x, y := c.Floats[i], label.Floats[i]
		n++
		dx, dy := x-sx, y-sy // Welford's update, so that large offsets cancel nothing
		sx += dx / n
		sy += dy / n
		sxx += dx * (x - sx)
		syy += dy * (y - sy)
		sxy += dx * (y - sy)
	}
	return n >= minEvidence && sxx > 0 && syy > 0 && math.Abs(sxy)/math.Sqrt(sxx*syy) > 0.99999
}
