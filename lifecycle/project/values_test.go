package project

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDurations(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{"0s": 0, "30s": 30 * time.Second, "5m": 5 * time.Minute, "24h": day, "7d": 7 * day, "2w": 14 * day,
		"90d": 90 * day, "36500d": 36500 * day} {
		d, err := ParseDuration(text)
		if err != nil || d.D() != want {
			t.Errorf("%s is %v, %v", text, d, err)
		}
		again, err := ParseDuration(d.String())
		if err != nil || again != d {
			t.Errorf("%s is written %s, which is %v, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"", "5", "d", "-1d", "1.5h", "1d2h", " 1d", "1D", "36501d", "999999999w", "1y", "1 d", "٣d"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %s", text, d)
		}
	}
	for d, want := range map[Duration]string{0: "0s", Duration(day): "1d", Duration(7 * day): "1w", Duration(90 * time.Minute): "90m", Duration(25 * time.Hour): "25h"} {
		if d.String() != want {
			t.Errorf("%v is written %s, want %s", d.D(), d, want)
		}
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string]float64{"20%": 0.2, "0.5%": 0.005, "100%": 1, "0%": 0, "0.2": 0.2, "1": 1} {
		if got, err := ParseShare(text); err != nil || math.Abs(got-want) > 1e-15 {
			t.Errorf("%s is %g, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "%", "20", "-1%", "101%", "NaN", "Inf%", "five%"} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("%q is taken as %g", text, got)
		}
	}
}

func TestTimesAndBudgetsAndCauses(t *testing.T) {
	if k, n, err := ParseTimes("2 of 3"); k != 2 || n != 3 || err != nil {
		t.Errorf("2 of 3 is %d of %d, %v", k, n, err)
	}
	for _, text := range []string{"", "2", "0 of 3", "4 of 3", "2of3", "2 of 101"} {
		if _, _, err := ParseTimes(text); err == nil {
			t.Errorf("times %q is taken", text)
		}
	}
	a, ok := (&Retrain{Budget: "4 per 90d"}).Allowance()
	if !ok || a != (Allowance{N: 4, Per: 90 * 24 * time.Hour}) {
		t.Errorf("the budget is %+v, %v", a, ok)
	}
	if _, ok := (*Retrain)(nil).Allowance(); ok {
		t.Error("no policy has a budget")
	}
	for _, text := range []string{"", "4", "0 per 1d", "4 per 0d", "four per 90d", "4 per day"} {
		if _, err := ParseBudget(text); err == nil {
			t.Errorf("budget %q is taken", text)
		}
	}
	for text, want := range map[string]Cause{"performance": {Kind: "performance"}, "drift": {Kind: "drift"}, "manual": {Kind: "manual"}, "new_labels: 5_000": {Kind: "new_labels", N: 5000}} {
		if got, err := ParseCause(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "performance: 3", "new_labels", "new_labels: 0", "new_labels: many", "cron", "cron: * *", "weekly"} {
		if got, err := ParseCause(text); err == nil {
			t.Errorf("cause %q is taken as %+v", text, got)
		}
	}
}

func TestValuesAreStoredAsTheyAreWritten(t *testing.T) {
	train := Train{Learner: "gbdt", Params: map[string]any{"rounds": int64(200), "learning_rate": 0.05, "seed": int64(1)}}
	b, err := json.Marshal(train)
	if err != nil {
		t.Fatal(err)
	}
	var again Train
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(train, again); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{`"at"`, `{"column": "at", "zone": "UTC"}`} {
		var c TimeColumn
		if err := json.Unmarshal([]byte(text), &c); err != nil || c != (TimeColumn{Column: "at", Zone: "UTC"}) {
			t.Errorf("%s is %+v, %v", text, c, err)
		}
	}
	for _, text := range []string{`"a"`, `["a"]`} {
		var s Strings
		if err := json.Unmarshal([]byte(text), &s); err != nil || len(s) != 1 || s[0] != "a" {
			t.Errorf("%s is %v, %v", text, s, err)
		}
	}
	for _, text := range []string{`{"a": "x", "b": "y"}`, `{"a": 3}`, `{"a": "x", "known_after": "soon"}`} {
		var l Label
		if err := json.Unmarshal([]byte(text), &l); err == nil {
			t.Errorf("the label %s is taken", text)
		}
	}
}

// Times are counted by hand from the calendar of 2026: 1 January is a Thursday.
func TestCron(t *testing.T) {
	from := time.Date(2026, 1, 1, 12, 30, 0, 0, time.UTC)
	for spec, want := range map[string]string{
		"* * * * *":          "2026-01-01T12:31:00Z",
		"30 12 * * *":        "2026-01-02T12:30:00Z", // after, not at
		"0 3 * * 1":          "2026-01-05T03:00:00Z",
		"0 3 * * 7":          "2026-01-04T03:00:00Z", // 7 is Sunday
		"0 3 * * 0":          "2026-01-04T03:00:00Z",
		"*/20 13 * * *":      "2026-01-01T13:00:00Z",
		"45/5 12 * * *":      "2026-01-01T12:45:00Z",
		"0 0 31 * *":         "2026-01-31T00:00:00Z",
		"0 0 29 2 *":         "2028-02-29T00:00:00Z",
		"0 0 13 * 5":         "2026-01-02T00:00:00Z", // day or weekday
		"15,45 9-17 * 2 1-5": "2026-02-02T09:15:00Z",
		"0 0 1 1 *":          "2027-01-01T00:00:00Z",
	} {
		c, err := ParseCron(spec)
		if err != nil {
			t.Errorf("%s: %v", spec, err)
			continue
		}
		if next, ok := c.Next(from); !ok || next.Format(time.RFC3339) != want {
			t.Errorf("%s comes at %s, want %s", spec, next.Format(time.RFC3339), want)
		}
	}
	for _, spec := range []string{"", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *",
		"a * * * *", ", * * * *", "0 0 30 2 *", "1-2-3 * * * *", "-1 * * * *"} {
		if _, err := ParseCron(spec); err == nil {
			t.Errorf("%q is taken", spec)
		}
	}
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"evalute": "evaluate", "comun": "column", "ac": "auc", "cooldwon": "cooldown", "zebra": "", "x": "", "cool-down": "cooldown"} {
		if got, _ := nearest(word, []string{"evaluate", "column", "auc", "cooldown", "monitor"}); got != want {
			t.Errorf("%s is near %q, want %q", word, got, want)
		}
	}
}
