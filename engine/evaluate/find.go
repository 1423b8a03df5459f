package evaluate

import (
	"cmp"
	"context"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// FindOptions bounds the search for weak slices. Zero fields take the default.
type FindOptions struct {
	MinRows   int     // rows of a slice: 50
	MinEffect float64 // effect size from which a slice is reported: 0.2
	Alpha     float64 // expected share of false slices among the reported: 0.05
	Most      int     // slices to report: 20
	Ranges    int     // of a column of numbers with more than twelve values: 5
	OneColumn bool    // leave pairs of columns out
	Workers   int     // goroutines, 0 for one per processor; changes no result
}

// mostPlaces is the number of values of a column that the search tells apart: the most numerous ones, "(other)" and
// "(missing)" among them.
const mostPlaces = 32

// Condition is a column having a value, or one in a range.
type Condition struct {
	Column string `json:"column"`
	Value  string `json:"value"`
}

// WeakSlice is the rows of one or two conditions, on which the loss is greater than on the rest.
type WeakSlice struct {
	Conditions []Condition `json:"conditions"`
	N          int         `json:"n"`
	Share      float64     `json:"share"`
	Loss       float64     `json:"loss"`
	Rest       float64     `json:"rest"` // loss of all other rows
	Lo         float64     `json:"lo"`   // 95 % interval of Loss - Rest, not corrected for the search
	Hi         float64     `json:"hi"`
	Effect     float64     `json:"effect"` // difference over the root of the mean of the two variances
	T          float64     `json:"t"`      // Welch's, against the rest
	P          float64     `json:"p"`      // one-sided; of a pair, the greatest of three: against the rest, and against the rest of each condition
	Q          float64     `json:"q"`      // P corrected for all slices tested (Benjamini and Hochberg)
	Excess     float64     `json:"excess"` // N x (Loss - Rest): what the slice costs
}

// WeakSlices is what a search found, costliest slice first.
type WeakSlices struct {
	Slices []WeakSlice `json:"slices"`
	Found  int         `json:"found"`  // slices that are worse, of which the costliest are listed
	Tested int         `json:"tested"` // slices that were large enough
	Loss   float64     `json:"loss"`   // of all rows
	N      int         `json:"n"`
}

// RowLosses is the loss of each row: log loss for classes, squared error for regression. p is as in Evaluate.
func RowLosses(task learner.Task, y, p []float64) []float64 {
	out := make([]float64, len(y))
	for i, v := range y {
		switch task {
		case learner.Binary:
			out[i] = metric.RowLogLoss(v, p[i])
		case learner.Multiclass:
			k := len(p) / len(y)
			out[i] = -math.Log(metric.Clip(p[i*k+int(v)]))
		default:
			out[i] = (p[i] - v) * (p[i] - v)
		}
	}
	return out
}

// FindSlices searches the values of columns and of pairs of columns for rows on which the loss is worse than on the
// rest (Chung et al., "Slice Finder", ICDE 2019, with a search of all slices in place of a lattice walk). A slice is
// reported when it has enough rows, its effect size is large enough, and Welch's test with the Benjamini-Hochberg
// correction for all slices tested rejects that its loss is no greater. A pair must beat the rest of each of its two
// conditions too, so that it is not listed for the sake of one of them; a pair that is nearly all of one is not tested.
//
// It takes time of the order of rows x columns², some 10 ns each, and gives the same result for any number of workers.
// Losses that are no numbers are fault.Invalid; a context that ends is fault.Canceled.
func FindSlices(ctx context.Context, columns []*table.Column, loss []float64, o FindOptions) (WeakSlices, error) {
	o.MinRows = max(cmp.Or(o.MinRows, 50), 2)
	o.MinEffect, o.Alpha = cmp.Or(o.MinEffect, 0.2), cmp.Or(o.Alpha, 0.05)
	o.Most, o.Ranges = cmp.Or(o.Most, 20), max(min(cmp.Or(o.Ranges, 5), mostPlaces-1), 2)
	n := len(loss)
	for i, v := range loss {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return WeakSlices{}, fault.New(fault.Invalid, "the loss of row %d is %v", i+1, v)
		}
	}
	for _, c := range columns {
		if c.Len() != n {
			return WeakSlices{}, fault.New(fault.Invalid, "column %q has %d rows, but there are %d losses", c.Name, c.Len(), n)
		}
	}
	out := WeakSlices{Slices: []WeakSlice{}, N: n}
	if n == 0 {
		return out, nil
	}
	f := finder{columns: columns, options: o, codes: make([][]uint8, len(columns)), places: make([][]string, len(columns)), single: make([][]cell, len(columns))}
	out.Loss = floats.SumCompensated(loss) / float64(n)
	f.loss = make([]float64, n) // about the mean, so that the squares keep their digits
	for i, v := range loss {
		f.loss[i] = v - out.Loss
		f.all.add(f.loss[i])
	}
	workers := shard.Workers(o.Workers)
	shard.Run(workers, len(columns), func(_, c int) {
		f.codes[c], f.places[c] = placesOf(columns[c], o.Ranges)
		cells := make([]cell, len(f.places[c]))
		for i, v := range f.loss {
			cells[f.codes[c][i]].add(v)
		}
		f.single[c] = cells
	})
	pieces := len(columns)
	if !o.OneColumn {
		pieces += len(columns) * (len(columns) - 1) / 2
	}
	found := make([][]candidate, pieces)
	spaces := make([][]cell, workers)
	shard.Run(workers, pieces, func(w, piece int) {
		if ctx.Err() != nil {
			return
		}
		if piece < len(columns) {
			found[piece] = f.ofColumn(piece)
			return
		}
		a, b := pair(piece-len(columns), len(columns))
		if spaces[w] == nil {
			spaces[w] = make([]cell, mostPlaces*mostPlaces)
		}
		found[piece] = f.ofPair(a, b, spaces[w])
	})
	if err := ctx.Err(); err != nil {
		return WeakSlices{}, fault.Wrap(err, fault.Canceled, "the search for weak slices was stopped")
	}
	all := slices.Concat(found...)
	out.Tested = len(all)
	p := make([]float64, len(all))
	for i, c := range all {
		p[i] = c.p
	}
	q := compare.BenjaminiHochberg(p)
	for i, c := range all {
		if q[i] <= o.Alpha {
			if s := f.describe(c, q[i], out.Loss); s.Effect >= o.MinEffect {
				out.Slices = append(out.Slices, s)
			}
		}
	}
	out.Found = len(out.Slices)
	slices.SortStableFunc(out.Slices, func(a, b WeakSlice) int {
		return cmp.Or(cmp.Compare(b.Excess, a.Excess), cmp.Compare(len(a.Conditions), len(b.Conditions)))
	})
	out.Slices = out.Slices[:min(len(out.Slices), o.Most)]
	return out, nil
}

// finder is the state of a search.
type finder struct {
	columns []*table.Column
	options FindOptions
	loss    []float64
	all     cell
	codes   [][]uint8  // per column, the place of each row's value
	places  [][]string // their names
	single  [][]cell   // the losses of each place
}

// cell is the number, sum and sum of squares of losses.
type cell struct{ n, sum, square float64 }

func (c *cell) add(v float64) {
	c.n++
	c.sum += v
	c.square += float64(v * v)
}

func (c cell) minus(d cell) cell { return cell{c.n - d.n, c.sum - d.sum, c.square - d.square} }

func (c cell) mean() float64 { return c.sum / c.n }

func (c cell) variance() float64 { return max(0, c.square-float64(c.sum*c.sum)/c.n) / (c.n - 1) }

// candidate is a slice that was tested; b is -1 for a slice of one column.
type candidate struct {
	a, b   int16
	placeA uint8
	placeB uint8
	rows   cell
	t, df  float64
	p      float64
}

// welch is the test that the mean loss of c is greater than that of d, which both have two rows or more (Welch,
// Biometrika 34, 1947). Without any variance a difference is certain.
func welch(c, d cell) (t, df, p float64) {
	diff := c.mean() - d.mean()
	vc, vd := c.variance()/c.n, d.variance()/d.n
	if vc+vd == 0 {
		switch {
		case diff > 0:
			return math.MaxFloat64, c.n + d.n - 2, 0
		case diff < 0:
			return -math.MaxFloat64, c.n + d.n - 2, 1
		}
		return 0, c.n + d.n - 2, 0.5
	}
	t = diff / math.Sqrt(vc+vd)
	df = (vc + vd) * (vc + vd) / (vc*vc/(c.n-1) + vd*vd/(d.n-1))
	return t, df, tail.Student(t, df)
}

// large reports whether a slice and what it leaves of the whole can be tested.
func (f *finder) large(c cell, whole cell) bool {
	return c.n >= float64(f.options.MinRows) && whole.n-c.n >= 2
}

func (f *finder) ofColumn(a int) []candidate {
	var out []candidate
	for place, c := range f.single[a] {
		if !f.large(c, f.all) {
			continue
		}
		t, df, p := welch(c, f.all.minus(c))
		out = append(out, candidate{a: int16(a), b: -1, placeA: uint8(place), rows: c, t: t, df: df, p: p})
	}
	return out
}

func (f *finder) ofPair(a, b int, cells []cell) []candidate {
	width := len(f.places[b])
	cells = cells[:len(f.places[a])*width]
	clear(cells)
	other := f.codes[b]
	for i, place := range f.codes[a] {
		cells[int(place)*width+int(other[i])].add(f.loss[i])
	}
	var out []candidate
	for at, c := range cells {
		own := [2]cell{f.single[a][at/width], f.single[b][at%width]}
		if !f.large(c, f.all) || !f.large(c, own[0]) || !f.large(c, own[1]) {
			continue
		}
		t, df, p := welch(c, f.all.minus(c))
		for _, whole := range own {
			_, _, q := welch(c, whole.minus(c))
			p = max(p, q)
		}
		out = append(out, candidate{a: int16(a), b: int16(b), placeA: uint8(at / width), placeB: uint8(at % width), rows: c, t: t, df: df, p: p})
	}
	return out
}

// describe says in full what was found.
func (f *finder) describe(c candidate, q, mean float64) WeakSlice {
	rest := f.all.minus(c.rows)
	diff := c.rows.mean() - rest.mean()
	s := WeakSlice{N: int(c.rows.n), Share: c.rows.n / f.all.n, Loss: mean + c.rows.mean(), Rest: mean + rest.mean(),
		T: c.t, P: c.p, Q: q, Excess: c.rows.n * diff}
	s.Conditions = append(s.Conditions, Condition{f.columns[c.a].Name, f.places[c.a][c.placeA]})
	if c.b >= 0 {
		s.Conditions = append(s.Conditions, Condition{f.columns[c.b].Name, f.places[c.b][c.placeB]})
	}
	spread := c.rows.variance() + rest.variance()
	s.Effect = math.MaxFloat64
	if spread > 0 {
		s.Effect = diff * math.Sqrt2 / math.Sqrt(spread)
	}
	half := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: c.df}.Quantile(0.975) * math.Sqrt(c.rows.variance()/c.rows.n+rest.variance()/rest.n)
	s.Lo, s.Hi = diff-half, diff+half
	return s
}

// pair is the columns of pair i of n columns, in the order (0,1), (0,2), …
func pair(i, n int) (a, b int) {
	for i >= n-1-a {
		i -= n - 1 - a
		a++
	}
	return a, a + 1 + i
}

// placesOf numbers the values of a column: ranges or values of numbers in rising order, the most numerous texts first,
// then what is left, then missing.
func placesOf(c *table.Column, ranges int) (codes []uint8, names []string) {
	n := c.Len()
	codes = make([]uint8, n)
	if c.Kind == table.String {
		counts := map[string]int{}
		for i, v := range c.Strings {
			if !c.IsNull(i) {
				counts[v]++
			}
		}
		for v := range counts {
			names = append(names, v)
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
		if len(names) > mostPlaces-1 {
			names = append(names[:mostPlaces-2:mostPlaces-2], other)
		}
		at := map[string]uint8{}
		for i, v := range names {
			at[v] = uint8(i)
		}
		last := uint8(max(len(names)-1, 0))
		for i, v := range c.Strings {
			if place, listed := at[v]; listed {
				codes[i] = place
			} else {
				codes[i] = last
			}
		}
	} else {
		place := cutter(c, ranges)
		for i, v := range c.Floats {
			if !c.IsNull(i) && !math.IsNaN(v) {
				at, labels := place(v)
				codes[i], names = uint8(at), labels
			}
		}
	}
	gone := uint8(len(names))
	names = append(slices.Clone(names), missing)
	for i := range n {
		if c.IsNull(i) || c.Kind != table.String && math.IsNaN(c.Floats[i]) {
			codes[i] = gone
		}
	}
	return codes, names
}
