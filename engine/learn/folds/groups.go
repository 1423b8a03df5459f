package folds

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// sizes numbers the groups densely, in order, with their numbers of rows.
func sizes(groups []int32) (codes []int32, counts []int) {
	codes = Codes(groups)
	for _, g := range codes {
		for int(g) >= len(counts) {
			counts = append(counts, 0)
		}
		counts[g]++
	}
	return codes, counts
}

func (s *Splitter) enoughGroups(n int) error {
	if n < s.spec.K {
		return fault.New(fault.Invalid, "%d folds of %d groups", s.spec.K, n).WithHint("lower k, or group by a finer column")
	}
	return nil
}

// group keeps the rows of a group in one fold. Without shuffling the largest group goes to the lightest fold, then the
// next; shuffled, groups are cut into folds of equally many groups.
func (s *Splitter) group(f *Folds, d Data) error {
	codes, counts := sizes(d.Groups)
	if err := s.enoughGroups(len(counts)); err != nil {
		return err
	}
	s.partitions(f, func(r *twister) []int32 {
		of := make([]int32, len(counts)) // fold of each group
		if s.spec.shuffled() {
			order := r.permutation(len(counts))
			for k := range s.spec.K {
				lo, hi := cut(k, len(order), s.spec.K)
				for _, g := range order[lo:hi] {
					of[g] = int32(k)
				}
			}
			return pick(of, codes)
		}
		order := count(len(counts))
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(counts[a], counts[b]) })
		weight := make([]int, s.spec.K)
		for _, g := range slices.Backward(order) {
			lightest := 0
			for k, w := range weight {
				if w < weight[lightest] {
					lightest = k
				}
			}
			weight[lightest] += counts[g]
			of[g] = int32(lightest)
		}
		return pick(of, codes)
	})
	return nil
}

// stratifiedGroup keeps groups together and, group by group from the most unevenly labelled one on, chooses the fold
// that leaves the classes' shares most even over the folds. Sums are made in numpy's order, as equal evenness is
// decided by the last bit.
func (s *Splitter) stratifiedGroup(f *Folds, d Data) error {
	codes, counts := sizes(d.Groups)
	labels, classCounts := classes(d.Y)
	if slices.Max(classCounts) < s.spec.K {
		return fault.New(fault.Invalid, "%d folds, but no class has as many rows", s.spec.K).WithHint("lower k")
	}
	if least := slices.Min(classCounts); least < s.spec.K {
		f.Warnings = append(f.Warnings, fmt.Sprintf("The rarest class has %d rows, fewer than the %d folds: some folds test without it.", least, s.spec.K))
	}
	if err := s.enoughGroups(len(counts)); err != nil {
		return err
	}
	perGroup := make([][]float64, len(counts))
	for g := range perGroup {
		perGroup[g] = make([]float64, len(classCounts))
	}
	for i, g := range codes {
		perGroup[g][labels[i]]++
	}
	uneven := make([]float64, len(counts))
	for g, n := range perGroup {
		uneven[g] = deviation(n)
	}
	s.partitions(f, func(r *twister) []int32 {
		order := count(len(counts))
		if s.spec.shuffled() {
			r.shuffle(order)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(uneven[b], uneven[a]) })
		of := make([]int32, len(counts))
		perFold := make([][]float64, s.spec.K)
		for k := range perFold {
			perFold[k] = make([]float64, len(classCounts))
		}
		for _, g := range order {
			best := evenest(perFold, perGroup[g], classCounts)
			for c, n := range perGroup[g] {
				perFold[best][c] += n
			}
			of[g] = int32(best)
		}
		return pick(of, codes)
	})
	return nil
}

// evenest is the fold that takes a group with the least mean deviation of the classes' shares over the folds; nearly
// equal ones go to the fold with the fewest rows.
func evenest(perFold [][]float64, group []float64, classCounts []int) int {
	best, least, fewest := 0, math.Inf(1), math.Inf(1)
	share := make([]float64, len(perFold))
	deviations := make([]float64, len(group))
	for k, own := range perFold {
		rows := 0.0
		for c, n := range group {
			own[c] += n
			for j, fold := range perFold {
				share[j] = fold[c] / float64(classCounts[c])
			}
			if len(group) == 1 {
				deviations[c] = deviation(share)
			} else {
				deviations[c] = deviationInOrder(share)
			}
			own[c] -= n
			rows += own[c]
		}
		mean := pairwise(deviations) / float64(len(deviations))
		near := math.Abs(mean-least) <= 1e-8+1e-5*math.Abs(least) // numpy.isclose
		if mean < least || near && rows < fewest {
			best, least, fewest = k, mean, rows
		}
	}
	return best
}

// deviation is numpy's std of contiguous values.
func deviation(v []float64) float64 {
	n := float64(len(v))
	mean := pairwise(v) / n
	square := make([]float64, len(v))
	for i, x := range v {
		square[i] = (x - mean) * (x - mean)
	}
	return math.Sqrt(pairwise(square) / n)
}

// deviationInOrder is numpy's std down the columns of a table, which adds row by row.
func deviationInOrder(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	n := float64(len(v))
	mean := sum / n
	sum = 0
	for _, x := range v {
		sum += float64((x - mean) * (x - mean))
	}
	return math.Sqrt(sum / n)
}

// pairwise is numpy's sum of contiguous values.
func pairwise(v []float64) float64 {
	n := len(v)
	switch {
	case n < 8:
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum
	case n <= 128:
		var r [8]float64
		copy(r[:], v)
		i := 8
		for ; i < n-n%8; i += 8 {
			for j := range r {
				r[j] += v[i+j]
			}
		}
		sum := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
		for _, x := range v[i:] {
			sum += x
		}
		return sum
	}
	half := n / 2
	half -= half % 8
	return pairwise(v[:half]) + pairwise(v[half:])
}

func (s *Splitter) leaveGroups(f *Folds, d Data) error {
	codes, counts := sizes(d.Groups)
	return s.leave(f, codes, len(counts), "groups")
}
