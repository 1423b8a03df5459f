package folds

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func (s *Splitter) kfold(f *Folds, d Data) error {
	if s.spec.K > d.Rows {
		return fault.New(fault.Invalid, "%d folds of %d rows", s.spec.K, d.Rows).WithHint("lower k")
	}
	s.partitions(f, func(r *twister) []int32 {
		rows := count(d.Rows)
		if s.spec.shuffled() {
			r.shuffle(rows)
		}
		of := make([]int32, d.Rows)
		for k := range s.spec.K {
			lo, hi := cut(k, d.Rows, s.spec.K)
			for _, row := range rows[lo:hi] {
				of[row] = int32(k)
			}
		}
		return of
	})
	return nil
}

// cut is the bounds of piece i when n things are cut into k pieces, the first n%k of which are one longer
// (numpy.array_split).
func cut(i, n, k int) (lo, hi int) {
	size, more := n/k, n%k
	lo = i*size + min(i, more)
	hi = lo + size
	if i < more {
		hi++
	}
	return lo, hi
}

// classes numbers the labels from 0 by their order, with their numbers of rows.
func classes(y []float64) (codes []int32, counts []int) {
	codes = Codes(y)
	for _, c := range codes {
		for int(c) >= len(counts) {
			counts = append(counts, 0)
		}
		counts[c]++
	}
	return codes, counts
}

// enough refuses folds that no class can fill and warns of classes that cannot.
func (s *Splitter) enough(f *Folds, counts []int) error {
	if slices.Max(counts) < s.spec.K {
		return fault.New(fault.Invalid, "%d folds, but no class has as many rows", s.spec.K).WithHint("lower k")
	}
	if least := slices.Min(counts); least < s.spec.K {
		f.Warnings = append(f.Warnings, fmt.Sprintf("The rarest class has %d rows, fewer than the %d folds: some folds test without it.", least, s.spec.K))
	}
	return nil
}

// stratified deals the rows of each class to the folds so that every fold has nearly the shares of the whole. How many
// of a class a fold gets follows from dealing all rows in the order of their classes, classes being numbered by first
// appearance, which keeps the sizes of folds within one row of each other.
func (s *Splitter) stratified(f *Folds, d Data) error {
	codes, counts := classes(d.Y)
	if err := s.enough(f, counts); err != nil {
		return err
	}
	// Number the classes by first appearance.
	appearance := make([]int32, len(counts))
	for i := range appearance {
		appearance[i] = -1
	}
	var next int32
	seen := make([]int, len(counts))
	for i, c := range codes {
		if appearance[c] < 0 {
			appearance[c] = next
			seen[next] = counts[c]
			next++
		}
		codes[i] = appearance[c]
	}
	k := s.spec.K
	share := make([][]int, len(seen)) // per class, the rows of each fold
	at := 0
	for c, n := range seen {
		share[c] = make([]int, k)
		for range n {
			share[c][at%k]++
			at++
		}
	}
	s.partitions(f, func(r *twister) []int32 {
		deals := make([][]int32, len(seen))
		for c := range deals {
			for fold, n := range share[c] {
				for range n {
					deals[c] = append(deals[c], int32(fold))
				}
			}
			if s.spec.shuffled() {
				r.shuffle(deals[c])
			}
		}
		of := make([]int32, d.Rows)
		for i, c := range codes {
			of[i] = deals[c][0]
			deals[c] = deals[c][1:]
		}
		return of
	})
	return nil
}

// mostSplits is how many splits leaving rows or groups out may make.
const mostSplits = 10_000_000

// choose is the number of ways to choose p of n, or more than mostSplits.
func choose(n, p int) int {
	p = min(p, n-p)
	out := 1.0
	for i := range p {
		out = math.Round(out * float64(n-i) / float64(i+1))
		if out > mostSplits {
			return mostSplits + 1
		}
	}
	return int(out)
}

// combinations calls yield with every choice of p of 0 to n-1, in lexicographic order, until it says no. The slice is
// used again.
func combinations(n, p int, yield func(chosen []int32) bool) {
	c := count(p)
	for {
		if !yield(c) {
			return
		}
		i := p - 1
		for i >= 0 && int(c[i]) == n-p+i {
			i--
		}
		if i < 0 {
			return
		}
		c[i]++
		for j := i + 1; j < p; j++ {
			c[j] = c[j-1] + 1
		}
	}
}

// leave makes f the splits that test on every choice of p of n parts, of being the part of each row.
func (s *Splitter) leave(f *Folds, of []int32, n int, what string) error {
	p := s.spec.P
	if p < 1 || p >= n {
		return fault.New(fault.Invalid, "leaving %d of %d %s out leaves nothing to train on or to test", p, n, what)
	}
	f.splits = choose(n, p)
	if f.splits > mostSplits {
		return fault.New(fault.Invalid, "leaving %d of %d %s out makes more than %d splits", p, n, what, mostSplits).
			WithHint("use kfold or shuffle")
	}
	f.partition = p == 1
	f.each = func(yield func(Split) bool) {
		out := make([]bool, n)
		combinations(n, p, func(chosen []int32) bool {
			clear(out)
			for _, c := range chosen {
				out[c] = true
			}
			var split Split
			for i, part := range of {
				if out[part] {
					split.Test = append(split.Test, int32(i))
				} else {
					split.Train = append(split.Train, int32(i))
				}
			}
			return yield(split)
		})
	}
	return nil
}

func (s *Splitter) leaveRows(f *Folds, d Data) error {
	return s.leave(f, count(d.Rows), d.Rows, "rows")
}

// predefined tests on each fold number in turn, in rising order; rows of fold -1 always train.
func (s *Splitter) predefined(f *Folds, d Data) error {
	folds := slices.Clone(d.Fold)
	slices.Sort(folds)
	folds = slices.Compact(folds)
	trainOnly := false
	folds = slices.DeleteFunc(folds, func(v int32) bool {
		trainOnly = trainOnly || v == -1
		return v == -1
	})
	switch {
	case len(folds) == 0:
		return fault.New(fault.Invalid, "every row is of fold -1: there is nothing to test on")
	case folds[0] < 0:
		return fault.New(fault.Invalid, "fold %d", folds[0]).WithHint("folds are 0 and more, or -1 for rows that only train")
	case len(folds) == 1 && !trainOnly:
		return fault.New(fault.Invalid, "every row is of fold %d: there is nothing to train on", folds[0]).WithHint("use two folds, or -1 for rows that only train")
	}
	f.splits, f.partition = len(folds), !trainOnly
	f.each = func(yield func(Split) bool) {
		for _, fold := range folds {
			if !yield(against(d.Fold, fold)) {
				return
			}
		}
	}
	return nil
}
