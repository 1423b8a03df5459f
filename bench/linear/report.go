package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## Logistic regression training CPU against scikit-learn"

// row is the contest as a line of the table.
func (c *contest) row() string {
	return fmt.Sprintf("| %s | %d x %d | %.0e | %s | %.3f | %.3f | **%.2f** | %d | %d | %.8f | %.8f |", c.name, c.job.Rows, c.job.Columns, c.job.Tolerance, c.job.Solver,
		c.ours.CPU, c.peer.CPU, c.ours.CPU/c.peer.CPU, c.ours.Iterations, c.peer.Iterations, c.ours.Loss, c.peer.Loss)
}

// section is the text for RESULTS.md.
func section(done []contest, repeats int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "Goal: at most 0.7x scikit-learn's CPU at the same tolerance and no larger loss, one thread. `go run ./bench/linear`, %s, %s, %s.\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&b, "scikit-learn %s from PyPI on float64, or on float32 when that is cheaper, in a pipeline with StandardScaler: both sides standardise within the time. L2 penalty with C = 1 for both.\n",
		done[0].peer.Version)
	fmt.Fprintf(&b, "Medians of %d runs of each side in turn. Load average of the machine at the end: %s.\n\n", repeats, results.Load())
	b.WriteString("| columns | rows x columns | tolerance | scikit-learn's solver | ours, CPU s | scikit-learn, CPU s | ratio | our iterations | its iterations | our loss | its loss |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range done {
		b.WriteString(done[i].row())
		b.WriteByte('\n')
	}
	return b.String()
}
