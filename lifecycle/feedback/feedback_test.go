package feedback_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/blob"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// flights is a signature like that of the example: late = arr_delay >= 15.
var flights = &registry.Signature{
	Inputs: []registry.Input{
		{Name: "carrier", Kind: table.String, Role: registry.RoleFeature, Categories: []string{"AA", "UA"}},
		{Name: "distance", Kind: table.Double, Role: registry.RoleFeature},
		{Name: "time_hour", Kind: table.Datetime, Role: registry.RoleContext},
	},
	Features: []string{"carrier", "distance"}, Task: "binary", Label: "late", Expr: "arr_delay >= 15", Key: []string{"carrier", "flight"}, Time: "time_hour",
}

var day = time.Date(2013, 4, 1, 10, 0, 0, 0, time.UTC)

// world is a log with everything it stands on; it can be closed and opened again.
type world struct {
	t       testing.TB
	dir     string
	cfg     feedback.Config
	service *feedback.Service
	now     time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return worldIn(t, t.TempDir())
}

func worldIn(t testing.TB, dir string) *world {
	t.Helper()
	w := &world{t: t, dir: dir, now: day}
	db, err := catalog.Open(t.Context(), catalogtest.In(t, w.dir), feedback.Schema)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	blobs, err := blob.NewFile(filepath.Join(w.dir, "blobs"), blob.Disk{})
	must(t, err)
	d, err := duck.Open(duck.Options{Threads: 1, TempDir: filepath.Join(w.dir, "duck")})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	w.cfg = feedback.Config{Dir: filepath.Join(w.dir, "log"), DB: db, Blobs: blobs, Duck: d, Now: func(string) time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	w.open()
	t.Cleanup(func() { must(t, w.service.Close()) })
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.service, err = feedback.Open(context.Background(), w.cfg)
	must(w.t, err)
}

// reopenBlobs forgets which blobs were verified, as a restart does.
func (w *world) reopenBlobs() {
	w.t.Helper()
	blobs, err := blob.NewFile(filepath.Join(w.dir, "blobs"), blob.Disk{})
	must(w.t, err)
	w.cfg.Blobs = blobs
}

// restart closes the service and opens it on the same files.
func (w *world) restart() {
	w.t.Helper()
	must(w.t, w.service.Close())
	w.open()
}

func (w *world) record(recs ...serve.Prediction) {
	w.t.Helper()
	must(w.t, w.service.Record(context.Background(), serve.LogRequired, recs))
}

func (w *world) add(outcomes ...feedback.Outcome) []feedback.Answer {
	w.t.Helper()
	answers, err := w.service.Add(context.Background(), "flights", outcomes)
	must(w.t, err)
	return answers
}

func (w *world) rows() []feedback.Labeled {
	w.t.Helper()
	rows, err := w.service.Rows(context.Background(), "flights", time.Time{}.AddDate(1700, 0, 0), day.AddDate(100, 0, 0), false)
	must(w.t, err)
	return rows
}

// prediction is one answer for key at a time.
func prediction(key string, at time.Time) serve.Prediction {
	p := serve.Prediction{ID: id.New(), Request: "r1", Deployment: "flights", Key: key, At: at.UnixMicro(), Received: at.UnixMicro() + 5, Version: 1, Bucket: 17, Signature: flights,
		Inputs: []table.Value{table.Text("AA"), table.Number(1096.5), table.Number(float64(at.UnixMicro()))}, Scores: []float64{0.25}, Label: "false", Missing: 2, LatencyUS: 31}
	if key == "" {
		p.Key = p.ID
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func delay(minutes float64) map[string]any { return map[string]any{"arr_delay": minutes} }

// state is what the log knows of each prediction, by key, in a form that tests compare.
func state(rows []feedback.Labeled) string {
	out := ""
	for _, r := range rows {
		label := "?"
		switch {
		case r.HasLabel:
			label = fmt.Sprint(r.Label)
		case r.NoLabel:
			label = "none"
		}
		out += r.Key + "=" + label + " "
		if r.HasLabel == math.IsNaN(r.Label) {
			out += "(label and flag disagree) "
		}
	}
	return out
}

func TestWhatWasRecordedIsReadBack(t *testing.T) {
	w := newWorld(t)
	canary := prediction("UA|2", day.Add(time.Hour))
	canary.Arm, canary.Version, canary.ChampionVersion, canary.Champion = serve.Canary, 2, 1, []float64{0.5}
	canary.Inputs = []table.Value{table.Null, table.Null, table.Number(-5)}
	own := prediction("", day.Add(2*time.Hour))
	w.record(prediction("AA|1", day), canary)
	w.record(own)
	for _, when := range []string{"at once", "after a restart", "after compaction", "after compaction and a restart"} {
		switch when {
		case "after a restart", "after compaction and a restart":
			w.restart()
		case "after compaction":
			must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 2)))
		}
		rows := w.rows()
		if len(rows) != 3 {
			t.Fatalf("%s: %d rows, want 3", when, len(rows))
		}
		if r := rows[0]; r.Key != "AA|1" || r.Inputs[0].S != "AA" || r.Inputs[1].F != 1096.5 || r.Inputs[2].F != float64(day.UnixMicro()) || r.Scores[0] != 0.25 || r.LatencyUS != 31 || r.Champion != nil {
			t.Errorf("%s: first row is %+v", when, r)
		}
		if r := rows[1]; r.ID != canary.ID || r.Arm != serve.Canary || r.Version != 2 || r.ChampionVersion != 1 || r.Champion[0] != 0.5 || !r.Inputs[0].Null || !r.Inputs[1].Null || r.At != canary.At {
			t.Errorf("%s: canary row is %+v", when, r)
		}
		if r := rows[2]; r.Key != own.ID || r.Signature.Label != "late" {
			t.Errorf("%s: row without a key is %+v", when, r)
		}
		latest, err := w.service.Latest(t.Context(), "flights", 3)
		must(t, err)
		if len(latest) != 3 || latest[0].ID != own.ID || latest[0].Missing != 2 || latest[0].Bucket != 17 || latest[0].Request != "r1" {
			t.Errorf("%s: latest is %+v", when, latest)
		}
	}
}

func TestOutcomes(t *testing.T) {
	one := 1.0
	for _, tc := range []struct {
		name    string
		do      func(w *world) []feedback.Answer
		status  string
		labels  string
		pending int64
	}{
		{"by prediction id", func(w *world) []feedback.Answer {
			p := prediction("a", day)
			w.record(p)
			return w.add(feedback.Outcome{PredictionID: p.ID, Values: delay(20)})
		}, feedback.Accepted, "a=1 ", 0},
		{"by key", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			return w.add(feedback.Outcome{Key: "a", Values: delay(14)})
		}, feedback.Accepted, "a=0 ", 0},
		{"by key and time", func(w *world) []feedback.Answer {
			w.record(prediction("a", day), prediction("a", day.Add(time.Hour)))
			return w.add(feedback.Outcome{Key: "a", At: day.Add(time.Hour), Label: &one})
		}, feedback.Accepted, "a=? a=1 ", 0},
		{"a key labels all its predictions", func(w *world) []feedback.Answer {
			w.record(prediction("a", day), prediction("b", day), prediction("a", day.Add(time.Hour)))
			return w.add(feedback.Outcome{Key: "a", KnownAt: day.Add(time.Hour), Label: &one})
		}, feedback.Accepted, "a=1 b=? a=1 ", 0},
		{"a key does not label what comes after it was known", func(w *world) []feedback.Answer {
			w.record(prediction("a", day), prediction("a", day.AddDate(0, 1, 0)))
			return w.add(feedback.Outcome{Key: "a", KnownAt: day.Add(time.Hour), Label: &one})
		}, feedback.Accepted, "a=1 a=? ", 0},
		{"known to have no label", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			return w.add(feedback.Outcome{Key: "a", Values: map[string]any{"arr_delay": nil}})
		}, feedback.Accepted, "a=none ", 0},
		{"before its prediction, by key", func(w *world) []feedback.Answer {
			a := w.add(feedback.Outcome{Key: "a", KnownAt: day.Add(time.Hour), Values: delay(15)})
			w.record(prediction("a", day))
			return a
		}, feedback.Pending, "a=1 ", 0},
		{"before its prediction, by id", func(w *world) []feedback.Answer {
			p := prediction("a", day)
			a := w.add(feedback.Outcome{PredictionID: p.ID, Values: delay(15)})
			w.record(p)
			return a
		}, feedback.Pending, "a=1 ", 0},
		{"never a prediction", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			return w.add(feedback.Outcome{PredictionID: id.New(), Values: delay(15)})
		}, feedback.Pending, "a=? ", 1},
		{"twice", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			w.add(feedback.Outcome{Key: "a", Values: delay(15)})
			return w.add(feedback.Outcome{Key: "a", Values: delay(99)}) // another delay, the same label
		}, feedback.Duplicate, "a=1 ", 0},
		{"twice, pending", func(w *world) []feedback.Answer {
			w.add(feedback.Outcome{Key: "a", Values: delay(15)})
			return w.add(feedback.Outcome{Key: "a", Values: delay(15)})
		}, feedback.Duplicate, "", 1},
		{"contradicted", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			w.add(feedback.Outcome{Key: "a", Values: delay(15)})
			return w.add(feedback.Outcome{Key: "a", Values: delay(14)})
		}, feedback.Revised, "a=0 ", 0},
		{"contradicted and back", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			w.add(feedback.Outcome{Key: "a", Values: delay(15)}, feedback.Outcome{Key: "a", Values: delay(14)})
			return w.add(feedback.Outcome{Key: "a", Values: delay(15)})
		}, feedback.Revised, "a=1 ", 0},
		{"the label withdrawn", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			w.add(feedback.Outcome{Key: "a", Values: delay(15)})
			return w.add(feedback.Outcome{Key: "a", NoLabel: true})
		}, feedback.Revised, "a=none ", 0},
		{"contradicted before the prediction: the last received holds", func(w *world) []feedback.Answer {
			a := w.add(feedback.Outcome{Key: "a", Values: delay(15)}, feedback.Outcome{Key: "a", Values: delay(14)})
			w.record(prediction("a", day))
			return a[1:]
		}, feedback.Pending, "a=0 ", 0},
		{"a column is not there", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			return w.add(feedback.Outcome{Key: "a", Values: map[string]any{"dep_delay": 3.0}})
		}, feedback.Rejected, "a=? ", 0},
		{"the label is no label", func(w *world) []feedback.Answer {
			w.record(prediction("a", day))
			two := 2.0
			return w.add(feedback.Outcome{Key: "a", Label: &two})
		}, feedback.Rejected, "a=? ", 0},
		{"it says nothing", func(w *world) []feedback.Answer {
			return w.add(feedback.Outcome{Key: "a"})
		}, feedback.Rejected, "", 0},
		{"it names nothing", func(w *world) []feedback.Answer {
			return w.add(feedback.Outcome{Label: &one})
		}, feedback.Rejected, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			answers := tc.do(w)
			if len(answers) != 1 || answers[0].Status != tc.status {
				t.Fatalf("answers %+v, want %s", answers, tc.status)
			}
			if (answers[0].Status == feedback.Rejected || answers[0].Status == feedback.Pending) && answers[0].Why == "" {
				t.Error("the answer does not say why")
			}
			for _, when := range []string{"at once", "after a restart", "after compaction", "after compaction and a restart"} {
				switch when {
				case "after a restart", "after compaction and a restart":
					w.restart()
				case "after compaction":
					must(t, w.service.Compact(t.Context(), "flights", day.AddDate(1, 0, 0)))
				}
				if got := state(w.rows()); got != tc.labels {
					t.Errorf("%s: labels %q, want %q", when, got, tc.labels)
				}
				if got := w.service.Counts("flights").Pending; got != tc.pending {
					t.Errorf("%s: %d pending, want %d", when, got, tc.pending)
				}
			}
		})
	}
}

// TestAKeyThatIsAnID: a row without a key is found by its id as a key, together with the rows whose callers use that id as theirs.
func TestAKeyThatIsAnID(t *testing.T) {
	for _, when := range []string{"at once", "after a restart", "after compaction"} {
		w := newWorld(t)
		first := prediction("", day)
		again := prediction(first.ID, day.Add(time.Hour))
		w.record(first)
		w.record(again, prediction("", day))
		switch when {
		case "after a restart":
			w.restart()
		case "after compaction":
			must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 2)))
			w.restart()
		}
		if a := w.add(feedback.Outcome{Key: first.ID, KnownAt: day.AddDate(0, 0, 1), Values: delay(20)}); a[0].Predictions != 2 {
			t.Errorf("%s: %+v", when, a)
		}
		known := 0
		for _, r := range w.rows() {
			if r.HasLabel {
				known++
			}
		}
		if known != 2 {
			t.Errorf("%s: %s", when, state(w.rows()))
		}
	}
}

func TestCoverageCountsWhatIsKnown(t *testing.T) {
	w := newWorld(t)
	w.record(prediction("a", day), prediction("b", day), prediction("c", day), prediction("d", day.AddDate(0, 0, 1)))
	w.add(feedback.Outcome{Key: "a", Values: delay(1)}, feedback.Outcome{Key: "b", NoLabel: true})
	n, known, err := w.service.Coverage(t.Context(), "flights", day, day.Add(time.Hour))
	must(t, err)
	if n != 3 || known != 2 {
		t.Errorf("coverage %d of %d, want 2 of 3", known, n)
	}
	rows, err := w.service.Rows(t.Context(), "flights", day, day.Add(time.Hour), true)
	must(t, err)
	if state(rows) != "a=0 " {
		t.Errorf("labelled rows are %q", state(rows))
	}
}

func TestRowsAreSortedWhateverTheClockDid(t *testing.T) {
	w := newWorld(t)
	// The clock of the caller goes back, and far.
	for i, at := range []time.Time{day.Add(time.Hour), day, day.AddDate(-40, 0, 0), day} {
		w.record(prediction(string(rune('d'-i)), at))
	}
	if got := state(w.rows()); got != "b=? a=? c=? d=? " {
		t.Errorf("rows are %q", got)
	}
	must(t, w.service.Compact(t.Context(), "flights", day.AddDate(0, 0, 1)))
	if got := state(w.rows()); got != "b=? a=? c=? d=? " {
		t.Errorf("rows after compaction are %q", got)
	}
}
