package govern_test

import (
	"errors"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/govern"
)

// each runs a test on each kind of catalog.
func each(t *testing.T, test func(t *testing.T, s *govern.Service, db *catalog.DB)) {
	t.Helper()
	catalogtest.Each(t, []fs.FS{govern.Schema}, func(t *testing.T, db *catalog.DB) { test(t, govern.New(db), db) })
}

func kinds(events []govern.Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestAppendAndList(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, _ *catalog.DB) {
		at := time.Date(2013, 4, 1, 5, 0, 0, 0, time.UTC)
		ctx := govern.WithActor(t.Context(), "user:alice")
		for _, e := range []govern.Event{
			{Project: "p", Kind: "version.registered", Subject: "model/m/1", At: at, Message: "m 1", Level: govern.Good, Data: map[string]any{"auc": 0.7}},
			{Project: "p", Kind: "version.promoted", Subject: "model/m/1"},
			{Project: "q", Kind: "alert.opened", Subject: "model/mm", Actor: "monitor", Level: govern.Bad},
		} {
			if err := s.Append(ctx, nil, e); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.List(ctx, govern.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		oldest := all[len(all)-1]
		for name, test := range map[string]struct {
			filter govern.Filter
			want   []string
		}{
			"everything, newest first": {govern.Filter{}, []string{"alert.opened", "version.promoted", "version.registered"}},
			"project":                  {govern.Filter{Project: "q"}, []string{"alert.opened"}},
			"kind":                     {govern.Filter{Kind: "version.promoted"}, []string{"version.promoted"}},
			"kind prefix":              {govern.Filter{Kind: "version."}, []string{"version.promoted", "version.registered"}},
			"subject":                  {govern.Filter{Subject: "model/m/1"}, []string{"version.promoted", "version.registered"}},
			"subject prefix":           {govern.Filter{Subject: "model/m/"}, []string{"version.promoted", "version.registered"}},
			"after, oldest first":      {govern.Filter{After: oldest.ID}, []string{"version.promoted", "alert.opened"}},
			"limit":                    {govern.Filter{Limit: 1}, []string{"alert.opened"}},
			"nothing":                  {govern.Filter{Project: "none"}, nil},
		} {
			got, err := s.List(ctx, test.filter)
			if err != nil || !slices.Equal(kinds(got), test.want) {
				t.Errorf("%s: %v, %v; want %v", name, kinds(got), err, test.want)
			}
		}
		want := govern.Event{ID: oldest.ID, Recorded: oldest.Recorded, At: at, Project: "p", Kind: "version.registered",
			Subject: "model/m/1", Actor: "user:alice", Level: "good", Message: "m 1", Data: map[string]any{"auc": 0.7}}
		if diff := cmp.Diff(want, oldest); diff != "" {
			t.Error(diff)
		}
		if all[0].Actor != "monitor" || !all[0].At.Equal(all[0].Recorded) || all[1].Level != "info" {
			t.Errorf("defaults: %+v", all[:2])
		}
	})
}

func TestListRefusesBadFilters(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, _ *catalog.DB) {
		for _, f := range []govern.Filter{{Limit: -1}, {Limit: 1001}, {After: "yesterday"}} {
			if _, err := s.List(t.Context(), f); !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v: err %v, want invalid", f, err)
			}
		}
	})
}

func TestAppendRefusesWhatIsNotAnEvent(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, _ *catalog.DB) {
		for _, e := range []govern.Event{{}, {Kind: "registered"}, {Kind: "version.registered", Level: "loud"}} {
			if err := s.Append(t.Context(), nil, e); err == nil {
				t.Errorf("%+v was recorded", e)
			}
		}
	})
}

func TestWatchHearsCommittedEventsOnly(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, db *catalog.DB) {
		events, stop := s.Watch("p")
		boom := errors.New("boom")
		err := db.Write(t.Context(), func(tx *catalog.Tx) error {
			if err := s.Append(t.Context(), tx, govern.Event{Project: "p", Kind: "a.rolledback"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		for _, e := range []govern.Event{{Project: "other", Kind: "a.elsewhere"}, {Project: "p", Kind: "a.heard"}} {
			if err := s.Append(t.Context(), nil, e); err != nil {
				t.Fatal(err)
			}
		}
		if e := <-events; e.Kind != "a.heard" {
			t.Errorf("heard %q first", e.Kind)
		}
		stop()
		stop()
		if _, open := <-events; open {
			t.Error("the channel is open after the end of the watch")
		}
	})
}

func TestASlowWatcherLosesTheOldestAndCanCatchUp(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, _ *catalog.DB) {
		events, stop := s.Watch("")
		defer stop()
		for range 300 {
			if err := s.Append(t.Context(), nil, govern.Event{Kind: "a.b"}); err != nil {
				t.Fatal(err)
			}
		}
		all, err := s.List(t.Context(), govern.Filter{Limit: 1000})
		if err != nil || len(all) != 300 {
			t.Fatalf("%d events, %v", len(all), err)
		}
		if first := <-events; first.ID != all[255].ID {
			t.Errorf("the oldest kept event is not the 256th newest")
		}
	})
}

func TestIDsAscendUnderConcurrency(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, _ *catalog.DB) {
		events, stop := s.Watch("")
		defer stop()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if err := s.Append(t.Context(), nil, govern.Event{Kind: "a.b"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		got, err := s.List(t.Context(), govern.Filter{After: "00000000000000000000000000000000", Limit: 1000})
		if err != nil || len(got) != 200 {
			t.Fatalf("%d events, %v", len(got), err)
		}
		if !slices.IsSortedFunc(got, func(a, b govern.Event) int { return a.Recorded.Compare(b.Recorded) }) {
			t.Error("order of ids is not order of recording")
		}
		if first := <-events; first.ID != got[0].ID {
			t.Error("the watcher heard another event first")
		}
	})
}

func TestOrderSurvivesAClockThatWentBack(t *testing.T) {
	each(t, func(t *testing.T, s *govern.Service, db *catalog.DB) {
		// A row of the year 10889, as a clock that was far ahead would have left it.
		future := "ffffffffffff7fff" + "9ffffffffffffff9"
		err := db.Write(t.Context(), func(tx *catalog.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO events (id, at, recorded, project, kind, subject, actor, level, message, data)
			VALUES ($1, 0, 0, '', 'a.ahead', '', '', 'info', '', '{}')`, future)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 8 { // carries over the last digit
			if err := s.Append(t.Context(), nil, govern.Event{Kind: "a.b"}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.List(t.Context(), govern.Filter{After: future})
		if err != nil || len(got) != 8 {
			t.Fatalf("%d events after the last one, want 8 (%v)", len(got), err)
		}
	})
}

// TestTwoServersShareOneOrder: an id says what came after it, whoever recorded it.
func TestTwoServersShareOneOrder(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		var wg sync.WaitGroup
		for range 2 {
			s := govern.New(catalogtest.Open(t, place, govern.Schema))
			wg.Go(func() {
				last := "00000000000000000000000000000000"
				for range 30 {
					if err := s.Append(t.Context(), nil, govern.Event{Kind: "a.b"}); err != nil {
						t.Error(err)
					}
					news, err := s.List(t.Context(), govern.Filter{After: last})
					if err != nil || len(news) == 0 {
						t.Errorf("%d events after the last one (%v), want at least our own", len(news), err)
						return
					}
					last = news[len(news)-1].ID
				}
			})
		}
		wg.Wait()
		s := govern.New(catalogtest.Open(t, place, govern.Schema))
		if all, err := s.List(t.Context(), govern.Filter{}); err != nil || len(all) != 60 {
			t.Errorf("%d events, want 60 (%v)", len(all), err)
		}
	})
}
