package registry_test

import (
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

func TestJudgeGates(t *testing.T) {
	metrics := map[string]float64{"auc": 0.66, "log_loss": 0.5}
	tests := []struct {
		name     string
		clauses  []string
		champion map[string]float64
		passed   bool
		states   string
	}{
		{"no gates", nil, nil, true, ""},
		{"met", []string{"auc >= 0.60"}, nil, true, "pass"},
		{"not met", []string{"auc >= 0.70"}, nil, false, "fail"},
		{"no champion", []string{"auc >= 0.60", "auc >= champion.auc - 0.002"}, nil, true, "pass skipped"},
		{"better than the champion", []string{"auc >= champion.auc - 0.002"}, map[string]float64{"auc": 0.661}, true, "pass"},
		{"worse than the champion", []string{"auc >= champion.auc - 0.002"}, map[string]float64{"auc": 0.70}, false, "fail"},
		{"a metric without a value", []string{"log_loss <= champion.log_loss"}, map[string]float64{"auc": 0.6}, false, "fail"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, err := registry.JudgeGates(tt.clauses, metrics, tt.champion)
			if err != nil {
				t.Fatal(err)
			}
			states := []string{}
			for _, c := range g.Clauses {
				states = append(states, c.State)
			}
			if got := strings.Join(states, " "); g.Passed != tt.passed || got != tt.states {
				t.Fatalf("passed %v, clauses %q, want %v, %q", g.Passed, got, tt.passed, tt.states)
			}
			err = g.Refusal("m", 2)
			if tt.passed != (err == nil) {
				t.Fatalf("refusal is %v", err)
			}
			if err != nil && (fault.CodeOf(err) != fault.GateRefused || !strings.Contains(err.Error(), tt.clauses[0])) {
				t.Errorf("refusal %v does not name its clause", err)
			}
		})
	}
	if _, err := registry.JudgeGates([]string{"auk >= 0.6"}, metrics, nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown metric gives %v", err)
	}
}
