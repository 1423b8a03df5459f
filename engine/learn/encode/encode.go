// Package encode adds columns to a matrix that tell a booster about categories with many levels: the smoothed mean of
// the label per category, learned k-fold so that no row sees its own label, and how often the category occurs. It owns
// the fitted encoder; it must never know which learner reads the result.
//
// Only columns with many levels are encoded. Histogram boosters split few levels well by themselves, and there an
// encoding loses the slopes that levels have in common with other columns; with thousands of levels their native
// splits overfit. The codes of an encoded column are kept, as numbers (Micci-Barreca, SIGKDD Explorations 3, 2001, for
// the smoothed mean; k-fold as in scikit-learn's TargetEncoder).
package encode

import (
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Options are how columns are encoded; the zero value takes the defaults.
type Options struct {
	Above     int     // columns with more levels than this are encoded; default 50
	Smoothing float64 // rows of the mean that every category starts with; default 10
	Folds     int     // default 5
	Seed      uint64
}

const (
	defaultAbove     = 50
	defaultSmoothing = 10
	defaultFolds     = 5
	// mostMeans is the most classes that get a mean of their own each; with more, only counts are added.
	mostMeans = 20
)

// Encoder is a fitted encoding. It is immutable and safe for concurrent use.
type Encoder struct {
	inputs  int
	columns []column
	means   int // columns added per encoded column besides the count
}

// column is one encoded column.
type column struct {
	source int
	prior  []float64 // means
	values []float64 // levels x means
	counts []float64 // levels
}

// Fit learns the encoding of a training set and returns it with the set's own encoded matrix, in which each row's
// means come from the other folds. With nothing to encode it returns nil and the matrix as it is.
func Fit(train learner.Set, task learner.Task, classes int, weights []float64, o Options) (*Encoder, *table.Matrix) {
	if o.Above <= 0 {
		o.Above = defaultAbove
	}
	if o.Smoothing <= 0 {
		o.Smoothing = defaultSmoothing
	}
	if o.Folds <= 1 {
		o.Folds = defaultFolds
	}
	x := train.X
	e := &Encoder{inputs: x.Cols, means: 1}
	if task == learner.Multiclass {
		e.means = classes
		if classes > mostMeans {
			e.means = 0
		}
	}
	for j := range x.Cols {
		if x.Categories(j) > o.Above {
			e.columns = append(e.columns, column{source: j})
		}
	}
	if len(e.columns) == 0 {
		return nil, x
	}
	folds := make([]uint8, x.Rows)
	for i := range folds {
		folds[i] = uint8(mix(o.Seed, uint64(i)) % uint64(o.Folds))
	}
	out := e.blank(x)
	for c := range e.columns {
		e.columns[c].fit(train, e.means, task, weights, o, folds, out, e.at(c))
	}
	return e, out
}

// at is the first added column of encoded column c.
func (e *Encoder) at(c int) int { return e.inputs + c*(e.means+1) }

// Outputs is the columns of an encoded matrix.
func (e *Encoder) Outputs() int { return e.at(len(e.columns)) }

// Inputs is the columns of a matrix to encode.
func (e *Encoder) Inputs() int { return e.inputs }

// Source is the input column that output column j comes from.
func (e *Encoder) Source(j int) int {
	if j < e.inputs {
		return j
	}
	return e.columns[(j-e.inputs)/(e.means+1)].source
}

// blank is the encoded matrix of x with the added columns empty.
func (e *Encoder) blank(x *table.Matrix) *table.Matrix {
	names := append([]string(nil), x.Names...)
	var levels []int32
	if x.Levels != nil {
		levels = append(levels, x.Levels...)
	} else {
		levels = make([]int32, x.Cols)
	}
	for _, c := range e.columns {
		levels[c.source] = 0
		for range e.means {
			names, levels = append(names, x.Names[c.source]+" mean"), append(levels, 0)
		}
		names, levels = append(names, x.Names[c.source]+" count"), append(levels, 0)
	}
	out := table.NewMatrix(x.Rows, names)
	out.Levels = levels
	for i := range x.Rows {
		copy(out.Row(i), x.Row(i))
	}
	return out
}

// fit learns the column and writes the training rows' own features to out from column at.
func (c *column) fit(train learner.Set, means int, task learner.Task, weights []float64, o Options, folds []uint8, out *table.Matrix, at int) {
	x := train.X
	levels := x.Categories(c.source)
	cells := levels + 1 // the last is all rows together
	target := func(i, k int) float64 {
		if task == learner.Multiclass {
			if int(train.Y[i]) == k {
				return 1
			}
			return 0
		}
		return train.Y[i]
	}
	sum := make([]float64, o.Folds*cells*max(means, 1))
	weight := make([]float64, o.Folds*cells)
	c.counts = make([]float64, levels)
	code := func(i int) int {
		if v := x.Data[i*x.Cols+c.source]; v >= 0 && v < float32(levels) {
			return int(v)
		}
		return -1
	}
	for i := range x.Rows {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		f := int(folds[i]) * cells
		for _, cell := range [2]int{code(i), levels} {
			if cell < 0 {
				continue
			}
			weight[f+cell] += w
			for k := range means {
				sum[(f+cell)*means+k] += float64(w * target(i, k))
			}
		}
		if k := code(i); k >= 0 {
			c.counts[k]++
		}
	}
	// mean is over the rows outside of a fold, or over all when the fold is none.
	mean := func(cell, k, without int) float64 {
		var s, n, allS, allN float64
		for f := range o.Folds {
			if f == without {
				continue
			}
			allS += sum[(f*cells+levels)*means+k]
			allN += weight[f*cells+levels]
			if cell >= 0 {
				s += sum[(f*cells+cell)*means+k]
				n += weight[f*cells+cell]
			}
		}
		prior := 0.0
		if allN > 0 {
			prior = allS / allN
		}
		return (s + float64(o.Smoothing*prior)) / (n + o.Smoothing)
	}
	const none = -1
	c.prior = make([]float64, means)
	c.values = make([]float64, levels*means)
	for k := range means {
		c.prior[k] = mean(-1, k, none)
		for cell := range levels {
			c.values[cell*means+k] = mean(cell, k, none)
		}
	}
	table := make([]float32, o.Folds*cells*max(means, 1))
	for f := range o.Folds {
		for cell := range cells {
			for k := range means {
				of := cell
				if cell == levels {
					of = -1
				}
				table[(f*cells+cell)*means+k] = float32(mean(of, k, f))
			}
		}
	}
	for i := range x.Rows {
		cell := code(i)
		row := out.Row(i)
		row[at+means] = c.count(cell)
		if cell < 0 {
			cell = levels
		}
		for k := range means {
			row[at+k] = table[(int(folds[i])*cells+cell)*means+k]
		}
	}
}

func (c *column) count(cell int) float32 {
	if cell < 0 {
		return 0
	}
	return float32(c.counts[cell])
}

// Apply encodes rows that were not trained on.
func (e *Encoder) Apply(x *table.Matrix) *table.Matrix {
	out := e.blank(x)
	for i := range x.Rows {
		e.Row(x.Row(i), out.Row(i))
	}
	return out
}

// Row encodes one row of Inputs values into Outputs values, without allocating.
func (e *Encoder) Row(x, dst []float32) {
	copy(dst[:e.inputs], x)
	for c := range e.columns {
		col := &e.columns[c]
		at := e.at(c)
		v := x[col.source]
		if v >= 0 && v < float32(len(col.counts)) { // compared as numbers: a huge one has no int
			cell := int(v)
			for k := range e.means {
				dst[at+k] = float32(col.values[cell*e.means+k])
			}
			dst[at+e.means] = float32(col.counts[cell])
			continue
		}
		for k := range e.means {
			dst[at+k] = float32(col.prior[k])
		}
		dst[at+e.means] = 0
	}
}

// Write appends the encoder to a model.
func (e *Encoder) Write(w *wire.Writer) {
	w.Uint32(uint32(e.inputs))
	w.Uint32(uint32(e.means))
	w.Uint32(uint32(len(e.columns)))
	for _, c := range e.columns {
		w.Uint32(uint32(c.source))
		w.Floats(c.prior)
		w.Floats(c.values)
		w.Floats(c.counts)
	}
}

// Read reads what Write wrote.
func Read(r *wire.Reader) (*Encoder, error) {
	e := &Encoder{inputs: int(r.Uint32()), means: int(r.Uint32())}
	n := int(r.Uint32())
	for i := 0; i < n && r.Err() == nil; i++ {
		e.columns = append(e.columns, column{source: int(r.Uint32()), prior: r.Floats(), values: r.Floats(), counts: r.Floats()})
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if e.inputs < 1 || e.inputs > 1<<24 || e.means > mostMeans {
		return nil, fault.New(fault.Corrupt, "an encoder claims %d inputs and %d means", e.inputs, e.means)
	}
	for i, c := range e.columns {
		if c.source >= e.inputs || len(c.prior) != e.means || len(c.values) != len(c.counts)*e.means {
			return nil, fault.New(fault.Corrupt, "column %d of an encoder is not sound", i)
		}
	}
	return e, nil
}

// mix is SplitMix64 (Steele, Lea and Flood 2014) of a seed and a row.
func mix(seed, row uint64) uint64 {
	z := seed + 0x9e3779b97f4a7c15*(row+1)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
