// Command gbdt measures the CPU and the memory that gradient boosting takes to train, beside LightGBM on the same float32
// matrix with the same trees, leaves, bins and categories, one fit of each in turn on one thread and on two, and writes
// the result to its section of bench/RESULTS.md.
//
//	go run ./bench/gbdt [-repeats 3] [-rows 1000000] [-flights] [-leaves 31,255] [-threads 1,2] [-results bench/RESULTS.md]
//
// LightGBM comes from the environment of the oracles (make oracle), or from TRIMTAB_BENCH_PYTHON.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/bench/trial"
	"github.com/trimtab-ml/trimtab/engine/learn"
)

// What both sides train with.
const (
	rounds  = 100
	bins    = 255
	rate    = 0.1
	minLeaf = 20
	l2      = 1.0
	// asGood is how far a mode's AUC may lie below the best of LightGBM's for it to count.
	asGood = 0.001
)

// modes are the ways LightGBM can build histograms; the cheapest one that ranks as well as the others counts.
var modes = []struct {
	name   string
	params map[string]any
}{
	{"rows", map[string]any{"force_row_wise": true}},
	{"columns", map[string]any{"force_col_wise": true}},
	{"quantised", map[string]any{"force_row_wise": true, "use_quantized_grad": true}},
}

// contest is one data set at one setting.
type contest struct {
	name            string
	rows, columns   int
	leaves, threads int
	ours            trial.Cost
	peers           []trial.Cost // by mode
}

// best is the mode that counts.
func (c *contest) best() int {
	most := 0.0
	for _, p := range c.peers {
		most = max(most, p.AUC)
	}
	best := -1
	for i, p := range c.peers {
		if p.AUC >= most-asGood && (best < 0 || p.CPU < c.peers[best].CPU) {
			best = i
		}
	}
	return best
}

func main() {
	if trial.Child() {
		return
	}
	repeats := flag.Int("repeats", 3, "fits of each side; the one with the least CPU counts")
	rows := flag.Int("rows", 1_000_000, "training rows of the dense set; 0 leaves it out")
	withFlights := flag.Bool("flights", true, "train on the flights too")
	leaves := flag.String("leaves", "31,255", "leaves of a tree, one contest each")
	threads := flag.String("threads", "1,2", "threads, one contest each")
	file := flag.String("results", results.File, "file whose section is written; empty to print only")
	flag.Parse()
	if err := run(max(*repeats, 1), *rows, *withFlights, *leaves, *threads, *file); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gbdt:", err)
		os.Exit(1)
	}
}

func run(repeats, rows int, withFlights bool, leafList, threadList, file string) error {
	ctx := context.Background()
	python, err := trial.Python("lightgbm")
	if err != nil {
		return err
	}
	leaves, err := numbers(leafList)
	if err != nil {
		return err
	}
	threads, err := numbers(threadList)
	if err != nil {
		return err
	}
	var done []contest
	var peaks [2]trial.Cost
	measure := func(name string, train, test learn.Set, memory bool) error {
		files, err := trial.Write(train, test)
		if err != nil {
			return err
		}
		for _, l := range leaves {
			for _, t := range threads {
				c := contest{name: name, rows: train.X.Rows, columns: train.X.Cols, leaves: l, threads: t}
				if err := c.measure(ctx, files, python, repeats); err != nil {
					return errors.Join(err, files.Remove())
				}
				fmt.Println(c.row())
				done = append(done, c)
			}
		}
		if memory {
			if peaks, err = peak(ctx, files, python); err != nil {
				return errors.Join(err, files.Remove())
			}
		}
		return files.Remove()
	}
	if rows > 0 {
		if err := measure("dense", trial.Particles(rows, 1), trial.Particles(200_000, 2), true); err != nil {
			return err
		}
	}
	if withFlights {
		train, test, err := flights(ctx)
		if err != nil {
			return err
		}
		if err := measure("flights", train, test, false); err != nil {
			return err
		}
	}
	text := section(done, peaks, repeats)
	fmt.Print("\n", text)
	if file == "" {
		return nil
	}
	return results.Replace(file, title, text)
}

// ourJob is the contest's fit in our terms.
func (c *contest) ourJob() trial.Job {
	return trial.Job{Learner: "gbdt", Threads: c.threads, Params: map[string]any{
		"rounds": rounds, "leaves": c.leaves, "bins": bins, "learning_rate": rate, "min_leaf": minLeaf, "l2": l2,
	}}
}

// peerJob is the contest's fit in LightGBM's terms.
func (c *contest) peerJob(mode map[string]any) trial.Job {
	p := map[string]any{
		"objective": "binary", "num_iterations": rounds, "num_leaves": c.leaves, "max_bin": bins, "learning_rate": rate,
		"min_data_in_leaf": minLeaf, "lambda_l2": l2, "num_threads": c.threads, "seed": 1, "verbosity": -1,
	}
	for k, v := range mode {
		p[k] = v
	}
	return trial.Job{Params: p, Threads: c.threads}
}

const script = "bench/gbdt/peer.py"

// measure lets both sides train in turn, so that a noisy neighbour disturbs them alike.
func (c *contest) measure(ctx context.Context, files *trial.Files, python string, repeats int) error {
	c.ours.CPU = math.Inf(1)
	c.peers = make([]trial.Cost, len(modes))
	for i := range c.peers {
		c.peers[i].CPU = math.Inf(1)
	}
	for range repeats {
		got, err := files.Ours(ctx, c.ourJob())
		if err != nil {
			return err
		}
		if got.CPU < c.ours.CPU {
			c.ours = got
		}
		for i, m := range modes {
			got, err := files.Peer(ctx, python, script, c.peerJob(m.params))
			if err != nil {
				return err
			}
			if got.CPU < c.peers[i].CPU {
				c.peers[i] = got
			}
		}
	}
	return nil
}

// peak is the most memory that a process which only fits takes, ours and LightGBM's by rows, which is its cheaper one.
func peak(ctx context.Context, files *trial.Files, python string) (out [2]trial.Cost, err error) {
	c := contest{leaves: 31, threads: 1}
	ours, peer := c.ourJob(), c.peerJob(modes[0].params)
	ours.FitOnly, peer.FitOnly = true, true
	if out[0], err = files.Ours(ctx, ours); err != nil {
		return out, err
	}
	out[1], err = files.Peer(ctx, python, script, peer)
	return out, err
}

func numbers(list string) (out []int, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, nil
}
