package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## GBDT training CPU against LightGBM"

// row is the contest as a line of the table.
func (c *contest) row() string {
	return fmt.Sprintf("| %s | %d x %d | %d | %d | %.2f | %.2f | **%.2f** | %.2f | %.2f | %.5f | %.5f | %+.5f |",
		c.name, c.train.X.Rows, c.train.X.Cols, c.job.Leaves, c.job.Threads, c.ours.CPU, c.peer.CPU, c.ours.CPU/c.peer.CPU,
		c.ours.Wall, c.peer.Wall, c.ours.AUC, c.peer.AUC, c.ours.AUC-c.peer.AUC)
}

// section is the text for RESULTS.md.
func section(done []contest) string {
	var b strings.Builder
	j := done[0].job
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "Goal: at most 1.0x LightGBM's CPU at the same trees, leaves and bins, AUC within .002. `go run ./bench/gbdt`, %s, %s, %s.\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&b, "LightGBM %s from PyPI, the cheaper of its row-wise and column-wise histograms. %d trees, %d bins, learning rate %v, min_leaf %d, l2 %v for both; binning is\n",
		done[0].peer.Version, j.Rounds, j.Bins, j.LearningRate, j.MinLeaf, j.L2)
	b.WriteString("included, reading the matrix is not. Each side ran in turn; the run with the least CPU counts. Test rows are later flights, or other rows of the synthetic set.\n")
	fmt.Fprintf(&b, "Load average of the machine at the end: %s; above one per processor the wall times say little.\n\n", results.Load())
	b.WriteString("| data | train rows x columns | leaves | threads | ours, CPU s | LightGBM, CPU s | ratio | ours, wall s | LightGBM, wall s | ours, AUC | LightGBM, AUC | difference |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range done {
		b.WriteString(done[i].row())
		b.WriteByte('\n')
	}
	return b.String()
}
