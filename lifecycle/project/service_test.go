package project

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/infra/catalog/catalogtest"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// setWall is a wall clock that a test sets.
type setWall struct{ us atomic.Int64 }

func (w *setWall) Now() time.Time  { return catalog.Time(w.us.Load()) }
func (w *setWall) set(t time.Time) { w.us.Store(catalog.Micros(t)) }

var newYear = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func openService(t *testing.T, place string) (*Service, *setWall, *catalog.DB) {
	t.Helper()
	db, err := catalog.Open(t.Context(), place, Schema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s, err := New(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	wall := &setWall{}
	wall.set(newYear)
	return s.WithWall(wall), wall, db
}

func saved(t *testing.T, s *Service, name, mode string) *Project {
	t.Helper()
	src := []byte("project: " + name + "\nclock: " + mode + "\ndata: {rows: {files: rows.csv}}\n")
	f, err := ParseFile("trimtab.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	p := &Project{File: f, Source: string(src), Dir: "/somewhere"}
	if err := s.Save(t.Context(), nil, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func TestSaveGetList(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, _ := openService(t, place)
		src, err := os.ReadFile("testdata/flight-delays.yaml")
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseFile("trimtab.yaml", src)
		if err != nil {
			t.Fatal(err)
		}
		p := &Project{File: f, Source: string(src), Dir: "/flights"}
		if err := s.Save(t.Context(), nil, p); err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), "flight-delays")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Error(diff)
		}
		saved(t, s, "another", "replay")
		all, err := s.List(t.Context())
		if err != nil || len(all) != 2 || all[0].Name != "another" || all[1].Name != "flight-delays" {
			t.Errorf("list is %v, %v", all, err)
		}
		if _, err := s.Get(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
			t.Errorf("an unknown project gives %v", err)
		}
	})
}

func TestARolledBackSaveLeavesNothing(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, db := openService(t, place)
		f, err := ParseFile("f", []byte("project: a\nclock: replay\ndata: {rows: {files: rows.csv}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		stop := errors.New("stop")
		err = db.Write(t.Context(), func(tx *catalog.Tx) error {
			if err := s.Save(t.Context(), tx, &Project{File: f}); err != nil {
				return err
			}
			return stop
		})
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		if err := s.Advance(t.Context(), "a", newYear); !fault.Is(err, fault.NotFound) {
			t.Errorf("advance gives %v", err)
		}
	})
}

func TestAReplayClockIsTheGreatestTimeSeenAndNeverGoesBack(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, db := openService(t, place)
		c := s.Clock("p") // taken before the project exists
		if !c.Now().Equal(newYear) {
			t.Errorf("before the project, now is %s", c.Now())
		}
		saved(t, s, "p", "replay")
		if !c.Now().IsZero() {
			t.Errorf("before the replay began, now is %s", c.Now())
		}
		var wg sync.WaitGroup
		base := at("2013-04-01 00:00")
		for w := range 8 {
			wg.Go(func() {
				last := time.Time{}
				for i := range 1000 {
					s.Seen("p", base.Add(time.Duration((i*8+w)*7919%8000)*time.Second))
					if now := c.Now(); now.Before(last) {
						t.Errorf("the clock went back from %s to %s", last, now)
					} else {
						last = now
					}
				}
			})
		}
		wg.Wait()
		if want := base.Add(7999 * time.Second); !c.Now().Equal(want) {
			t.Errorf("now is %s, want %s", c.Now(), want)
		}
		if err := s.Advance(t.Context(), "p", at("2013-04-02 00:00")); err != nil {
			t.Fatal(err)
		}
		if err := s.Advance(t.Context(), "p", at("2013-04-01 00:00")); err != nil {
			t.Fatal(err)
		}
		if !c.Now().Equal(at("2013-04-02 00:00")) {
			t.Errorf("an advance into the past moved the clock to %s", c.Now())
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		again, _, _ := openService(t, place)
		if now := again.Clock("p").Now(); !now.Equal(at("2013-04-02 00:00")) {
			t.Errorf("after a restart now is %s", now)
		}
	})
}

func TestAdvanceRunsTheHooksInOrderAndGoesOnWhereItFailed(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, _ := openService(t, place)
		saved(t, s, "p", "replay")
		var calls []string
		fail := false
		for _, name := range []string{"monitor", "retrain"} {
			s.OnTick(func(_ context.Context, project string, from, to time.Time) error {
				calls = append(calls, name+" "+project+" "+from.Format("02T15")+" "+to.Format("02T15"))
				if fail && name == "retrain" {
					return errors.New("no luck")
				}
				return nil
			})
		}
		if err := s.Advance(t.Context(), "p", at("2013-04-01 06:00")); err != nil {
			t.Fatal(err)
		}
		fail = true
		if err := s.Advance(t.Context(), "p", at("2013-04-02 00:00")); err == nil {
			t.Error("the failure of a hook is not told")
		}
		fail = false
		if err := s.Advance(t.Context(), "p", at("2013-04-03 00:00")); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"monitor p 01T06 01T06", "retrain p 01T06 01T06",
			"monitor p 01T06 02T00", "retrain p 01T06 02T00",
			"monitor p 01T06 03T00", "retrain p 01T06 03T00",
		}
		if diff := cmp.Diff(want, calls); diff != "" {
			t.Error(diff)
		}
	})
}

func TestCrossingADayRunsTheHooksOnce(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, _ := openService(t, place)
		saved(t, s, "p", "replay")
		spans := make(chan [2]time.Time, 10)
		s.OnTick(func(_ context.Context, _ string, from, to time.Time) error {
			spans <- [2]time.Time{from, to}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.RunTicks(ctx, time.Hour)
		}()
		s.Seen("p", at("2013-04-01 08:00"))
		s.Seen("p", at("2013-04-01 23:59"))
		s.Seen("p", at("2013-04-02 00:01"))
		got := <-spans
		if !got[0].Equal(at("2013-04-01 08:00")) || !got[1].Equal(at("2013-04-02 00:01")) {
			t.Errorf("the hooks ran from %s to %s", got[0], got[1])
		}
		cancel()
		<-done
		if len(spans) != 0 {
			t.Error("the hooks ran again on the same day")
		}
	})
}

func TestADrivenReplayIsNotInterruptedWithinItsDay(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, _ := openService(t, place)
		saved(t, s, "p", "replay")
		if err := s.Advance(t.Context(), "p", at("2013-11-03 04:00")); err != nil { // midnight in New York
			t.Fatal(err)
		}
		c := s.clockOf("p")
		s.Seen("p", at("2013-11-04 04:59")) // the same day in New York, which has 25 hours; another in UTC
		if c.due.Load() {
			t.Error("the hooks are due within the driver's day")
		}
		s.Seen("p", at("2013-11-05 04:01"))
		if !c.due.Load() {
			t.Error("the hooks are not due two days after the last advance")
		}
	})
}

func TestAWallProjectTicksAndCannotBeMoved(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, wall, _ := openService(t, place)
		p := saved(t, s, "p", "wall")
		if !p.Now.Equal(newYear) {
			t.Errorf("now is %s", p.Now)
		}
		if err := s.Advance(t.Context(), "p", at("2030-01-01 00:00")); !fault.Is(err, fault.Conflict) {
			t.Errorf("moving a wall clock gives %v", err)
		}
		s.Seen("p", at("2030-01-01 00:00"))
		if !s.Clock("p").Now().Equal(newYear) {
			t.Errorf("a prediction moved the wall clock to %s", s.Clock("p").Now())
		}
		spans := make(chan [2]time.Time)
		s.OnTick(func(_ context.Context, _ string, from, to time.Time) error {
			spans <- [2]time.Time{from, to}
			return nil
		})
		wall.set(newYear.Add(time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.RunTicks(ctx, time.Millisecond)
		}()
		first := <-spans
		if !first[0].Equal(newYear) || !first[1].Equal(newYear.Add(time.Second)) {
			t.Errorf("the first tick went from %s to %s", first[0], first[1])
		}
		second := <-spans
		if !second[0].Equal(first[1]) {
			t.Errorf("the second tick began at %s", second[0])
		}
		cancel()
		for running := true; running; {
			select {
			case <-spans:
			case <-done:
				running = false
			}
		}
	})
}

func TestAWallClockThatSlipsBackStandsStill(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, wall, _ := openService(t, place)
		saved(t, s, "p", "wall")
		c := s.Clock("p")
		wall.set(newYear.Add(10 * time.Minute))
		c.Now()
		wall.set(newYear)
		if !c.Now().Equal(newYear.Add(10 * time.Minute)) {
			t.Errorf("the clock went back to %s", c.Now())
		}
		wall.set(newYear.AddDate(70, 0, 0)) // the machine is wrong for a moment
		c.Now()
		wall.set(newYear.Add(20 * time.Minute))
		if !c.Now().Equal(newYear.Add(20 * time.Minute)) {
			t.Errorf("the clock stays at %s", c.Now())
		}
	})
}

func TestAWallProjectCannotBecomeAReplay(t *testing.T) {
	catalogtest.Places(t, func(t *testing.T, place string) {
		s, _, _ := openService(t, place)
		p := saved(t, s, "p", "wall")
		p.File.Clock = "replay"
		if err := s.Save(t.Context(), nil, p); !fault.Is(err, fault.Conflict) {
			t.Errorf("saving gives %v", err)
		}
	})
}

func BenchmarkSeen(b *testing.B) {
	s := &Service{}
	c := s.clockOf("p")
	c.replay.Store(true)
	base := at("2013-04-01 00:00")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			s.Seen("p", base.Add(time.Duration(i)))
		}
	})
}
