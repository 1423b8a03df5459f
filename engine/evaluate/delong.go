package evaluate

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// DeLongResult compares the ROC AUC of two sets of scores for the same rows. Differences are first minus second.
type DeLongResult struct {
	AUC1       float64 `json:"auc1"`
	AUC2       float64 `json:"auc2"`
	Var1       float64 `json:"var1"`
	Var2       float64 `json:"var2"`
	Covariance float64 `json:"covariance"`
	Diff       float64 `json:"diff"` // AUC1 - AUC2
	Lo         float64 `json:"lo"`   // 95 % interval of Diff
	Hi         float64 `json:"hi"`
	Z          float64 `json:"z"`
	P          float64 `json:"p"` // two-sided
	Positives  int     `json:"positives"`
	Negatives  int     `json:"negatives"`
	Defined    bool    `json:"defined"` // false with fewer than two rows of a class; all numbers are then 0 and P is 1
}

// DeLong tests whether scores a and b rank the rows equally well (DeLong, DeLong and Clarke-Pearson, Biometrics 44,
// 1988), in O(n log n) by midranks (Sun and Xu, IEEE Signal Processing Letters 21, 2014). Where the difference has no
// variance at all, equal AUCs give Z 0 and P 1, unequal ones the largest finite Z and P 0.
func DeLong(y, a, b []float64) DeLongResult {
	sameLength(len(y), len(a))
	sameLength(len(y), len(b))
	first, second := placementsOf(y, a), placementsOf(y, b)
	r := DeLongResult{P: 1, Positives: len(first.positives), Negatives: len(first.negatives)}
	if r.Positives < 2 || r.Negatives < 2 {
		return r
	}
	r.Defined = true
	r.AUC1, r.AUC2 = first.auc, second.auc
	r.Diff = r.AUC1 - r.AUC2
	r.Var1, r.Var2, r.Covariance = covariance(first, first), covariance(second, second), covariance(first, second)
	variance := r.Var1 + r.Var2 - 2*r.Covariance
	// Below this, the variance is the rounding of three numbers that cancel.
	if variance <= 1e-14*(r.Var1+r.Var2) || variance <= 0 {
		r.Lo, r.Hi = r.Diff, r.Diff
		if r.Diff != 0 {
			r.Z, r.P = math.Copysign(math.MaxFloat64, r.Diff), 0
		}
		return r
	}
	se := math.Sqrt(variance)
	half := normalQuantile(0.975) * se
	r.Z = r.Diff / se
	r.P = math.Erfc(math.Abs(r.Z) / math.Sqrt2)
	r.Lo, r.Hi = r.Diff-half, r.Diff+half
	return r
}

// AUCInterval is the ROC AUC and its interval of the given level (0.95) by DeLong's variance, cut to [0, 1]. With
// fewer than two rows of a class the interval is all of [0, 1]; the AUC is NaN when a class is missing.
func AUCInterval(y, p []float64, level float64) (auc, lo, hi float64) {
	sameLength(len(y), len(p))
	s := placementsOf(y, p)
	if len(s.positives) < 2 || len(s.negatives) < 2 {
		return s.auc, 0, 1
	}
	half := normalQuantile((1+level)/2) * math.Sqrt(covariance(s, s))
	return s.auc, max(s.auc-half, 0), min(s.auc+half, 1)
}

// placements are the structural components of an AUC: for each positive the share of negatives it outranks, for each
// negative the share of positives that outrank it, ties counting one half.
type placements struct {
	positives, negatives []float64
	auc                  float64
}

func placementsOf(y, p []float64) placements {
	var pos, neg []float64
	for i, v := range y {
		if v == 1 {
			pos = append(pos, p[i])
		} else {
			neg = append(neg, p[i])
		}
	}
	all := midranks(append(append([]float64(nil), pos...), neg...))
	m, n := float64(len(pos)), float64(len(neg))
	within := midranks(pos)
	out := placements{positives: make([]float64, len(pos)), negatives: make([]float64, len(neg))}
	var sum metric.Sum
	for i := range pos {
		out.positives[i] = (all[i] - within[i]) / n
		sum.Add(all[i] - within[i])
	}
	within = midranks(neg)
	for i := range neg {
		out.negatives[i] = 1 - (all[len(pos)+i]-within[i])/m
	}
	out.auc = sum.Value() / (m * n)
	if len(pos) == 0 || len(neg) == 0 {
		out.auc = math.NaN()
	}
	return out
}

// covariance of two AUCs over the same rows.
func covariance(a, b placements) float64 {
	return crossed(a.positives, b.positives, a.auc, b.auc) + crossed(a.negatives, b.negatives, a.auc, b.auc)
}

// crossed is the sample covariance of the components, with means ma and mb, over their number.
func crossed(a, b []float64, ma, mb float64) float64 {
	var sum metric.Sum
	for i := range a {
		sum.Add((a[i] - ma) * (b[i] - mb))
	}
	n := float64(len(a))
	return sum.Value() / (n - 1) / n
}
