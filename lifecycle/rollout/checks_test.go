package rollout_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/rollout"
)

// paired makes n rows whose canary score is mix·champion + (1−mix)·noise, moved by shift.
func paired(n int, mix, shift float64) []feedback.Labeled {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	rows := make([]feedback.Labeled, n)
	for i := range rows {
		champion := rng.Float64()
		rows[i] = feedback.Labeled{Scores: []float64{mix*champion + (1-mix)*rng.Float64() + shift}, Champion: []float64{champion}, Label: math.NaN()}
	}
	return rows
}

func TestJudge(t *testing.T) {
	served := rollout.ArmStats{Requests: 400, P50MS: 0.5, P99MS: 2}
	tests := []struct {
		name   string
		e      rollout.Evidence
		abort  string
		expect string
		check  string // the one that decides
	}{
		{"nothing answered", rollout.Evidence{}, "", rollout.Waiting, "Errors"},
		{"too few pairs", rollout.Evidence{Paired: paired(199, 1, 0), Canary: served}, "", rollout.Waiting, "Rank correlation"},
		{"same order", rollout.Evidence{Paired: paired(400, .9, 0), Canary: served}, "", rollout.Pass, ""},
		{"shuffled labels", rollout.Evidence{Paired: paired(400, 0, 0), Canary: served}, "", rollout.Fail, "Rank correlation"},
		{"order near the limit", rollout.Evidence{Paired: paired(200, .25, 0), Canary: served}, "", rollout.Inconclusive, "Rank correlation"},
		{"mean moved", rollout.Evidence{Paired: paired(400, 1, .3), Canary: served}, "", rollout.Fail, "Mean score"},
		{"prior drift moves the mean a little", rollout.Evidence{Paired: paired(400, 1, .1), Canary: served}, "", rollout.Pass, ""},
		{"errors", rollout.Evidence{Paired: paired(400, 1, 0), Canary: rollout.ArmStats{Requests: 400, Errors: 8}}, "error_rate > 0.01", rollout.Fail, "abort_when"},
		{"slow", rollout.Evidence{Paired: paired(400, 1, 0), Canary: rollout.ArmStats{Requests: 400, P99MS: 51}}, "p99_ms > 50", rollout.Fail, "abort_when"},
		{"fast", rollout.Evidence{Paired: paired(400, 1, 0), Canary: served}, "error_rate > 0.01 || p99_ms > 50", rollout.Pass, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cond *project.Condition
			if tt.abort != "" {
				var err error
				if cond, err = project.CompileCondition(tt.abort, project.RolloutConditions); err != nil {
					t.Fatal(err)
				}
			}
			checks, verdict, summary, err := rollout.Judge(tt.e, cond)
			if err != nil {
				t.Fatal(err)
			}
			if verdict != tt.expect {
				t.Fatalf("verdict %s (%s), want %s: %+v", verdict, summary, tt.expect, checks)
			}
			for _, c := range checks {
				if c.Name == tt.check && c.Verdict != tt.expect {
					t.Errorf("check %s is %s, want %s", c.Name, c.Verdict, tt.expect)
				}
			}
		})
	}
}
