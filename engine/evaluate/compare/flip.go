package compare

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Flips is a permutation test: P is the share of Patterns at least as extreme as the data. Exact patterns are all
// there are; otherwise they are a sample, to which the data themselves are added, so that P is never 0.
type Flips struct {
	P        float64 `json:"p"`
	Patterns float64 `json:"patterns"`
	Exact    bool    `json:"exact"`
	Diff     float64 `json:"diff"` // the observed difference
}

// mostFlips is the number of differences up to which SignFlip is exact.
const mostFlips = 40

// SignFlip tests whether paired differences are symmetric about zero, by the share of all 2^n patterns of signs whose
// mean is at least as far from zero as the observed one (less 1e-12, so that rounding breaks no ties). Up to 40
// differences every pattern counts; use SignFlipSampled for more.
func SignFlip(d []float64) (Flips, error) {
	if err := finite("sign flip", d); err != nil {
		return Flips{}, err
	}
	n := len(d)
	if n == 0 || n > mostFlips {
		return Flips{}, fault.New(fault.Invalid, "sign flip: all patterns are counted for 1 to %d differences, not %d", mostFlips, n).
			WithHint("sample the patterns of more differences")
	}
	mean, limit := flipLimit(d)
	// Meet in the middle: a sum of n terms is a sum of each half. Turning every sign mirrors the sums, so patterns at
	// or above the limit are half of those sought, and the sums of a half need no mirror of their own.
	left, right := signSums(d[:n/2]), signSums(d[n/2:])
	slices.Sort(left)
	slices.Sort(right)
	total := uint64(1) << n
	count := total
	if limit > 0 {
		count = 0
		at := len(right)
		for _, v := range left { // as v rises, more of right suffices
			for at > 0 && v+right[at-1] >= limit {
				at--
			}
			count += uint64(len(right) - at)
		}
		count *= 2
	}
	return Flips{P: float64(count) / float64(total), Patterns: float64(total), Exact: true, Diff: mean}, nil
}

// flipLimit is the mean and the least sum of a pattern that is as extreme as the data. The sums of the patterns are
// rounded, by at most the last part of the tolerance.
func flipLimit(d []float64) (mean, limit float64) {
	mean, _ = moments(d)
	size := 0.0
	for _, v := range d {
		size += math.Abs(v)
	}
	n := float64(len(d))
	return mean, math.Abs(mean)*n - max(1e-12*n, size*n*0x1p-52)
}

// signSums is the sum of d under every pattern of signs.
func signSums(d []float64) []float64 {
	sums := []float64{0}
	for _, v := range d {
		for _, s := range sums[:len(sums):len(sums)] {
			sums = append(sums, s+v)
		}
		for i := range len(sums) / 2 {
			sums[i] -= v
		}
	}
	return sums
}

// SignFlipSampled is SignFlip over a sample of reps patterns drawn from seed, for any number of differences.
func SignFlipSampled(d []float64, reps int, seed uint64) (Flips, error) {
	if err := finite("sign flip", d); err != nil {
		return Flips{}, err
	}
	if len(d) == 0 || reps < 1 {
		return Flips{}, fault.New(fault.Invalid, "sign flip: %d differences and %d patterns; both must be positive", len(d), reps)
	}
	mean, limit := flipLimit(d)
	p := sampled(reps, seed, func() func(r *rand.Rand) bool {
		return func(r *rand.Rand) bool {
			sum := 0.0
			var word uint64
			for i, v := range d {
				if i%64 == 0 {
					word = r.Uint64()
				}
				if word&1 != 0 {
					v = -v
				}
				word >>= 1
				sum += v
			}
			return math.Abs(sum) >= limit
		}
	})
	return Flips{P: p, Patterns: float64(reps), Diff: mean}, nil
}

// sampled is (1 + extreme)/(1 + reps) over reps draws. Draw i depends on seed and i alone. scratch makes a draw with
// working space of its own, one per worker.
func sampled(reps int, seed uint64, scratch func() func(*rand.Rand) bool) float64 {
	workers := shard.Workers(0)
	draws := make([]func(*rand.Rand) bool, workers)
	hits := make([]uint64, shard.Blocks(reps, 64))
	shard.Run(workers, len(hits), func(w, block int) {
		if draws[w] == nil {
			draws[w] = scratch()
		}
		lo, hi := shard.Bounds(block, reps, 64)
		for i := lo; i < hi; i++ {
			if draws[w](rand.New(rand.NewPCG(seed, uint64(i)))) {
				hits[block] |= 1 << (i - lo)
			}
		}
	})
	extreme := 0
	for _, h := range hits {
		extreme += bits.OnesCount64(h)
	}
	return float64(1+extreme) / float64(1+reps)
}

// Metric scores predictions p, width numbers a row, against labels y. It is called from several goroutines at once and
// must not keep its arguments.
type Metric func(y, p []float64) float64

// Permutation tests whether two models differ in any metric: under the null hypothesis each row's two predictions are
// exchangeable, so P is the share of patterns of exchanges whose absolute difference of metrics is at least the
// observed one. p holds len(a)/len(y) numbers a row. All 2^n patterns are tried when there are at most reps of them,
// reps drawn from seed otherwise. Where the metric is NaN for a pattern, that pattern counts as extreme.
func Permutation(y, a, b []float64, metric Metric, reps int, seed uint64) (Flips, error) {
	n := len(y)
	if n == 0 || len(a) == 0 || len(a) != len(b) || len(a)%n != 0 || reps < 1 {
		return Flips{}, fault.New(fault.Invalid, "permutation test: %d labels, %d and %d predictions, %d patterns", n, len(a), len(b), reps).
			WithHint("give both models' predictions for the same rows")
	}
	width := len(a) / n
	observed := metric(y, a) - metric(y, b)
	limit := math.Abs(observed) - 1e-12*max(1, math.Abs(observed))
	extreme := func(s, t []float64, swap func(i int) bool) bool {
		for i := range n {
			x, z := a[i*width:(i+1)*width], b[i*width:(i+1)*width]
			if swap(i) {
				x, z = z, x
			}
			copy(s[i*width:], x)
			copy(t[i*width:], z)
		}
		return !(math.Abs(metric(y, s)-metric(y, t)) < limit)
	}
	out := Flips{Diff: observed}
	if n < 30 && 1<<n <= reps {
		s, t := make([]float64, len(a)), make([]float64, len(a))
		count := 0
		for pattern := range 1 << n {
			if extreme(s, t, func(i int) bool { return pattern>>i&1 == 1 }) {
				count++
			}
		}
		out.Exact, out.Patterns = true, math.Exp2(float64(n))
		out.P = float64(count) / out.Patterns
		return out, nil
	}
	out.Patterns = float64(reps)
	out.P = sampled(reps, seed, func() func(*rand.Rand) bool {
		s, t := make([]float64, len(a)), make([]float64, len(a))
		return func(r *rand.Rand) bool {
			var word uint64
			return extreme(s, t, func(i int) bool {
				if i%64 == 0 {
					word = r.Uint64()
				}
				odd := word&1 == 1
				word >>= 1
				return odd
			})
		}
	})
	return out, nil
}
