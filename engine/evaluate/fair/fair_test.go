package fair_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/fair"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// golden is testdata/golden.json, written by testdata/golden.py with the versions it names.
type golden struct {
	Cases []struct {
		Task string
		In   struct {
			Y, P      []float64
			Threshold float64
			Group     []string
			Minimum   int
		}
		Want struct {
			Rates          map[string][]fair.Rate
			Gaps           map[string]fair.Gap
			EqualisedOdds  fair.Number `json:"equalised_odds"`
			CalibrationGap []fair.Mean `json:"calibration_gap"`
			Calibration    fair.Number
			Label          []fair.Mean
			Prediction     []fair.Mean
			Residual       []fair.Mean
			Absolute       []fair.Mean
		}
	}
}

func near(t *testing.T, at int, what string, got, want fair.Number) {
	t.Helper()
	g, w := float64(got), float64(want)
	if math.IsNaN(g) != math.IsNaN(w) || math.Abs(g-w) > 1e-12*max(1, math.Abs(w)) {
		t.Errorf("case %d: %s is %v, the reference says %v", at, what, g, w)
	}
}

func nearRate(t *testing.T, at int, what string, got, want fair.Rate) {
	t.Helper()
	if got.K != want.K || got.N != want.N {
		t.Errorf("case %d: %s is %d of %d, not %d of %d", at, what, got.K, got.N, want.K, want.N)
	}
	near(t, at, what, got.Value, want.Value)
	near(t, at, what+" lo", got.Lo, want.Lo)
	near(t, at, what+" hi", got.Hi, want.Hi)
}

func nearGap(t *testing.T, at int, what string, got, want fair.Gap) {
	t.Helper()
	if got.Groups != want.Groups {
		t.Errorf("case %d: %s is of %d groups, not %d", at, what, got.Groups, want.Groups)
	}
	near(t, at, what, got.Difference, want.Difference)
	near(t, at, what+" ratio", got.Ratio, want.Ratio)
	near(t, at, what+" lo", got.Lo, want.Lo)
	near(t, at, what+" hi", got.Hi, want.Hi)
	near(t, at, what+" p", got.P, want.P)
}

func nearMeans(t *testing.T, at int, what string, got []fair.Mean, want []fair.Mean) {
	t.Helper()
	for i, w := range want {
		if got[i].N != w.N {
			t.Errorf("case %d: %s of %d rows, not %d", at, what, got[i].N, w.N)
		}
		near(t, at, what, got[i].Value, w.Value)
		near(t, at, what+" lo", got[i].Lo, w.Lo)
		near(t, at, what+" hi", got[i].Hi, w.Hi)
	}
}

func TestAgainstDefinitions(t *testing.T) {
	var g golden
	b, err := os.ReadFile("testdata/golden.json")
	if err == nil {
		err = json.Unmarshal(b, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range g.Cases {
		groups, err := fair.By(c.In.Minimum, fair.Column{Name: "g", Values: c.In.Group})
		if err != nil {
			t.Fatal(err)
		}
		if c.Task == "regression" {
			r, err := fair.Regression(c.In.Y, c.In.P, groups)
			if err != nil {
				t.Fatal(err)
			}
			var label, prediction, residual, absolute []fair.Mean
			for _, g := range r.Groups {
				label, prediction = append(label, g.Label), append(prediction, g.Prediction)
				residual, absolute = append(residual, g.Residual), append(absolute, g.Absolute)
			}
			nearMeans(t, i, "label", label, c.Want.Label)
			nearMeans(t, i, "prediction", prediction, c.Want.Prediction)
			nearMeans(t, i, "residual", residual, c.Want.Residual)
			nearMeans(t, i, "absolute", absolute, c.Want.Absolute)
			continue
		}
		r, err := fair.Binary(c.In.Y, c.In.P, c.In.Threshold, groups)
		if err != nil {
			t.Fatal(err)
		}
		var calibration []fair.Mean
		for j, g := range r.Groups {
			for what, got := range map[string]fair.Rate{"prevalence": g.Prevalence, "selection": g.Selection, "true_positive": g.TruePositive,
				"false_positive": g.FalsePositive, "false_negative": g.FalseNegative, "precision": g.Precision, "accuracy": g.Accuracy} {
				nearRate(t, i, what, got, c.Want.Rates[what][j])
			}
			calibration = append(calibration, g.CalibrationGap)
		}
		for _, gap := range r.Gaps {
			nearGap(t, i, gap.Name, gap, c.Want.Gaps[gap.Name])
		}
		near(t, i, "equalised odds", r.EqualisedOdds.Difference, c.Want.EqualisedOdds)
		near(t, i, "calibration", r.Calibration.Difference, c.Want.Calibration)
		nearMeans(t, i, "calibration gap", calibration, c.Want.CalibrationGap)

		decisions := make([]bool, len(c.In.P))
		for k, p := range c.In.P {
			decisions[k] = p >= c.In.Threshold
		}
		parity, err := fair.DemographicParity(decisions, groups)
		if err != nil {
			t.Fatal(err)
		}
		nearGap(t, i, "demographic parity", parity.Gap, c.Want.Gaps["demographic_parity"])
		odds, err := fair.EqualisedOdds(c.In.Y, decisions, groups)
		if err != nil {
			t.Fatal(err)
		}
		near(t, i, "equalised odds", odds.Difference, c.Want.EqualisedOdds)
		near(t, i, "equal opportunity", odds.EqualOpportunityDifference, c.Want.Gaps["equal_opportunity"].Difference)
		if _, err := json.Marshal(r); err != nil {
			t.Error(err)
		}
	}
}

func TestGroups(t *testing.T) {
	sex := fair.Column{Name: "sex", Values: []string{"m", "f", "f", "m", "f", "x"}}
	age := fair.Column{Name: "age", Values: []string{"old", "old", "young", "old", "old", "old"}}
	g, err := fair.By(2, sex, age)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"sex=f, age=old", "sex=f, age=young", "sex=m, age=old", "sex=x, age=old"}; !slices.Equal(g.Names, want) {
		t.Errorf("groups are %q", g.Names)
	}
	if !slices.Equal(g.Of, []int32{2, 0, 1, 2, 0, 3}) || !slices.Equal(g.Small, []bool{false, true, false, true}) {
		t.Errorf("rows %v, small %v", g.Of, g.Small)
	}
	p := g.Pool(2)
	if want := []string{"sex=f, age=old", "sex=m, age=old", fair.Others}; !slices.Equal(p.Names, want) {
		t.Errorf("pooled groups are %q", p.Names)
	}
	if !slices.Equal(p.Of, []int32{1, 0, 2, 1, 0, 2}) || slices.Contains(p.Small, true) {
		t.Errorf("pooled rows %v, small %v", p.Of, p.Small)
	}
	one, err := fair.By(2, sex)
	if err != nil {
		t.Fatal(err)
	}
	if kept := one.Pool(2); !slices.Equal(kept.Names, []string{"f", "m", "x"}) || !slices.Equal(kept.Small, []bool{false, false, true}) {
		t.Errorf("a single small group: %q, small %v", kept.Names, kept.Small)
	}
	all, err := fair.Intersections(1, sex, age)
	if err != nil || len(all) != 3 || len(all[0].Names) != 3 || len(all[1].Names) != 2 || len(all[2].Names) != 4 {
		t.Errorf("intersections: %v, %v", all, err)
	}
}

func TestUnequalLengthsAreInvalid(t *testing.T) {
	a, b := fair.Column{Name: "a", Values: []string{"1"}}, fair.Column{Name: "b"}
	g, err := fair.By(0, a)
	if err != nil {
		t.Fatal(err)
	}
	_, pair := fair.By(0, a, b)
	_, none := fair.By(0)
	_, both := fair.Intersections(0, a, b)
	_, parity := fair.DemographicParity(nil, g)
	_, odds := fair.EqualisedOdds([]float64{1}, nil, g)
	_, binary := fair.Binary([]float64{1}, nil, 0.5, g)
	_, regression := fair.Regression(nil, []float64{1}, g)
	_, unmade := fair.DemographicParity([]bool{true}, fair.Groups{Names: []string{"x"}, Of: []int32{0}})
	for i, err := range []error{pair, none, both, parity, odds, binary, regression, unmade} {
		var f *fault.Error
		if !errors.As(err, &f) || f.Code != fault.Invalid {
			t.Errorf("%d: %v", i, err)
		}
	}
}
