package gbdt

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// A Metric judges a model on the validation rows after each round, to decide when to stop. The built-in ones are chosen
// by the parameter metric; another is set as Learner.CustomMetric.
type Metric interface {
	// Name is what users call it.
	Name() string
	// Higher reports whether more is better.
	Higher() bool
	// Measure is the metric of predictions, rows x outputs of the model, on the set. weights may be nil for all ones.
	// NaN counts as no better than before. It must not keep or change what it is given.
	Measure(set *learner.Set, weights, predictions []float64) float64
}

// lossName is the metric that stands for the objective's own loss.
const lossName = "loss"

// Metrics are the names that the parameter metric takes for a task. ndcg may be followed by @ and the number of places
// that count, as in ndcg@10; without it, it is ndcg@10.
func Metrics(task learner.Task) []string {
	switch task {
	case learner.Binary:
		return []string{lossName, "logloss", "auc", "error"}
	case learner.Multiclass:
		return []string{lossName, "logloss", "error"}
	case learner.Regression:
		return []string{lossName, "rmse", "mae", "mape", quantile, huber, poisson, gamma, tweedie}
	case learner.Ranking:
		return []string{lossName, "ndcg"}
	}
	return nil
}

// metricNames are all names, for the check of a parameter before the task is known.
func metricNames() []string {
	var names []string
	for _, t := range []learner.Task{learner.Binary, learner.Multiclass, learner.Regression, learner.Ranking} {
		for _, n := range Metrics(t) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// places is the k of ndcg@k; ok is false for other names and for numbers below 1.
func places(name string) (k int, ok bool) {
	if name == "ndcg" {
		return 10, true
	}
	number, found := strings.CutPrefix(name, "ndcg@")
	k, err := strconv.Atoi(number)
	return k, found && err == nil && k >= 1
}

// readMetric is the parameter metric.
func readMetric(r *learner.Reader, p learner.Params) string {
	if name, ok := p["metric"].(string); ok {
		if _, ranks := places(name); ranks {
			return r.Text("metric", lossName)
		}
	}
	return r.Text("metric", lossName, metricNames()...)
}

// metric is the metric that the settings name, nil for the loss.
func (s *Settings) metric(task learner.Task) (Metric, error) {
	name := s.Metric
	if name == lossName || name == "" {
		return nil, nil
	}
	k, ranks := places(name)
	if ranks && task == learner.Ranking {
		return plain{name, true, func(set *learner.Set, w, p []float64) float64 { return meanNDCG(set, w, p, k) }}, nil
	}
	if !slices.Contains(Metrics(task), name) {
		return nil, fault.New(fault.Invalid, "gbdt: metric %s is not one for a %s task", name, task).
			WithHint("it is one of %s", strings.Join(Metrics(task), ", "))
	}
	switch name {
	case "auc":
		return plain{name, true, func(set *learner.Set, w, p []float64) float64 { return auc(set.Y, w, p) }}, nil
	case "logloss":
		return rowMetric(name, func(y float64, p []float64) float64 { return -math.Log(max(ownShare(y, p), 1e-15)) }), nil
	case "error":
		return rowMetric(name, func(y float64, p []float64) float64 { return wrong(y, p) }), nil
	case "rmse":
		mse := rowMetric(name, func(y float64, p []float64) float64 { return (p[0] - y) * (p[0] - y) })
		return plain{name, false, func(set *learner.Set, w, p []float64) float64 { return math.Sqrt(mse.Measure(set, w, p)) }}, nil
	case "mae":
		return rowMetric(name, func(y float64, p []float64) float64 { return math.Abs(p[0] - y) }), nil
	case "mape":
		// LightGBM's: labels within 1 of 0 count as 1.
		return rowMetric(name, func(y float64, p []float64) float64 { return math.Abs(p[0]-y) / max(1, math.Abs(y)) }), nil
	}
	return lossMetric{s.named(name)}, nil
}

// plain is a metric made of a function.
type plain struct {
	name    string
	higher  bool
	measure func(set *learner.Set, weights, predictions []float64) float64
}

func (m plain) Name() string { return m.name }
func (m plain) Higher() bool { return m.higher }
func (m plain) Measure(set *learner.Set, weights, predictions []float64) float64 {
	return m.measure(set, weights, predictions)
}

// rowMetric is the weighted mean of a function of each row, lower being better.
func rowMetric(name string, of func(y float64, p []float64) float64) plain {
	return plain{name, false, func(set *learner.Set, weights, p []float64) float64 {
		k := len(p) / len(set.Y)
		var sum, total float64
		for i, y := range set.Y {
			w := 1.0
			if weights != nil {
				w = weights[i]
			}
			sum += float64(w * of(y, p[i*k:(i+1)*k]))
			total += w
		}
		return sum / total
	}}
}

// ownShare is the probability of a row's own class.
func ownShare(y float64, p []float64) float64 {
	if len(p) > 1 {
		return p[int(y)]
	}
	if y == 1 {
		return p[0]
	}
	return 1 - p[0]
}

// wrong is 1 when another class is predicted, the first of equal ones, or in binary tasks by a probability above 1/2.
func wrong(y float64, p []float64) float64 {
	best := 0
	if len(p) == 1 && p[0] > 0.5 {
		best = 1
	}
	for k, v := range p {
		if v > p[best%len(p)] {
			best = k
		}
	}
	if best == int(y) {
		return 0
	}
	return 1
}

// auc is the chance that a row of class 1 has a higher prediction than one of class 0, ties counting half, by weight.
// It is NaN when a class has no weight.
func auc(y, weights, p []float64) float64 {
	order := make([]int32, len(y))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(p[a], p[b]), cmp.Compare(a, b)) })
	var below, positive, area float64
	for i := 0; i < len(order); {
		var tied [2]float64
		at := i
		for ; i < len(order) && p[order[i]] == p[order[at]]; i++ {
			w := 1.0
			if weights != nil {
				w = weights[order[i]]
			}
			tied[int(y[order[i]])] += w
		}
		area += float64(tied[1] * (below + tied[0]/2))
		below += tied[0]
		positive += tied[1]
	}
	return area / (below * positive)
}

// meanNDCG is the mean NDCG at k of the queries, each weighing as its first row.
func meanNDCG(set *learner.Set, weights, p []float64, k int) float64 {
	starts := queries(set.Query)
	var sum, total float64
	for q := range len(starts) - 1 {
		from, to := starts[q], starts[q+1]
		w := 1.0
		if weights != nil {
			w = weights[from]
		}
		y := set.Y[from:to]
		sum += float64(w * ndcg(y, byMargin(nil, p[from:to]), k, bestDCG(y, k)))
		total += w
	}
	return sum / total
}

// lossMetric is the loss of another objective than the one trained on.
type lossMetric struct{ Objective }

func (lossMetric) Higher() bool { return false }

func (m lossMetric) Measure(set *learner.Set, weights, p []float64) float64 {
	bound, err := m.Bind(Rows{Y: set.Y, Weights: weights, Query: set.Query, Outputs: 1})
	if err != nil {
		return math.NaN()
	}
	margins := slices.Clone(p)
	if m.Link() == tree.Exp {
		for i, v := range margins {
			margins[i] = math.Log(max(v, 1e-10))
		}
	}
	return meanLoss(bound, margins, 1, weights, set.Query, 1)
}
