// Package shard runs numbered pieces of work on a bounded number of goroutines. Learners cut their rows into pieces
// whose number depends on the data alone, keep one result per piece and combine the results in order: then floating
// point sums, and so the models, are the same for any number of workers. It knows nothing of learning.
package shard

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Workers is n, or GOMAXPROCS when n is not positive.
func Workers(n int) int {
	if n > 0 {
		return n
	}
	return runtime.GOMAXPROCS(0)
}

// Run calls do(worker, piece) once for every piece in [0, pieces) and returns when all are done. worker is in
// [0, workers) and no two calls with the same worker overlap, so that it can index scratch space. With one worker or
// one piece everything runs, in order, on the caller's goroutine.
func Run(workers, pieces int, do func(worker, piece int)) {
	workers = min(workers, pieces)
	if workers <= 1 {
		for i := range pieces {
			do(0, i)
		}
		return
	}
	var next atomic.Int64
	work := func(w int) {
		for {
			i := int(next.Add(1)) - 1
			if i >= pieces {
				return
			}
			do(w, i)
		}
	}
	var wg sync.WaitGroup
	for w := 1; w < workers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			work(w)
		}()
	}
	work(0)
	wg.Wait()
}

// Blocks is the number of pieces of size rows that cover n rows.
func Blocks(n, size int) int { return (n + size - 1) / size }

// Bounds is the half-open row range of piece i.
func Bounds(i, n, size int) (lo, hi int) { return i * size, min((i+1)*size, n) }
