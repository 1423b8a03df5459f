package feedback_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// cells reads a column of a query as texts.
func (w *world) cells(sql string) []string {
	w.t.Helper()
	t, err := w.cfg.Duck.Table(w.t.Context(), sql)
	must(w.t, err)
	var out []string
	for i := range t.Rows {
		row := ""
		for _, c := range t.Columns {
			v := c.Value(i)
			switch {
			case v.Null:
				row += "- "
			case c.Kind == table.String:
				row += v.S + " "
			default:
				row += fmt.Sprint(v.F) + " "
			}
		}
		out = append(out, row)
	}
	return out
}

func TestExport(t *testing.T) {
	w := newWorld(t)
	if err := w.service.Export(t.Context(), "flights", filepath.Join(w.dir, "x.parquet")); !fault.Is(err, fault.NotFound) {
		t.Errorf("export of nothing: %v", err)
	}
	// The second version knows another input, under a name that the log needs itself, and the distance in whole miles.
	second := *flights
	second.Inputs = []registry.Input{{Name: "Key", Kind: table.Long}, {Name: "distance", Kind: table.Long}}
	a, b, c := prediction("a", day), prediction("b", day.Add(time.Hour)), prediction("c", day.AddDate(0, 0, 3))
	b.Version, b.Arm, b.ChampionVersion, b.Champion, b.Signature = 2, serve.Canary, 1, []float64{0.5}, &second
	b.Inputs = []table.Value{table.Number(7), table.Number(100)}
	w.record(a, b)
	w.record(c)
	w.add(feedback.Outcome{Key: "a", KnownAt: day.AddDate(0, 0, 1), Values: delay(30)}, feedback.Outcome{Key: "b", NoLabel: true},
		feedback.Outcome{Key: "a", KnownAt: day.AddDate(0, 0, 2), Values: delay(3)})
	for _, when := range []string{"from segments", "half compacted"} {
		out := filepath.Join(w.dir, "out.parquet")
		must(t, w.service.Export(t.Context(), "flights", out))
		from := " FROM read_parquet(" + duck.Literal(out) + ")"
		got := w.cells("SELECT prediction_id, key, epoch_us(\"at\"), version, arm, carrier, distance, input_Key, score, champion_score, champion_version, decision, label, label_none, epoch_us(label_known_at), label_revisions, latency_us, missing" + from)
		known := day.AddDate(0, 0, 2).UnixMicro()
		want := []string{
			fmt.Sprintf("%s a %v 1 champion AA 1096.5 - 0.25 - - false 0 0 %v 1 31 distance ", a.ID, float64(a.At), float64(known)),
			fmt.Sprintf("%s b %v 2 canary - 100 7 0.25 0.5 1 false - 1 %v 0 31 distance ", b.ID, float64(b.At), float64(day.UnixMicro())),
			fmt.Sprintf("%s c %v 1 champion AA 1096.5 - 0.25 - - false - - - 0 31 distance ", c.ID, float64(c.At)),
		}
		// The answer to "b" was known at its own time: its clock was behind, and what is said now is about what was asked.
		want[1] = fmt.Sprintf("%s b %v 2 canary - 100 7 0.25 0.5 1 false - 1 %v 0 31 distance ", b.ID, float64(b.At), float64(b.At))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", when, d)
		}
		types := w.cells("SELECT column_name, column_type FROM (DESCRIBE SELECT carrier, distance, time_hour, score, \"at\"" + from + ")")
		if d := cmp.Diff([]string{"carrier VARCHAR ", "distance DOUBLE ", "time_hour TIMESTAMP ", "score DOUBLE ", "at TIMESTAMP "}, types); d != "" {
			t.Errorf("%s: types %s", when, d)
		}
		must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 1)))
		must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 2)))
	}
}

func TestServedPartsHoldWhatWasKnown(t *testing.T) {
	w := newWorld(t)
	april, may := day, day.AddDate(0, 1, 0)
	fill := func(w *world) {
		a, b, c, d := prediction("AA|1", april), prediction("AA|2", april.Add(time.Hour)), prediction("AA|3", may), prediction("AA|4", may.Add(time.Hour))
		again := prediction("AA|1", april)
		again.Received += 10
		again.Inputs = []table.Value{table.Text("UA"), table.Null, table.Null}
		w.record(a, b, c, d, again)
		w.add(
			feedback.Outcome{Key: "AA|1", KnownAt: april.AddDate(0, 0, 1), Values: delay(20)},
			feedback.Outcome{Key: "AA|2", KnownAt: april.AddDate(0, 0, 1), NoLabel: true},
			feedback.Outcome{Key: "AA|3", KnownAt: may.AddDate(0, 0, 1), Values: delay(1)},
			feedback.Outcome{Key: "AA|4", KnownAt: may.AddDate(0, 0, 2), Values: delay(90)},
			// Planted: a contradiction that is known only later.
			feedback.Outcome{Key: "AA|3", KnownAt: may.AddDate(0, 0, 9), Values: delay(99)},
		)
	}
	fill(w)
	asOf := may.AddDate(0, 0, 1)
	parts, err := w.service.ServedParts(t.Context(), "flights", asOf)
	must(t, err)
	if len(parts) != 2 || parts[0].Source != "served/flights/2013-04" || parts[1].Source != "served/flights/2013-05" {
		t.Fatalf("parts are %+v", parts)
	}
	read := func(w *world, blob string) []string {
		path, err := w.cfg.Blobs.Path(t.Context(), blob)
		must(t, err)
		return w.cells("SELECT carrier, distance, epoch_us(time_hour), flight, late::INT FROM read_parquet(" + duck.Literal(path) + ")")
	}
	if d := cmp.Diff([]string{fmt.Sprintf("UA - %v 1 1 ", float64(april.UnixMicro()))}, read(w, parts[0].Blob)); d != "" {
		t.Errorf("April: %s", d)
	}
	if d := cmp.Diff([]string{fmt.Sprintf("AA 1096.5 %v 3 0 ", float64(may.UnixMicro()))}, read(w, parts[1].Blob)); d != "" {
		t.Errorf("May: %s", d)
	}
	later, err := w.service.ServedParts(t.Context(), "flights", may.AddDate(0, 0, 20))
	must(t, err)
	if later[0].Blob != parts[0].Blob {
		t.Error("a month of which nothing changed is another blob")
	}
	if got := read(w, later[1].Blob); len(got) != 2 || got[0] != fmt.Sprintf("AA 1096.5 %v 3 1 ", float64(may.UnixMicro())) {
		t.Errorf("May, later: %v", got)
	}
	// Other ids, another order of arrival, compacted: the same bytes.
	other := newWorld(t)
	fill(other)
	must(t, other.service.Compact(t.Context(), "flights", may.AddDate(1, 0, 0)))
	same, err := other.service.ServedParts(t.Context(), "flights", asOf)
	must(t, err)
	if d := cmp.Diff(parts, same); d != "" {
		t.Errorf("the same predictions and truth give other parts: %s", d)
	}
	if _, err := w.service.ServedParts(t.Context(), "nobody", asOf); !fault.Is(err, fault.NotFound) {
		t.Errorf("parts of nothing: %v", err)
	}
}

// The join is a function of what was received: any interleaving of predictions and outcomes, with restarts and compactions between,
// comes to the same labels, as long as the outcomes keep their order among themselves.
func TestTheJoinDoesNotDependOnArrival(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 7))
		var preds []serve.Prediction
		for i := range 30 {
			preds = append(preds, prediction(fmt.Sprint("k", r.IntN(8)), day.Add(time.Duration(i)*time.Hour)))
		}
		var outcomes []feedback.Outcome
		for range 25 {
			p := preds[r.IntN(len(preds))]
			o := feedback.Outcome{KnownAt: day.Add(time.Duration(r.IntN(40)) * time.Hour), Values: delay(float64(r.IntN(3) * 10))}
			switch r.IntN(3) {
			case 0:
				o.PredictionID = p.ID
			case 1:
				o.Key = p.Key
			case 2:
				o.Key, o.At = p.Key, time.UnixMicro(p.At).UTC()
			}
			if r.IntN(5) == 0 {
				o.Values, o.NoLabel = nil, true
			}
			outcomes = append(outcomes, o)
		}
		var want string
		for round := range 3 {
			w := newWorld(t)
			order := r.Perm(len(preds))
			var i, k int
			for i < len(preds) || k < len(outcomes) {
				if round > 0 && r.IntN(20) == 0 {
					w.restart()
				}
				if round > 1 && r.IntN(20) == 0 {
					must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 2)))
				}
				if k == len(outcomes) || i < len(preds) && (round == 0 || r.IntN(2) == 0) {
					w.record(preds[order[i]])
					i++
				} else {
					w.add(outcomes[k])
					k++
				}
			}
			got := state(w.rows())
			if round == 0 {
				want = got
			} else if got != want {
				t.Fatalf("seed %d round %d:\n%s\nwant\n%s", seed, round, got, want)
			}
		}
	}
}

func TestLabelsOfOtherTasks(t *testing.T) {
	classes := &registry.Signature{Inputs: flights.Inputs, Task: "multiclass", Classes: []string{"early", "on time", "late"}, Label: "kind"}
	value := &registry.Signature{Inputs: flights.Inputs, Task: "regression", Label: "arr_delay", Expr: "arr_delay"}
	named := &registry.Signature{Inputs: flights.Inputs, Task: "binary", Classes: []string{"no", "yes"}, Positive: "yes", Label: "churn"}
	for _, tc := range []struct {
		sig    *registry.Signature
		values map[string]any
		want   float64 // NaN = rejected
	}{
		{classes, map[string]any{"kind": "late"}, 2},
		{classes, map[string]any{"kind": 1.0}, 1},
		{classes, map[string]any{"kind": "never"}, math.NaN()},
		{value, map[string]any{"arr_delay": -12.5}, -12.5},
		{value, map[string]any{"arr_delay": "x"}, math.NaN()},
		{named, map[string]any{"churn": "yes"}, 1},
		{named, map[string]any{"churn": "no"}, 0},
		{named, map[string]any{"churn": true}, 1},
		{named, map[string]any{"churn": "maybe"}, math.NaN()},
	} {
		w := newWorld(t)
		p := prediction("a", day)
		p.Signature = tc.sig
		w.record(p)
		a := w.add(feedback.Outcome{PredictionID: p.ID, Values: tc.values})
		if math.IsNaN(tc.want) {
			if a[0].Status != feedback.Rejected {
				t.Errorf("%v: %+v", tc.values, a)
			}
			continue
		}
		if rows := w.rows(); a[0].Status != feedback.Accepted || rows[0].Label != tc.want {
			t.Errorf("%v: %+v, label %v, want %v", tc.values, a, rows[0].Label, tc.want)
		}
	}
}
