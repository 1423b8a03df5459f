// Command quality measures how good models are that nobody tuned: trimtab learn fit as it comes, beside the defaults of
// LightGBM, XGBoost, CatBoost and scikit-learn, over 24 mixed data sets, one thread each. Defaults may be
// chosen on one half of the sets; the other half is the report. The result goes to its section of bench/RESULTS.md.
//
//	go run ./bench/quality [-program bin/trimtab] [-preset fast] [-folder DIR] [-results bench/RESULTS.md]
//
// Peers and data come from .cache/oracle (make oracle). With -folder, data sets and peers' predictions that are there
// already are kept, so that a change of ours can be tried without running the peers again.
package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/bench/results"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
)

const (
	title = "## Learning: quality without tuning"
	us    = "trimtab"
)

var peers = []string{"catboost", "lightgbm", "hist", "xgboost", "linear", "forest"}

// names are how the contenders are shown.
var names = map[string]string{us: "Trimtab", "catboost": "CatBoost", "lightgbm": "LightGBM", "hist": "scikit-learn HistGradientBoosting",
	"xgboost": "XGBoost", "linear": "scikit-learn logistic, ridge", "forest": "scikit-learn random forest"}

// set is one data set.
type set struct {
	Name, Task, Half string
	Rows, Columns    int
}

type options struct{ program, preset, folder, results, python string }

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/trimtab", "the program to measure")
	flag.StringVar(&o.preset, "preset", "", "its preset; empty = what it does by itself")
	flag.StringVar(&o.folder, "folder", "", "keep data sets and predictions here")
	flag.StringVar(&o.results, "results", results.File, "file whose section is replaced; empty = print only")
	flag.Parse()
	o.python = os.Getenv("TRIMTAB_BENCH_PYTHON")
	if o.python == "" {
		o.python = ".cache/oracle/bin/python"
	}
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/quality:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("", "bench-quality-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.folder)) }()
	}
	python := func(args ...string) error {
		cmd := exec.CommandContext(ctx, o.python, args...)
		cmd.Stderr = os.Stderr
		return cmd.Run()
	}
	if _, err := os.Stat(filepath.Join(o.folder, "sets.json")); err != nil {
		if err := python("bench/quality/sets.py", o.folder); err != nil {
			return fmt.Errorf("make the data sets: %w", err)
		}
	}
	text, err := os.ReadFile(filepath.Join(o.folder, "sets.json"))
	if err != nil {
		return err
	}
	var sets []set
	if err := json.Unmarshal(text, &sets); err != nil {
		return err
	}
	for _, p := range peers {
		if _, err := os.Stat(filepath.Join(o.folder, p+".json")); err == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().UTC().Format(time.TimeOnly), p)
		if err := python("bench/quality/peer.py", o.folder, p); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().UTC().Format(time.TimeOnly), us)
	if err := fitOurs(ctx, o, sets); err != nil {
		return err
	}
	out, err := report(o, sets)
	if err != nil {
		return err
	}
	fmt.Print(out)
	if o.results == "" {
		return nil
	}
	return results.Replace(o.results, title, out)
}

// fitOurs fits and predicts each set with the program and notes the CPU seconds of each fit.
func fitOurs(ctx context.Context, o options, sets []set) error {
	took := map[string]float64{}
	for _, s := range sets {
		file := func(part string) string { return filepath.Join(o.folder, s.Name+"."+part) }
		args := []string{"learn", "fit", "--data", file("train.csv"), "--label", "y", "--task", s.Task, "--workers", "1", "--timing", file("timing.json"), "--out", file("tt")}
		if o.preset != "" {
			args = append(args, "--preset", o.preset)
		}
		for _, args := range [][]string{args, {"learn", "predict", "--model", file("tt"), "--data", file("test.csv"), "--out", file(us + ".csv")}} {
			cmd := exec.CommandContext(ctx, o.program, args...)
			cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
			if text, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w\n%s", s.Name, err, text)
			}
		}
		text, err := os.ReadFile(file("timing.json"))
		if err != nil {
			return err
		}
		var t struct {
			CPU float64 `json:"fit_cpu_s"`
		}
		if err := json.Unmarshal(text, &t); err != nil {
			return err
		}
		took[s.Name] = t.CPU
	}
	text, err := json.Marshal(took)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.folder, us+".json"), text, 0o644)
}

// column reads one column, or all, of a CSV file.
func table(path string) (header []string, rows [][]string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil || len(all) < 2 {
		return nil, nil, fmt.Errorf("%s: %w", path, errors.Join(err, errors.New("no rows")))
	}
	return all[0], all[1:], nil
}

// truth is the labels of a set's test rows; classes by their place among the sorted classes of the training rows.
func truth(folder string, s set) (y []float64, classes int, err error) {
	at := map[string]float64{}
	header, rows, err := table(filepath.Join(folder, s.Name+".train.csv"))
	if err != nil {
		return nil, 0, err
	}
	label := slices.Index(header, "y")
	if s.Task != "regression" {
		var list []string
		for _, r := range rows {
			list = append(list, r[label])
		}
		slices.SortFunc(list, func(a, b string) int {
			x, errA := strconv.ParseFloat(a, 64)
			y, errB := strconv.ParseFloat(b, 64)
			if errA == nil && errB == nil {
				return int(math.Copysign(1, x-y)) * btoi(x != y)
			}
			return strings.Compare(a, b)
		})
		for _, c := range slices.Compact(list) {
			at[c] = float64(len(at))
		}
	}
	if _, rows, err = table(filepath.Join(folder, s.Name+".test.csv")); err != nil {
		return nil, 0, err
	}
	for _, r := range rows {
		v, known := at[r[label]]
		if s.Task == "regression" {
			if v, err = strconv.ParseFloat(r[label], 64); err != nil {
				return nil, 0, err
			}
		} else if !known {
			return nil, 0, fmt.Errorf("%s: class %q is not in the training rows", s.Name, r[label])
		}
		y = append(y, v)
	}
	return y, len(at), nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// predicted is the probabilities, row by row, or the numbers.
func predicted(folder string, s set, who string) ([]float64, error) {
	_, rows, err := table(filepath.Join(folder, s.Name+"."+who+".csv"))
	if err != nil {
		return nil, err
	}
	var out []float64
	for _, r := range rows {
		if s.Task == "binary" {
			r = r[1:]
		}
		for _, cell := range r {
			v, err := strconv.ParseFloat(cell, 64)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
	}
	return out, nil
}

// score is the loss (log loss or RMSE) and how well rows are told apart (AUC, or R2); lower and higher are better.
type score struct{ loss, other float64 }

func measure(s set, y, p []float64) (score, error) {
	switch s.Task {
	case "binary":
		m := evaluate.Evaluate("binary", y, p, .5)
		return score{m["log_loss"], m["auc"]}, nil
	case "multiclass":
		m := evaluate.Evaluate("multiclass", y, p, .5)
		return score{m["log_loss"], m["auc"]}, nil
	}
	m := evaluate.Evaluate("regression", y, p, .5)
	return score{m["rmse"], m["r2"]}, nil
}

// ranks are the places by the values, the least first, ties sharing the mean.
func ranks(v []float64) []float64 {
	out := make([]float64, len(v))
	for i, a := range v {
		for _, b := range v {
			switch {
			case b < a:
				out[i]++
			case b == a:
				out[i] += .5
			}
		}
		out[i] += .5
	}
	return out
}

func report(o options, sets []set) (string, error) {
	who := append([]string{us}, peers...)
	scores := make([][]score, len(sets)) // by set, by contender
	var cpu []map[string]float64
	for _, w := range who {
		text, err := os.ReadFile(filepath.Join(o.folder, w+".json"))
		if err != nil {
			return "", err
		}
		took := map[string]float64{}
		if err := json.Unmarshal(text, &took); err != nil {
			return "", err
		}
		cpu = append(cpu, took)
	}
	for i, s := range sets {
		y, _, err := truth(o.folder, s)
		if err != nil {
			return "", err
		}
		for _, w := range who {
			p, err := predicted(o.folder, s, w)
			if err != nil {
				return "", err
			}
			one, err := measure(s, y, p)
			if err != nil {
				return "", err
			}
			scores[i] = append(scores[i], one)
		}
	}
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	preset := o.preset
	if preset == "" {
		preset = "fast, as by itself"
	}
	p("%s\n\n", title)
	p("`go run ./bench/quality`, %s, %s. `trimtab learn fit` (preset %s) beside the defaults of the peers, 1 thread each, on %d data sets, a quarter of the\n", time.Now().UTC().Format(time.DateOnly), results.Processor(), preset, len(sets))
	p("rows held out. Places by log loss, and by RMSE for regression; what the presets do was decided before these sets were run,\nand nothing was changed after seeing either half.\nThe interval of a mean place is a bootstrap over the sets; p is Wilcoxon's signed rank of our losses against theirs, as logarithms of the ratio.\n\n")
	for _, half := range []string{"report", "choose"} {
		var of []int
		for i, s := range sets {
			if s.Half == half {
				of = append(of, i)
			}
		}
		p("**%s (%d sets)**\n\n| contender | mean place by loss (95 %%) | by AUC, R² | first places | p against us | CPU s of the fits |\n|---|---|---|---|---|---|\n",
			map[string]string{"report": "The report", "choose": "The half that defaults may be chosen on"}[half], len(of))
		places := make([][2][]float64, len(who))
		first := make([]int, len(who))
		for _, i := range of {
			loss, other := make([]float64, len(who)), make([]float64, len(who))
			for k := range who {
				loss[k], other[k] = scores[i][k].loss, -scores[i][k].other
			}
			r, q := ranks(loss), ranks(other)
			for k := range who {
				places[k][0], places[k][1] = append(places[k][0], r[k]), append(places[k][1], q[k])
				if r[k] < 2 {
					first[k]++
				}
			}
		}
		order := make([]int, len(who))
		for k := range order {
			order[k] = k
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(math.Copysign(1, mean(places[a][0])-mean(places[b][0]))) })
		for _, k := range order {
			lo, hi := interval(places[k][0])
			var total float64
			for _, i := range of {
				total += cpu[k][sets[i].Name]
			}
			against := ""
			if k != 0 {
				var d []float64
				for _, i := range of {
					d = append(d, math.Log(scores[i][0].loss/scores[i][k].loss))
				}
				if w, err := compare.Wilcoxon(d, compare.Drop, compare.Conditional); err == nil {
					against = fmt.Sprintf("%.3f", w.P)
				}
			}
			name := names[who[k]]
			if k == 0 {
				name = "**" + name + "**"
			}
			p("| %s | %.2f (%.2f to %.2f) | %.2f | %d | %s | %.1f |\n", name, mean(places[k][0]), lo, hi, mean(places[k][1]), first[k], against, total)
		}
		p("\n| set | task | rows x columns |")
		for _, w := range who {
			p(" %s |", names[w])
		}
		p("\n|---|---|---|%s\n", strings.Repeat("---|", len(who)))
		for _, i := range of {
			best := math.Inf(1)
			for _, s := range scores[i] {
				best = min(best, s.loss)
			}
			p("| %s | %s | %d x %d |", sets[i].Name, sets[i].Task, sets[i].Rows, sets[i].Columns)
			for _, s := range scores[i] {
				if s.loss == best {
					p(" **%.4g** |", s.loss)
				} else {
					p(" %.4g |", s.loss)
				}
			}
			p("\n")
		}
		p("\n")
	}
	return b.String(), nil
}

func mean(v []float64) float64 {
	var sum float64
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// interval is the 95 % bootstrap interval of a mean.
func interval(v []float64) (lo, hi float64) {
	r := rand.New(rand.NewPCG(1, 1))
	means := make([]float64, 2000)
	for i := range means {
		for range v {
			means[i] += v[r.IntN(len(v))] / float64(len(v))
		}
	}
	slices.Sort(means)
	return means[len(means)/40], means[len(means)-1-len(means)/40]
}
