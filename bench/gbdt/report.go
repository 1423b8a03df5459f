package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/bench/trial"
)

const title = "## GBDT training CPU against LightGBM"

// row is the contest as a line of the table.
func (c *contest) row() string {
	best := c.best()
	cells := []string{c.name, fmt.Sprintf("%d x %d", c.rows, c.columns), fmt.Sprint(c.leaves), fmt.Sprint(c.threads), fmt.Sprintf("%.2f", c.ours.CPU)}
	for i, p := range c.peers {
		cell := fmt.Sprintf("%.2f", p.CPU)
		if i == best {
			cell = "*" + cell + "*"
		}
		cells = append(cells, cell)
	}
	p := c.peers[best]
	cells = append(cells, fmt.Sprintf("**%.2f**", c.ours.CPU/p.CPU), fmt.Sprintf("%.2f", c.ours.Wall), fmt.Sprintf("%.2f", p.Wall),
		fmt.Sprintf("%.5f", c.ours.AUC), fmt.Sprintf("%.5f", p.AUC), fmt.Sprintf("%+.5f", c.ours.AUC-p.AUC))
	return "| " + strings.Join(cells, " | ") + " |"
}

// section is the text for RESULTS.md.
func section(done []contest, peaks [2]trial.Cost, repeats int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "Goals: at most 0.7x the CPU of LightGBM's best mode at the same trees, leaves, bins and categories, AUC within .001; at most 1.2x its memory.\n")
	fmt.Fprintf(&b, "`go run ./bench/gbdt`, %s, %s, %s.\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&b, "LightGBM %s from PyPI, with histograms by rows, by columns, and by rows with quantised gradients; the best mode is the cheapest\n", done[0].peers[0].Version)
	fmt.Fprintf(&b, "one whose AUC is within %v of the best of the three, in italics. %d trees, %d bins, learning rate %v, min_leaf %d, l2 %v for both; each fit in a\n", asGood, rounds, bins, rate, minLeaf, l2)
	fmt.Fprintf(&b, "process of its own, binning included, reading the matrix not. Each side ran in turn %d times; the run with the least CPU counts. Test rows are every\n", repeats)
	b.WriteString("fifth flight, or other rows of the dense set; carriers and airports are categories for both.\n")
	fmt.Fprintf(&b, "Load average of the machine at the end: %s; above one per processor the wall times say little.\n\n", results.Load())
	b.WriteString("| data | train rows x columns | leaves | threads | ours, CPU s | LightGBM by rows | by columns | quantised | ratio to its best | ours, wall s | its best, wall s | ours, AUC | its best, AUC | difference |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range done {
		b.WriteString(done[i].row())
		b.WriteByte('\n')
	}
	if peaks[0].Peak > 0 {
		fmt.Fprintf(&b, "\nPeak memory of a process that only fits the dense set, 31 leaves, one thread, the matrix included: ours %.0f MiB, LightGBM %.0f MiB (Python included), ratio **%.2f**.\n",
			peaks[0].Peak, peaks[1].Peak, peaks[0].Peak/peaks[1].Peak)
	}
	return b.String()
}
