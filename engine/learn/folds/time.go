package folds

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// byTime is the rows in the order of their times, rows of the same time in their own order.
func byTime(d Data) []int32 {
	order := count(d.Rows)
	if d.Time != nil {
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(d.Time[a], d.Time[b]) })
	}
	return order
}

// timeSeries tests on k pieces at the end of time, each against what came before it.
func (s *Splitter) timeSeries(f *Folds, d Data) error {
	k, n := s.spec.K, d.Rows
	test := n / (k + 1)
	switch size := s.spec.TestSize; {
	case size >= 1:
		test = int(size)
	case size > 0:
		test = int(math.Ceil(float64(size) * float64(n)))
	}
	switch {
	case k < 1 || test < 1:
		return fault.New(fault.Invalid, "%d splits of %d rows in time", k, n).WithHint("lower k")
	case test > n || n-s.spec.Gap-test*k <= 0:
		return fault.New(fault.Invalid, "%d tests of %d rows and a gap of %d leave nothing of %d rows to train on", k, test, s.spec.Gap, n).
			WithHint("lower k, test_size or gap")
	}
	order := byTime(d)
	f.splits = k
	f.each = func(yield func(Split) bool) {
		for i := range k {
			start := n - (k-i)*test
			end := start - s.spec.Gap
			first := 0
			if s.spec.MaxTrain > 0 {
				first = max(0, end-s.spec.MaxTrain)
			}
			if !yield(Split{Train: slices.Clone(order[first:end]), Test: slices.Clone(order[start : start+test])}) {
				return
			}
		}
	}
	return nil
}

// purged cuts time into k folds of equally many rows and tests on each, or on each choice of p of them, leaving out of
// training the rows whose labels overlap in time with the labels of a tested fold, and those of an embargo after it
// (López de Prado, Advances in Financial Machine Learning, 2018, sections 7.4 and 12.3).
func (s *Splitter) purged(f *Folds, d Data) error {
	k, p := s.spec.K, s.spec.P
	if s.spec.Kind == Purged {
		p = 1
	}
	if k > d.Rows {
		return fault.New(fault.Invalid, "%d folds of %d rows", k, d.Rows).WithHint("lower k")
	}
	order := byTime(d)
	start, end := make([]float64, d.Rows), make([]float64, d.Rows) // in the order of time
	for at, row := range order {
		start[at] = float64(at)
		if d.Time != nil {
			start[at] = d.Time[row]
		}
		end[at] = start[at] + float64(s.spec.Purge)
		if d.End != nil {
			end[at] = d.End[row]
		}
	}
	embargo := int(s.spec.Embargo)
	if s.spec.Embargo < 1 {
		embargo = int(float64(s.spec.Embargo) * float64(d.Rows))
	}
	f.splits = choose(k, p)
	if f.splits > mostSplits {
		return fault.New(fault.Invalid, "choosing %d of %d folds makes more than %d splits", p, k, mostSplits).WithHint("lower k or p")
	}
	roles := func(chosen []int32) []role {
		of := make([]role, d.Rows)
		for at := range of {
			of[at] = trains
		}
		for _, b := range chosen {
			lo, hi := cut(int(b), d.Rows, k)
			first, last := start[lo], slices.Max(end[lo:hi])
			after, _ := slices.BinarySearchFunc(start, last, func(v, last float64) int {
				if v <= last {
					return -1
				}
				return 1
			})
			for at := range of[:after] { // rows known by the time the last label of the test is formed
				if end[at] >= first {
					of[at] = unused
				}
			}
			for at := after; at < min(after+embargo, d.Rows); at++ {
				of[at] = unused
			}
		}
		for _, b := range chosen {
			lo, hi := cut(int(b), d.Rows, k)
			for at := lo; at < hi; at++ {
				of[at] = tests
			}
		}
		return of
	}
	var empty bool
	combinations(k, p, func(chosen []int32) bool {
		empty = !slices.Contains(roles(chosen), trains)
		return !empty
	})
	if empty {
		return fault.New(fault.Invalid, "purging and embargo leave a fold without training rows").WithHint("lower purge, embargo or p, or raise k")
	}
	f.each = func(yield func(Split) bool) {
		combinations(k, p, func(chosen []int32) bool {
			var split Split
			for at, r := range roles(chosen) {
				switch r {
				case tests:
					split.Test = append(split.Test, order[at])
				case trains:
					split.Train = append(split.Train, order[at])
				}
			}
			for _, b := range chosen {
				split.Blocks = append(split.Blocks, int(b))
			}
			return yield(split)
		})
	}
	return nil
}

// Paths arranges combinatorial splits into backtests: path i tests block b of time in split Paths(k, p)[i][b], so that
// each path covers all of time once and each test is used once.
func Paths(k, p int) [][]int {
	if p < 1 || p > k || choose(k, p) > mostSplits {
		return nil
	}
	paths := make([][]int, choose(k-1, p-1))
	for i := range paths {
		paths[i] = make([]int, k)
	}
	used := make([]int, k)
	split := 0
	combinations(k, p, func(chosen []int32) bool {
		for _, b := range chosen {
			paths[used[b]][b] = split
			used[b]++
		}
		split++
		return true
	})
	return paths
}
