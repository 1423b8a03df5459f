package registry

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/table"
)

const (
	// searchSteps bounds rows x columns² of a search for weak slices, some 10 ns each: about a second.
	searchSteps = 100_000_000
	// fewestSearched rows are searched however many columns there are; with too many for that, without their pairs.
	fewestSearched = 5_000
)

// FindWeak searches columns, which have the rows of h, for slices with a greater loss than the rest (evaluate.FindSlices).
// More rows than there is time for are searched in an even sample. There is no answer, and no error, for rows that give no
// finite losses.
func FindWeak(ctx context.Context, h *Held, columns []*table.Column, workers int) (*evaluate.WeakSlices, error) {
	n := len(h.Y)
	if n == 0 || len(columns) == 0 {
		return nil, nil
	}
	rows, pairs := searched(n, len(columns))
	loss := evaluate.RowLosses(h.Task, h.Y, h.P)
	if rows < n {
		kept := make([]int, rows)
		for i := range kept {
			kept[i] = int(int64(i) * int64(n) / int64(rows))
		}
		some := make([]*table.Column, len(columns))
		for j, c := range columns {
			some[j] = c.Take(kept)
		}
		of := loss
		columns, loss = some, make([]float64, rows)
		for i, r := range kept {
			loss[i] = of[r]
		}
	}
	for _, v := range loss {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil
		}
	}
	out, err := evaluate.FindSlices(ctx, columns, loss, evaluate.FindOptions{MinRows: smallSlice, OneColumn: !pairs, Workers: workers})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// searched is how many of n rows there is time to search, and whether pairs of columns are searched too.
func searched(n, columns int) (rows int, pairs bool) {
	if rows = searchSteps / (columns * columns); rows >= min(n, fewestSearched) {
		return min(n, rows), true
	}
	return min(n, max(fewestSearched, searchSteps/columns)), false
}
