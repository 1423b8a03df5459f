package monitor

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

const (
	minLabeled  = 200
	minCoverage = 0.5
	batch       = 4096
	z95         = 1.959963984540054 // normal quantile of .975
)

// Baseline is the prefix of the metrics of the first champion, never retrained, on the same rows.
const Baseline = "baseline."

// judgePerformance compares what was answered with what became true.
func (s *Service) judgePerformance(ctx context.Context, p *Plan, v *Verdict, past []Verdict) error {
	rows, err := s.Log.Rows(ctx, p.Deployment, v.From, v.To, true)
	if err != nil {
		return err
	}
	sample := newSample(rows)
	v.N = int64(len(sample.rows))
	v.Version = sample.version
	if v.N < minLabeled || v.Coverage < minCoverage {
		v.State = Inconclusive
		v.Summary = fmt.Sprintf("Too little truth: known for %s of %s rows, n %s", percent(v.Coverage), count(v.Rows), count(v.N))
		if v.N == 0 {
			return nil
		}
	}
	v.Metrics = sample.metrics(p, sample.live)
	if err := s.baseline(ctx, p, v, sample); err != nil {
		return err
	}
	if v.State == Inconclusive {
		return nil
	}
	k, n := p.Monitor.Performance.KofN()
	cond, err := project.CompileCondition(p.Monitor.Performance.When, project.Metrics)
	if err != nil {
		return err
	}
	values := map[string]float64{}
	for name, m := range v.Metrics {
		values[name] = m.Value
	}
	if missing := cond.Missing(values); len(missing) > 0 {
		v.State, v.Summary = Inconclusive, fmt.Sprintf("The condition needs %s, which this window cannot give (n %s)", strings.Join(missing, ", "), count(v.N))
		return nil
	}
	if v.Over, err = cond.Eval(values); err != nil {
		return err
	}
	v.State = OK
	if v.Over {
		v.State = Attention
		if overIn(past, n, true, func(o *Verdict) bool { return o.Over }) >= k {
			v.State = Off
		}
	}
	v.Summary = summary(v, cond, values)
	return nil
}

// sample is the labelled rows of a window.
type sample struct {
	rows    []*feedback.Labeled
	sig     *registry.Signature
	version int         // champion of most rows
	y       []float64   // truth
	live    [][]float64 // what was answered
}

func newSample(rows []feedback.Labeled) *sample {
	m := &sample{}
	versions := map[int]int{}
	for i := range rows {
		r := &rows[i]
		if !r.HasLabel || r.NoLabel || r.Signature == nil || len(r.Scores) == 0 {
			continue
		}
		versions[labeledFact(r).version]++
		m.sig = r.Signature
		m.rows = append(m.rows, r)
		m.y = append(m.y, r.Label)
		m.live = append(m.live, r.Scores)
	}
	for version, n := range versions {
		if n > versions[m.version] || n == versions[m.version] && version > m.version {
			m.version = version
		}
	}
	return m
}

// metrics is the metrics of the answers, with intervals where there is a formula: DeLong for auc, the normal one for means of rows.
func (m *sample) metrics(p *Plan, scores [][]float64) map[string]Interval {
	n := int64(len(m.y))
	out := map[string]Interval{}
	put := func(values map[string]float64) {
		for name, x := range values {
			if !math.IsNaN(x) && !math.IsInf(x, 0) {
				out[name] = exact(x, n)
			}
		}
	}
	mean := func(name string, loss func(i int) float64) {
		var sum, squares float64
		for i := range m.y {
			sum += loss(i)
		}
		average := sum / float64(n)
		for i := range m.y {
			squares += (loss(i) - average) * (loss(i) - average)
		}
		half := z95 * math.Sqrt(squares/float64(n)/math.Max(1, float64(n-1)))
		out[name] = Interval{Value: average, Lo: average - half, Hi: average + half, N: n}
	}
	switch m.sig.Task {
	case "multiclass":
		classes := len(scores[0])
		flat := make([]float64, 0, len(scores)*classes)
		for _, row := range scores {
			flat = append(flat, row...)
		}
		put(evaluate.Multiclass(m.y, flat, classes))
	case "regression":
		put(evaluate.Regression(m.y, first(scores)))
		mean("bias", func(i int) float64 { return scores[i][0] - m.y[i] })
		mean("mae", func(i int) float64 { return math.Abs(scores[i][0] - m.y[i]) })
	default:
		threshold := p.Threshold
		if threshold == 0 {
			threshold = 0.5
		}
		x := first(scores)
		put(evaluate.Binary(m.y, x, threshold))
		if _, ok := out["auc"]; ok {
			if auc, lo, hi := evaluate.AUCInterval(m.y, x, 0.95); !math.IsNaN(lo + hi) {
				out["auc"] = Interval{Value: auc, Lo: lo, Hi: hi, N: n}
			}
		}
		mean("calibration_gap", func(i int) float64 { return x[i] - m.y[i] })
		mean("brier", func(i int) float64 { return (x[i] - m.y[i]) * (x[i] - m.y[i]) })
		mean("log_loss", func(i int) float64 {
			p := math.Min(math.Max(x[i], 1e-15), 1-1e-15)
			if m.y[i] == 1 {
				return -math.Log(p)
			}
			return -math.Log1p(-p)
		})
	}
	return out
}

func first(scores [][]float64) []float64 {
	out := make([]float64, len(scores))
	for i, row := range scores {
		out[i] = row[0]
	}
	return out
}

// baseline adds the metrics of the first champion on the same rows. Scores that the log has are not computed again.
func (s *Service) baseline(ctx context.Context, p *Plan, v *Verdict, m *sample) error {
	start, err := s.first(ctx, p.Deployment)
	if err != nil {
		return err
	}
	version := v.Version
	if start != nil {
		version = start.Version
	}
	scores := make([][]float64, len(m.rows))
	var unknown []int
	for i, r := range m.rows {
		switch {
		case r.Version == version:
			scores[i] = r.Scores
		case r.ChampionVersion == version && r.Champion != nil:
			scores[i] = r.Champion
		default:
			unknown = append(unknown, i)
		}
	}
	if len(unknown) > 0 {
		if s.Scorer == nil {
			return nil
		}
		l, err := s.layout(ctx, p.Model, version)
		if err != nil {
			return err
		}
		for from := 0; from < len(unknown); from += batch {
			part := unknown[from:min(from+batch, len(unknown))]
			rows := make([][]table.Value, len(part))
			for j, i := range part {
				rows[j] = reorder(m.rows[i], l.sig)
			}
			got, err := s.Scorer.Score(ctx, p.Model, version, rows)
			if err != nil {
				return fmt.Errorf("score with the first champion, version %d: %w", version, err)
			}
			for j, i := range part {
				scores[i] = got[j]
			}
		}
	}
	for i := range scores {
		if len(scores[i]) != len(m.live[i]) {
			return nil // the first champion answers something else: nothing to compare
		}
	}
	for name, x := range m.metrics(p, scores) {
		v.Metrics[Baseline+name] = x
	}
	v.Metrics[Baseline+"version"] = exact(float64(version), v.N)
	return nil
}

// reorder is the inputs of a logged row in the order of another signature; an input that was not logged is missing.
func reorder(r *feedback.Labeled, sig *registry.Signature) []table.Value {
	out := make([]table.Value, len(sig.Inputs))
	for i, in := range sig.Inputs {
		out[i] = table.Null
		if found, at := r.Signature.Input(in.Name); found != nil && at < len(r.Inputs) {
			out[i] = r.Inputs[at]
		}
	}
	return out
}

// What a metric is about: whether the model puts rows in the right order, or whether its numbers mean what they say.
var calibrationIdeal = map[string]float64{"calibration_gap": 0, "calibration_error": 0, "bias": 0}
var rankingIdeal = map[string]float64{"auc": 1, "average_precision": 1}

// holdsWithout reports whether the condition would not hold if the given metrics were ideal.
func holdsWithout(cond *project.Condition, values, ideal map[string]float64) bool {
	changed := false
	better := make(map[string]float64, len(values))
	for name, x := range values {
		better[name] = x
	}
	for _, name := range cond.Names() {
		if x, ok := ideal[name]; ok {
			better[name] = x
			changed = true
		}
	}
	if !changed {
		return false
	}
	still, err := cond.Eval(better)
	return err == nil && !still
}

// summary keeps calibration and ranking apart: a model may order rows well and be wrong about how many there are.
func summary(v *Verdict, cond *project.Condition, values map[string]float64) string {
	m := v.Metrics
	if _, binary := m["prevalence"]; !binary {
		head := "Within its bar"
		if v.Over {
			head = "Off course, " + cond.String()
		}
		var parts []string
		for _, of := range []struct{ metric, name string }{
			{"mae", "MAE"}, {"rmse", "RMSE"}, {"r2", "R2"}, {"bias", "bias"}, {"accuracy", "accuracy"}, {"f1", "F1"}, {"log_loss", "log loss"}, {"auc", "AUC"},
		} {
			if x, ok := m[of.metric]; ok {
				parts = append(parts, of.name+" "+between(x))
			}
		}
		return fmt.Sprintf("%s: %s (n %s)", head, strings.Join(parts, "; "), count(v.N))
	}
	var head string
	calibration, ranking := holdsWithout(cond, values, calibrationIdeal), holdsWithout(cond, values, rankingIdeal)
	switch {
	case !v.Over:
		head = "Calibration and ranking hold"
	case calibration && !ranking:
		head = "Calibration is off course, ranking holds"
	case ranking && !calibration:
		head = "Ranking is off course, calibration holds"
	case both(cond, values):
		head = "Calibration and ranking are off course"
	default:
		head = "Off course, " + cond.String()
	}
	text := fmt.Sprintf("%s: expected %s, was %s (n %s)", head, percent(m["mean_prediction"].Value), percent(m["prevalence"].Value), count(v.N))
	if auc, ok := m["auc"]; ok {
		text += "; AUC " + between(auc)
	}
	return text
}

// both reports whether only the two together, calibration and ranking ideal, would undo the condition.
func both(cond *project.Condition, values map[string]float64) bool {
	ideal := map[string]float64{}
	for _, of := range []map[string]float64{calibrationIdeal, rankingIdeal} {
		for name, x := range of {
			ideal[name] = x
		}
	}
	return holdsWithout(cond, values, ideal)
}

// between writes a number with its interval: 0.719, 0.690 to 0.748.
func between(x Interval) string {
	if x.Lo == x.Hi {
		return fmt.Sprintf("%.3f", x.Value)
	}
	return fmt.Sprintf("%.3f, %.3f to %.3f", x.Value, x.Lo, x.Hi)
}
