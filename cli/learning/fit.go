package learning

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/learn/preset"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// fitOptions are the flags of learn fit.
type fitOptions struct {
	data, label, task, learner, preset, out, timing string
	weight, query, group, time                      string
	drop, params                                    []string
	early, cv, calibrate                            string
	workers                                         int
	budget                                          time.Duration
	seed                                            uint64
}

func (c *console) fit() *cobra.Command {
	var o fitOptions
	cmd := &cobra.Command{Use: "fit", Short: "Fit a model to a file and write it",
		Long: "Fit a model to a CSV or Parquet file. Without --learner and --preset the preset fast is fitted: boosted trees beside a\n" +
			"linear model, stopped and weighed on rows that were held out.\n\n" +
			"Learners: " + strings.Join(learn.Names(), ", ") + ".\nPresets: " + strings.Join(learn.Presets(), ", ") + ".\n" +
			"Parameters of gbdt are named as in the field: rounds, leaves, bins, learning_rate, min_leaf, min_hessian, l2,\n" +
			"subsample, colsample and more; a wrong name gets the list.",
		Example: "  trimtab learn fit --data train.csv --label y --out model.tt\n" +
			"  trimtab learn fit --data train.csv --label y --learner gbdt --param rounds=500 --param leaves=63 --early-stopping 50 --out model.tt\n" +
			"  trimtab learn fit --data train.parquet --label price --preset good --cv 5 --time-budget 10m --out model.tt",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runFit(cmd.Context(), o) }}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "file of rows, .csv or .parquet")
	flags.StringVar(&o.label, "label", "", "column to predict")
	flags.StringVar(&o.out, "out", "", "model file to write")
	flags.StringVar(&o.task, "task", "", "binary, multiclass, regression or ranking (default: what the label looks like)")
	flags.StringVar(&o.learner, "learner", "", "learner; see trimtab learn fit --help")
	flags.StringVar(&o.preset, "preset", "", "preset: fast, good or best")
	flags.StringArrayVar(&o.params, "param", nil, "parameter of the learner, name=value; repeat for more")
	flags.StringVar(&o.cv, "cv", "", "cross-validate before the final fit: a number of folds, or a split such as 'stratified k=5 repeats=3 seed=1'")
	flags.DurationVar(&o.budget, "time-budget", 0, "time that a preset may take, such as 10m")
	flags.StringVar(&o.early, "early-stopping", "", "rounds without a better score on held-out rows before a booster stops, or off")
	flags.StringVar(&o.calibrate, "calibrate", "", "make the probabilities come true: auto, platt, isotonic, beta or temperature, fitted out of fold")
	flags.IntVar(&o.workers, "workers", 0, "threads (default: all processors); they do not change the model")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of everything drawn")
	flags.StringVar(&o.timing, "timing", "", "JSON file to write with fit_cpu_s and fit_wall_s of the fit alone: without reading, inferring and binning")
	flags.StringVar(&o.weight, "weight", "", "column with the rows' weights")
	flags.StringVar(&o.query, "query", "", "column that says which rows are ranked against each other")
	flags.StringVar(&o.group, "group", "", "column whose values must not be in two folds")
	flags.StringVar(&o.time, "time", "", "column that rows are ordered by: --cv then judges on later rows than it trains on")
	flags.StringSliceVar(&o.drop, "drop", nil, "columns that are no inputs")
	for _, name := range []string{"data", "label", "out"} {
		_ = cmd.MarkFlagRequired(name) // the flags exist
	}
	return cmd
}

// prepared is a file as a learner reads it.
type prepared struct {
	schema  *tabular.Schema
	table   *table.Table // the rows that have a label
	set     learn.Set
	classes int
	weights []float64
}

func (c *console) runFit(ctx context.Context, o fitOptions) error {
	l, err := o.make()
	if err != nil {
		return err
	}
	p, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	c.describe(p)
	c.suspect(o, p)
	var validated *validated
	if o.cv != "" {
		if validated, err = c.crossValidate(ctx, o, l, p); err != nil {
			return err
		}
	}
	progress := c.Progress("fit " + l.Name())
	opt := learn.Options{Workers: o.workers, Seed: o.seed, Weights: p.weights,
		Progress: func(done, total int, loss float64) {
			message := ""
			if !math.IsNaN(loss) {
				message = "loss " + term.Number(loss)
			}
			progress.Update(int64(done), int64(total), "", message)
		}}
	clock := start()
	opt.Ready = func() { clock = start() }
	m, err := l.Fit(ctx, p.set, p.schema.Task, p.classes, opt)
	took := clock.stop()
	progress.Done()
	if err != nil {
		return err
	}
	about := map[string]any{"learner": l.Name(), "params": l.Params(), "rows": len(p.set.Y), "seed": o.seed}
	if validated != nil {
		about["cv"] = validated.scores
	}
	model := &tabular.Model{Schema: p.schema, Model: m, About: about}
	b, err := model.MarshalBinary()
	if err != nil {
		return err
	}
	if err := writeFile(o.out, b); err != nil {
		return err
	}
	if o.timing != "" {
		text, err := json.Marshal(took)
		if err != nil {
			return err
		}
		if err := writeFile(o.timing, append(text, '\n')); err != nil {
			return err
		}
	}
	return c.reportFit(model, o, took, validated)
}

// make is the learner of the flags.
func (o *fitOptions) make() (learn.Learner, error) {
	name := o.learner
	switch {
	case o.learner != "" && o.preset != "":
		return nil, fault.New(fault.Invalid, "--learner and --preset exclude each other")
	case o.preset != "":
		if !slices.Contains(learn.Presets(), o.preset) {
			return nil, fault.New(fault.Invalid, "there is no preset %q", o.preset).WithHint("presets are %s", strings.Join(learn.Presets(), ", "))
		}
		name = o.preset
	case name == "":
		name = preset.Fast
	}
	if o.workers < 0 {
		return nil, fault.New(fault.Invalid, "--workers %d: give a number of threads, or 0 for all processors", o.workers)
	}
	if n, err := strconv.Atoi(o.cv); err == nil && n < 2 {
		return nil, fault.New(fault.Invalid, "--cv %d: give two folds or more, or leave it out", n)
	}
	params := learn.Params{}
	for _, text := range o.params {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fault.New(fault.Invalid, "--param %s: a parameter is name=value", text)
		}
		params[key] = paramValue(value)
	}
	switch o.early {
	case "":
	case "off":
		if _, err := learn.New(name, learn.Params{"early_stopping_rounds": 0}); err == nil { // others have none to turn off
			params["early_stopping_rounds"] = 0
		}
	default:
		n, err := strconv.Atoi(o.early)
		if err != nil || n < 1 {
			return nil, fault.New(fault.Invalid, "--early-stopping %s: give a number of rounds, or off", o.early)
		}
		params["early_stopping_rounds"] = n
	}
	if o.budget != 0 {
		if !slices.Contains(learn.Presets(), name) {
			return nil, fault.New(fault.Invalid, "--time-budget is for presets; %s has none", name).WithHint("use --preset fast, good or best")
		}
		params["time_budget"] = o.budget.Seconds()
	}
	if o.calibrate != "" {
		if !slices.Contains(calibrate.Choices(), o.calibrate) {
			return nil, fault.New(fault.Invalid, "--calibrate %s is no calibration", o.calibrate).WithHint("calibrations are %s", strings.Join(calibrate.Choices(), ", "))
		}
		return calibrate.Around(name, params, calibrate.Method(o.calibrate), learn.New)
	}
	return learn.New(name, params)
}

// paramValue reads a value as JSON where it is JSON, a list of words by commas, and text otherwise.
func paramValue(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) == nil {
		return v
	}
	if strings.Contains(text, ",") {
		var list []any
		for _, part := range strings.Split(text, ",") {
			list = append(list, paramValue(strings.TrimSpace(part)))
		}
		return list
	}
	return text
}

// prepare reads the file and decides what its columns are.
func (o *fitOptions) prepare(ctx context.Context) (*prepared, error) {
	t, err := readTable(ctx, o.data, nil)
	if err != nil {
		return nil, err
	}
	switch learn.Task(o.task) {
	case "", learn.Binary, learn.Multiclass, learn.Regression, learn.Ranking:
	default:
		return nil, fault.New(fault.Invalid, "--task %s is no task", o.task).WithHint("tasks are binary, multiclass, regression and ranking")
	}
	hints := tabular.Hints{Task: learn.Task(o.task), Query: o.query, Drop: slices.Clone(o.drop)}
	for _, name := range o.sides() {
		if name != "" {
			hints.Drop = append(hints.Drop, name)
		}
	}
	p := &prepared{}
	if p.schema, err = tabular.Infer(t, o.label, hints); err != nil {
		return nil, err
	}
	y, rows, err := p.schema.Labels(t)
	if err != nil {
		return nil, err
	}
	if len(rows) < t.Rows {
		t = t.Take(rows)
	}
	p.table, p.classes = t, len(p.schema.Classes)
	if p.set.X, err = p.schema.Matrix(t); err != nil {
		return nil, err
	}
	p.set.Y = y
	if p.set.Query, err = p.schema.Queries(t); err != nil {
		return nil, err
	}
	if o.weight != "" {
		w := t.Column(o.weight)
		if w.Kind == table.String {
			return nil, fault.New(fault.Invalid, "the weights %q are texts, not numbers", o.weight)
		}
		p.weights = w.Floats
		for i := range w.Floats {
			if w.IsNull(i) {
				return nil, fault.New(fault.Invalid, "row %d has no weight", i+1).WithHint("give every row a number in %q", o.weight)
			}
		}
	}
	return p, nil
}

// sides are the columns that are no inputs because they say something else of the rows.
func (o *fitOptions) sides() []string {
	out := []string{o.weight, o.group}
	if spec, err := folds.Parse(o.cv); err == nil {
		out = append(out, spec.Groups, spec.Fold, spec.End)
	}
	return out
}

// describe prints what was inferred.
func (c *console) describe(p *prepared) {
	s := p.schema
	task := string(s.Task)
	if s.Classes != nil {
		task += " of " + strings.Join(shorten(s.Classes, 8), ", ")
	}
	c.Sayf("%s  %s rows, %s of %s\n", c.Bold(s.Label), term.Count(int64(len(p.set.Y))), task, counted(len(s.Columns), "column"))
	var numbers, unused []string
	for _, col := range s.Columns {
		switch col.Role {
		case tabular.Number:
			numbers = append(numbers, col.Name)
		case tabular.Category:
			c.Sayf("  category  %s: %s\n", col.Name, counted(len(col.Levels), "level"))
		case tabular.Date:
			c.Sayf("  date      %s: %s\n", col.Name, strings.Join(col.Parts, ", "))
		default:
			unused = append(unused, col.Name+" ("+col.Note+")")
		}
	}
	if len(numbers) > 0 {
		c.Sayf("  numbers   %s\n", strings.Join(shorten(numbers, 12), ", "))
	}
	if len(unused) > 0 {
		c.Sayf("  unused    %s\n", c.Attention(strings.Join(shorten(unused, 12), ", ")))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return term.Count(int64(n)) + " " + what + "s"
}

// shorten is at most n of the texts and how many more there are.
func shorten(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n-1]), fmt.Sprintf("%d more", len(list)-n+1))
}

// reportFit prints what became of a fit.
func (c *console) reportFit(m *tabular.Model, o fitOptions, took timing, v *validated) error {
	info, err := os.Stat(o.out)
	if err != nil {
		return err
	}
	trained := m.Model
	if inner, _, ok := calibrate.Unwrap(trained); ok {
		trained = inner
	}
	blend, _ := trained.(*preset.Model)
	if c.asJSON() {
		out := map[string]any{"model": o.out, "bytes": info.Size(), "task": m.Schema.Task, "learner": m.About["learner"], "params": m.About["params"],
			"rows": m.About["rows"], "classes": m.Schema.Classes, "columns": m.Schema.Columns, "timing": took}
		if v != nil {
			out["cv"] = v.scores
		}
		if blend != nil {
			out["report"] = blend.Report
		}
		return c.JSON(out)
	}
	if blend != nil {
		rows := [][]string{}
		for _, s := range blend.Report.Scores {
			rows = append(rows, []string{s.Name, term.Number(s.Loss), strconv.FormatFloat(s.Weight, 'f', 2, 64)})
		}
		if len(rows) > 0 {
			rows = append(rows, []string{"blend", term.Number(blend.Report.Loss), ""})
			c.Sayf("\nloss on %s rows held out\n", term.Count(int64(blend.Report.Rows)))
			c.Table([]string{"MEMBER", "LOSS", "WEIGHT"}, rows)
		}
		for _, note := range blend.Report.Notes {
			c.Sayf("%s\n", c.Attention(note))
		}
	}
	if v != nil {
		v.print(c)
	}
	excluded := "reading and binning excluded"
	if blend != nil {
		excluded = "reading excluded"
	}
	c.Sayf("%s written, %s; fitted in %s (%s of processor), %s\n", o.out, term.Bytes(info.Size()),
		term.Duration(time.Duration(took.Wall*float64(time.Second))), term.Duration(time.Duration(took.CPU*float64(time.Second))), excluded)
	return nil
}

// timing is what a fit took.
type timing struct {
	CPU  float64 `json:"fit_cpu_s"`
	Wall float64 `json:"fit_wall_s"`
}

type stopwatch struct {
	at  time.Time
	cpu float64
}

func start() stopwatch {
	runtime.GC() // what reading left behind is not the fit's to clean up
	return stopwatch{time.Now(), processorTime()}
}

func (s stopwatch) stop() timing {
	return timing{CPU: processorTime() - s.cpu, Wall: time.Since(s.at).Seconds()}
}

// processorTime is the user and system seconds of this process.
func processorTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte) error {
	part := path + ".part"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s can't be written", path)
	}
	defer os.Remove(part) // it is gone when all went well
	if err := os.WriteFile(part, b, 0o644); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s can't be written", path)
	}
	if err := os.Rename(part, path); err != nil {
		return fault.Wrap(err, fault.Invalid, "%s can't be written", path)
	}
	return nil
}
