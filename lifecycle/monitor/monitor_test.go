package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/feedback"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// start is a Monday.
var start = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// plain is a signature of two independent numbers, a word, and a joined number by station and hour.
func plain() *registry.Signature {
	return &registry.Signature{Task: "binary", Label: "y", Inputs: []registry.Input{
		{Name: "x", Kind: table.Double, Role: registry.RoleFeature, Unit: "km"}, {Name: "z", Kind: table.Double, Role: registry.RoleFeature},
		{Name: "word", Kind: table.String, Role: registry.RoleFeature}, {Name: "station", Kind: table.String, Role: registry.RoleContext},
		{Name: "hour", Kind: table.Datetime, Role: registry.RoleContext},
		{Name: "temp", Kind: table.Double, Role: registry.RoleFeature, View: "weather", Entity: []string{"station"}, Time: "hour"},
	}}
}

// nature draws rows of the signature plain; the weather of an hour is the same for all its rows.
type nature struct {
	r   *rand.Rand
	sig *registry.Signature
}

func newNature(seed uint64) *nature {
	return &nature{r: rand.New(rand.NewPCG(seed, 0)), sig: plain()}
}

func (n *nature) inputs(at time.Time) []table.Value {
	hour := at.Truncate(time.Hour)
	station := fmt.Sprintf("s%d", n.r.IntN(2))
	weather := rand.New(rand.NewPCG(uint64(hour.Unix()), uint64(station[1])))
	return []table.Value{
		{F: n.r.NormFloat64()*10 + 50}, {F: n.r.ExpFloat64()}, table.Text(fmt.Sprintf("w%d", n.r.IntN(8))), table.Text(station),
		{F: float64(hour.UnixMicro())}, {F: weather.NormFloat64()*8 + 60},
	}
}

func (n *nature) row(at time.Time) feedback.Labeled {
	p := 0.1 + 0.4*n.r.Float64()
	y := 0.0
	if n.r.Float64() < p {
		y = 1
	}
	return feedback.Labeled{At: at.UnixMicro(), Version: 1, Signature: n.sig, Inputs: n.inputs(at), Scores: []float64{p},
		HasLabel: true, Label: y, LabelKnownAt: at.Add(oneDay).UnixMicro()}
}

// reference is what a version trained on n rows of the year before knows.
func (n *nature) reference(rows int) *profile.Reference {
	t := &table.Table{Rows: rows}
	cols := make([]*table.Column, len(n.sig.Inputs)+1)
	for i, in := range n.sig.Inputs {
		cols[i] = &table.Column{Name: in.Name, Kind: in.Kind}
	}
	cols[len(n.sig.Inputs)] = &table.Column{Name: profile.ScoreColumn, Kind: table.Double}
	for i := range rows {
		r := n.row(start.Add(-365*oneDay + time.Duration(i)*365*oneDay/time.Duration(rows)))
		for j, v := range r.Inputs {
			cols[j].Append(v)
		}
		cols[len(r.Inputs)].Append(table.Number(r.Scores[0]))
	}
	t.Columns = cols
	return profile.BuildReference(t, profile.Options{SharedBy: map[string][]string{"temp": {"station", "hour"}}})
}

func watchAll() project.Monitor {
	return project.Monitor{Quality: window(oneDay, "1 of 1"), Drift: window(oneWeek, "2 of 3"), Performance: &project.Performance{
		Window: project.Duration(oneWeek), When: "abs(calibration_gap) > 0.05 || auc < 0.60", Times: "2 of 3"}}
}

// natureWorld is a world whose version 1 was trained on 20,000 rows of nature.
func natureWorld(t *testing.T, seed uint64) (*world, *nature) {
	w, n := newWorld(t, start, watchAll()), newNature(seed)
	w.versions[1] = version{ref: n.reference(20_000), sig: n.sig, score: func([]table.Value) []float64 { return []float64{0.3} }}
	w.preload()
	return w, n
}

// live sends perDay rows of every day of [from, to), changed by change, and ticks at each day's end, two hours late.
func (w *world) live(n *nature, from, to time.Time, perDay int, change func(at time.Time, r *feedback.Labeled)) {
	w.t.Helper()
	for d := from; d.Before(to); d = d.Add(oneDay) {
		for i := range perDay {
			at := d.Add(time.Duration(i) * oneDay / time.Duration(perDay))
			r := n.row(at)
			if change != nil {
				change(at, &r)
			}
			w.predict(r)
		}
		w.tick(d.Add(oneDay + 2*time.Hour))
	}
}

func (w *world) of(kind string) []Verdict {
	var out []Verdict
	for _, v := range w.verdicts {
		if v.Kind == kind {
			out = append(out, v)
		}
	}
	return out
}

func TestDaysBeginAtMidnightAndWeeksOnMonday(t *testing.T) {
	for at, want := range map[string]string{"2024-01-01T00:00:00Z": "2024-01-01", "2024-01-07T23:59:59Z": "2024-01-01", "1969-12-31T00:00:00Z": "1969-12-29"} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := instant(align(when.UnixMicro(), micros(oneWeek))).Format(time.DateOnly); got != want {
			t.Errorf("the week of %s begins on %s, want %s", at, got, want)
		}
	}
}

func TestNothingIsAlarmedWithoutAChange(t *testing.T) {
	w, n := natureWorld(t, 1)
	w.live(n, start, start.Add(10*oneWeek), 100, nil)
	over, columns := 0, 0
	for _, v := range w.of(Drift) {
		for _, c := range v.Columns {
			columns++
			if c.Over {
				over++
			}
		}
	}
	if len(w.of(Drift)) != 10 || columns != 50 {
		t.Fatalf("%d windows with %d columns, want 10 with 50: x, z, word, temp and the prediction", len(w.of(Drift)), columns)
	}
	if over > 0 {
		t.Errorf("%d of %d columns are over the bar; the bar promises far below 5 %%", over, columns)
	}
	if a := w.alerts(AlertFilter{}); len(a) != 0 {
		t.Errorf("alerts without a change: %s", text(a))
	}
	for _, v := range w.of(Quality) {
		if v.State != Inconclusive && v.State != OK {
			t.Errorf("quality of %s is %s: %s", v.From.Format(time.DateOnly), v.State, v.Summary)
		}
	}
}

func text(alerts []Alert) string {
	var b strings.Builder
	for _, a := range alerts {
		fmt.Fprintf(&b, "\n  %s %s %s ×%d: %s", a.Kind, a.Subject, a.State, a.Count, a.Message)
	}
	return b.String()
}

func TestAShiftIsDriftInTheSecondWindowAndRecovers(t *testing.T) {
	w, n := natureWorld(t, 2)
	from, to := start.Add(2*oneWeek), start.Add(5*oneWeek)
	w.live(n, start, start.Add(7*oneWeek), 100, func(at time.Time, r *feedback.Labeled) {
		if !at.Before(from) && at.Before(to) {
			r.Inputs[0].F += 8
		}
	})
	var states []string
	for _, v := range w.of(Drift) {
		states = append(states, v.State)
	}
	if diff := cmp.Diff([]string{OK, OK, Attention, Off, Off, OK, OK}, states); diff != "" {
		t.Error(diff)
	}
	v := w.of(Drift)[3]
	if c := v.Columns[0]; c.Name != "x" || c.State != "drift" || c.OverIn != 2 || c.OverOf != 3 {
		t.Errorf("the first column of the ranking is %+v", c)
	}
	alerts := w.alerts(AlertFilter{Kind: Drift})
	if len(alerts) != 2 {
		t.Fatalf("a notice of slow drift and an alarm of sudden drift are due:%s", text(alerts))
	}
	// The break is told after its first day, and over after a week: then the new level is how things are.
	if a := alerts[1]; a.Baseline != Recent || a.Level != Alarm || a.Subject != "x" || a.Count != suddenBase || !a.OpenedAt.Equal(from.Add(oneDay)) {
		t.Errorf("alert %+v", a)
	}
	a := alerts[0]
	if a.Baseline != Reference || a.Level != Notice || a.Subject != "inputs" || a.State != Resolved || a.Count != 2 || !strings.Contains(a.Message, "x") || !strings.Contains(a.Cause, "PSI") ||
		!a.LastSeen.Equal(start.Add(5*oneWeek)) {
		t.Errorf("alert %+v", a)
	}
	view, err := w.s.Drift(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range view.Columns {
		if len(c.History) != 7 || len(c.Histogram.Bars) == 0 || len(c.Histogram.Bars) > maxBars+4 {
			t.Errorf("%s has a history of %d and %d bars", c.Name, len(c.History), len(c.Histogram.Bars))
		}
	}
}

// A week of 168 hours at two stations has at most 336 temperatures, however many rows share them.
func TestRowsThatShareAValueCountOnce(t *testing.T) {
	w, n := natureWorld(t, 3)
	w.live(n, start, start.Add(oneWeek), 3000, nil)
	v := w.of(Drift)[0]
	c := v.column("temp")
	if c.N != 21_000 || c.NEff != 336 {
		t.Errorf("temp counts %d rows and %v values, want 21,000 and 336", c.N, c.NEff)
	}
	if c.Over {
		t.Errorf("the temperature of 336 hours is said to drift: %+v", c.Stat)
	}
	if x := v.column("x"); x.NEff != 21_000 {
		t.Errorf("x counts %v values, want all rows", x.NEff)
	}
}

func TestQualityFindings(t *testing.T) {
	day8 := start.Add(8 * oneDay)
	for name, test := range map[string]struct {
		change  func(r *rand.Rand, row *feedback.Labeled)
		subject string
		want    []string
	}{
		"missing": {func(r *rand.Rand, row *feedback.Labeled) {
			if r.IntN(5) == 0 {
				row.Inputs[1] = table.Null
			}
		}, "z", []string{"missing", "0 % in training"}},
		"unseen words": {func(r *rand.Rand, row *feedback.Labeled) {
			if r.IntN(10) == 0 {
				row.Inputs[2] = table.Text("new")
			}
		}, "word", []string{"never seen"}},
		"impossible numbers": {func(r *rand.Rand, row *feedback.Labeled) {
			if r.IntN(20) == 0 {
				row.Inputs[0].F = 1048
			}
		}, "x", []string{"far outside"}},
		"another unit": {func(_ *rand.Rand, row *feedback.Labeled) { row.Inputs[0].F /= 1.609344 }, "x", nil},
		"an offset":    {func(_ *rand.Rand, row *feedback.Labeled) { row.Inputs[0].F -= 200 }, "x", []string{"sudden shift", "another unit?"}},
		"silence of a feed": {func(_ *rand.Rand, row *feedback.Labeled) { row.Inputs[5] = table.Null }, "temp",
			[]string{"100 % missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, n := natureWorld(t, 4)
			w.live(n, start, start.Add(12*oneDay), 400, func(at time.Time, r *feedback.Labeled) {
				if !at.Before(day8) && at.Before(day8.Add(2*oneDay)) {
					test.change(n.r, r)
				}
			})
			alerts := w.alerts(AlertFilter{Kind: Quality})
			if test.want == nil {
				if len(alerts) != 0 {
					t.Errorf("a shift by an IQR and less is weather, not a fault:%s", text(alerts))
				}
				return
			}
			if len(alerts) != 1 {
				t.Fatalf("one alert is due:%s", text(alerts))
			}
			a := alerts[0]
			if a.Subject != test.subject || a.State != Resolved || a.Count != 2 || !cmp.Equal(a.Columns, []string{test.subject}) {
				t.Errorf("alert %+v", a)
			}
			for _, part := range test.want {
				if !strings.Contains(a.Message, part) {
					t.Errorf("message %q lacks %q", a.Message, part)
				}
			}
		})
	}
}

func TestSilenceIsAnAlert(t *testing.T) {
	w, n := natureWorld(t, 5)
	w.live(n, start, start.Add(4*oneDay), 300, nil)
	w.tick(start.Add(7 * oneDay))
	alerts := w.alerts(AlertFilter{})
	if len(alerts) != 1 || alerts[0].Subject != Volume || alerts[0].State != Firing || alerts[0].Count != 1 {
		t.Fatalf("alerts:%s", text(alerts))
	}
	w.live(n, start.Add(7*oneDay), start.Add(8*oneDay), 300, nil)
	if a := w.alerts(AlertFilter{}); a[0].State != Resolved {
		t.Errorf("rows are back:%s", text(a))
	}
}

func TestTheEndOfAReplayIsNoAlert(t *testing.T) {
	w, n := natureWorld(t, 5)
	w.plan.Replay = true
	w.live(n, start, start.Add(4*oneDay), 300, nil)
	w.tick(start.Add(7 * oneDay))
	if a := w.alerts(AlertFilter{}); len(a) != 0 {
		t.Errorf("the replay is over:%s", text(a))
	}
}

// essence is verdicts without what differs from run to run.
func essence(t *testing.T, vs []Verdict) string {
	t.Helper()
	for i := range vs {
		vs[i].ID, vs[i].MadeAt = "", time.Time{}
	}
	b, err := json.MarshalIndent(vs, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVerdictsDoNotDependOnOrderConcurrencyOrRestarts(t *testing.T) {
	n := newNature(10)
	var rows []feedback.Labeled
	for i := range 9 * 200 {
		r := n.row(start.Add(time.Duration(i) * oneDay / 200))
		r.ID = fmt.Sprintf("%08d", i)
		if i%7 == 0 {
			r.Arm, r.Version, r.ChampionVersion, r.Champion = serve.Canary, 2, 1, []float64{0.4}
		}
		rows = append(rows, r)
	}
	run := func(send func(w *world)) string {
		w, _ := natureWorld(t, 10)
		w.versions[2] = w.versions[1]
		w.preload()
		send(w)
		w.tick(start.Add(9*oneDay + 2*time.Hour))
		return essence(t, w.verdicts)
	}
	want := run(func(w *world) {
		for _, r := range rows {
			w.predict(r)
		}
	})
	if !strings.Contains(want, `"kind": "performance"`) || !strings.Contains(want, `"kind": "drift"`) {
		t.Fatal("the run judges too little to compare")
	}
	for name, send := range map[string]func(w *world){
		"shuffled over goroutines": func(w *world) {
			order := rand.New(rand.NewPCG(1, 1)).Perm(len(rows))
			var wait sync.WaitGroup
			for part := range 8 {
				wait.Go(func() {
					for i := part; i < len(order); i += 8 {
						w.predict(rows[order[i]])
					}
				})
			}
			wait.Wait()
		},
		"restarted in the middle": func(w *world) {
			for i, r := range rows {
				if i == 1000 {
					w.tick(instant(r.At))
					w.restart()
				}
				w.predict(r)
			}
		},
		"from the log alone": func(w *world) {
			for _, r := range rows {
				w.log(r)
			}
		},
	} {
		if diff := cmp.Diff(want, run(send)); diff != "" {
			t.Errorf("%s: %s", name, diff[:min(len(diff), 2000)])
		}
	}
}

// Hours and weeks are too different to share spans; the verdicts must not show it.
func TestWindowsOfVeryDifferentWidths(t *testing.T) {
	run := func(quality time.Duration) []Verdict {
		w, n := natureWorld(t, 15)
		w.plan.Monitor.Quality = window(quality, "1 of 1")
		w.restart()
		w.live(n, start, start.Add(8*oneDay), 300, nil)
		return w.of(Drift)
	}
	if a, b := spanWidths(&Plan{Monitor: project.Monitor{Quality: window(time.Hour, ""), Drift: window(oneWeek, "")}}),
		spanWidths(&Plan{Monitor: watchAll()}); len(a) != 2 || len(b) != 1 || b[0] != micros(oneDay) {
		t.Errorf("spans %v and %v", a, b)
	}
	if diff := cmp.Diff(essence(t, run(oneDay)), essence(t, run(time.Hour))); diff != "" {
		t.Error(diff)
	}
}

// Any time may come with a row: what memory does not hold, the log does.
func TestTimesFromEverywhereAreBoundedInMemory(t *testing.T) {
	w, n := natureWorld(t, 16)
	for i := range 1000 {
		w.predict(n.row(start.Add(time.Duration(i-500) * 30 * oneDay)))
	}
	found, _ := w.s.watches.Load("d")
	for i := range found.(*watch).shards {
		if k := len(found.(*watch).shards[i].cells); k > maxCells {
			t.Errorf("%d tallies", k)
		}
	}
	w.live(n, start, start.Add(oneDay), 300, nil)
	if vs := w.of(Quality); len(vs) != 1 || vs[0].N != 301 {
		t.Errorf("verdicts %+v", vs)
	}
}

func TestARowAfterTheCloseMakesARevision(t *testing.T) {
	w, n := natureWorld(t, 11)
	w.live(n, start, start.Add(2*oneDay), 300, nil)
	w.predict(n.row(start.Add(5 * time.Hour)))
	w.tick(start.Add(4 * oneDay))
	latest, err := w.s.Verdicts(t.Context(), "d", Quality, 100)
	if err != nil {
		t.Fatal(err)
	}
	if v := latest[len(latest)-1]; v.Revision != 2 || v.N != 301 {
		t.Errorf("revision %d counts %d rows, want 2 and 301", v.Revision, v.N)
	}
}

func TestAWindowIsJudgedAnHourLateOrWhenTheClockIsSetToItsEnd(t *testing.T) {
	w, n := natureWorld(t, 14)
	for i := range 300 {
		w.predict(n.row(start.Add(time.Duration(i) * time.Minute)))
	}
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{23 * time.Hour, 0}, {24 * time.Hour, 1}, {49 * time.Hour, 1}} { // the second day has no rows
		w.tick(start.Add(step.at))
		if got := len(w.of(Quality)); got != step.want {
			t.Errorf("%d verdicts at %v, want %d", got, step.at, step.want)
		}
	}
	w.predict(n.row(start.Add(50 * time.Hour)))
	for _, step := range []struct {
		at   time.Duration
		want int
	}{{72*time.Hour + time.Minute, 1}, {73 * time.Hour, 2}} {
		w.tick(start.Add(step.at))
		if got := len(w.of(Quality)); got != step.want {
			t.Errorf("%d verdicts at %v, want %d", got, step.at, step.want)
		}
	}
}

func TestAHookThatFailsIsCalledAgain(t *testing.T) {
	w, n := natureWorld(t, 12)
	calls := 0
	w.s.hooks = append(w.s.hooks, func(_ context.Context, v Verdict) error {
		if calls++; calls == 1 {
			return fmt.Errorf("no")
		}
		return nil
	})
	for i := range 300 {
		w.predict(n.row(start.Add(time.Duration(i) * time.Minute)))
	}
	w.now = start.Add(26 * time.Hour)
	if err := w.s.Tick(t.Context(), "p", start, w.now); err == nil {
		t.Fatal("the error of the hook is lost")
	}
	w.tick(start.Add(27 * time.Hour))
	if calls != 3 {
		t.Errorf("%d calls, want 3: the failed one again, then that of sudden drift", calls)
	}
}

func TestStates(t *testing.T) {
	w, n := natureWorld(t, 13)
	w.live(n, start, start.Add(9*oneDay), 300, nil)
	s, err := w.s.State(t.Context(), "d")
	if err != nil {
		t.Fatal(err)
	}
	if s.State != OK || len(s.Windows) != 4 || s.Windows[1].Kind != Sudden || s.Windows[1].Width != "1d" || s.Windows[1].Times != "1 of 1" ||
		s.Windows[2].Rows != 600 || s.Windows[2].Times != "2 of 3" || s.Windows[2].Width != "1w" {
		t.Errorf("state %+v", s)
	}
	p, err := w.s.Performance(t.Context(), "d", 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Windows) != 1 || len(p.Open) != 1 || p.Open[0].Rows != 600 || p.Open[0].N != 326 { // the rows of Monday, and 26 of Tuesday until two o'clock, are known
		t.Errorf("%d windows, open %+v", len(p.Windows), p.Open)
	}
}

func BenchmarkObserve(b *testing.B) {
	n := newNature(1)
	s := New(Options{})
	p := Plan{Project: "p", Deployment: "d", Model: "m", Monitor: watchAll()}
	s.adopt([]Plan{p})
	found, _ := s.watches.Load("d")
	found.(*watch).layouts.Store(1, newLayout(1, n.reference(5000), n.sig))
	recs := make([]serve.Prediction, 1024)
	for i := range recs {
		r := n.row(start.Add(time.Duration(i) * time.Minute))
		recs[i] = serve.Prediction{At: r.At, Version: 1, Signature: r.Signature, Inputs: r.Inputs, Scores: r.Scores}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		s.Observe("d", recs[i&1023:i&1023+1])
	}
}
