package shard_test

import (
	"sync/atomic"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// Every piece is done once, and a worker's number is never in use twice at a time.
func TestRun(t *testing.T) {
	for _, workers := range []int{1, 2, 8, 100} {
		for _, pieces := range []int{0, 1, 3, 1000} {
			done := make([]atomic.Int32, pieces)
			busy := make([]atomic.Int32, workers)
			shard.Run(workers, pieces, func(w, i int) {
				if busy[w].Add(1) != 1 {
					t.Errorf("worker %d does two pieces at a time", w)
				}
				done[i].Add(1)
				busy[w].Add(-1)
			})
			for i := range done {
				if n := done[i].Load(); n != 1 {
					t.Errorf("%d workers: piece %d of %d was done %d times", workers, i, pieces, n)
				}
			}
		}
	}
}

func TestBoundsCoverEveryRowOnce(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 100} {
		next := 0
		for i := range shard.Blocks(n, 10) {
			lo, hi := shard.Bounds(i, n, 10)
			if lo != next || hi <= lo {
				t.Errorf("%d rows: piece %d is [%d, %d)", n, i, lo, hi)
			}
			next = hi
		}
		if next != n {
			t.Errorf("%d of %d rows are covered", next, n)
		}
	}
}
