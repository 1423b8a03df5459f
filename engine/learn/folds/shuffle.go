package folds

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// amounts is how many of n things to train on and to test on.
func (s *Splitter) amounts(n int, byDefault Size, things string) (train, test int, err error) {
	testSize, trainSize := s.spec.TestSize, s.spec.TrainSize
	if testSize == 0 && trainSize == 0 {
		testSize = byDefault
	}
	wrong := func(name string, size Size) error {
		return fault.New(fault.Invalid, "%s of %v is not less than the %d %s", name, size, n, things)
	}
	test, train = int(testSize), int(trainSize)
	if testSize > 0 && testSize < 1 {
		test = int(math.Ceil(float64(testSize) * float64(n)))
	} else if test >= n {
		return 0, 0, wrong("test_size", testSize)
	}
	if trainSize > 0 && trainSize < 1 {
		train = int(math.Floor(float64(trainSize) * float64(n)))
	} else if train >= n {
		return 0, 0, wrong("train_size", trainSize)
	}
	switch {
	case trainSize == 0:
		train = n - test
	case testSize == 0:
		test = n - train
	}
	switch {
	case train+test > n:
		return 0, 0, fault.New(fault.Invalid, "%d %s to train on and %d to test on are more than the %d there are", train, things, test, n)
	case train <= 0 || test <= 0:
		return 0, 0, fault.New(fault.Invalid, "%d %s to train on and %d to test on of %d", train, things, test, n).
			WithHint("change test_size or train_size")
	}
	return train, test, nil
}

func (s *Splitter) shuffle(f *Folds, d Data) error {
	train, test, err := s.amounts(d.Rows, 0.1, "rows")
	if err != nil {
		return err
	}
	f.splits = s.spec.K
	f.each = func(yield func(Split) bool) {
		r := newTwister(s.spec.Seed)
		for range s.spec.K {
			rows := r.permutation(d.Rows)
			if !yield(Split{Test: rows[:test:test], Train: rows[test : test+train]}) {
				return
			}
		}
	}
	return nil
}

func (s *Splitter) groupShuffle(f *Folds, d Data) error {
	codes, counts := sizes(d.Groups)
	train, test, err := s.amounts(len(counts), 0.2, "groups")
	if err != nil {
		return err
	}
	f.splits = s.spec.K
	f.each = func(yield func(Split) bool) {
		r := newTwister(s.spec.Seed)
		for range s.spec.K {
			role := make([]role, len(counts))
			for i, g := range r.permutation(len(counts))[:test+train] {
				role[g] = tests
				if i >= test {
					role[g] = trains
				}
			}
			var split Split
			for i, g := range codes {
				switch role[g] {
				case tests:
					split.Test = append(split.Test, int32(i))
				case trains:
					split.Train = append(split.Train, int32(i))
				}
			}
			if !yield(split) {
				return
			}
		}
	}
	return nil
}

// stratifiedShuffle draws training and test rows of every class in its share of the whole.
func (s *Splitter) stratifiedShuffle(f *Folds, d Data) error {
	codes, counts := classes(d.Y)
	train, test, err := s.amounts(d.Rows, 0.1, "rows")
	switch {
	case err != nil:
		return err
	case slices.Min(counts) < 2:
		return fault.New(fault.Invalid, "a class has only one row, which cannot be in training and in test").WithHint("merge rare classes, or use shuffle")
	case train < len(counts) || test < len(counts):
		return fault.New(fault.Invalid, "%d rows to train on and %d to test on do not hold the %d classes", train, test, len(counts)).
			WithHint("change test_size or train_size")
	}
	rows := make([][]int32, len(counts))
	for i, c := range codes {
		rows[c] = append(rows[c], int32(i))
	}
	f.splits = s.spec.K
	f.each = func(yield func(Split) bool) {
		r := newTwister(s.spec.Seed)
		for range s.spec.K {
			trains := likeliest(counts, train, r)
			left := make([]int, len(counts))
			for c, n := range counts {
				left[c] = n - trains[c]
			}
			tests := likeliest(left, test, r)
			var split Split
			for c, own := range rows {
				order := pick(own, r.permutation(len(own)))
				split.Train = append(split.Train, order[:trains[c]]...)
				split.Test = append(split.Test, order[trains[c]:trains[c]+tests[c]]...)
			}
			r.shuffle(split.Train)
			r.shuffle(split.Test)
			if !yield(split) {
				return
			}
		}
	}
	return nil
}

// likeliest is about the likeliest numbers of each class among draws of the whole: the rounded down shares, and one
// more for the greatest remainders, ties broken at random.
func likeliest(counts []int, draws int, r *twister) []int {
	all := 0
	for _, n := range counts {
		all += n
	}
	out, remainder := make([]int, len(counts)), make([]float64, len(counts))
	need := draws
	for c, n := range counts {
		share := float64(n) / float64(all) * float64(draws)
		out[c] = int(math.Floor(share))
		remainder[c] = share - math.Floor(share)
		need -= out[c]
	}
	distinct := slices.Clone(remainder)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	for _, v := range slices.Backward(distinct) {
		if need <= 0 {
			break
		}
		var equal []int32
		for c, w := range remainder {
			if w == v {
				equal = append(equal, int32(c))
			}
		}
		some := min(len(equal), need)
		for _, c := range r.choice(equal, some) {
			out[c]++
		}
		need -= some
	}
	return out
}
