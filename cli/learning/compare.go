package learning

import (
	"encoding/json"
	"math"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func (c *console) compare() *cobra.Command {
	var in, label, query string
	cmd := &cobra.Command{Use: "compare A B", Short: "Tell whether one model is better than another on the same rows",
		Long: "Measure two models on the same rows and test whether their difference could be chance: DeLong and McNemar and a\n" +
			"bootstrap of the log loss for classes, Wilcoxon and a bootstrap of the squared error for numbers.",
		Example: "  trimtab learn compare old.tt new.tt --data test.csv --label y", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := openModel(args[0])
			if err != nil {
				return err
			}
			b, err := openModel(args[1])
			if err != nil {
				return err
			}
			j, err := judge(cmd.Context(), in, label, query, a, b)
			if err != nil {
				return err
			}
			tests, err := j.tests()
			if err != nil {
				return err
			}
			if c.asJSON() {
				return c.JSON(map[string]any{"a": args[0], "b": args[1], "rows": len(j.y), "metrics": j.metrics, "tests": tests})
			}
			rows := metricRows(metricNames(j.task), j.metrics)
			for i, row := range rows {
				va, vb := j.metrics[0][row[0]], j.metrics[1][row[0]]
				better := ""
				switch {
				case !judges(row[0]) || va == vb:
				case (vb > va) == higherIsBetter(row[0]):
					better = "B"
				default:
					better = "A"
				}
				rows[i] = append(row, term.Number(vb-va), better)
			}
			c.Table([]string{"METRIC", "A", "B", "B - A", "BETTER"}, rows)
			c.Printf("\n")
			rows = rows[:0]
			for _, t := range tests {
				interval := ""
				if t.Lo != t.Hi {
					interval = term.Number(t.Lo) + " to " + term.Number(t.Hi)
				}
				p := ""
				if !math.IsNaN(t.P) {
					p = term.Number(t.P)
				}
				rows = append(rows, []string{t.Name, t.What, number(t.Difference, true), interval, p})
			}
			c.Table([]string{"TEST", "B - A OF", "DIFFERENCE", "95 %", "P"}, rows)
			return nil
		}}
	judgeFlags(cmd, &in, &label, &query)
	return cmd
}

// judges reports whether a metric says that one model is better.
func judges(name string) bool {
	switch name {
	case "n", "queries", "prevalence", "mean_prediction", "calibration_gap", "bias":
		return false
	}
	return true
}

// test is one comparison of two models on the same rows.
type test struct {
	Name       string
	What       string
	Difference float64 // B - A
	Lo, Hi     float64 // 95 % interval of it; both 0 when the test has none
	P          float64 // NaN when the test has none
}

// MarshalJSON leaves out what the test does not have.
func (t test) MarshalJSON() ([]byte, error) {
	out := map[string]any{"test": t.Name, "of": t.What}
	if !math.IsNaN(t.Difference) {
		out["difference"] = t.Difference
	}
	if t.Lo != t.Hi {
		out["lo"], out["hi"] = t.Lo, t.Hi
	}
	if !math.IsNaN(t.P) {
		out["p"] = t.P
	}
	return json.Marshal(out)
}

func (j *judged) tests() ([]test, error) {
	a, b := j.predictions[0], j.predictions[1]
	k := len(a) / len(j.y)
	losses := [2][]float64{make([]float64, len(j.y)), make([]float64, len(j.y))}
	for m, p := range j.predictions {
		for i, y := range j.y {
			losses[m][i] = rowLoss(j.task, y, p[i*k:(i+1)*k])
		}
	}
	what := "log loss"
	if j.task == learn.Regression {
		what = "squared error"
	}
	var out []test
	if j.task == learn.Binary {
		d := evaluate.DeLong(j.y, a, b)
		out = append(out, test{Name: "DeLong", What: "AUC", Difference: -d.Diff, Lo: -d.Hi, Hi: -d.Lo, P: d.P})
	}
	if j.task == learn.Binary || j.task == learn.Multiclass {
		right := [2][]bool{make([]bool, len(j.y)), make([]bool, len(j.y))}
		var share [2]float64
		for m, p := range j.predictions {
			for i, y := range j.y {
				if right[m][i] = predicted(j.task, p[i*k:(i+1)*k]) == y; right[m][i] {
					share[m]++
				}
			}
		}
		onlyA, onlyB, err := compare.Discordant(right[0], right[1])
		if err != nil {
			return nil, err
		}
		r, err := compare.McNemar(onlyA, onlyB, compare.Auto)
		if err != nil {
			return nil, err
		}
		out = append(out, test{Name: "McNemar", What: "accuracy", Difference: (share[1] - share[0]) / float64(len(j.y)), P: r.P})
	}
	if j.task == learn.Ranking {
		return nil, fault.New(fault.NotSupported, "ranking models are not compared by tests of rows").WithHint("trimtab learn evaluate measures each")
	}
	d := make([]float64, len(j.y))
	for i := range d {
		d[i] = losses[1][i] - losses[0][i]
	}
	estimate, err := compare.Bootstrap(len(d), func(rows []int32) float64 {
		var sum float64
		for _, i := range rows {
			sum += d[i]
		}
		return sum / float64(len(rows))
	}, compare.Plan{})
	if err != nil {
		return nil, err
	}
	out = append(out, test{Name: "bootstrap (BCa)", What: what, Difference: estimate.Value, Lo: estimate.Lo, Hi: estimate.Hi, P: math.NaN()})
	if w, err := compare.Wilcoxon(d, compare.Drop, compare.Approx); err == nil {
		hl := math.NaN()
		if len(d) <= 5000 {
			if hl, err = compare.HodgesLehmann(d); err != nil {
				return nil, err
			}
		}
		out = append(out, test{Name: "Wilcoxon", What: what + " (median of pairs)", Difference: hl, P: w.P})
	}
	return out, nil
}

// predicted is the class, or the number, of a prediction.
func predicted(task learn.Task, p []float64) float64 {
	switch task {
	case learn.Binary:
		if p[0] >= threshold {
			return 1
		}
		return 0
	case learn.Multiclass:
		best := 0
		for k, v := range p {
			if v > p[best] {
				best = k
			}
		}
		return float64(best)
	}
	return p[0]
}

// rowLoss is the log loss, or the squared error, of one row.
func rowLoss(task learn.Task, y float64, p []float64) float64 {
	if task == learn.Regression {
		return (p[0] - y) * (p[0] - y)
	}
	return learner.MeanLoss(task, []float64{y}, p)
}
