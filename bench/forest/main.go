// Command forest measures the CPU that a random forest takes to train, beside scikit-learn's on the same float32 matrix,
// one fit of each in turn, and writes the result to its section of bench/RESULTS.md.
//
//	go run ./bench/forest [-repeats 3] [-rows 100000] [-trees 200] [-results bench/RESULTS.md]
//
// scikit-learn comes from the environment of the oracles (make oracle), or from TRIMTAB_BENCH_PYTHON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/bench/trial"
)

const title = "## Random forest training CPU against scikit-learn"

// contest is one kind of forest on one number of threads.
type contest struct {
	name, class string
	threads     int
	ours, peer  trial.Cost
}

func main() {
	if trial.Child() {
		return
	}
	repeats := flag.Int("repeats", 3, "fits of each side; the one with the least CPU counts")
	rows := flag.Int("rows", 100_000, "training rows")
	trees := flag.Int("trees", 200, "trees of a forest")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(max(*repeats, 1), *rows, *trees, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/forest:", err)
		os.Exit(1)
	}
}

func run(repeats, rows, trees int, file string) error {
	ctx := context.Background()
	python, err := trial.Python("sklearn")
	if err != nil {
		return err
	}
	train, test := trial.Particles(rows, 1), trial.Particles(100_000, 2)
	files, err := trial.Write(train, test)
	if err != nil {
		return err
	}
	contests := []contest{
		{name: "random_forest", class: "RandomForestClassifier", threads: 1},
		{name: "random_forest", class: "RandomForestClassifier", threads: 2},
		{name: "extra_trees", class: "ExtraTreesClassifier", threads: 1},
	}
	for i := range contests {
		if err := contests[i].measure(ctx, files, python, repeats, trees); err != nil {
			return errors.Join(err, files.Remove())
		}
		fmt.Println(contests[i].row())
	}
	if err := files.Remove(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", title)
	fmt.Fprintf(&b, "Goal: at most 0.5x scikit-learn's CPU, AUC within .002. `go run ./bench/forest`, %s, %s, %s.\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), runtime.Version())
	fmt.Fprintf(&b, "scikit-learn %s from PyPI. %d rows x %d columns, %d trees, everything else by default on both sides: sqrt of the columns per node, leaves of one row.\n",
		contests[0].peer.Version, rows, train.X.Cols, trees)
	fmt.Fprintf(&b, "Each fit in a process of its own, reading the matrix not included. Each side ran in turn %d times; the run with the least CPU counts. Load average at the end: %s.\n\n", repeats, results.Load())
	b.WriteString("| forest | threads | ours, CPU s | scikit-learn, CPU s | ratio | ours, wall s | scikit-learn, wall s | ours, AUC | scikit-learn, AUC | difference |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for i := range contests {
		b.WriteString(contests[i].row())
		b.WriteByte('\n')
	}
	fmt.Print("\n", b.String())
	if file == "" {
		return nil
	}
	return results.Replace(file, title, b.String())
}

// measure lets both sides train in turn, so that a noisy neighbour disturbs them alike.
func (c *contest) measure(ctx context.Context, files *trial.Files, python string, repeats, trees int) error {
	c.ours.CPU, c.peer.CPU = math.Inf(1), math.Inf(1)
	ours := trial.Job{Learner: c.name, Params: map[string]any{"trees": trees}, Threads: c.threads}
	peer := trial.Job{Learner: c.class, Params: map[string]any{"n_estimators": trees, "n_jobs": c.threads, "random_state": 1}, Threads: c.threads}
	for range repeats {
		got, err := files.Ours(ctx, ours)
		if err != nil {
			return err
		}
		if got.CPU < c.ours.CPU {
			c.ours = got
		}
		if got, err = files.Peer(ctx, python, "bench/forest/peer.py", peer); err != nil {
			return err
		}
		if got.CPU < c.peer.CPU {
			c.peer = got
		}
	}
	return nil
}

// row is the contest as a line of the table.
func (c *contest) row() string {
	return fmt.Sprintf("| %s | %d | %.2f | %.2f | **%.2f** | %.2f | %.2f | %.5f | %.5f | %+.5f |", c.name, c.threads,
		c.ours.CPU, c.peer.CPU, c.ours.CPU/c.peer.CPU, c.ours.Wall, c.peer.Wall, c.ours.AUC, c.peer.AUC, c.ours.AUC-c.peer.AUC)
}
