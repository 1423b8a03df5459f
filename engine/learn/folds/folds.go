// Package folds splits rows into training and test rows: the folds of cross-validation, random splits, splits of groups
// and of time. It owns the kinds of splits, the record of what was split how, and the search for leaks between
// training and test; it knows rows as numbers, labels, groups and times, and nothing of models or tables' columns.
//
// Where scikit-learn has a splitter, the same random_state gives the same rows in the same order (checked against
// 1.9.1; its random numbers are numpy's legacy RandomState, which is frozen). Splitting has no state: the same Spec and
// Data give the same splits each time, on every machine.
package folds

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Data is what splitters look at. Each slice has one value per row, or is nil where the kind does not need it.
type Data struct {
	Rows   int
	Y      []float64 // classes as whole numbers, which sort as the classes do; stratified kinds
	Groups []int32   // group codes, which sort as the groups' values do (see Codes); group kinds
	Time   []float64 // when a row is known, in any unit; rows are in this order when it is nil
	End    []float64 // when its label is formed, at or after Time; nil: Time + purge
	Fold   []int32   // predefined folds, -1 for rows that only train
}

// Codes numbers values in their order, as Data.Groups wants them.
func Codes[T cmp.Ordered](values []T) []int32 {
	distinct := slices.Clone(values)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	out := make([]int32, len(values))
	for i, v := range values {
		at, _ := slices.BinarySearch(distinct, v)
		out[i] = int32(at)
	}
	return out
}

// take is the data of some rows.
func (d Data) take(rows []int32) Data {
	return Data{Rows: len(rows), Y: pick(d.Y, rows), Groups: pick(d.Groups, rows), Time: pick(d.Time, rows), End: pick(d.End, rows), Fold: pick(d.Fold, rows)}
}

func pick[T any](values []T, rows []int32) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = values[r]
	}
	return out
}

// Split is the rows to train on and the rows to test on. Blocks is, for combinatorial splits, which folds of time are
// tested.
type Split struct {
	Train, Test []int32
	Blocks      []int
}

// Splitter splits rows as its Spec says. It has no state and may be used by several goroutines.
type Splitter struct{ spec Spec }

// New makes a splitter; a Spec that does not hold together is fault.Invalid.
func New(spec Spec) (*Splitter, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	return &Splitter{spec.defaults()}, nil
}

// Spec is what the splitter does, with the defaults filled in.
func (s *Splitter) Spec() Spec { return s.spec }

// Folds is the splits of some rows.
type Folds struct {
	// Warnings are sentences about rows that the splits do not suit well, such as a class with fewer rows than folds.
	Warnings []string

	rows      int
	splits    int
	partition bool // the tests of each repeat are all rows, and each training set is the rest
	repeats   int
	each      func(yield func(Split) bool)
}

// Len is the number of splits.
func (f *Folds) Len() int { return f.splits }

// Rows is the number of rows that were split.
func (f *Folds) Rows() int { return f.rows }

// All is the splits with their numbers, from 0. Every call gives the same; the slices are the caller's to keep.
func (f *Folds) All() iter.Seq2[int, Split] {
	return func(yield func(int, Split) bool) {
		i := 0
		f.each(func(s Split) bool {
			i++
			return yield(i-1, s)
		})
	}
}

// Split splits rows. Data that the Spec cannot split are fault.Invalid: fewer rows or groups than folds, labels that
// are no classes, a missing column.
func (s *Splitter) Split(d Data) (*Folds, error) {
	if err := s.checkData(d); err != nil {
		return nil, err
	}
	f := &Folds{rows: d.Rows, repeats: 1}
	var err error
	switch s.spec.Kind {
	case KFold:
		err = s.kfold(f, d)
	case Stratified:
		err = s.stratified(f, d)
	case Group:
		err = s.group(f, d)
	case StratifiedGroup:
		err = s.stratifiedGroup(f, d)
	case Shuffle:
		err = s.shuffle(f, d)
	case StratifiedShuffle:
		err = s.stratifiedShuffle(f, d)
	case GroupShuffle:
		err = s.groupShuffle(f, d)
	case LeaveOneOut, LeavePOut:
		err = s.leaveRows(f, d)
	case LeaveOneGroupOut, LeavePGroupsOut:
		err = s.leaveGroups(f, d)
	case TimeSeries:
		err = s.timeSeries(f, d)
	case Purged, CombinatorialPurge:
		err = s.purged(f, d)
	case Predefined:
		err = s.predefined(f, d)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// checkData wants the columns that the kind needs, with a value for every row.
func (s *Splitter) checkData(d Data) error {
	needs := func(name string, n int, needed bool) error {
		switch {
		case needed && n == 0:
			return fault.New(fault.Invalid, "a %s validation needs %s", s.spec.Kind, name)
		case n != 0 && n != d.Rows:
			return fault.New(fault.Invalid, "%d rows to split, but %d values of %s", d.Rows, n, name)
		}
		return nil
	}
	takes := func(name string) bool { return slices.Contains(kinds[s.spec.Kind], name) }
	stratify := s.spec.Kind == Stratified || s.spec.Kind == StratifiedGroup || s.spec.Kind == StratifiedShuffle
	for _, err := range []error{
		needs("labels", len(d.Y), stratify),
		needs("groups", len(d.Groups), takes("groups")),
		needs("times", len(d.Time), takes("time") && s.spec.Time != ""),
		needs("ends of labels", len(d.End), s.spec.End != ""),
		needs("folds", len(d.Fold), s.spec.Kind == Predefined),
	} {
		if err != nil {
			return err
		}
	}
	if d.Rows < 2 || d.Rows > math.MaxInt32 {
		return fault.New(fault.Invalid, "%d rows cannot be split", d.Rows).WithHint("validation needs two rows or more")
	}
	if stratify {
		for i, v := range d.Y {
			if v != math.Trunc(v) || math.IsInf(v, 0) { // NaN differs from itself
				return fault.New(fault.Invalid, "label %v of row %d is no class", v, i+1).
					WithHint("a %s validation is for classification; use kfold or group for regression", s.spec.Kind)
			}
		}
	}
	if takes("time") {
		for i, v := range d.Time {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fault.New(fault.Invalid, "row %d has no time", i+1)
			}
			if d.End != nil && !(d.End[i] >= v) {
				return fault.New(fault.Invalid, "the label of row %d is formed at %v, before the row's time %v", i+1, d.End[i], v)
			}
		}
		if d.Time == nil && d.End != nil {
			return fault.New(fault.Invalid, "ends of labels need the times of the rows")
		}
	}
	return nil
}

// partitions makes f the k folds of repeats assignments of rows to folds, drawn from one sequence of random numbers.
func (s *Splitter) partitions(f *Folds, assign func(r *twister) []int32) {
	f.splits, f.repeats, f.partition = s.spec.K*s.spec.Repeats, s.spec.Repeats, true
	f.each = func(yield func(Split) bool) {
		r := newTwister(s.spec.Seed)
		for range s.spec.Repeats {
			of := assign(r)
			for k := range s.spec.K {
				if !yield(against(of, int32(k))) {
					return
				}
			}
		}
	}
}

// against tests on the rows of one fold and trains on all others.
func against(of []int32, fold int32) Split {
	var out Split
	n := 0
	for _, f := range of {
		if f == fold {
			n++
		}
	}
	out.Test, out.Train = make([]int32, 0, n), make([]int32, 0, len(of)-n)
	for i, f := range of {
		if f == fold {
			out.Test = append(out.Test, int32(i))
		} else {
			out.Train = append(out.Train, int32(i))
		}
	}
	return out
}

// Nested is, for each outer split, the inner splits of its training rows: choose parameters on the inner ones, measure
// on the outer test. Rows of the inner splits are numbered as in d.
func Nested(outer, inner *Splitter, d Data) (iter.Seq2[Split, *Folds], error) {
	out, err := outer.Split(d)
	if err != nil {
		return nil, err
	}
	nested := func(s Split) (*Folds, error) {
		f, err := inner.Split(d.take(s.Train))
		if err != nil {
			return nil, err
		}
		each := f.each
		f.rows = d.Rows
		f.partition = false
		f.each = func(yield func(Split) bool) {
			each(func(in Split) bool {
				return yield(Split{Train: pick(s.Train, in.Train), Test: pick(s.Train, in.Test), Blocks: in.Blocks})
			})
		}
		return f, nil
	}
	for i, s := range out.All() { // what cannot be split shows before any work is done
		if _, err := nested(s); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "inside outer split %d", i+1)
		}
	}
	return func(yield func(Split, *Folds) bool) {
		for _, s := range out.All() {
			f, err := nested(s)
			if err != nil || !yield(s, f) {
				return
			}
		}
	}, nil
}
