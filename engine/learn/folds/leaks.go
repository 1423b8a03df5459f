package folds

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// Leak is how many test rows training has, in one way, seen already.
type Leak struct {
	Checked  bool      `json:"checked"`  // false: the data to check it were not given
	Rows     int       `json:"rows"`     // test rows that leak, counted in each split they are tested in
	Of       int       `json:"of"`       // test rows, counted the same way
	Splits   int       `json:"splits"`   // splits with such a row
	Examples []Example `json:"examples"` // the first five
}

// Share is the share of test rows that leak; 0 when nothing was checked.
func (l Leak) Share() float64 {
	if l.Of == 0 {
		return 0
	}
	return float64(l.Rows) / float64(l.Of)
}

// Example is a test row and a training row that gives it away.
type Example struct {
	Split int   `json:"split"`
	Test  int32 `json:"test"`
	Train int32 `json:"train"`
}

// LeakReport is the leaks of all kinds. Any Duplicates, Groups or Overlap make scores too good. Future is wrong for
// models that will be used on later rows than they learned from, and unavoidable where training rows lie on both sides
// of a test, as in purged folds.
type LeakReport struct {
	Duplicates Leak `json:"duplicates"` // test rows equal to a training row
	Groups     Leak `json:"groups"`     // test rows whose group trains too
	Future     Leak `json:"future"`     // test rows that are not later than every training row
	Overlap    Leak `json:"overlap"`    // test rows whose label forms while that of a training row does
}

// LeakData is what to look for leaks in; a nil slice is not checked. Duplicates numbers rows so that equal rows have
// equal numbers from 0 on, as the function Duplicates does; Overlap needs Time and End.
type LeakData struct {
	Duplicates []int32
	Groups     []int32
	Time, End  []float64
}

// Leaks looks at every split for test rows that training knows. It takes time of the order of splits x rows.
func Leaks(f *Folds, d LeakData) LeakReport {
	var out LeakReport
	groups := d.Groups
	if groups != nil {
		groups = Codes(groups)
	}
	sameRows, sameGroup := shared(d.Duplicates), shared(groups)
	for i, s := range f.All() {
		if d.Duplicates != nil {
			out.Duplicates.look(i, s, sameRows(s))
		}
		if d.Groups != nil {
			out.Groups.look(i, s, sameGroup(s))
		}
		if d.Time != nil {
			out.Future.look(i, s, later(s, d.Time))
			if d.End != nil {
				out.Overlap.look(i, s, overlapping(s, d.Time, d.End))
			}
		}
	}
	return out
}

// look adds a split, given the training row that betrays a test row, or -1.
func (l *Leak) look(split int, s Split, betrays func(test int32) int32) {
	l.Checked = true
	before := l.Rows
	for _, row := range s.Test {
		l.Of++
		if train := betrays(row); train >= 0 {
			l.Rows++
			if len(l.Examples) < 5 {
				l.Examples = append(l.Examples, Example{split, row, train})
			}
		}
	}
	if l.Rows > before {
		l.Splits++
	}
}

// shared finds a training row with the same number.
func shared(of []int32) func(s Split) func(test int32) int32 {
	if of == nil {
		return nil
	}
	first := make([]int32, len(of)) // training row of each number, plus one
	return func(s Split) func(int32) int32 {
		clear(first)
		for _, row := range s.Train {
			if first[of[row]] == 0 {
				first[of[row]] = row + 1
			}
		}
		return func(test int32) int32 { return first[of[test]] - 1 }
	}
}

// later finds a training row at the same time or later.
func later(s Split, time []float64) func(test int32) int32 {
	last := int32(-1)
	for _, row := range s.Train {
		if last < 0 || time[row] > time[last] {
			last = row
		}
	}
	return func(test int32) int32 {
		if last >= 0 && time[last] >= time[test] {
			return last
		}
		return -1
	}
}

// overlapping finds a training row whose span from time to end touches that of the test row.
func overlapping(s Split, time, end []float64) func(test int32) int32 {
	order := slices.Clone(s.Train)
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(time[a], time[b]) })
	longest := make([]int32, len(order)) // of the rows up to here, the one that ends last
	for i, row := range order {
		longest[i] = row
		if i > 0 && end[longest[i-1]] >= end[row] {
			longest[i] = longest[i-1]
		}
	}
	return func(test int32) int32 {
		n, _ := slices.BinarySearchFunc(order, end[test], func(row int32, t float64) int {
			if time[row] <= t {
				return -1
			}
			return 1
		})
		if n > 0 && end[longest[n-1]] >= time[test] {
			return longest[n-1]
		}
		return -1
	}
}

// Duplicates numbers the rows of a matrix so that rows with equal values, missing being equal to missing, have equal
// numbers, in the order of their first appearance. again is how many rows repeat an earlier one.
func Duplicates(m *table.Matrix) (of []int32, again int) {
	of = make([]int32, m.Rows)
	first := map[uint64][]int32{} // rows that are the first of their number, by hash
	var next int32
rows:
	for i := range m.Rows {
		row := m.Row(i)
		h := uint64(14695981039346656037)
		for _, v := range row {
			h ^= uint64(bits(v))
			h *= 0x9e3779b97f4a7c15
			h ^= h >> 29
		}
		for _, other := range first[h] {
			if slices.EqualFunc(row, m.Row(int(other)), func(a, b float32) bool { return bits(a) == bits(b) }) {
				of[i] = of[other]
				again++
				continue rows
			}
		}
		first[h] = append(first[h], int32(i))
		of[i] = next
		next++
	}
	return of, again
}

// bits is one pattern for each value that models cannot tell apart.
func bits(v float32) uint32 {
	switch {
	case v != v:
		return 0x7fc00000
	case v == 0:
		return 0
	}
	return math.Float32bits(v)
}
