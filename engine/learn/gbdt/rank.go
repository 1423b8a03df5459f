package gbdt

import (
	"cmp"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// rankLoss is LambdaRank (Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82) with the definitions of
// LightGBM 4 (src/objective/rank_objective.hpp): the gain of grade g is 2^g-1, the discount of place i from 0 is
// 1/log2(i+2), pairs count when the better placed of them is among the first truncation ones, and a pair's weight is
// what swapping it would change NDCG by. With norm it is divided by 0.01 plus the distance of the margins, and the
// gradients of a query are scaled by log2(1+s)/s of their sum s. What is measured is 1 - NDCG at truncation, the mean
// over the queries.
type rankLoss struct {
	truncation int
	norm       bool
}

func (rankLoss) Name() string    { return lambdarank }
func (rankLoss) Link() tree.Link { return tree.Identity }
func (rankLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(lambdarank, task, 1, learner.Ranking)
}

func (o rankLoss) Bind(rows Rows) (Bound, error) {
	b := &rankBound{Rows: rows, rankLoss: o, starts: queries(rows.Query)}
	longest := 0
	for q := range len(b.starts) - 1 {
		y := rows.Y[b.starts[q]:b.starts[q+1]]
		longest = max(longest, len(y))
		b.best = append(b.best, bestDCG(y, o.truncation))
	}
	b.discount = make([]float64, longest)
	for i := range b.discount {
		b.discount[i] = discount(i)
	}
	return b, nil
}

type rankBound struct {
	Rows
	rankLoss
	starts   []int     // the first row of each query, and the end
	best     []float64 // the DCG at truncation of each query's best order
	discount []float64 // of each place
}

func (b *rankBound) Base() []float64 { return []float64{0} }

func (b *rankBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	var s rankScratch
	for q, _ := slices.BinarySearch(b.starts, lo); b.starts[q] < hi; q++ {
		from, to := b.starts[q]-lo, b.starts[q+1]-lo
		b.query(q, margins[from:to], grads[2*from:2*to], &s)
	}
}

// rankScratch is what the queries of a stretch share: the rows of one from the best placed to the last.
type rankScratch struct {
	order         []int32
	margins, gain []float64
	g, h          []float64
}

// query writes the gradients of query q.
func (b *rankBound) query(q int, margins []float64, grads []float32, s *rankScratch) {
	y := b.Y[b.starts[q]:b.starts[q+1]]
	n := len(y)
	clear(grads)
	if b.best[q] <= 0 {
		return
	}
	s.order = byMargin(s.order[:0], margins)
	s.margins, s.gain = s.margins[:0], s.gain[:0]
	for _, row := range s.order {
		s.margins, s.gain = append(s.margins, margins[row]), append(s.gain, gain(y[row])/b.best[q])
	}
	s.g, s.h = append(s.g[:0], make([]float64, n)...), append(s.h[:0], make([]float64, n)...)
	spread := b.norm && s.margins[0] != s.margins[n-1]
	var total float64
	for i := range min(n-1, b.truncation) {
		total += b.pairs(s, i, spread)
	}
	factor := 1.0
	if b.norm && total > 0 {
		factor = math.Log2(1+total) / total
	}
	for i, row := range s.order {
		grads[2*row], grads[2*row+1] = single(s.g[i]*factor), single(s.h[i]*factor)
	}
}

// pairs adds the gradients of the row at place i with each row behind it and returns the sum of their sizes.
func (b *rankBound) pairs(s *rankScratch, i int, spread bool) (total float64) {
	own := placed{margin: s.margins[i], gain: s.gain[i], discount: b.discount[i], near: 1}
	if spread {
		own.near, own.distance = 0.01, 1
	}
	var sums pairSums
	n := len(s.margins)
	pairBlock(&own, &sums, s.margins[i+1:], s.gain[i+1:], b.discount[i+1:n], s.g[i+1:], s.h[i+1:])
	s.g[i] += added(sums.g)
	s.h[i] += added(sums.h)
	return added(sums.size)
}

// placed is the row that others are paired with: what its margin, gain and discount are, and by what a pair's weight is
// divided, near plus distance times how far the margins are apart.
type placed struct{ margin, gain, discount, near, distance float64 }

// pairSums are sums over pairs in four parts, the j-th pair in part j modulo 4.
type pairSums struct{ g, h, size [4]float64 }

func added(v [4]float64) float64 { return (v[0] + v[1]) + (v[2] + v[3]) }

// pairRows pairs a row with each of those behind it: it adds the gradients of the others to g and h, and its own and the
// sum of their sizes to sums. Rows of the same grade make a pair of weight 0, which costs less than asking.
func pairRows(own *placed, sums *pairSums, margins, gains, discounts, g, h []float64) {
	gains, discounts, g, h = gains[:len(margins)], discounts[:len(margins)], g[:len(margins)], h[:len(margins)]
	for j, m := range margins {
		apart := own.margin - m
		near := own.near + float64(own.distance*apart)
		// better is above 0 when the row in front is the one that should be there.
		better := own.gain - gains[j]
		e := expNeg(clamp(math.Copysign(apart, -better)))
		// With p = 1/(1+e), p/near and then p by one division.
		quotient := 1 / float64(near*(1+e))
		p := quotient * near
		pull := better * (own.discount - discounts[j]) * quotient
		curve := math.Abs(pull) * (1 - p)
		g[j] += pull
		h[j] += curve
		sums.g[j&3] -= pull
		sums.h[j&3] += curve
		sums.size[j&3] += 2 * math.Abs(pull)
	}
}

func (b *rankBound) Losses(lo, hi int, margins, losses []float64) {
	// The mean over rows is to be the mean over queries, whatever their lengths.
	scale := float64(len(b.Y)) / float64(len(b.starts)-1)
	var order []int32
	for q, _ := slices.BinarySearch(b.starts, lo); b.starts[q] < hi; q++ {
		from, to := b.starts[q], b.starts[q+1]
		order = byMargin(order[:0], margins[from-lo:to-lo])
		v := (1 - ndcg(b.Y[from:to], order, b.truncation, b.best[q])) * scale / float64(to-from)
		for i := from; i < to; i++ {
			losses[i-lo] = v
		}
	}
}

// queries is the first row of each query, and the end.
func queries(query []int32) []int {
	starts := []int{0}
	for i := 1; i < len(query); i++ {
		if query[i] != query[i-1] {
			starts = append(starts, i)
		}
	}
	return append(starts, len(query))
}

// gain is what a relevance grade is worth, 2^grade - 1.
func gain(grade float64) float64 { return float64(uint64(1)<<uint64(grade) - 1) }

// discount is what a gain at place i from 0 counts.
func discount(i int) float64 { return 1 / math.Log2(float64(i)+2) }

// bestDCG is the discounted cumulative gain of the first k of the best order.
func bestDCG(y []float64, k int) (sum float64) {
	sorted := slices.Clone(y)
	slices.Sort(sorted)
	for i := range min(k, len(sorted)) {
		sum += float64(gain(sorted[len(sorted)-1-i]) * discount(i))
	}
	return sum
}

// ndcg is the DCG of the first k rows in the given order by the best one; 1 where no row is relevant, as in LightGBM.
func ndcg(y []float64, order []int32, k int, best float64) float64 {
	if best <= 0 {
		return 1
	}
	var sum float64
	for i, row := range order[:min(k, len(order))] {
		sum += float64(gain(y[row]) * discount(i))
	}
	return sum / best
}

// byMargin appends the rows from the highest margin to the lowest, equal ones in their order.
func byMargin(order []int32, margins []float64) []int32 {
	for i := range margins {
		order = append(order, int32(i))
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(margins[b], margins[a]) })
	return order
}
