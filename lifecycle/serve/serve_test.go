package serve_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/clock"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

var now = time.Date(2013, 4, 1, 10, 0, 0, 0, time.UTC)

// sum is a model whose score is an offset plus a tenth of the sum of its features, NaN when one is NaN and strict is set.
type sum struct {
	learn.Model
	offset float64
	strict bool
}

func (m sum) Outputs() int { return 1 }
func (m sum) PredictRow(x []float32, dst []float64) {
	dst[0] = m.offset
	for _, v := range x {
		if v == v {
			dst[0] += float64(v) / 10
		} else if m.strict {
			dst[0] = math.NaN()
		}
	}
}

func (m sum) Predict(x *table.Matrix, dst []float64) {
	for i := range x.Rows {
		m.PredictRow(x.Row(i), dst[i:i+1])
	}
}

func ptr(f float64) *float64 { return &f }

// signature has an input of every kind; the recipe reads temp, dest and the local hour of at_hour.
func signature() registry.Signature {
	return registry.Signature{
		Inputs: []registry.Input{
			{Name: "temp", Kind: table.Double, Role: registry.RoleFeature, Nullable: true, Min: ptr(-10), Max: ptr(40)},
			{Name: "dest", Kind: table.String, Role: registry.RoleFeature, Categories: []string{"BOS", "LAX"}},
			{Name: "seats", Kind: table.Long, Role: registry.RoleFeature},
			{Name: "peak", Kind: table.Boolean, Role: registry.RoleFeature},
			{Name: "at_hour", Kind: table.Datetime, Role: registry.RoleFeature},
			{Name: "tail", Kind: table.String, Role: registry.RoleContext, Personal: "pseudonymise"},
		},
		Derived:  []registry.Derived{{Name: "hour_at_hour", Expr: "hour(at_hour)", Kind: table.Long, From: []string{"at_hour"}}},
		Features: []string{"temp", "dest", "hour_at_hour"}, Task: "binary", Label: "late", Positive: "true", Key: []string{"at_hour", "flight"}, Time: "at_hour", Zone: "America/New_York",
	}
}

// shop is a loader of versions made for a test.
type shop struct {
	mu       sync.Mutex
	versions map[int]*serve.Package
	loads    int
}

func (s *shop) LoadPackage(_ context.Context, model string, version int) (*serve.Package, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if p := s.versions[version]; p != nil {
		return p, nil
	}
	return nil, fault.New(fault.Corrupt, "%s v%d does not match its digest", model, version)
}

var fitted = func() *recipe.Fitted {
	train := table.New(
		&table.Column{Name: "temp", Kind: table.Double, Floats: []float64{1, 2}},
		&table.Column{Name: "dest", Kind: table.String, Strings: []string{"BOS", "LAX"}},
		&table.Column{Name: "hour_at_hour", Kind: table.Long, Floats: []float64{1, 2}})
	f, _, err := recipe.Fit(recipe.Spec{Inputs: []recipe.Input{{Name: "temp", Kind: table.Double}, {Name: "dest", Kind: table.String}, {Name: "hour_at_hour", Kind: table.Long, Expr: "hour(at_hour)"}}}, train, []float64{0, 1}, 0)
	if err != nil {
		panic(err)
	}
	return f
}()

func (s *shop) put(version int, m sum, change func(*registry.Signature)) {
	p := &serve.Package{Model: "delays", Version: version, Signature: signature(), Fitted: fitted, Learned: m, Threshold: 0.5}
	if change != nil {
		change(&p.Signature)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.versions == nil {
		s.versions = map[int]*serve.Package{}
	}
	s.versions[version] = p
}

// recorder keeps what is recorded, or refuses it.
type recorder struct {
	mu   sync.Mutex
	err  error
	recs []serve.Prediction
	n    atomic.Int64
	keep bool
}

func (r *recorder) Record(_ context.Context, _ string, recs []serve.Prediction) error {
	r.n.Add(int64(len(recs)))
	if !r.keep {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.recs = append(r.recs, recs...)
	return nil
}

func (r *recorder) Observe(string, []serve.Prediction) {}

type bench struct {
	*serve.Service
	db   *catalog.DB
	shop *shop
	log  *recorder
	seen []time.Time

	memory int64
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{shop: &shop{}, log: &recorder{keep: true}}
	var err error
	b.db, err = catalog.Open(t.Context(), catalogtest.In(t, t.TempDir()), serve.Schema)
	must(t, err)
	t.Cleanup(func() { must(t, b.db.Close()) })
	b.shop.put(1, sum{offset: 0.25}, nil)
	b.shop.put(2, sum{offset: 0.5}, nil)
	b.start(t)
	_, err = b.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
	return b
}

// start makes the service on what is stored, as a restart does.
func (b *bench) start(t testing.TB) {
	t.Helper()
	b.Service = serve.New(serve.Config{DB: b.db, Loader: b.shop, Recorder: b.log, Observers: []serve.Observer{b.log},
		Clock: func(string) clock.Clock { return clock.NewReplay(now) }, Seen: func(_ string, at time.Time) { b.seen = append(b.seen, at) },
		Pseudonymise: func(s string) string { return "#" + s }, Memory: b.memory, Log: slog.New(slog.DiscardHandler)})
	must(t, b.Start(t.Context()))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func number(f float64) serve.Cell { return serve.Cell{Type: serve.NumberCell, Number: f} }
func text(s string) serve.Cell    { return serve.Cell{Type: serve.TextCell, Text: s} }
func boolean(f float64) serve.Cell {
	return serve.Cell{Type: serve.BoolCell, Number: f}
}

func full() serve.Row {
	return serve.Row{{"temp", number(2)}, {"dest", text("LAX")}, {"seats", number(150)}, {"peak", boolean(1)}, {"at_hour", text("2013-04-01T10:00:00Z")}}
}

func batch(rows ...serve.Row) *serve.Batch { return &serve.Batch{Rows: rows} }

func with(row serve.Row, name string, c serve.Cell) serve.Row {
	out := append(serve.Row(nil), row...)
	for i := range out {
		if out[i].Name == name {
			out[i].Cell = c
			return out
		}
	}
	return append(out, serve.Field{Name: name, Cell: c})
}

func TestPredictAnswersAndRecords(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	got, err := b.Predict(t.Context(), "delays", 0, &serve.Batch{Request: "r", Rows: []serve.Row{with(full(), "tail", text("N1"))}})
	must(t, err)
	p := got[0]
	// 10:00 UTC is 6:00 in New York (EDT); LAX is the second category: code 1. 0.25 + (2 + 1 + 6) / 10.
	if math.Abs(p.Scores[0]-1.15) > 1e-9 || p.Label != "true" || p.Version != 1 || p.Arm != serve.Champion || p.Champion != nil {
		t.Errorf("answer is %+v", p)
	}
	if p.At != now.UnixMicro() {
		t.Errorf("at is %d, not the project's now", p.At)
	}
	if p.Inputs[5].S != "#N1" {
		t.Errorf("the personal input is logged as %q", p.Inputs[5].S)
	}
	if len(b.log.recs) != 1 || b.log.recs[0].ID != p.ID || b.log.recs[0].Inputs[2].F != 150 || b.log.recs[0].Request != "r" {
		t.Errorf("recorded %+v", b.log.recs)
	}
}

func TestRowsAreValidatedBySignature(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	for _, tc := range []struct {
		name string
		row  serve.Row
		want string // part of the fault; "" = answered
		flag func(p serve.Prediction) bool
	}{
		{"as it should be", full(), "", func(p serve.Prediction) bool { return p.Missing == 1<<5 && p.Unseen == 0 && p.OutOfRange == 0 }},
		{"a number in quotes", with(full(), "temp", text("2.5")), `row 0, column "temp": expected a number, got the text "2.5"`, nil},
		{"a text for a number", with(full(), "temp", text("warm")), `expected a number, got the text "warm"`, nil},
		{"a number for a text", with(full(), "dest", number(3)), `column "dest": expected a text, got the number 3`, nil},
		{"a fraction for a whole number", with(full(), "seats", number(1.5)), `column "seats": expected a whole number, got the number 1.5`, nil},
		{"a number beyond exact", with(full(), "seats", number(1<<60)), `expected a whole number`, nil},
		{"a number for a boolean", with(full(), "peak", number(1)), `column "peak": expected true or false, got the number 1`, nil},
		{"not a time", with(full(), "at_hour", text("yesterday")), `column "at_hour": expected a time`, nil},
		{"no such day", with(full(), "at_hour", text("2013-02-30T00:00:00Z")), `expected a time`, nil},
		{"an object", with(full(), "temp", serve.Cell{Type: serve.OtherCell}), `got an array or an object`, nil},
		{"a column twice", append(full(), serve.Field{Name: "temp", Cell: number(1)}), `carries the column "temp" twice`, nil},
		{"no input at all", serve.Row{{"foo", number(1)}}, "has none of the model's inputs", nil},
		{"another case", serve.Row{{"TEMP", number(1)}}, "has none of the model's inputs", nil},
		{"personal data is not echoed", with(full(), "tail", boolean(1)), `column "tail": expected a text, got a value of another type`, nil},
		{"null", with(full(), "temp", serve.Cell{}), "", func(p serve.Prediction) bool { return p.Missing == 1|1<<5 && p.Inputs[0].Null }},
		{"left out", full()[1:], "", func(p serve.Prediction) bool { return p.Missing == 1|1<<5 }},
		{"null where training had none", with(full(), "dest", serve.Cell{}), "", func(p serve.Prediction) bool { return p.Missing == 1<<1|1<<5 }},
		{"the empty text is missing", with(full(), "dest", text("")), "", func(p serve.Prediction) bool { return p.Missing == 1<<1|1<<5 && p.Inputs[1].Null }},
		{"an unseen category", with(full(), "dest", text("SFO")), "", func(p serve.Prediction) bool { return p.Unseen == 1<<1 && p.Inputs[1].S == "SFO" }},
		{"out of range", with(full(), "temp", number(1048)), "", func(p serve.Prediction) bool { return p.OutOfRange == 1 }},
		{"an extra column", with(full(), "colour", text("red")), "", func(p serve.Prediction) bool { return len(p.Inputs) == 6 }},
		{"a time with a zone", with(full(), "at_hour", text("2013-04-01T06:00:00-04:00")), "", func(p serve.Prediction) bool { return p.Inputs[4].F == float64(now.UnixMicro()) }},
		{"a time without a zone is UTC", with(full(), "at_hour", text("2013-04-01 10:00:00")), "", func(p serve.Prediction) bool { return p.Inputs[4].F == float64(now.UnixMicro()) }},
		{"a time with a fraction", with(full(), "at_hour", text("2013-04-01T10:00:00.000005Z")), "", func(p serve.Prediction) bool { return p.Inputs[4].F == float64(now.UnixMicro()+5) }},
		{"microseconds", with(full(), "at_hour", number(float64(now.UnixMicro()))), "", func(p serve.Prediction) bool { return p.Inputs[4].F == float64(now.UnixMicro()) }},
		{"the 31st", with(full(), "at_hour", text("2013-03-31T10:00:00Z")), "", func(p serve.Prediction) bool { return p.Inputs[4].F == float64(now.AddDate(0, 0, -1).UnixMicro()) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := b.Predict(t.Context(), "delays", 0, batch(tc.row))
			if tc.want == "" {
				must(t, err)
				if !tc.flag(got[0]) {
					t.Errorf("answer is %+v", got[0])
				}
				return
			}
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("fault is %v, want %q", err, tc.want)
			}
			if fault.HintOf(err) == "" && !strings.Contains(tc.want, "twice") {
				t.Error("the fault has no hint")
			}
		})
	}
}

func TestOneBadRowRefusesTheRequest(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	_, err := b.Predict(t.Context(), "delays", 0, batch(full(), with(full(), "temp", text("x"))))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "row 1") {
		t.Errorf("fault is %v", err)
	}
	if len(b.log.recs) != 0 {
		t.Error("a row of a refused request was recorded")
	}
}

func TestAMissingValueThatTheLearnerDoesNotTake(t *testing.T) {
	b := newBench(t)
	b.shop.put(3, sum{strict: true}, nil)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 3}))
	_, err := b.Predict(t.Context(), "delays", 0, batch(full()[1:]))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "row 0 lacks temp") {
		t.Errorf("fault is %v", err)
	}
}

func TestBoundsOfARequest(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	for name, bt := range map[string]*serve.Batch{
		"no rows":       batch(),
		"too many rows": {Rows: make([]serve.Row, serve.MaxRows+1)},
		"keys":          {Rows: []serve.Row{full()}, Keys: []string{"a", "b"}},
		"times":         {Rows: []serve.Row{full()}, At: []int64{1, 2}},
		"far time":      {Rows: []serve.Row{full()}, At: []int64{math.MaxInt64}},
		"long key":      {Rows: []serve.Row{full()}, Keys: []string{strings.Repeat("k", 2000)}},
	} {
		if _, err := b.Predict(t.Context(), "delays", 0, bt); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Predict(t.Context(), "nobody", 0, batch(full())); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown deployment: %v", err)
	}
	if _, err := b.Predict(t.Context(), "delays", 7, batch(full())); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown version: %v", err)
	}
}

func TestKeys(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	derived := with(full(), "flight", number(17))
	at := []int64{now.Add(time.Hour).UnixMicro()}
	for _, tc := range []struct {
		b    *serve.Batch
		want string
	}{
		{&serve.Batch{Rows: []serve.Row{derived}, Keys: []string{"mine"}, At: at}, "mine"},
		{&serve.Batch{Rows: []serve.Row{derived}}, "2013-04-01T10:00:00Z|17"},
		{&serve.Batch{Rows: []serve.Row{with(derived, "flight", text(`a|b\`))}}, `2013-04-01T10:00:00Z|a\|b\\`},
		{&serve.Batch{Rows: []serve.Row{full()}}, "(id)"},
	} {
		got, err := b.Predict(t.Context(), "delays", 0, tc.b)
		must(t, err)
		want := tc.want
		if want == "(id)" {
			want = got[0].ID
		}
		if got[0].Key != want {
			t.Errorf("key is %q, want %q", got[0].Key, want)
		}
	}
	if len(b.seen) != 1 || b.seen[0].UnixMicro() != at[0] {
		t.Errorf("the clock was told %v", b.seen)
	}
	parts := []string{`a|b\`, "", "c"}
	if got := serve.SplitKey(serve.JoinKey(parts)); strings.Join(got, ",") != strings.Join(parts, ",") {
		t.Errorf("split gives %q", got)
	}
}

func TestBucketsAreUniformAndSticky(t *testing.T) {
	const n = 200_000
	var count [10]float64
	for i := range n {
		key := "2013-04-01T10:00:00Z|" + string(rune('A'+i%26)) + "|" + string(rune('0'+i/26%10)) + string(rune('0'+i/260%10)) + string(rune('0'+i/2600%100))
		bucket := serve.Bucket("salt", key)
		if bucket != serve.Bucket("salt", key) {
			t.Fatal("a key has two buckets")
		}
		count[bucket/1000]++
	}
	// 26,000 distinct keys over 10 cells: chi-square of the distinct ones, 9 degrees of freedom, stays below 27.9 (p = 0.001).
	chi := 0.0
	for _, c := range count {
		d := (c - n/10) / (n / 26_000.0)
		chi += d * d / 2600
	}
	if chi > 27.9 {
		t.Errorf("chi-square of the buckets is %.1f: %v", chi, count)
	}
}

func TestAGrowingShareOnlyAddsKeys(t *testing.T) {
	b := newBench(t)
	inCanary := func(share float64) map[string]bool {
		must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Canary: 2, CanaryShare: share, Salt: "s"}))
		out := map[string]bool{}
		bt := &serve.Batch{}
		for i := range 1000 {
			bt.Rows = append(bt.Rows, full())
			bt.Keys = append(bt.Keys, "k"+string(rune('a'+i%26))+string(rune('a'+i/26)))
		}
		got, err := b.Predict(t.Context(), "delays", 0, bt)
		must(t, err)
		for _, p := range got {
			if p.Arm == serve.Canary {
				out[p.Key] = true
				if p.Version != 2 || p.ChampionVersion != 1 || math.Abs(p.Champion[0]+0.25-p.Scores[0]) > 1e-9 {
					t.Fatalf("the canary's row is not paired: %+v", p)
				}
			} else if p.Version != 1 || p.Champion != nil {
				t.Fatalf("the champion's row is %+v", p)
			}
		}
		return out
	}
	before := map[string]bool{}
	for _, share := range []float64{0, 0.05, 0.25, 1} {
		got := inCanary(share)
		// Three standard deviations of a binomial with n = 1000.
		if d := math.Abs(float64(len(got)) - 1000*share); d > 3*math.Sqrt(1000*share*(1-share))+1 {
			t.Errorf("share %g: %d of 1000", share, len(got))
		}
		for k := range before {
			if !got[k] {
				t.Errorf("share %g: %s left the canary", share, k)
			}
		}
		before = got
	}
}

func TestACanaryThatCannotAnswerIsAnsweredByTheChampion(t *testing.T) {
	b := newBench(t)
	b.shop.put(3, sum{strict: true}, nil)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Canary: 3, CanaryShare: 1}))
	got, err := b.Predict(t.Context(), "delays", 0, batch(full()[1:]))
	must(t, err)
	if got[0].Version != 1 || got[0].Arm != serve.Champion {
		t.Errorf("answered by %+v", got[0])
	}
	if st := b.Stats("delays", 3); st.Errors != 1 || st.Requests != 1 || st.ErrorRate != 1 {
		t.Errorf("the canary's statistics are %+v", st)
	}
	if st := b.Stats("delays", 1); st.Errors != 0 || st.Requests != 1 || st.P99MS <= 0 {
		t.Errorf("the champion's statistics are %+v", st)
	}
}

func TestAPairWithAnotherSignature(t *testing.T) {
	b := newBench(t)
	b.shop.put(3, sum{}, func(s *registry.Signature) { s.Inputs[0], s.Inputs[1] = s.Inputs[1], s.Inputs[0] })
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Canary: 3, CanaryShare: 1}))
	got, err := b.Predict(t.Context(), "delays", 0, batch(full()))
	must(t, err)
	if p := got[0]; p.Inputs[0].S != "LAX" || p.Inputs[1].F != 2 || math.Abs(p.Champion[0]-p.Scores[0]-0.25) > 1e-9 {
		t.Errorf("the pair is %+v", p)
	}
}

func TestWhatCannotBeRecordedIsNotAnswered(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	b.log.err = fault.New(fault.Unavailable, "no space left on device")
	if _, err := b.Predict(t.Context(), "delays", 0, batch(full())); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error is %v", err)
	}
	if st := b.Stats("delays", 1); st.Errors != 1 {
		t.Errorf("statistics are %+v", st)
	}
}

func TestARouteIsStoredAndRestored(t *testing.T) {
	b := newBench(t)
	if _, err := b.Predict(t.Context(), "delays", 0, batch(full())); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a deployment without a version answers %v", err)
	}
	route := serve.Route{Champion: 1, Canary: 2, CanaryShare: 0.25, Paused: true, Salt: "s"}
	must(t, b.SetRoute(t.Context(), nil, "delays", route))

	failed := errors.New("the caller's transaction fails")
	err := b.db.Write(t.Context(), func(tx *catalog.Tx) error {
		if err := b.SetRoute(t.Context(), tx, "delays", serve.Route{Champion: 2}); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if err := b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 99}); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a version that does not load: %v", err)
	}
	for _, when := range []string{"now", "after a restart"} {
		d, err := b.Get(t.Context(), "delays")
		must(t, err)
		if !reflect.DeepEqual(d.Route, route) || d.State != serve.StateReady || len(d.Resident) != 2 {
			t.Errorf("%s: the deployment is %+v", when, d)
		}
		if _, err := b.Predict(t.Context(), "delays", 2, batch(full())); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		b.start(t)
	}
	for _, r := range []serve.Route{{Canary: 1}, {Champion: 1, Canary: 1}, {Champion: 1, Canary: 2, CanaryShare: 1.5}, {Champion: 1, Canary: 2, CanaryShare: math.NaN()}} {
		if err := b.SetRoute(t.Context(), nil, "delays", r); !fault.Is(err, fault.Invalid) {
			t.Errorf("route %+v: %v", r, err)
		}
	}
}

func TestAChampionThatDoesNotLoadFailsItsDeploymentAlone(t *testing.T) {
	b := newBench(t)
	_, err := b.Ensure(t.Context(), serve.Deployment{Project: "p", Name: "other", Model: "delays"})
	must(t, err)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	must(t, b.SetRoute(t.Context(), nil, "other", serve.Route{Champion: 2}))
	delete(b.shop.versions, 1)
	b.start(t)
	if _, err := b.Predict(t.Context(), "delays", 0, batch(full())); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "digest") {
		t.Errorf("fault is %v", err)
	}
	if _, err := b.Predict(t.Context(), "other", 0, batch(full())); err != nil {
		t.Error(err)
	}
}

func TestStatisticsBeginWithARollout(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	_, err := b.Predict(t.Context(), "delays", 0, batch(full(), full()))
	must(t, err)
	m := b.Mark("delays", 1)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1, Canary: 2, CanaryShare: 0.5, Salt: "r1"}))
	if st := b.Stats("delays", 1); st.Requests != 0 {
		t.Errorf("statistics of a new rollout are %+v", st)
	}
	_, err = b.Predict(t.Context(), "delays", 1, batch(full()))
	must(t, err)
	if st := b.Since(m); st.Requests != 1 {
		t.Errorf("since the mark: %+v", st)
	}
	if st := b.Window("delays", 1); st.Requests > 3 {
		t.Errorf("window: %+v", st)
	}
}

func TestOldVersionsStayForARollback(t *testing.T) {
	b := newBench(t)
	for v := 1; v <= 6; v++ {
		b.shop.put(v, sum{offset: float64(v)}, nil)
		must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: v}))
	}
	d, err := b.Get(t.Context(), "delays")
	must(t, err)
	if len(d.Resident) != 4 || d.Resident[0] != 3 {
		t.Errorf("resident versions are %v", d.Resident)
	}
	loads := b.shop.loads
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 5}))
	if b.shop.loads != loads {
		t.Error("a rollback loads a version again")
	}
}

func TestScoreEqualsPredict(t *testing.T) {
	b := newBench(t)
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	got, err := b.Predict(t.Context(), "delays", 0, batch(full(), with(full(), "temp", number(-3))))
	must(t, err)
	scores, err := b.Score(t.Context(), "delays", 1, [][]table.Value{got[0].Inputs, got[1].Inputs})
	must(t, err)
	if scores[0][0] != got[0].Scores[0] || scores[1][0] != got[1].Scores[0] {
		t.Errorf("score gives %v", scores)
	}
}

func TestSwapsUnderLoadFailNoRequest(t *testing.T) {
	b := newBench(t)
	b.log.keep = false
	must(t, b.SetRoute(t.Context(), nil, "delays", serve.Route{Champion: 1}))
	stop := make(chan struct{})
	var answered, failed atomic.Int64
	var clients sync.WaitGroup
	for range 200 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for {
				got, err := b.Predict(context.Background(), "delays", 0, batch(full()))
				if err != nil || len(got) != 1 || math.Abs(got[0].Scores[0]-0.9-0.25*float64(got[0].Version)) > 1e-6 {
					failed.Add(1)
					t.Error(err)
					return
				}
				answered.Add(1)
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	for i := range 100 {
		r := serve.Route{Champion: 1 + i%2}
		if i%3 == 0 {
			r.Canary, r.CanaryShare = 2-i%2, 0.5
		}
		must(t, b.SetRoute(t.Context(), nil, "delays", r))
	}
	close(stop)
	clients.Wait()
	if failed.Load() != 0 || answered.Load() < 200 || b.log.n.Load() != answered.Load() {
		t.Errorf("%d answered, %d failed, %d recorded", answered.Load(), failed.Load(), b.log.n.Load())
	}
}

func BenchmarkPredictOneRow(b *testing.B) {
	w := newBench(b)
	w.log.keep = false
	must(b, w.SetRoute(b.Context(), nil, "delays", serve.Route{Champion: 1}))
	bt := &serve.Batch{Rows: []serve.Row{full()}, Keys: []string{"k"}, At: []int64{now.UnixMicro()}}
	w.Service = serve.New(serve.Config{DB: w.db, Loader: w.shop, Recorder: w.log, Clock: func(string) clock.Clock { return clock.Wall{} }})
	must(b, w.Start(b.Context()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Predict(b.Context(), "delays", 0, bt); err != nil {
			b.Fatal(err)
		}
	}
}
