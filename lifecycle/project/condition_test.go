package project

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

func TestConditionsDecide(t *testing.T) {
	values := map[string]float64{"auc": 0.7, "champion.auc": 0.71, "n": 250, "calibration_gap": -0.06, "f1": math.NaN(), "r2": 1}
	vars := []string{"auc", "n", "calibration_gap", "f1", "r2"}
	for text, want := range map[string]bool{
		"auc >= 0.60":                               true,
		"auc >= champion.auc - 0.002":               false,
		"auc >= champion.auc - 0.02":                true,
		"abs(calibration_gap) > 0.05 || auc < 0.60": true,
		"n > 200":                           true, // a whole number against a double
		"n * 2 == 500":                      true,
		"r2 == 1":                           true,
		"n / 3 > 83":                        true, // 83.33: never whole-number division
		"!(auc < 0.6) && n >= 250":          true,
		"max(auc, champion.auc) > 0.705":    true,
		"min(auc, champion.auc) > 0.705":    false,
		"n > 100 ? auc > 0.6 : auc > 0.9":   true,
		"f1 > 0":                            false, // not a number is never more
		"f1 <= 0":                           false, // nor less
		"-calibration_gap == 0.06":          true,
		"auc > 0.6 && (n < 10 || r2 > 0.5)": true,
		"auc / 0 > 1":                       true, // +Inf, as in IEEE 754
		"true":                              true,
		"champion.auc > auc && champion.auc < 1 - 0": true,
	} {
		c, err := CompileCondition(text, vars)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := c.Eval(values); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
}

func TestConditionsRefuse(t *testing.T) {
	vars := []string{"auc", "n"}
	for _, one := range []struct {
		text, says, hint string
		column           int
	}{
		{"", "empty", "auc >= 0.6", 0},
		{"auc", "not true or false", "compare it", 0},
		{"acu > 1", `"acu" is not a name`, "did you mean auc?", 1},
		{"n > 1 && acu > 1", `"acu" is not a name`, "did you mean auc?", 10},
		{"champion > 1", "not a number", "champion.auc", 1},
		{"champion.x > 1", "not a metric of the champion", "one of auc, n", 1},
		{"other.auc > 1", "nothing here has a part", "only champion", 0},
		{"auc > 'x'", "this is a string", "", 7},
		{"auc in [1.0]", "operator", "use <", 0},
		{"[1].all(x, x > 0)", "", "", 0},
		{"auc > n ? true", "", "", 0},
		{"round(auc) > 1", "no function", "one of abs", 0},
		{"abs(auc, n) > 1", "takes 1 value", "", 0},
		{"auc.abs() > 1", "takes 1 value", "", 0},
		{"auc && n > 1", "expected type", "", 0},
		{"auc > 5%", "not understood", "fractions", 0},
		{"auc > 0.5 and n > 3", "not understood", "&&", 0},
		{strings.Repeat("auc > 1 && ", 300) + "true", "at most", "", 0},
		{strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500), "", "", 0},
		{"timestamp('2020-01-01T00:00:00Z') > auc", "no function", "", 0},
	} {
		_, err := CompileCondition(one.text, vars)
		var f *fault.Error
		if !errors.As(err, &f) {
			t.Errorf("%q gives %v", one.text, err)
			continue
		}
		if !strings.Contains(f.Error(), one.says) || !strings.Contains(f.Hint, one.hint) || one.column > 0 && f.Position.Column != one.column {
			t.Errorf("%q gives %v (hint %q)", one.text, f, f.Hint)
		}
	}
}

func TestConditionsSayWhatTheyNeed(t *testing.T) {
	c, err := CompileCondition("auc >= champion.auc && n > 3 || auc > 0.9", []string{"auc", "n"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"auc", "champion.auc", "n"}, c.Names()); diff != "" {
		t.Error(diff)
	}
	if !c.NeedsChampion() {
		t.Error("it names the champion")
	}
	_, err = c.Eval(map[string]float64{"auc": 0.95})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "champion.auc, n") {
		t.Errorf("missing values give %v", err)
	}
}

func TestClauses(t *testing.T) {
	for text, want := range map[string][]string{
		"auc >= 0.60": {"auc >= 0.60"}, // as written
		"auc >= 0.6 && auc >= champion.auc && n > 10": {"auc >= 0.6", "auc >= champion.auc", "n > 10"},
		"auc >= 0.6 || n > 10":                        {"auc >= 0.6 || n > 10"},
		"(auc > 0.5 || n > 1) && n > 2":               {"auc > 0.5 || n > 1", "n > 2"},
	} {
		clauses, err := Clauses(text, []string{"auc", "n"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range clauses {
			got = append(got, c.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	}
}

func BenchmarkConditionEval(b *testing.B) {
	c, err := CompileCondition("abs(calibration_gap) > 0.05 || auc < 0.60", Metrics)
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]float64{"calibration_gap": 0.01, "auc": 0.7}
	for b.Loop() {
		if _, err := c.Eval(values); err != nil {
			b.Fatal(err)
		}
	}
}
