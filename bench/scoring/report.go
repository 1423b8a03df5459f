package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
)

const title = "## Scoring with trees against LightGBM and ONNX Runtime"

// median is the middle of the runs.
func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// section is the text for RESULTS.md.
func section(done []contest) string {
	var b strings.Builder
	peers := done[0].sides
	fmt.Fprintf(&b, "%s\n\n", title)
	b.WriteString("Goal, 500 trees x 31 leaves, many rows: at least 10 times as fast as both with AVX-512, 4 times with AVX2.\n")
	fmt.Fprintf(&b, "`go run ./bench/scoring`, %s, %s, %s. LightGBM %s and ONNX Runtime %s from PyPI.\n",
		time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version(), peers[0].version, peers[1].version)
	fmt.Fprintf(&b, "A LightGBM model of %d numbers, read from its own text; one thread; CPU of a row in microseconds, medians of %d turns. Many: %d rows in one call.\n",
		done[0].job.Columns, len(peers[0].batch), done[0].job.Rows)
	b.WriteString("One: rows one after another, LightGBM by its C interface for that (PredictForMatSingleRowFast, called from Python: about 1 microsecond), ONNX Runtime by its Python one (about 6). Margins are equal to LightGBM's to 1e-12.\n")
	fmt.Fprintf(&b, "Load average of the machine at the end: %s.\n\n", results.Load())
	b.WriteString("| trees x leaves | side | many, us a row | LightGBM / it | ONNX Runtime / it | one, us | LightGBM / it | ONNX Runtime / it |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range done {
		for _, s := range c.sides {
			many, one := median(s.batch), median(s.row)
			fmt.Fprintf(&b, "| %d x %d | %s | %.3f | %.1f | %.1f | %.2f | %.1f | %.1f |\n", c.job.Trees, c.job.Leaves, strings.TrimSpace(s.name+" "+s.kernel),
				many*1e6, median(c.sides[0].batch)/many, median(c.sides[1].batch)/many,
				one*1e6, median(c.sides[0].row)/one, median(c.sides[1].row)/one)
		}
	}
	return b.String()
}
