package monitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// world is a project with one deployment, whose log and models are in memory.
type world struct {
	t    *testing.T
	db   *catalog.DB
	s    *Service
	plan Plan
	now  time.Time

	mu       sync.Mutex
	rows     []feedback.Labeled
	sorted   bool
	versions map[int]version
	verdicts []Verdict
}

type version struct {
	ref   *profile.Reference
	sig   *registry.Signature
	score func(row []table.Value) []float64
}

func newWorld(t *testing.T, start time.Time, monitor project.Monitor) *world {
	t.Helper()
	w := &world{t: t, now: start, sorted: true, versions: map[int]version{}, plan: Plan{Project: "p", Deployment: "d", Model: "m", Monitor: monitor, KnownAfter: 24 * time.Hour}}
	db, err := catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), govern.Schema, Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.restart()
	return w
}

// restart forgets all that is in memory.
func (w *world) restart() {
	w.s = New(Options{DB: w.db, Events: govern.New(w.db), Plans: w, References: w, Scorer: w, Log: w, Getenv: func(string) string { return "" }})
	w.s.OnVerdict(func(_ context.Context, v Verdict) error {
		w.verdicts = append(w.verdicts, v)
		return nil
	})
	w.s.adopt([]Plan{w.plan})
	w.preload()
}

// preload has the references of all versions at hand, so that a test decides what memory counts.
func (w *world) preload() {
	found, _ := w.s.watches.Load("d")
	for number := range w.versions {
		l, err := w.s.layout(w.t.Context(), "m", number)
		if err != nil {
			w.t.Fatal(err)
		}
		found.(*watch).layouts.Store(number, l)
	}
}

func (w *world) Plans(context.Context, string) ([]Plan, error) { return []Plan{w.plan}, nil }

func (w *world) Reference(_ context.Context, _ string, number int) (*profile.Reference, *registry.Signature, error) {
	v, ok := w.versions[number]
	if !ok {
		return nil, nil, fmt.Errorf("no version %d", number)
	}
	return v.ref, v.sig, nil
}

func (w *world) Score(_ context.Context, _ string, number int, rows [][]table.Value) ([][]float64, error) {
	out := make([][]float64, len(rows))
	for i, row := range rows {
		out[i] = w.versions[number].score(row)
	}
	return out, nil
}

func (w *world) sort() {
	if !w.sorted {
		slices.SortStableFunc(w.rows, func(a, b feedback.Labeled) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.ID, b.ID)) })
		w.sorted = true
	}
}

func (w *world) span(from, to time.Time) []feedback.Labeled {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sort()
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(w.rows, t.UnixMicro(), func(r feedback.Labeled, at int64) int { return cmp.Compare(r.At, at) })
		return i
	}
	return w.rows[at(from):at(to)]
}

func (w *world) known(r *feedback.Labeled) bool {
	return (r.HasLabel || r.NoLabel) && r.LabelKnownAt <= w.now.UnixMicro()
}

func (w *world) Rows(_ context.Context, _ string, from, to time.Time, labeledOnly bool) ([]feedback.Labeled, error) {
	var out []feedback.Labeled
	for _, r := range w.span(from, to) {
		if known := w.known(&r); !known {
			r.HasLabel = false
			if labeledOnly {
				continue
			}
		}
		if labeledOnly && r.NoLabel {
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

func (w *world) Coverage(_ context.Context, _ string, from, to time.Time) (predictions, labeled int64, err error) {
	for _, r := range w.span(from, to) {
		predictions++
		if w.known(&r) {
			labeled++
		}
	}
	return predictions, labeled, nil
}

// log writes a row to the log alone, as a prediction that memory did not see.
func (w *world) log(r feedback.Labeled) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.ID == "" {
		r.ID = fmt.Sprintf("%08d", len(w.rows))
	}
	w.sorted = w.sorted && (len(w.rows) == 0 || w.rows[len(w.rows)-1].At <= r.At)
	w.rows = append(w.rows, r)
}

// predict logs a row and has it observed.
func (w *world) predict(r feedback.Labeled) {
	w.log(r)
	w.s.Observe("d", []serve.Prediction{{At: r.At, Version: r.Version, Arm: r.Arm, ChampionVersion: r.ChampionVersion, Signature: r.Signature,
		Inputs: r.Inputs, Scores: r.Scores, Champion: r.Champion}})
}

// tick moves the clock.
func (w *world) tick(to time.Time) {
	w.t.Helper()
	from := w.now
	w.now = to
	if err := w.s.Tick(w.t.Context(), "p", from, to); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) alerts(f AlertFilter) []Alert {
	w.t.Helper()
	f.Limit = MaxLimit
	out, err := w.s.Alerts(w.t.Context(), f)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

func window(d time.Duration, times string) *project.Window {
	return &project.Window{Window: project.Duration(d), Times: times}
}

const (
	oneDay  = 24 * time.Hour
	oneWeek = 7 * oneDay
)
