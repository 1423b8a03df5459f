package profile

import (
	"math"
	"slices"
	"sort"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// ScoreColumn is the name of the column that holds what the model answered: the probability of the positive class, the value of a
// regression, or the predicted class as text. A reference may have it beside the inputs.
const ScoreColumn = "prediction"

const (
	step       = 0.02 // width of a cell in units of asinh
	reach      = 1e6  // |z| of the outermost cell edge, in IQRs
	atomShare  = 0.01 // a value this frequent in training is a cell of its own
	maxWords   = 1000
	maxRest    = 50_000
	coarseGoal = 10 // value groups of a number
	coarseText = 20 // words that are a group of their own
)

// Cells of every column, numbers and text alike.
const cellMissing = 0

// Cells of a number; cells firstBin.. are the asinh bins, then one per atom.
const (
	cellNegInf = 1 + iota
	cellUnder
	cellOver
	cellPosInf
	firstBin
)

// Cells of text; cells firstWord.. are the words of the dictionary.
const (
	cellOther  = 1 + iota // in training, but not among the dictionary's words
	cellUnseen            // never in training
	firstWord
)

var half = int(math.Ceil(math.Asinh(reach) / step))

// bins is the number of asinh cells of a number: the same for every column.
var bins = 2 * half

// Options of BuildReference. The zero value is the default.
type Options struct {
	// Words is the size of the dictionary of a text column; default and most 1,000.
	Words int
	// SharedBy names, for a column whose value rows share by construction, the columns whose values make two rows share it:
	// every flight of one airport and hour has that hour's weather. Such a column counts as many independent values as there
	// are distinct combinations. An empty list means the distinct values of the column itself.
	SharedBy map[string][]string
}

// Reference is the cells and counts of the training rows, in the order of the columns of the table it was built from.
// It is read-only after BuildReference or UnmarshalJSON and safe for concurrent use.
type Reference struct {
	Rows    int64
	Columns []*RefColumn
}

// RefColumn is one column of a Reference.
type RefColumn struct {
	Name string
	Kind table.Kind
	// NEff is the number of independent values among the training rows: Rows, unless the column is shared (Options.SharedBy).
	NEff float64
	// Center and Scale are the median and IQR that place the cells of a number.
	Center, Scale float64
	// Atoms are the frequent values of a number, ascending.
	Atoms []float64
	// Words is the dictionary of a text column, most frequent first.
	Words []string
	// Rest is hashes of the rarer words of training, ascending. Open says that there were too many to keep: then no word is unseen.
	Rest []uint64
	Open bool
	// Counts is the training rows on these cells.
	Counts *Counts

	edges  []float64 // bins+1 cell edges; cell i holds edges[i] <= x < edges[i+1]
	atomAt []int16   // per bin: 1 + index of its first atom, 0 when it has none
	words  map[string]int32
	rest   map[uint64]struct{}
	groups []int32 // coarse group of each cell, see group
	coarse int     // number of coarse groups
}

// Numeric reports whether the column is counted as numbers.
func (c *RefColumn) Numeric() bool { return c.Kind != table.String && c.Kind != table.Boolean }

// Column finds a column by name and its place; nil and -1 when it is not there.
func (r *Reference) Column(name string) (*RefColumn, int) {
	for i, c := range r.Columns {
		if c.Name == name {
			return c, i
		}
	}
	return nil, -1
}

// BuildReference makes the reference of the training rows t. It takes O(rows log rows) per column.
func BuildReference(t *table.Table, opt Options) *Reference {
	words := opt.Words
	if words <= 0 || words > maxWords {
		words = maxWords
	}
	r := &Reference{Rows: int64(t.Rows)}
	shared := map[string]float64{}
	for _, col := range t.Columns {
		c := &RefColumn{Name: col.Name, Kind: col.Kind, NEff: float64(t.Rows)}
		if by, ok := opt.SharedBy[col.Name]; ok {
			if len(by) == 0 {
				by = []string{col.Name}
			}
			key := ""
			for _, b := range by {
				key += b + "\x00"
			}
			if _, done := shared[key]; !done {
				shared[key] = float64(distinct(t, by))
			}
			c.NEff = shared[key]
		}
		switch {
		case col.Kind == table.String:
			c.learnWords(col, words)
		case col.Kind == table.Boolean:
			c.Words = []string{"false", "true"}
		default:
			c.learnCells(col)
		}
		c.prepare()
		c.Counts = c.New()
		for i := range col.Len() {
			c.Counts.add(c, col.Value(i))
		}
		c.group()
		r.Columns = append(r.Columns, c)
	}
	return r
}

// distinct counts the combinations of values of the named columns; columns that are not there are left out.
func distinct(t *table.Table, names []string) int {
	var cols []*table.Column
	for _, n := range names {
		if c := t.Column(n); c != nil {
			cols = append(cols, c)
		}
	}
	if len(cols) == 0 {
		return t.Rows
	}
	seen := make(map[uint64]struct{})
	for i := range t.Rows {
		h := HashStart
		for _, c := range cols {
			h = HashValue(h, c.Value(i), c.Kind)
		}
		seen[h] = struct{}{}
	}
	return len(seen)
}

// HashStart is the hash of nothing; see HashValue.
const HashStart uint64 = 14695981039346656037

const hashPrime = 1099511628211

// HashValue adds a cell to the hash h of those before it: FNV-1a over its bytes, the same in every process.
func HashValue(h uint64, v table.Value, kind table.Kind) uint64 {
	switch {
	case v.Null:
		h = (h ^ 0xff) * hashPrime
	case kind == table.String:
		h = hashText(h, v.S)
	default:
		b := math.Float64bits(v.F)
		for range 8 {
			h = (h ^ (b & 0xff)) * hashPrime
			b >>= 8
		}
	}
	return (h ^ 0x1f) * hashPrime // a separator, so that ("a","bc") and ("ab","c") differ
}

func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// learnWords fills Words, Rest and Open: words by falling frequency, ties by the alphabet.
func (c *RefColumn) learnWords(col *table.Column, limit int) {
	count := map[string]int{}
	for i, s := range col.Strings {
		if !col.IsNull(i) {
			count[s]++
		}
	}
	all := make([]string, 0, len(count))
	for w := range count {
		all = append(all, w)
	}
	sort.Slice(all, func(i, j int) bool {
		if count[all[i]] != count[all[j]] {
			return count[all[i]] > count[all[j]]
		}
		return all[i] < all[j]
	})
	c.Words = all[:min(limit, len(all))]
	rest := all[len(c.Words):]
	if len(rest) > maxRest {
		c.Open = true
		return
	}
	for _, w := range rest {
		c.Rest = append(c.Rest, hashText(HashStart, w))
	}
	slices.Sort(c.Rest)
}

// learnCells fills Center, Scale and Atoms.
func (c *RefColumn) learnCells(col *table.Column) {
	finite := make([]float64, 0, col.Len())
	for i, x := range col.Floats {
		if !col.IsNull(i) && !math.IsNaN(x) && !math.IsInf(x, 0) {
			finite = append(finite, x+0) // -0 becomes 0
		}
	}
	c.Scale = 1
	n := len(finite)
	if n == 0 {
		return
	}
	slices.Sort(finite)
	at := func(q float64) float64 { return finite[int(q*float64(n-1))] }
	c.Center = at(0.5)
	for _, width := range []float64{at(0.75) - at(0.25), (at(0.95) - at(0.05)) / 2, (finite[n-1] - finite[0]) / 4, math.Abs(c.Center)} {
		if width > 0 && !math.IsInf(width, 0) {
			c.Scale = width
			break
		}
	}
	need := max(2, int(math.Ceil(atomShare*float64(n))))
	for i := 0; i < n; {
		j := i
		for j < n && finite[j] == finite[i] {
			j++
		}
		if j-i >= need {
			c.Atoms = append(c.Atoms, finite[i])
		}
		i = j
	}
}

// prepare makes what is derived from the exported fields.
func (c *RefColumn) prepare() {
	if !c.Numeric() {
		c.words = make(map[string]int32, len(c.Words))
		for i, w := range c.Words {
			c.words[w] = int32(firstWord + i)
		}
		c.rest = make(map[uint64]struct{}, len(c.Rest))
		for _, h := range c.Rest {
			c.rest[h] = struct{}{}
		}
		return
	}
	c.edges = make([]float64, bins+1)
	for i := range c.edges {
		c.edges[i] = c.Center + c.Scale*math.Sinh(float64(i-half)*step)
	}
	c.atomAt = make([]int16, bins)
	for i, a := range c.Atoms {
		if b := c.bin(a); b >= 0 && b < bins && c.atomAt[b] == 0 {
			c.atomAt[b] = int16(i + 1)
		}
	}
}

// bin is the asinh cell of a finite x, -1 below the first and bins beyond the last. The logarithm finds the neighbourhood and the
// edges decide, so that the last bit of a logarithm never moves a value to another cell.
func (c *RefColumn) bin(x float64) int {
	z := (x - c.Center) / c.Scale
	a := math.Abs(z)
	if a > reach*1.03 {
		if z < 0 {
			return -1
		}
		return bins
	}
	s := nearLog(a + math.Sqrt(a*a+1))
	if z < 0 {
		s = -s
	}
	i := int(math.Floor(s*(1/step))) + half
	i = min(max(i, 0), bins-1)
	for i >= 0 && x < c.edges[i] {
		i--
	}
	for i < bins && x >= c.edges[i+1] {
		i++
		if i == bins {
			break
		}
	}
	return i
}

// Coefficients of nearLog.
const (
	nearLog1 = 0.99618587882502596
	nearLog2 = -0.46518143371423204
	nearLog3 = 0.2165376985381989
	nearLog4 = -0.0543949630890476
)

// nearLog is the natural logarithm of x of at least 1 to 2e-4, a hundredth of a cell: exponent times ln 2, and a polynomial over the mantissa
// that meets ln at 1, 5/4, 3/2, 7/4 and 2.
func nearLog(x float64) float64 {
	bits := math.Float64bits(x)
	m := math.Float64frombits(bits&(1<<52-1)|1023<<52) - 1
	return float64(int(bits>>52)-1023)*math.Ln2 + m*(nearLog1+m*(nearLog2+m*(nearLog3+m*nearLog4)))
}

// cell is the cell of a value.
func (c *RefColumn) cell(v table.Value) int {
	if v.Null {
		return cellMissing
	}
	if !c.Numeric() {
		if c.Kind == table.Boolean {
			if v.F != 0 {
				return firstWord + 1
			}
			return firstWord
		}
		if i, ok := c.words[v.S]; ok {
			return int(i)
		}
		if c.Open {
			return cellOther
		}
		if _, ok := c.rest[hashText(HashStart, v.S)]; ok {
			return cellOther
		}
		return cellUnseen
	}
	x := v.F
	switch {
	case math.IsNaN(x):
		return cellMissing
	case math.IsInf(x, 1):
		return cellPosInf
	case math.IsInf(x, -1):
		return cellNegInf
	}
	b := c.bin(x)
	if b < 0 {
		return cellUnder
	}
	if b >= bins {
		return cellOver
	}
	if a := int(c.atomAt[b]); a > 0 {
		for a--; a < len(c.Atoms) && c.Atoms[a] <= x; a++ {
			if c.Atoms[a] == x {
				return firstBin + bins + a
			}
		}
	}
	return firstBin + b
}

// cells is the number of cells of the column.
func (c *RefColumn) cells() int {
	if c.Numeric() {
		return firstBin + bins + len(c.Atoms)
	}
	return firstWord + len(c.Words)
}

// ordered lists the cells that hold finite values of a number, ascending. The atoms of a bin come before the bin, whose other values are
// then taken to lie above them: so the many rows of an atom stay exactly where they are.
func (c *RefColumn) ordered() []int32 {
	out := make([]int32, 0, c.cells())
	out = append(out, cellUnder)
	a := 0
	for b := range bins {
		for a < len(c.Atoms) && c.Atoms[a] < c.edges[b+1] {
			if c.Atoms[a] >= c.edges[b] {
				out = append(out, int32(firstBin+bins+a))
			}
			a++
		}
		out = append(out, int32(firstBin+b))
	}
	return append(out, cellOver)
}

// span is the values that a cell of a number holds; an atom has no width. The open ends reach to the extremes that were seen.
func (c *RefColumn) span(cell int, lo, hi float64) (from, to float64) {
	switch {
	case cell == cellUnder:
		return math.Min(lo, c.edges[0]), c.edges[0]
	case cell == cellOver:
		return c.edges[bins], math.Max(hi, c.edges[bins])
	case cell >= firstBin+bins:
		a := c.Atoms[cell-firstBin-bins]
		return a, a
	}
	b := cell - firstBin
	from, to = c.edges[b], c.edges[b+1]
	if a := int(c.atomAt[b]); a > 0 {
		for a--; a < len(c.Atoms) && c.Atoms[a] < to; a++ {
			from = c.Atoms[a]
		}
	}
	return from, to
}

// group fixes the coarse groups on which PSI and chi-square are taken: for a number, tenths of the training rows snapped to cell
// edges, with an atom of a tenth or more alone, and one group each for missing and infinite; for text, the twenty most frequent
// words, the other words of training, unseen and missing. Group 0 is missing, 1 is infinite or unseen.
func (c *RefColumn) group() {
	c.groups = make([]int32, c.cells())
	next := int32(2)
	if !c.Numeric() {
		c.groups[cellUnseen] = 1
		last := min(coarseText, len(c.Words))
		for i := range last {
			c.groups[firstWord+i] = next
			next++
		}
		c.groups[cellOther] = next
		for i := last; i < len(c.Words); i++ {
			c.groups[firstWord+i] = next
		}
		c.coarse = int(next) + 1
		return
	}
	c.groups[cellNegInf], c.groups[cellPosInf] = 1, 1
	order := c.ordered()
	var total int64
	for _, cell := range order {
		total += c.Counts.Cells[cell]
	}
	goal := float64(total) / coarseGoal
	var mass []float64
	held := 0.0
	alone := false
	for _, cell := range order {
		n := float64(c.Counts.Cells[cell])
		heavy := total > 0 && int(cell) >= firstBin+bins && n >= goal
		if held > 0 && (held >= goal || heavy || alone) {
			mass = append(mass, held)
			held = 0
			next++
		}
		if n > 0 {
			alone = heavy
		}
		c.groups[cell] = next
		held += n
	}
	mass = append(mass, held)
	// A last group of less than half a tenth joins its neighbour.
	if k := len(mass); k > 1 && mass[k-1] < goal/2 && !alone {
		for _, cell := range order {
			if c.groups[cell] == next {
				c.groups[cell] = next - 1
			}
		}
		next--
	}
	c.coarse = int(next) + 1
}

// Coarse sums counts over the coarse groups of the column.
func (c *RefColumn) Coarse(n *Counts) []float64 {
	out := make([]float64, c.coarse)
	for cell, k := range n.Cells {
		out[c.groups[cell]] += float64(k)
	}
	return out
}
