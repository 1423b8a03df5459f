package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// PairedBootstrap is metric(y, a) - metric(y, b) and its 95 % percentile interval over reps resamples of the rows, the
// same rows for both. Labels that are all 0 or 1 are resampled within each class, so that every resample has both.
// metric is called from several goroutines at once and must not keep its arguments; resamples where it is NaN are left
// out, and when none is left the interval is NaN. Resample r depends on seed and r alone, so that the result does not
// depend on the number of processors.
func PairedBootstrap(y, a, b []float64, metric func(y, p []float64) float64, reps int, seed uint64) (diff, lo, hi float64) {
	sameLength(len(y), len(a))
	sameLength(len(y), len(b))
	diff = metric(y, a) - metric(y, b)
	groups := strata(y)
	diffs := make([]float64, reps)
	workers := shard.Workers(0)
	type space struct{ y, a, b []float64 }
	spaces := make([]space, workers)
	shard.Run(workers, reps, func(w, rep int) {
		s := &spaces[w]
		if s.y == nil {
			n := len(y)
			*s = space{make([]float64, n), make([]float64, n), make([]float64, n)}
		}
		r := rand.New(rand.NewPCG(seed, uint64(rep)))
		at := 0
		for _, rows := range groups {
			for range rows {
				i := rows[r.IntN(len(rows))]
				s.y[at], s.a[at], s.b[at] = y[i], a[i], b[i]
				at++
			}
		}
		diffs[rep] = metric(s.y, s.a) - metric(s.y, s.b)
	})
	diffs = slices.DeleteFunc(diffs, math.IsNaN)
	slices.Sort(diffs)
	return diff, quantile(diffs, 0.025), quantile(diffs, 0.975)
}

// strata is the rows by class for binary labels and one group of all rows otherwise.
func strata(y []float64) [][]int32 {
	groups := make([][]int32, 2)
	for i, v := range y {
		if v != 0 && v != 1 {
			all := make([]int32, len(y))
			for j := range all {
				all[j] = int32(j)
			}
			return [][]int32{all}
		}
		groups[int(v)] = append(groups[int(v)], int32(i))
	}
	return groups
}

// quantile is the linearly interpolated quantile of an ascending slice (numpy's default); NaN when it is empty.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
