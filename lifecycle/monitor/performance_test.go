package monitor

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

func TestCalibrationAndRankingAreToldApart(t *testing.T) {
	w, n := natureWorld(t, 6)
	w.live(n, start, start.Add(5*oneWeek), 150, func(at time.Time, r *feedback.Labeled) {
		if at.After(start.Add(2 * oneWeek)) { // more positives in every score, in the same order
			r.Label = 0
			if n.r.Float64() < r.Scores[0]+0.3 {
				r.Label = 1
			}
		}
	})
	w.tick(w.now.Add(3 * oneDay))
	vs := w.of(Performance)
	if len(vs) < 5 {
		t.Fatalf("%d windows, want 5", len(vs))
	}
	var states []string
	for _, v := range vs {
		states = append(states, v.State)
	}
	if diff := cmp.Diff([]string{OK, OK, Attention, Off, Off}, states); diff != "" {
		t.Error(diff)
	}
	v := vs[3]
	if !strings.HasPrefix(v.Summary, "Calibration is off course, ranking holds: expected 30 %, was ") {
		t.Errorf("summary %q", v.Summary)
	}
	if m := v.Metrics["auc"]; !(m.Lo < m.Value && m.Value < m.Hi) || m.N != v.N || v.N != 1050 {
		t.Errorf("auc %+v of %d", m, v.N)
	}
	if gap := v.Metrics["calibration_gap"]; gap.Value > -0.25 || gap.Value < -0.35 || gap.Hi > -0.2 {
		t.Errorf("calibration gap %+v", gap)
	}
	alerts := w.alerts(AlertFilter{Kind: Performance})
	if len(alerts) != 1 || alerts[0].Count != 2 || !strings.Contains(alerts[0].Cause, "abs(calibration_gap) > 0.05") {
		t.Errorf("alerts:%s", text(alerts))
	}
}

func TestLateTruthMakesARevision(t *testing.T) {
	w, n := natureWorld(t, 7)
	late := start.Add(15 * oneDay)
	w.live(n, start, start.Add(oneWeek), 150, func(at time.Time, r *feedback.Labeled) {
		if n.r.IntN(5) > 1 {
			r.LabelKnownAt = late.UnixMicro()
		}
	})
	w.live(n, start.Add(oneWeek), start.Add(17*oneDay), 150, nil)
	vs := w.of(Performance)
	if len(vs) < 2 {
		t.Fatalf("%d verdicts", len(vs))
	}
	if v := vs[0]; v.State != Inconclusive || v.Coverage > 0.45 || v.Revision != 1 {
		t.Errorf("two fifths of the truth is %s at coverage %.2f", v.State, v.Coverage)
	}
	latest, err := w.s.Verdicts(t.Context(), "d", Performance, 100)
	if err != nil {
		t.Fatal(err)
	}
	first := latest[len(latest)-1]
	if first.Revision != 2 || first.State != OK || first.Coverage != 1 || !first.From.Equal(start) {
		t.Errorf("after the rest of the truth: revision %d, %s, coverage %.2f", first.Revision, first.State, first.Coverage)
	}
}

func TestTruthThatChangedIsJudgedAgain(t *testing.T) {
	w, n := natureWorld(t, 8)
	w.live(n, start, start.Add(10*oneDay), 150, nil)
	before := w.of(Performance)[0]
	for i := range w.rows {
		w.rows[i].Label = 1
	}
	w.s.Late(t.Context(), "d", start, start.Add(time.Hour))
	w.tick(start.Add(12 * oneDay))
	vs := w.of(Performance)
	after := vs[len(vs)-1]
	if !after.From.Equal(before.From) || after.Revision != 2 || after.Metrics["prevalence"].Value != 1 {
		t.Errorf("revision %d of %s has a prevalence of %v", after.Revision, after.From.Format(time.DateOnly), after.Metrics["prevalence"].Value)
	}
}

// A version that was promoted is judged beside the first champion on the same rows, scored again where the log has no score of it.
func TestTheFirstChampionIsTheBaseline(t *testing.T) {
	w, n := natureWorld(t, 9)
	w.versions[2] = version{ref: n.reference(5000), sig: n.sig}
	w.preload()
	w.live(n, start, start.Add(3*oneWeek), 150, func(at time.Time, r *feedback.Labeled) {
		if at.After(start.Add(10 * oneDay)) {
			r.Version = 2
		}
	})
	vs := w.of(Performance)
	same := vs[0]
	if m := same.Metrics; m[Baseline+"log_loss"] != m["log_loss"] || m[Baseline+"version"].Value != 1 {
		t.Errorf("week 1: %v and %v", m["log_loss"], m[Baseline+"log_loss"])
	}
	if same.Version != 1 || vs[1].Version != 2 {
		t.Errorf("versions %d, %d, want 1, 2: the one with the most rows", same.Version, vs[1].Version)
	}
	mixed := vs[1].Metrics
	if x := mixed[Baseline+"mean_prediction"].Value; math.Abs(x-0.3) > 0.01 {
		t.Errorf("version 1 scores .3 everywhere, the baseline says %v", x)
	}
	if a, b := mixed["log_loss"].Value, mixed[Baseline+"log_loss"].Value; !(a < b) {
		t.Errorf("log loss %v is not below the baseline's %v", a, b)
	}
}

func TestOtherTasks(t *testing.T) {
	for name, test := range map[string]struct {
		task, when, want string
		row              func(n *nature, r *feedback.Labeled)
		metrics          []string
	}{
		"regression in bounds": {"regression", "abs(bias) > 1", "Within its bar: MAE 0.", func(n *nature, r *feedback.Labeled) {
			r.Scores[0], r.Label = 10, 10+n.r.NormFloat64()
		}, []string{"mae", "rmse", "bias", "baseline.mae"}},
		"regression with a bias": {"regression", "abs(bias) > 1", "Off course, abs(bias) > 1: MAE ", func(n *nature, r *feedback.Labeled) {
			r.Scores[0], r.Label = 10, 12+n.r.NormFloat64()
		}, []string{"mae", "rmse", "bias"}},
		"multiclass": {"multiclass", "accuracy < 0.5", "Within its bar: ", func(n *nature, r *feedback.Labeled) {
			r.Scores, r.Label = []float64{0.2, 0.7, 0.1}, 1
			if n.r.IntN(4) == 0 {
				r.Label = 2
			}
		}, []string{"accuracy", "log_loss"}},
		"a condition on what the task does not have": {"regression", "auc < 0.6", "The condition needs auc", func(n *nature, r *feedback.Labeled) {
			r.Scores[0], r.Label = 10, 12+n.r.NormFloat64()
		}, []string{"mae"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, n := natureWorld(t, 30)
			n.sig.Task, n.sig.Classes = test.task, []string{"a", "b", "c"}
			w.plan.Monitor = project.Monitor{Performance: &project.Performance{Window: project.Duration(oneDay), When: test.when, Times: "1 of 1"}}
			w.live(n, start, start.Add(3*oneDay), 300, func(_ time.Time, r *feedback.Labeled) { test.row(n, r) })
			vs := w.of(Performance)
			if len(vs) == 0 || !strings.HasPrefix(vs[0].Summary, test.want) {
				t.Fatalf("verdicts %+v, want %q", vs, test.want)
			}
			for _, name := range test.metrics {
				if m, ok := vs[0].Metrics[name]; !ok || m.N != 300 || m.Lo > m.Value || m.Hi < m.Value {
					t.Errorf("%s is %+v", name, m)
				}
			}
		})
	}
}
