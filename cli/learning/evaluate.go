package learning

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/trimtab-ml/trimtab/cli/term"
	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/tabular"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// threshold is the probability from which a row is predicted positive.
const threshold = .5

func (c *console) evaluate() *cobra.Command {
	var path, in, label, query string
	cmd := &cobra.Command{Use: "evaluate", Short: "Measure a model on a file that has the label",
		Example: "  trimtab learn evaluate --model model.tt --data test.csv --label y", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := openModel(path)
			if err != nil {
				return err
			}
			j, err := judge(cmd.Context(), in, label, query, m)
			if err != nil {
				return err
			}
			if c.asJSON() {
				return c.JSON(map[string]any{"model": path, "data": in, "rows": len(j.y), "metrics": j.metrics[0]})
			}
			c.Table([]string{"METRIC", "VALUE"}, metricRows(metricNames(j.task), j.metrics))
			return nil
		}}
	cmd.Flags().StringVar(&path, "model", "", "model file")
	judgeFlags(cmd, &in, &label, &query)
	_ = cmd.MarkFlagRequired("model") // the flag exists
	return cmd
}

func judgeFlags(cmd *cobra.Command, in, label, query *string) {
	cmd.Flags().StringVar(in, "data", "", "file of rows, .csv or .parquet")
	cmd.Flags().StringVar(label, "label", "", "column with what came true")
	cmd.Flags().StringVar(query, "query", "", "column of the query, for ranking models of other libraries")
	for _, name := range []string{"data", "label"} {
		_ = cmd.MarkFlagRequired(name) // the flags exist
	}
}

// judged is what models predicted for the rows of a file, beside what came true.
type judged struct {
	task        learn.Task
	classes     []string
	y           []float64
	query       []int32
	predictions [][]float64 // of each model
	metrics     []evaluate.Metrics
}

// judge predicts the rows of a file that have a label with each of the models, which must be of one task.
func judge(ctx context.Context, in, label, query string, models ...*model) (*judged, error) {
	first := models[0]
	for _, m := range models {
		if !m.foreign() {
			first = m // its schema knows how the label is read
		}
	}
	j := &judged{task: first.Model.Model.Task(), classes: first.classes()}
	for _, m := range models {
		if m.Model.Model.Task() != j.task || m.Model.Model.Outputs() != first.Model.Model.Outputs() {
			return nil, fault.New(fault.Invalid, "%s is of task %s with %d outputs, %s of %s with %d", m.path, m.Model.Model.Task(), m.Model.Model.Outputs(),
				first.path, j.task, first.Model.Model.Outputs()).WithHint("only models of one task can be measured on one label")
		}
	}
	t, err := first.load(ctx, in, label)
	if err != nil {
		return nil, err
	}
	schema := &tabular.Schema{}
	if !first.foreign() {
		copied := *first.Schema
		schema = &copied
	} else {
		schema.Task, schema.Classes = j.task, j.classes
	}
	var rows []int
	if j.y, rows, err = schema.LabelsOf(t, label); err != nil {
		return nil, err
	}
	if len(rows) < t.Rows {
		t = t.Take(rows)
	}
	if j.task == learn.Ranking {
		if query == "" {
			query = schema.Query
		}
		if query == "" {
			return nil, fault.New(fault.Invalid, "ranking is measured within queries").WithHint("name their column with --query")
		}
		if j.query, err = tabular.Groups(t, query); err != nil {
			return nil, err
		}
	}
	for _, m := range models {
		// Each model reads the file in its own way: what are texts to one may be numbers to another.
		own := t
		if m != first {
			if own, err = m.load(ctx, in, label); err != nil {
				return nil, err
			}
			if len(rows) < own.Rows {
				own = own.Take(rows)
			}
		}
		p, err := m.predict(own, label)
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "%s", m.path)
		}
		j.predictions = append(j.predictions, p)
		j.metrics = append(j.metrics, measure(j.task, j.y, p, j.query))
	}
	return j, nil
}

// measure is the metrics of predictions.
func measure(task learn.Task, y, p []float64, query []int32) evaluate.Metrics {
	if task != learn.Ranking {
		return evaluate.Evaluate(task, y, p, threshold)
	}
	out := evaluate.Metrics{"n": float64(len(y))}
	queries := metric.Queries(query, y, p)
	out["queries"] = float64(len(queries))
	for name, of := range map[string]func(metric.Ranked) float64{
		"ndcg@5":  func(q metric.Ranked) float64 { return q.NDCG(5, metric.ExponentialGain) },
		"ndcg@10": func(q metric.Ranked) float64 { return q.NDCG(10, metric.ExponentialGain) },
		"ndcg":    func(q metric.Ranked) float64 { return q.NDCG(0, metric.ExponentialGain) },
		"map":     func(q metric.Ranked) float64 { return q.AveragePrecision(0) },
		"mrr":     func(q metric.Ranked) float64 { return q.ReciprocalRank(0) },
	} {
		if s := metric.MeanOver(queries, nil, of); !math.IsNaN(s.Value) {
			out[name] = s.Value
		}
	}
	return out
}

// metricRows are table rows of metrics, one column per model.
func metricRows(names []string, models []evaluate.Metrics) [][]string {
	var rows [][]string
	for _, name := range names {
		row := []string{name}
		known := false
		for _, m := range models {
			v, ok := m[name]
			known = known || ok
			row = append(row, number(v, ok))
		}
		if known {
			rows = append(rows, row)
		}
	}
	return rows
}

func number(v float64, known bool) string {
	if !known || math.IsNaN(v) {
		return "–"
	}
	return term.Number(v)
}

// higherIsBetter knows the ranking metrics too.
func higherIsBetter(name string) bool {
	return evaluate.HigherIsBetter(name) || strings.HasPrefix(name, "ndcg") || slices.Contains([]string{"map", "mrr"}, name)
}
