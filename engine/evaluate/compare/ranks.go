package compare

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// ZeroMethod is what Wilcoxon does with differences of zero.
type ZeroMethod string

// Drop leaves zeros out before ranking (Wilcoxon); Pratt ranks them and then leaves their ranks out.
const (
	Drop  ZeroMethod = "wilcox"
	Pratt ZeroMethod = "pratt"
)

// WilcoxonMethod is how Wilcoxon finds its p-value.
type WilcoxonMethod string

// Untied uses the distribution for ranks 1..n, which is exact without ties and zeros and rounds the statistic to the
// safe side with them, as scipy's "exact". Conditional is exact given the ties and zeros. Approx is the normal
// approximation with the variance corrected for ties and without continuity correction.
const (
	Untied      WilcoxonMethod = "exact"
	Conditional WilcoxonMethod = "conditional"
	Approx      WilcoxonMethod = "approx"
)

// mostExact is the number of pairs up to which the exact distributions of Wilcoxon are computed.
const mostExact = 1000

// Wilcoxon is the signed-rank test of paired differences d (Wilcoxon, Biometrics Bulletin 1, 1945): Statistic is the
// smaller of the rank sums of positive and of negative differences, equal sizes sharing their mean rank. When every
// difference is zero the statistic is 0 and P 1 for the exact methods and NaN for Approx.
func Wilcoxon(d []float64, zeros ZeroMethod, method WilcoxonMethod) (Result, error) {
	if err := finite("Wilcoxon", d); err != nil {
		return Result{}, err
	}
	switch zeros {
	case Pratt:
	case Drop, "":
		d = slices.DeleteFunc(slices.Clone(d), func(v float64) bool { return v == 0 })
	default:
		return Result{}, fault.New(fault.Invalid, "Wilcoxon: unknown way with zeros %q", zeros).WithHint("ways are wilcox and pratt")
	}
	size := make([]float64, len(d))
	for i, v := range d {
		size[i] = math.Abs(v)
	}
	ranks, ties := midranks(size)
	var plus, minus float64
	var none float64 // zeros, which rank lowest
	for i, v := range d {
		switch {
		case v > 0:
			plus += ranks[i]
		case v < 0:
			minus += ranks[i]
		default:
			none++
		}
	}
	r := Result{Statistic: min(plus, minus)}
	n := float64(len(d))
	switch method {
	case Approx:
		tied := none - none*none*none // zeros are in ties, and do not count there
		for _, t := range ties {
			tied += t*t*t - t
		}
		mean := n*(n+1)/4 - none*(none+1)/4
		variance := (n*(n+1)*(2*n+1) - none*(none+1)*(2*none+1) - tied/2) / 24
		r.P = tail.NormalBoth((plus - mean) / math.Sqrt(variance))
	case Untied, "", Conditional:
		if len(d) > mostExact {
			return Result{}, fault.New(fault.Invalid, "Wilcoxon: the exact distribution is for at most %d pairs, not %d", mostExact, len(d)).
				WithHint("use method approx, which is as good from some fifty pairs on")
		}
		if method == Conditional {
			var halves []int // twice the ranks, which are whole numbers
			for i, v := range d {
				if v != 0 {
					halves = append(halves, int(2*ranks[i]))
				}
			}
			r.P = min(1, 2*subsets(halves, int(2*r.Statistic)))
			break
		}
		whole := make([]int, len(d))
		for i := range whole {
			whole[i] = i + 1
		}
		// The lower tail at plus, rounded up, and its mirror image, the upper tail at plus rounded down.
		all := len(d) * (len(d) + 1) / 2
		r.P = min(1, 2*subsets(whole, min(int(math.Ceil(plus)), all-int(math.Floor(plus)))))
	default:
		return Result{}, fault.New(fault.Invalid, "Wilcoxon: unknown method %q", method).
			WithHint("methods are exact, conditional and approx")
	}
	return r, nil
}

// subsets is the share of the subsets of weights whose sum is at most limit.
func subsets(weights []int, limit int) float64 {
	if limit < 0 {
		return 0
	}
	share := make([]float64, limit+1)
	share[0] = 1
	for _, w := range weights {
		for s := limit; s >= 0; s-- {
			share[s] /= 2
			if s >= w {
				share[s] += share[s-w] / 2
			}
		}
	}
	sum := 0.0
	for _, v := range share {
		sum += v
	}
	return sum
}

// midranks is the rank of each value, from 1, with the mean rank for equal values, and the sizes of the runs of
// equals.
func midranks(v []float64) (ranks, ties []float64) {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(v[a], v[b]) })
	ranks = make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for _, at := range order[i:j] {
			ranks[at] = float64(i+j+1) / 2
		}
		ties = append(ties, float64(j-i))
		i = j
	}
	return ranks, ties
}

// HodgesLehmann is the median of the means of all pairs of differences, each also with itself: the effect that belongs
// to Wilcoxon's test. NaN without differences; at most 5000 are taken, as the pairs grow with the square.
func HodgesLehmann(d []float64) (float64, error) {
	if err := finite("Hodges-Lehmann", d); err != nil {
		return 0, err
	}
	if len(d) > 5000 {
		return 0, fault.New(fault.Invalid, "Hodges-Lehmann: at most 5000 differences, not %d", len(d)).
			WithHint("compare the median difference instead")
	}
	means := make([]float64, 0, len(d)*(len(d)+1)/2)
	for i, a := range d {
		for _, b := range d[i:] {
			means = append(means, (a+b)/2)
		}
	}
	slices.Sort(means)
	n := len(means)
	if n == 0 {
		return math.NaN(), nil
	}
	return (means[(n-1)/2] + means[n/2]) / 2, nil
}

// FriedmanResult is Friedman's test and the mean rank of each model, the lowest value of a row having rank 1.
type FriedmanResult struct {
	Result
	MeanRanks []float64 `json:"mean_ranks"`
	// F is the statistic of Iman and Davenport (Communications in Statistics 9, 1980), less conservative than
	// Friedman's, with k-1 and (k-1)(N-1) degrees of freedom, and FP its p-value.
	F  float64 `json:"f"`
	FP float64 `json:"f_p"`
}

// Friedman tests whether k models do equally well on N data sets (Friedman, JASA 32, 1937). x has one row per data set
// and one column per model. Statistic is corrected for ties, chi-squared with k-1 degrees of freedom; NaN when every
// row is all ties.
func Friedman(x [][]float64) (FriedmanResult, error) {
	k, err := rectangle("Friedman", x)
	if err != nil {
		return FriedmanResult{}, err
	}
	n, m := float64(len(x)), float64(k)
	sums := make([]float64, k)
	tied := 0.0
	for _, row := range x {
		ranks, ties := midranks(row)
		for j, r := range ranks {
			sums[j] += r
		}
		for _, t := range ties {
			tied += t * (t*t - 1)
		}
	}
	squares := 0.0
	for _, s := range sums {
		squares += s * s
	}
	out := FriedmanResult{MeanRanks: sums}
	s := (12/(m*n*(m+1))*squares - 3*n*(m+1)) / (1 - tied/(m*(m*m-1)*n))
	out.Result = Result{Statistic: s, DF: m - 1, P: tail.ChiSquared(s, m-1)}
	out.F = (n - 1) * s / (n*(m-1) - s)
	out.FP = tail.F(out.F, m-1, (m-1)*(n-1))
	for j := range sums {
		sums[j] /= n
	}
	return out, nil
}
