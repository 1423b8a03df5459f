package profile

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Counts is rows of one column on the cells of its RefColumn. All fields are sums, minima or maxima, so that adding is
// associative and commutative.
type Counts struct {
	Cells      []int64
	OutOfRange int64 // finite numbers outside the least and greatest of training
	// Least and Greatest are the extremes of the finite numbers; +Inf and -Inf when there are none.
	Least, Greatest float64
}

// New makes empty counts on the cells of c.
func (c *RefColumn) New() *Counts {
	return &Counts{Cells: make([]int64, c.cells()), Least: math.Inf(1), Greatest: math.Inf(-1)}
}

func (n *Counts) add(c *RefColumn, v table.Value) {
	cell := c.cell(v)
	n.Cells[cell]++
	if cell < cellUnder || cell == cellPosInf || !c.Numeric() {
		return
	}
	if v.F < n.Least {
		n.Least = v.F
	}
	if v.F > n.Greatest {
		n.Greatest = v.F
	}
	if ref := c.Counts; ref != nil && ref != n && (v.F < ref.Least || v.F > ref.Greatest) {
		n.OutOfRange++
	}
}

// Merge adds the rows of o, which must be on the same column: cells that do not fit panic.
func (n *Counts) Merge(o *Counts) {
	for i, k := range o.Cells {
		n.Cells[i] += k
	}
	n.OutOfRange += o.OutOfRange
	n.Least = math.Min(n.Least, o.Least)
	n.Greatest = math.Max(n.Greatest, o.Greatest)
}

// Total is the number of rows, missing included.
func (n *Counts) Total() int64 {
	var t int64
	for _, k := range n.Cells {
		t += k
	}
	return t
}

// Missing is the number of missing values.
func (n *Counts) Missing() int64 { return n.Cells[cellMissing] }

// Unseen is the number of words that training never saw; 0 for numbers.
func (c *RefColumn) Unseen(n *Counts) int64 {
	if c.Numeric() {
		return 0
	}
	return n.Cells[cellUnseen]
}

// Profile is rows counted on a Reference. It is not safe for concurrent use: give each worker its own and Merge.
type Profile struct {
	Ref     *Reference
	Rows    int64
	Columns []*Counts
}

// New makes an empty profile on r.
func (r *Reference) New() *Profile {
	p := &Profile{Ref: r, Columns: make([]*Counts, len(r.Columns))}
	for i, c := range r.Columns {
		p.Columns[i] = c.New()
	}
	return p
}

// Add counts one row, whose cells are in the order of the reference's columns. It does not allocate.
func (p *Profile) Add(row []table.Value) {
	if len(row) != len(p.Columns) {
		panic("profile: the row has not as many cells as the reference has columns")
	}
	p.Rows++
	for i, n := range p.Columns {
		n.add(p.Ref.Columns[i], row[i])
	}
}

// Merge adds the rows of o, which must be on the same reference: the same columns with the same cells.
func (p *Profile) Merge(o *Profile) error {
	if len(p.Columns) != len(o.Columns) {
		return fault.New(fault.Invalid, "profiles of %d and %d columns do not add up", len(p.Columns), len(o.Columns))
	}
	for i, n := range o.Columns {
		if len(n.Cells) != len(p.Columns[i].Cells) {
			return fault.New(fault.Invalid, "column %q has %d cells in one profile and %d in the other", p.Ref.Columns[i].Name, len(p.Columns[i].Cells), len(n.Cells))
		}
	}
	p.Rows += o.Rows
	for i, n := range o.Columns {
		p.Columns[i].Merge(n)
	}
	return nil
}

// Column finds the reference column and counts of a name; nil when there is none.
func (p *Profile) Column(name string) (*RefColumn, *Counts) {
	c, i := p.Ref.Column(name)
	if c == nil {
		return nil, nil
	}
	return c, p.Columns[i]
}

// Quantile is the value below which a share q of the finite numbers lies, exact to the width of a cell (2 % of the distance from the
// median, plus 2 % of the IQR); exact for atoms and at the extremes. NaN when there are no numbers or the column is text.
func (c *RefColumn) Quantile(n *Counts, q float64) float64 {
	if !c.Numeric() {
		return math.NaN()
	}
	order := c.ordered()
	var total int64
	for _, cell := range order {
		total += n.Cells[cell]
	}
	if total == 0 {
		return math.NaN()
	}
	rank := q * float64(total)
	seen := 0.0
	for _, cell := range order {
		k := float64(n.Cells[cell])
		if k > 0 && seen+k >= rank {
			from, to := c.span(int(cell), n.Least, n.Greatest)
			from, to = math.Max(from, n.Least), math.Min(to, n.Greatest)
			return from + (to-from)*(rank-seen)/k
		}
		seen += k
	}
	return n.Greatest
}

// Moments is the mean and standard deviation (divided by n) of the finite numbers, taking each cell at its middle, so that they do
// not depend on the order of the rows. NaN when there are no numbers or the column is text.
func (c *RefColumn) Moments(n *Counts) (mean, sd float64) {
	if !c.Numeric() {
		return math.NaN(), math.NaN()
	}
	var total, sum, squares float64
	for _, cell := range c.ordered() {
		k := float64(n.Cells[cell])
		if k == 0 {
			continue
		}
		from, to := c.span(int(cell), n.Least, n.Greatest)
		d := (math.Max(from, n.Least)+math.Min(to, n.Greatest))/2 - c.Center
		total += k
		sum += k * d
		squares += k * d * d
	}
	if total == 0 {
		return math.NaN(), math.NaN()
	}
	m := sum / total
	return c.Center + m, math.Sqrt(math.Max(0, squares/total-m*m))
}

// Outside counts the finite numbers below lo or above hi; a cell that holds either counts on the side of its middle.
func (c *RefColumn) Outside(n *Counts, lo, hi float64) int64 {
	if !c.Numeric() {
		return 0
	}
	var k int64
	for _, cell := range c.ordered() {
		if n.Cells[cell] == 0 {
			continue
		}
		from, to := c.span(int(cell), n.Least, n.Greatest)
		if middle := (math.Max(from, n.Least) + math.Min(to, n.Greatest)) / 2; middle < lo || middle > hi {
			k += n.Cells[cell]
		}
	}
	return k
}
