package metric

import (
	"cmp"
	"math"
	"slices"
)

// Gain is what a relevance grade is worth.
type Gain string

// The gains: the grade itself, or 2^grade - 1, which LambdaRank and search engines use.
const (
	LinearGain      Gain = "linear"
	ExponentialGain Gain = "exponential"
)

func (g Gain) of(grade float64) float64 {
	if g == ExponentialGain {
		return math.Exp2(grade) - 1
	}
	return grade
}

// Ranked is one query's documents: relevance grades and the scores that order them.
type Ranked struct {
	Grade, Score []float64
}

// Queries cuts rows into queries: those of equal number, in the order of their first rows.
func Queries(query []int32, grade, score []float64) []Ranked {
	same(len(query), len(grade), nil)
	same(len(query), len(score), nil)
	at := map[int32]int{}
	var out []Ranked
	for i, q := range query {
		j, ok := at[q]
		if !ok {
			j = len(out)
			at[q] = j
			out = append(out, Ranked{})
		}
		out[j].Grade = append(out[j].Grade, grade[i])
		out[j].Score = append(out[j].Score, score[i])
	}
	return out
}

// walk calls do for every group of documents of equal score, by falling score: they have the ranks lo to hi-1, from 0.
func (q Ranked) walk(do func(lo, hi int, documents []int)) {
	order := make([]int, len(q.Score))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(q.Score[b], q.Score[a]) })
	for lo := 0; lo < len(order); {
		hi := lo + 1
		for hi < len(order) && q.Score[order[hi]] == q.Score[order[lo]] {
			hi++
		}
		do(lo, hi, order[lo:hi])
		lo = hi
	}
}

// DCG is the discounted cumulative gain of the first k documents (0: all): the sum of gain over the logarithm, to that
// base, of rank plus one. Documents of equal score share the mean gain (McSherry and Najork 2008).
func (q Ranked) DCG(k int, base float64, gain Gain) float64 {
	same(len(q.Grade), len(q.Score), nil)
	if k <= 0 || k > len(q.Score) {
		k = len(q.Score)
	}
	var sum Sum
	q.walk(func(lo, hi int, documents []int) {
		if lo >= k {
			return
		}
		var worth, discount Sum
		for _, d := range documents {
			worth.Add(gain.of(q.Grade[d]))
		}
		for rank := lo; rank < min(hi, k); rank++ {
			discount.Add(math.Log(base) / math.Log(float64(rank+2)))
		}
		sum.Add(worth.Value() / float64(hi-lo) * discount.Value())
	})
	return sum.Value()
}

// NDCG is DCG over that of the best order; 0 for a query without any gain.
func (q Ranked) NDCG(k int, gain Gain) float64 {
	best := Ranked{q.Grade, q.Grade}.DCG(k, 2, gain)
	if best == 0 {
		return 0
	}
	return q.DCG(k, 2, gain) / best
}

// relevant is the documents of a positive grade.
func (q Ranked) relevant() float64 {
	n := 0.0
	for _, g := range q.Grade {
		n += indicator(g > 0)
	}
	return n
}

// hits is the relevant documents among the first k; documents of equal score that straddle k count by their share.
func (q Ranked) hits(k int) float64 {
	var n float64
	q.walk(func(lo, hi int, documents []int) {
		if lo >= k {
			return
		}
		found := 0.0
		for _, d := range documents {
			found += indicator(q.Grade[d] > 0)
		}
		n += found * float64(min(hi, k)-lo) / float64(hi-lo)
	})
	return n
}

// Precision is the share of relevant documents among the first k (0: all); ranks that do not exist count as misses.
func (q Ranked) Precision(k int) float64 {
	if k <= 0 {
		k = len(q.Score)
	}
	return ratio(q.hits(k), float64(k), 0)
}

// Recall is the share of the relevant documents that are among the first k (0: all); 0 without one.
func (q Ranked) Recall(k int) float64 {
	if k <= 0 {
		k = len(q.Score)
	}
	return ratio(q.hits(k), q.relevant(), 0)
}

// AveragePrecision is the sum over thresholds of precision times the growth of recall, ties together; 0 without a
// relevant document. k (0: all) cuts the list, and the divisor at the relevant documents that fit in it.
func (q Ranked) AveragePrecision(k int) float64 {
	if k <= 0 || k > len(q.Score) {
		k = len(q.Score)
	}
	var sum Sum
	seen := 0.0
	q.walk(func(lo, hi int, documents []int) {
		if lo >= k {
			return
		}
		found := 0.0
		for _, d := range documents {
			found += indicator(q.Grade[d] > 0)
		}
		kept := found * float64(min(hi, k)-lo) / float64(hi-lo)
		sum.Add(kept * ((seen + kept) / float64(min(hi, k))))
		seen += kept
	})
	return ratio(sum.Value(), min(q.relevant(), float64(k)), 0)
}

// ReciprocalRank is one over the rank of the first relevant document, 0 without one among the first k (0: all).
// Among documents of equal score it is the mean over their orders.
func (q Ranked) ReciprocalRank(k int) float64 {
	if k <= 0 || k > len(q.Score) {
		k = len(q.Score)
	}
	value, done := 0.0, false
	q.walk(func(lo, hi int, documents []int) {
		if done || lo >= k {
			return
		}
		n, found := hi-lo, 0
		for _, d := range documents {
			if q.Grade[d] > 0 {
				found++
			}
		}
		if found == 0 {
			return
		}
		done = true
		// The chance that the first relevant of n places is place at: the misses before it, then a hit.
		before := 1.0
		for at := 0; at <= n-found; at++ {
			hit := float64(found) / float64(n-at)
			if lo+at < k {
				value += before * hit / float64(lo+at+1)
			}
			before *= 1 - hit
		}
	})
	return value
}

// MeanOver is the weighted mean of a measure over queries.
func MeanOver(queries []Ranked, w []float64, of func(q Ranked) float64) Score {
	same(len(queries), len(queries), w)
	return Mean(len(queries), w, func(i int) float64 { return of(queries[i]) })
}
