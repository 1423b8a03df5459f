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

// rankScratch is what the queries of a stretch share.
type rankScratch struct {
	order []int32
	sums  [][2]float64
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
	s.sums = append(s.sums[:0], make([][2]float64, n)...)
	order, sums := s.order, s.sums
	spread := b.norm && margins[order[0]] != margins[order[n-1]]
	var total float64
	for i := range min(n-1, b.truncation) {
		for j := i + 1; j < n; j++ {
			high, low := order[i], order[j]
			if y[high] == y[low] {
				continue
			}
			if y[high] < y[low] {
				high, low = low, high
			}
			apart := margins[high] - margins[low]
			weight := (gain(y[high]) - gain(y[low])) * (b.discount[i] - b.discount[j]) / b.best[q]
			if spread {
				weight /= 0.01 + math.Abs(apart)
			}
			p := 1 / (1 + expNeg(-clamp(apart)))
			g, h := p*weight, p*(1-p)*weight
			sums[low][0] += g
			sums[high][0] -= g
			sums[low][1] += h
			sums[high][1] += h
			total += 2 * g
		}
	}
	factor := 1.0
	if b.norm && total > 0 {
		factor = math.Log2(1+total) / total
	}
	for i, v := range sums {
		grads[2*i], grads[2*i+1] = single(v[0]*factor), single(v[1]*factor)
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
