package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// oneSide is gradient-based one-side sampling (Ke et al., "LightGBM", NIPS 2017, algorithm 2), with |gradient * hessian| as the
// size of a row, as in LightGBM: rows of at least the size that the share top of all rows reaches are kept, of the others
// the share other of all, whose gradients and hessians are multiplied by (1-top)/other so that sums stay unbiased. grads
// holds the gradient and hessian of each row in turn and is changed; the rows kept come in ascending order. Rows are
// counted and drawn by number, so that no order of work can change the draw.
func oneSide(grads []float32, top, other float64, key uint64, workers int) []uint32 {
	n := len(grads) / 2
	blocks := shard.Blocks(n, lossBlock)
	size := func(i int) uint32 {
		// Sizes are not negative, so that their bits sort as they do.
		return math.Float32bits(float32(math.Abs(float64(grads[2*i]) * float64(grads[2*i+1]))))
	}
	// The bound is found by its upper bits, then by its lower ones.
	count := func(part func(uint32) (int, bool)) []int {
		own := make([][]int, workers)
		shard.Run(workers, blocks, func(w, b int) {
			if own[w] == nil {
				own[w] = make([]int, 1<<16)
			}
			lo, hi := shard.Bounds(b, n, lossBlock)
			for i := lo; i < hi; i++ {
				if k, ok := part(size(i)); ok {
					own[w][k]++
				}
			}
		})
		total := make([]int, 1<<16)
		for _, o := range own {
			for k, c := range o {
				total[k] += c
			}
		}
		return total
	}
	want := int(top * float64(n))
	reach := func(counts []int) (at int) {
		for at = len(counts) - 1; at > 0 && counts[at] < want; at-- {
			want -= counts[at]
		}
		return at
	}
	bound := uint32(math.MaxUint32)
	if want > 0 {
		upper := reach(count(func(s uint32) (int, bool) { return int(s >> 16), true }))
		lower := reach(count(func(s uint32) (int, bool) { return int(s & 0xffff), int(s>>16) == upper }))
		bound = uint32(upper)<<16 | uint32(lower)
	}
	share := other / (1 - top)
	limit := uint64(min(share, 1) * (1 << 53))
	amplify := float32(1 / min(share, 1))
	kept := make([][]uint32, blocks)
	shard.Run(workers, blocks, func(_, b int) {
		lo, hi := shard.Bounds(b, n, lossBlock)
		rows := make([]uint32, 0, (hi-lo)/2)
		for i := lo; i < hi; i++ {
			if size(i) < bound {
				if bins.Mix(key, uint64(i), 0)>>11 >= limit {
					continue
				}
				grads[2*i] *= amplify
				grads[2*i+1] *= amplify
			}
			rows = append(rows, uint32(i))
		}
		kept[b] = rows
	})
	var out []uint32
	for _, rows := range kept {
		out = append(out, rows...)
	}
	return out
}
