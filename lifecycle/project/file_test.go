package project

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseFileReadsTheNorthStar(t *testing.T) {
	src, err := os.ReadFile("testdata/flight-delays.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseFile("flight-delays.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	if f.Model.Label != (Label{Name: "late", Expr: "arr_delay >= 15", KnownAfter: Duration(day)}) {
		t.Errorf("label is %+v", f.Model.Label)
	}
	if f.Retrain.Cooldown.D() != 21*day || f.Monitor.Performance.Window.D() != 7*day {
		t.Errorf("cooldown %s, window %s", f.Retrain.Cooldown, f.Monitor.Performance.Window)
	}
	if diff := cmp.Diff(map[string]any{"rounds": int64(200), "leaves": int64(31), "learning_rate": 0.05}, f.Model.Train.Params); diff != "" {
		t.Error(diff)
	}
	if k, n := f.Monitor.Performance.KofN(); k != 2 || n != 3 {
		t.Errorf("times is %d of %d", k, n)
	}
	canonical, err := f.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := ReadCanonical(canonical)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, stored); diff != "" {
		t.Errorf("the stored file differs:\n%s", diff)
	}
	again, err := ParseFile("canonical.json", canonical)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(f, again); diff != "" {
		t.Errorf("the canonical form reads differently:\n%s", diff)
	}
}
