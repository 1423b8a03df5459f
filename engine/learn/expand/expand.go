// Package expand turns the columns of a matrix into numbers without gaps, for learners that can only add, multiply and
// measure distances: missing values are filled, categories become columns. An Expansion is fitted on training rows and
// kept in the model. The package owns that mapping and its bytes; it must never know a learner.
//
//   - A column of numbers stays one column, in which a missing value is the training mean. With Options.Indicators it is
//     followed by a column that is 1 where the value is missing, if training has missing values there.
//   - A column of at most Options.OneHot categories becomes one column for each, 1 in its rows and 0 elsewhere; where
//     training has missing values, they are one category more. A category that training did not see is 0 in all of them.
//   - A column of more categories becomes its place in the order of frequency: the most frequent (rows count by their weights) is 0, and a
//     category without training rows comes after all others. Missing values are filled as in a column of numbers.
package expand

import (
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Options say how columns are expanded.
type Options struct {
	// OneHot is the most categories of a column that becomes one column for each; 0 means 50.
	OneHot int
	// Indicators asks for a column of gaps beside each numeric column that has some in training.
	Indicators bool
	// Workers bounds the goroutines of Fit; it never changes the result.
	Workers int
}

const defaultOneHot = 50

// An Expansion is the fitted mapping. It is immutable and safe for concurrent use.
type Expansion struct {
	columns []column
	width   int
}

// form is how one column is expanded.
type form uint32

const (
	number form = iota
	oneHot
	ranked
)

type column struct {
	form    form
	missing bool    // there is a column for missing values, the last one
	fill    float32 // what stands in for a missing value of a number or a rank
	levels  int32   // categories of oneHot
	rank    []int32 // place of each category of ranked
	offset  int     // its first column in the expanded row
}

func (c *column) width() int {
	n := 1
	if c.form == oneHot {
		n = int(c.levels)
	}
	if c.missing {
		n++
	}
	return n
}

// pieces is how many parts the rows are cut into for sums, whatever the number of workers.
const pieces = 16

// tally is what one piece of the rows says about the columns.
type tally struct {
	sum, weight []float64 // of the values that are there
	gaps        []bool
	infinite    []bool
	counts      [][]float64 // per category, rows
}

// Fit learns the expansion from training rows; weights may be nil. A number that is infinite is fault.Invalid.
func Fit(x *table.Matrix, weights []float64, opt Options) (*Expansion, error) {
	e, _, err := fit(x, weights, opt)
	return e, err
}

// FitMatrix is Fit and then Matrix of the same rows, with one look fewer at them.
func FitMatrix(x *table.Matrix, weights []float64, opt Options) (*Expansion, *table.Matrix, error) {
	e, whole, err := fit(x, weights, opt)
	if err != nil {
		return nil, nil, err
	}
	if whole {
		return e, x, nil
	}
	return e, e.Matrix(x, opt.Workers), nil
}

// fit is Fit; whole says that x holds nothing but numbers and has no gaps.
func fit(x *table.Matrix, weights []float64, opt Options) (e *Expansion, whole bool, err error) {
	if opt.OneHot == 0 {
		opt.OneHot = defaultOneHot
	}
	parts := make([]tally, pieces)
	shard.Run(shard.Workers(opt.Workers), pieces, func(_, b int) {
		parts[b] = count(x, weights, x.Rows*b/pieces, x.Rows*(b+1)/pieces)
	})
	all := parts[0]
	for _, t := range parts[1:] {
		for j := range x.Cols {
			all.sum[j] += t.sum[j]
			all.weight[j] += t.weight[j]
			all.gaps[j] = all.gaps[j] || t.gaps[j]
			all.infinite[j] = all.infinite[j] || t.infinite[j]
			for c, n := range t.counts[j] {
				all.counts[j][c] += n
			}
		}
	}
	e = &Expansion{columns: make([]column, x.Cols)}
	for j := range e.columns {
		c := &e.columns[j]
		if all.infinite[j] && x.Categories(j) == 0 {
			return nil, false, fault.New(fault.Invalid, "column %s has infinite values", Name(x.Names, j)).
				WithHint("clip it in the recipe, or use gbdt")
		}
		switch levels := x.Categories(j); {
		case levels == 0:
			c.missing = opt.Indicators && all.gaps[j]
			if all.weight[j] > 0 {
				c.fill = float32(all.sum[j] / all.weight[j])
			}
		case levels <= opt.OneHot:
			c.form, c.levels, c.missing = oneHot, int32(levels), all.gaps[j]
		default:
			c.form, c.missing = ranked, opt.Indicators && all.gaps[j]
			c.rank, c.fill = ranks(all.counts[j])
		}
		c.offset = e.width
		e.width += c.width()
	}
	whole = x.Levels == nil && !slices.Contains(all.gaps, true)
	return e, whole, nil
}

func count(x *table.Matrix, weights []float64, lo, hi int) tally {
	p := x.Cols
	t := tally{sum: make([]float64, p), weight: make([]float64, p), gaps: make([]bool, p), infinite: make([]bool, p), counts: make([][]float64, p)}
	for j := range p {
		if n := x.Categories(j); n > 0 {
			t.counts[j] = make([]float64, n)
		}
	}
	if x.Levels == nil && weights == nil {
		t.numbers(x, lo, hi)
		return t
	}
	for i := lo; i < hi; i++ {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		for j, v := range x.Row(i) {
			switch {
			case v != v:
				t.gaps[j] = true
			case t.counts[j] != nil:
				if c := code(v, len(t.counts[j])); c >= 0 {
					t.counts[j][c] += w
				}
			default:
				t.infinite[j] = t.infinite[j] || v-v != 0
				t.weight[j] += w
				t.sum[j] += float64(w * float64(v))
			}
		}
	}
	return t
}

// numbers is count for the common case, numbers without weights: it sums everything, and looks again at the columns whose
// sum shows that something is missing or infinite.
func (t *tally) numbers(x *table.Matrix, lo, hi int) {
	i := lo
	for ; i+4 <= hi; i += 4 {
		sum := t.sum
		x0, x1, x2, x3 := x.Row(i)[:len(sum)], x.Row(i + 1)[:len(sum)], x.Row(i + 2)[:len(sum)], x.Row(i + 3)[:len(sum)]
		for j := range sum {
			sum[j] += (float64(x0[j]) + float64(x1[j])) + (float64(x2[j]) + float64(x3[j]))
		}
	}
	for ; i < hi; i++ {
		for j, v := range x.Row(i) {
			t.sum[j] += float64(v)
		}
	}
	for j, s := range t.sum {
		t.weight[j] = float64(hi - lo)
		if s-s == 0 {
			continue
		}
		t.sum[j], t.weight[j] = 0, 0
		for i := lo; i < hi; i++ {
			v := x.Data[i*x.Cols+j]
			if v != v {
				t.gaps[j] = true
				continue
			}
			t.infinite[j] = t.infinite[j] || v-v != 0
			t.weight[j]++
			t.sum[j] += float64(v)
		}
	}
}

// code is the category that v stands for, -1 when training did not see it.
func code(v float32, levels int) int {
	if v >= 0 && v < float32(levels) && v == float32(int32(v)) {
		return int(v)
	}
	return -1
}

// ranks is the place of each category by falling weight, ties in the order of codes, and the mean place of a row.
func ranks(counts []float64) (rank []int32, mean float32) {
	order := make([]int32, len(counts))
	for c := range order {
		order[c] = int32(c)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch {
		case counts[a] > counts[b]:
			return -1
		case counts[a] < counts[b]:
			return 1
		}
		return 0
	})
	rank = make([]int32, len(counts))
	var rows, sum float64
	for place, c := range order {
		rank[c] = int32(place)
		if counts[c] == 0 {
			rank[c] = int32(len(counts))
		}
		rows += counts[c]
		sum += float64(counts[c] * float64(place))
	}
	if rows > 0 {
		mean = float32(sum / rows)
	}
	return rank, mean
}

// Features is the columns of a row before.
func (e *Expansion) Features() int { return len(e.columns) }

// Width is the columns of a row after.
func (e *Expansion) Width() int { return e.width }

// Columns is the half-open range of expanded columns that feature j becomes.
func (e *Expansion) Columns(j int) (lo, hi int) {
	c := &e.columns[j]
	return c.offset, c.offset + c.width()
}

// Categories is the number of categories of feature j, 0 when it holds numbers.
func (e *Expansion) Categories(j int) int {
	switch c := &e.columns[j]; c.form {
	case oneHot:
		return int(c.levels)
	case ranked:
		return len(c.rank)
	}
	return 0
}

// Form is what a feature becomes: a column for each of OneHot categories, or the place in Rank of its category (len(Rank)
// for one that training did not see), or with neither the number itself; then a column for gaps with Missing. Fill stands
// in for a missing number or rank.
type Form struct {
	OneHot  int
	Rank    []int32
	Fill    float32
	Missing bool
}

// Form is that of feature j. It must not be changed.
func (e *Expansion) Form(j int) Form {
	c := &e.columns[j]
	f := Form{Fill: c.fill, Missing: c.missing}
	switch c.form {
	case oneHot:
		f.OneHot = int(c.levels)
	case ranked:
		f.Rank = c.rank
	}
	return f
}

// Name is the name of column j, its number when it has none.
func Name(names []string, j int) string {
	if j < len(names) {
		return names[j]
	}
	return strconv.Itoa(j)
}

// Names are the names of the expanded columns: the feature's, feature=code for a category and feature=missing.
func (e *Expansion) Names(features []string) []string {
	out := make([]string, 0, e.width)
	for j := range e.columns {
		c, name := &e.columns[j], Name(features, j)
		if c.form == oneHot {
			for k := range int(c.levels) {
				out = append(out, name+"="+strconv.Itoa(k))
			}
		} else {
			out = append(out, name)
		}
		if c.missing {
			out = append(out, name+"=missing")
		}
	}
	return out
}

// Value writes what feature j becomes for the value v to dst, which has the length of its Columns.
func (e *Expansion) Value(j int, v float32, dst []float32) { e.columns[j].value(v, dst) }

func (c *column) value(v float32, dst []float32) {
	gap := v != v
	if c.missing {
		last := len(dst) - 1
		dst[last] = 0
		if gap {
			dst[last] = 1
		}
	}
	switch c.form {
	case oneHot:
		clear(dst[:c.levels])
		if k := code(v, int(c.levels)); k >= 0 {
			dst[k] = 1
		}
	case ranked:
		switch k := code(v, len(c.rank)); {
		case gap:
			dst[0] = c.fill
		case k >= 0:
			dst[0] = float32(c.rank[k])
		default:
			dst[0] = float32(len(c.rank))
		}
	default:
		if gap {
			v = c.fill
		}
		dst[0] = min(max(v, -math.MaxFloat32), math.MaxFloat32)
	}
}

// Row expands one row of Features values into dst, which has room for Width; it does not allocate. An infinite number
// counts as the largest there is.
func (e *Expansion) Row(x, dst []float32) {
	x = x[:len(e.columns)]
	for j := range e.columns {
		c := &e.columns[j]
		c.value(x[j], dst[c.offset:c.offset+c.width()])
	}
}

// Matrix expands every row. A matrix that would come out as it is, is returned itself.
func (e *Expansion) Matrix(x *table.Matrix, workers int) *table.Matrix {
	if x.Cols != len(e.columns) {
		panic("expand: the matrix and the expansion differ in features")
	}
	if e.width == x.Cols && x.Levels == nil && !slices.ContainsFunc(e.columns, func(c column) bool { return c.form != number }) && finite(x, workers) {
		return x
	}
	out := table.NewMatrix(x.Rows, e.Names(x.Names))
	shard.Run(shard.Workers(workers), pieces, func(_, b int) {
		for i := x.Rows * b / pieces; i < x.Rows*(b+1)/pieces; i++ {
			e.Row(x.Row(i), out.Row(i))
		}
	})
	return out
}

func finite(x *table.Matrix, workers int) bool {
	ok := make([]bool, pieces)
	shard.Run(shard.Workers(workers), pieces, func(_, b int) {
		var odd float32
		for _, v := range x.Data[len(x.Data)*b/pieces : len(x.Data)*(b+1)/pieces] {
			odd += v - v
		}
		ok[b] = odd == 0
	})
	return !slices.Contains(ok, false)
}

// Write appends the expansion to a model.
func (e *Expansion) Write(w *wire.Writer) {
	forms := make([]uint32, 0, len(e.columns))
	fills := make([]float32, 0, len(e.columns))
	missing := make([]bool, 0, len(e.columns))
	for _, c := range e.columns {
		forms = append(forms, uint32(c.form))
		fills = append(fills, c.fill)
		missing = append(missing, c.missing)
	}
	w.Words(forms)
	w.Singles(fills)
	w.Bools(missing)
	for _, c := range e.columns {
		switch c.form {
		case oneHot:
			w.Uint32(uint32(c.levels))
		case ranked:
			w.Ints(c.rank)
		}
	}
}

// maxOneHot bounds the columns that a stored expansion may claim for one feature.
const maxOneHot = 1 << 16

// Read takes an expansion from a model. A fault is kept in the Reader; what is returned can then not be used.
func Read(r *wire.Reader) *Expansion {
	forms, fills, missing := r.Words(), r.Singles(), r.Bools()
	e := &Expansion{columns: make([]column, len(forms))}
	if len(fills) != len(forms) || len(missing) != len(forms) {
		r.Fail("the model's expansion has arrays of different lengths")
		return e
	}
	for j := range e.columns {
		c := &e.columns[j]
		*c = column{form: form(forms[j]), fill: fills[j], missing: missing[j]}
		if c.fill-c.fill != 0 {
			r.Fail("the model fills feature %d with %v", j, c.fill)
		}
		switch c.form {
		case number:
		case oneHot:
			c.levels = int32(r.Uint32())
			if c.levels < 1 || c.levels > maxOneHot {
				r.Fail("feature %d of the model has %d categories", j, c.levels)
			}
		case ranked:
			c.rank = r.Ints()
			if len(c.rank) == 0 {
				r.Fail("feature %d of the model has no categories", j)
			}
		default:
			r.Fail("feature %d of the model has no known form", j)
		}
		if r.Err() != nil {
			return e
		}
		c.offset = e.width
		e.width += c.width()
	}
	return e
}
