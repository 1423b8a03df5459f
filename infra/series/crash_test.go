package series

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// deed is one thing that is done to a store and to the model.
type deed struct {
	owner   string
	entries []Entry
	remove  bool
}

func (d deed) do(s *Store) error {
	if d.remove {
		return s.Delete(d.owner)
	}
	return s.Append(d.owner, d.entries)
}

func (m model) do(d deed) {
	if d.remove {
		delete(m, d.owner)
	} else {
		m.append(d.owner, d.entries)
	}
}

// deeds are n small deeds, always the same ones.
func deeds(n int) []deed {
	r := rand.New(rand.NewPCG(5, 6))
	var list []deed
	for i := range n {
		d := deed{owner: fmt.Sprintf("run-%d", i%3)}
		if i%7 == 5 {
			d.remove = true
		}
		for k := range 1 + i%4 {
			p := Point{int64(i - i%2), 1_700_000_000_000 + int64(i), odd[r.IntN(len(odd))]}
			d.entries = append(d.entries, Entry{fmt.Sprintf("k%d", (i+k)%3), p})
		}
		list = append(list, d)
	}
	return list
}

// looksLike reports whether a store says the same as the model, without failing the test.
func (m model) looksLike(t *testing.T, s *Store) bool {
	t.Helper()
	got := model{}
	for owner, err := range s.Owners() {
		must(t, err)
		var entries []Entry
		for e, err := range s.Export(owner) {
			must(t, err)
			if _, twice := got[owner][e.Key][idOf(e.Point)]; twice {
				t.Fatalf("%s has %+v twice", owner, e)
			}
			got.append(owner, []Entry{e})
			entries = append(entries, e)
		}
		if len(entries) == 0 {
			t.Fatalf("%s has no points", owner)
		}
	}
	if len(got) != len(m) {
		return false
	}
	for owner, keys := range m {
		if len(got[owner]) != len(keys) {
			return false
		}
		for key := range keys {
			if !same(got.points(owner, key, byTime), m.points(owner, key, byTime)) {
				return false
			}
		}
	}
	return true
}

// TestLogCutAnywhere cuts the log at every byte: what was acknowledged before is there and nothing else, and the store goes on from there.
func TestLogCutAnywhere(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, Disk: &frail{budget: -1}})
	list := deeds(13)
	var ends []int64
	for _, d := range list {
		must(t, d.do(s))
		ends = append(ends, s.wal.size)
	}
	name := filepath.Join("log", logName(s.wal.number))
	whole, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	try := func(b []byte, what string, upTo func(i int) bool) {
		t.Helper()
		at := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(at, "log"), 0o700))
		must(t, os.WriteFile(filepath.Join(at, name), b, 0o600))
		var said bytes.Buffer
		o := Options{Dir: at, Disk: &frail{budget: -1}, Log: slog.New(slog.NewTextHandler(&said, nil))}
		again, err := Open(t.Context(), o)
		must(t, err)
		m := model{}
		kept := int64(logHeader)
		for i, d := range list {
			if !upTo(i) {
				break
			}
			m.do(d)
			kept = ends[i]
		}
		if !m.looksLike(t, again) {
			t.Fatalf("%s: the store is not what was acknowledged", what)
		}
		if torn := int64(len(b)) != kept; torn != strings.Contains(said.String(), name[len("log/"):]) {
			t.Fatalf("%s: torn is %v, the log says %q", what, torn, said.String())
		}
		more := deed{owner: "later", entries: []Entry{{"k", Point{1, 2, 3}}}}
		must(t, more.do(again))
		m.do(more)
		left := again.dir
		if len(b)%5 == 0 {
			left = copyOf(t, left) // killed once more
		}
		must(t, again.Close())
		o.Dir = left
		again, err = Open(t.Context(), o)
		must(t, err)
		if !m.looksLike(t, again) {
			t.Fatalf("%s: the store is another after one more start", what)
		}
		must(t, again.Close())
	}
	for cut := 0; cut <= len(whole); cut++ {
		try(whole[:cut], fmt.Sprintf("cut at %d", cut), func(i int) bool { return ends[i] <= int64(cut) })
	}
	for at := logHeader; at < len(whole); at += 3 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x40
		try(damaged, fmt.Sprintf("damaged at %d", at), func(i int) bool { return ends[i] <= int64(at) })
	}
}

// TestDamageIsNotTearing damages files that were whole: that must not pass for a crash.
func TestDamageIsNotTearing(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, Disk: &frail{budget: -1}})
	for _, d := range deeds(10) {
		must(t, d.do(s))
	}
	s.commit.Lock()
	first := logName(s.wal.number)
	must(t, s.rotate())
	s.commit.Unlock()
	must(t, s.Append("x", []Entry{{"k", Point{1, 1, 1}}}))
	refuses := func(damage func(b []byte) []byte) {
		t.Helper()
		at := copyOf(t, dir)
		b, err := os.ReadFile(filepath.Join(at, "log", first))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(at, "log", first), damage(b), 0o600))
		_, err = Open(t.Context(), Options{Dir: at})
		if !fault.Is(err, fault.Corrupt) || !strings.Contains(err.Error(), first) {
			t.Fatalf("a damaged log gives %v", err)
		}
	}
	refuses(func(b []byte) []byte { return b[:len(b)-1] })
	refuses(func(b []byte) []byte { return b[:logHeader] })
	refuses(func(b []byte) []byte { return b[:0] })
	refuses(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	refuses(func(b []byte) []byte { b[3] ^= 1; return b })
	at := copyOf(t, dir)
	must(t, os.Remove(filepath.Join(at, "log", first)))
	if _, err := Open(t.Context(), Options{Dir: at}); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("a missing log gives %v", err)
	}
}

// TestPowerOffAnywhere ends a life of appends, flushes, merges and deletes at every operation of the disk, half way through a write. What was
// acknowledged is there once; of what was not, all or nothing.
func TestPowerOffAnywhere(t *testing.T) {
	life := func(s *Store, m model, done func(d deed, err error)) {
		r := rand.New(rand.NewPCG(7, 8))
		for i, d := range deeds(28) {
			if i%6 == 3 {
				for k := range 70 {
					d.entries = append(d.entries, Entry{"k1", Point{int64(i*100 + k), r.Int64N(2000), r.Float64()}})
				}
			}
			done(d, d.do(s))
			switch i % 5 {
			case 2:
				_ = s.flush()
			case 4:
				_ = s.Seal(d.owner)
				_ = s.sealAsked()
			}
			if i%9 == 8 {
				_ = s.mergePacks(packsOf(s))
			}
		}
		_ = s.Close()
	}
	total := &frail{budget: -1}
	s := openStore(t, Options{Dir: t.TempDir(), Disk: total, ownPoints: 60})
	life(s, nil, func(_ deed, err error) { must(t, err) })
	step := 1
	if testing.Short() {
		step = 7
	}
	operations := total.spent()
	t.Logf("%d operations", operations)
	for budget := 0; budget <= operations; budget += step {
		dir := t.TempDir()
		disk := &frail{budget: budget}
		m := model{}
		var between *deed // maybe done
		s, err := Open(t.Context(), Options{Dir: dir, Disk: disk, ownPoints: 60})
		if err == nil {
			life(s, m, func(d deed, err error) {
				if err == nil {
					m.do(d)
				} else if between == nil && disk.isOff() {
					between = &d
				}
			})
		}
		again := openStore(t, Options{Dir: dir, Disk: &frail{budget: -1}})
		if m.looksLike(t, again) {
			must(t, again.Close())
			continue
		}
		if between != nil {
			m.do(*between)
		}
		if between == nil || !m.looksLike(t, again) {
			t.Fatalf("after %d operations the store is not what was acknowledged (in between: %+v)", budget, between)
		}
		must(t, again.Close())
	}
}

// TestFullDisk fills the disk up and frees it again.
func TestFullDisk(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		t.Run(fmt.Sprintf("stuck=%v", stuck), func(t *testing.T) {
			disk := &frail{budget: -1}
			o := Options{Dir: t.TempDir(), Disk: disk, MemoryLimit: 20_000}
			s := openStore(t, o)
			m := model{}
			for i, d := range deeds(60) {
				full := i%4 == 2
				disk.set(full, stuck && full)
				err := d.do(s)
				if full != (err != nil) || full && !fault.Is(err, fault.Unavailable) {
					t.Fatalf("deed %d on a full disk: %v", i, err)
				}
				if !full {
					m.do(d)
				}
				if !m.looksLike(t, s) {
					t.Fatalf("after deed %d the store is not what was acknowledged", i)
				}
				if i%10 == 6 {
					disk.set(true, false)
					if err := s.flush(); !fault.Is(err, fault.Unavailable) {
						t.Fatalf("a flush to a full disk: %v", err)
					}
					if !m.looksLike(t, s) {
						t.Fatalf("after a failed flush at %d the store is not what was acknowledged", i)
					}
				}
				if i%20 == 19 {
					disk.set(false, false)
					must(t, s.flush())
				}
			}
			disk.set(false, false)
			copied := openStore(t, Options{Dir: copyOf(t, o.Dir)})
			if !m.looksLike(t, copied) {
				t.Fatal("after a crash the store is not what was acknowledged")
			}
			must(t, s.Close())
			m.check(t, openStore(t, o))
		})
	}
}

// TestFullMemory lets memory fill up behind a disk that takes the log but no segments.
func TestFullMemory(t *testing.T) {
	disk := &frail{budget: -1}
	s := openStore(t, Options{Dir: t.TempDir(), Disk: noSegments{disk}, MemoryLimit: 50_000})
	m := model{}
	refused := 0
	for i := range 30 {
		d := deed{owner: "a"}
		for k := range 1000 {
			d.entries = append(d.entries, Entry{"k", Point{int64(i*1000 + k), int64(i), 1}})
		}
		switch err := d.do(s); {
		case err == nil:
			m.do(d)
		case fault.Is(err, fault.Unavailable):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if held := s.Stats().MemoryBytes; refused == 0 || held > 400_000 {
		t.Fatalf("%d appends were refused, memory holds %d bytes", refused, held)
	}
	if !m.looksLike(t, s) {
		t.Fatal("the store is not what was acknowledged")
	}
	disk.set(false, false)
}

// TestSyncFails loses what was written to the log: the points are in segments when Sync returns.
func TestSyncFails(t *testing.T) {
	disk := &frail{budget: -1}
	s := openStore(t, Options{Dir: t.TempDir(), Disk: disk, SyncEvery: time.Hour})
	m := model{}
	list := deeds(20)
	for i, d := range list {
		must(t, d.do(s))
		m.do(d)
		if i%5 != 4 {
			continue
		}
		if i == 9 { // the next log file cannot be begun either: nothing is safe, and the store says so
			disk.mu.Lock()
			disk.deaf = true
			disk.mu.Unlock()
			if err := s.Sync(); err == nil {
				t.Fatal("no sync worked, and Sync was fine")
			}
			if !m.looksLike(t, s) {
				t.Fatal("a failed sync lost points in memory")
			}
			disk.mu.Lock()
			disk.deaf = false
			disk.mu.Unlock()
		} else {
			s.commit.Lock()
			s.wal.file = deafOnce{s.wal.file}
			s.commit.Unlock()
		}
		must(t, s.Sync())
		if n := s.Stats().MemoryPoints; n != 0 {
			t.Fatalf("after a sync that failed, %d points are only in the log", n)
		}
		if i == 14 { // a Delete that leaves nothing in memory
			s.commit.Lock()
			s.wal.file = deafOnce{s.wal.file}
			s.commit.Unlock()
			d := deed{owner: "run-0", remove: true}
			must(t, d.do(s))
			m.do(d)
		}
		lost := copyOf(t, s.dir)
		must(t, os.RemoveAll(filepath.Join(lost, "log")))
		if !m.looksLike(t, openStore(t, Options{Dir: lost})) {
			t.Fatalf("after deed %d and a power cut the store is not what was synced", i)
		}
	}
}

// deafOnce is a file that does not sync.
type deafOnce struct{ File }

func (deafOnce) Sync() error { return syscall.EIO }

// TestFlushFailsAfterStart replays a log, fails to make segments of it, appends and crashes: the old log still counts.
func TestFlushFailsAfterStart(t *testing.T) {
	o := Options{Dir: t.TempDir(), Disk: &frail{budget: -1}}
	m := model{}
	list := deeds(20)
	for round := range 4 {
		s := openStore(t, o)
		if round > 0 {
			if err := s.flush(); err == nil {
				t.Fatal("there is no disk for segments, and the flush was fine")
			}
		}
		for _, d := range list[round*5 : round*5+5] {
			must(t, d.do(s))
			m.do(d)
		}
		o.Dir = copyOf(t, o.Dir) // killed
		o.Disk = noSegments{&frail{budget: -1}}
		again := openStore(t, Options{Dir: copyOf(t, o.Dir)})
		if !m.looksLike(t, again) {
			t.Fatalf("after round %d the store is not what was acknowledged", round)
		}
		must(t, again.flush())
		again = openStore(t, Options{Dir: copyOf(t, again.dir)})
		if !m.looksLike(t, again) {
			t.Fatalf("after round %d and a flush the store is not what was acknowledged", round)
		}
	}
}

type noSegments struct{ *frail }

func (d noSegments) Create(path string) (File, error) {
	if strings.HasSuffix(path, ".tmp") {
		return nil, os.ErrPermission
	}
	return d.frail.Create(path)
}

// TestLeftovers puts files where a crash leaves them.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir})
	must(t, s.Append("a", []Entry{{"k", Point{1, 2, math.Inf(-1)}}}))
	must(t, s.Close())
	left := []string{"temp/000000000009.tmp", "temp/MANIFEST", "segments/000000000099.seg", "log/000000000098.log"}
	for _, name := range left {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("half of"), 0o600))
	}
	s = openStore(t, Options{Dir: dir})
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there", name)
		}
	}
	must(t, s.Append("a", []Entry{{"k", Point{2, 2, 0}}}))
	must(t, s.flush())
	m := model{}
	m.append("a", []Entry{{"k", Point{1, 2, math.Inf(-1)}}, {"k", Point{2, 2, 0}}})
	m.check(t, s)
}
