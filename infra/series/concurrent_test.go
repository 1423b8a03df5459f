package series

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestManyWriters logs with ten threads into one owner and with one each into fifty, while segments are written, merged and sealed,
// charts drawn, owners deleted and backups made.
func TestManyWriters(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), MemoryLimit: 300_000, ownPoints: 3000})
	const batches, size = 30, 40
	var writers, others sync.WaitGroup
	var ended atomic.Bool
	point := func(n int) Point { return Point{int64(n), int64(n) * 3, float64(n % 97)} }
	write := func(owner, key string, first, stride int) {
		defer writers.Done()
		for batch := range batches {
			var entries []Entry
			for i := range size {
				entries = append(entries, Entry{key, point(first + (batch*size+i)*stride)})
			}
			if err := s.Append(owner, entries); err != nil {
				t.Error(err)
			}
		}
	}
	for thread := range 10 {
		writers.Add(1)
		go write("shared", "loss", thread, 10)
	}
	for run := range 50 {
		writers.Add(1)
		go write(fmt.Sprintf("run-%02d", run), "loss", 0, 1)
	}
	other := func(do func(round int) error) {
		others.Add(1)
		go func() {
			defer others.Done()
			for round := 0; !ended.Load(); round++ {
				if err := do(round); err != nil && !errors.Is(err, errEnding) {
					t.Error(err)
				}
			}
		}()
	}
	other(func(int) error { return s.flush() })
	other(func(round int) error {
		if round%20 == 0 {
			if err := s.Seal("shared"); err != nil {
				return err
			}
			if err := s.sealAsked(); err != nil {
				return err
			}
		}
		return s.compact(true)
	})
	other(func(round int) error {
		owner := "shared"
		if round%2 == 0 {
			owner = fmt.Sprintf("run-%02d", round%50)
		}
		c, err := s.Chart(owner, "loss", ChartQuery{Axis: AxisTime, Buckets: 20})
		if err == nil && c.Downsampled != (c.Total > 60) {
			err = fmt.Errorf("chart %+v", c)
		}
		return err
	})
	other(func(round int) error {
		// Points never go: a look sees at least what the look before saw.
		before, err := s.Keys("shared")
		if err != nil || len(before) == 0 {
			return err
		}
		after, _, err := s.History("shared", "loss", Cursor{}, 1<<20)
		if err == nil && int64(len(after)) < before[0].Points {
			err = fmt.Errorf("%d points became %d", before[0].Points, len(after))
		}
		return err
	})
	other(func(round int) error {
		owner := "short-lived"
		if err := s.Append(owner, []Entry{{"k", point(round)}}); err != nil {
			return err
		}
		if err := s.Delete(owner); err != nil {
			return err
		}
		left, err := s.Keys(owner)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("a deleted owner has %+v", left)
		}
		return err
	})
	backups := t.TempDir()
	other(func(round int) error {
		if round > 5 {
			return nil
		}
		before, err := s.Latest("shared")
		if err != nil {
			return err
		}
		dir := filepath.Join(backups, fmt.Sprint(round))
		if err := s.Backup(t.Context(), dir); err != nil {
			return err
		}
		b, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			return err
		}
		after, err := b.Latest("shared")
		if err == nil && after["loss"].Step < before["loss"].Step {
			err = fmt.Errorf("the backup ends at %+v, the store was at %+v before", after, before)
		}
		return errors.Join(err, b.Close())
	})
	writers.Wait()
	ended.Store(true)
	others.Wait()
	m := model{}
	for n := range 10 * batches * size {
		m.append("shared", []Entry{{"loss", point(n)}})
	}
	for run := range 50 {
		for n := range batches * size {
			m.append(fmt.Sprintf("run-%02d", run), []Entry{{"loss", point(n)}})
		}
	}
	m.check(t, s)
	dir := s.dir
	must(t, s.Close())
	if err := s.Append("a", []Entry{{"k", Point{}}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("an append to a closed store: %v", err)
	}
	m.check(t, openStore(t, Options{Dir: dir}))
}

const childEnv = "TRIMTAB_SERIES_CHILD"

// TestMain lets this program be the one that is killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child appends with several threads for ever and says what was acknowledged: owner and step of each batch.
func child(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir, MemoryLimit: 100_000, ownPoints: 2000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for thread := range 6 {
		go func() {
			owner := fmt.Sprintf("run-%d", thread%4)
			latest, err := s.Latest(owner)
			for step := latest[fmt.Sprint(thread)].Step + 1; err == nil; step++ {
				var entries []Entry
				for i := range 25 {
					entries = append(entries, Entry{fmt.Sprint(thread), Point{step, step*100 + int64(i), float64(i)}})
				}
				if err = s.Append(owner, entries); err == nil {
					mu.Lock()
					fmt.Println(owner, thread, step)
					mu.Unlock()
				}
			}
			fmt.Println("error", err)
		}()
	}
	for {
		if err := errors.Join(s.flush(), s.compact(false)); err != nil {
			fmt.Println("error", err)
		}
	}
}

// TestKill kills a process in the middle of its appends, ten times on one store: every acknowledged point is there, once.
func TestKill(t *testing.T) {
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	acknowledged := map[string]int64{} // the latest step by owner and key
	for round := range rounds {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			var owner, key string
			var step int64
			if _, err := fmt.Sscan(lines.Text(), &owner, &key, &step); err != nil {
				if n < 150+round*37 || strings.HasPrefix(lines.Text(), "error") {
					t.Fatalf("the child said %q", lines.Text())
				}
				continue // the line at which it died
			}
			acknowledged[owner+" "+key] = step
			if n == 150+round*37 {
				must(t, cmd.Process.Kill())
			}
		}
		_ = cmd.Wait() // it was killed
		s := openStore(t, Options{Dir: dir})
		for name, latest := range acknowledged {
			owner, key, _ := strings.Cut(name, " ")
			points, _, err := s.History(owner, key, Cursor{}, 1<<30)
			must(t, err)
			// One more batch may be there: written, and killed before it was said.
			if n := int64(len(points)); n != latest*25 && n != (latest+1)*25 {
				t.Fatalf("round %d: %s has %d points, %d batches of 25 were acknowledged", round, name, n, latest)
			}
			for i, p := range points {
				step := int64(i/25) + 1
				if want := (Point{step, step*100 + int64(i%25), float64(i % 25)}); p != want {
					t.Fatalf("round %d: point %d of %s is %+v, want %+v", round, i, name, p, want)
				}
			}
			acknowledged[name] = int64(len(points)) / 25
		}
		if round%2 == 0 {
			must(t, s.Close())
			continue
		}
		// Leave it as it is: the next child is a crash's successor too. Only the goroutines must end.
		dir = copyOf(t, dir)
		must(t, s.Close())
	}
}
