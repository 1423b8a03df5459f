package series

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// packsOf lists the packs of a store.
func packsOf(s *Store) []*segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.set.packs
}

// copyOf copies a folder as a crash would leave it.
func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// edges are points at the ends of what a point can be.
func edges() []Entry {
	var entries []Entry
	for i, step := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		for k, at := range []int64{math.MaxInt64, 0, math.MinInt64} {
			for n, v := range odd {
				entries = append(entries, Entry{[]string{"loss", "val/acc", "Größe 📏", strings.Repeat("k", 250)}[(i+k+n)%4], Point{step, at, v}})
			}
		}
	}
	return entries
}

// TestEveryBitComesBack sends the edges through memory, the log, shared segments and segments of their own.
func TestEveryBitComesBack(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openStore(t, o)
	m := model{}
	must(t, s.Append("a", edges()))
	must(t, s.Append("a", edges()))
	m.append("a", edges())
	m.check(t, s)
	m.check(t, openStore(t, Options{Dir: copyOf(t, o.Dir)}))
	must(t, s.flush())
	if st := s.Stats(); st.MemoryPoints != 0 || st.Packs != 1 || st.SegmentPoints != int64(len(edges())) {
		t.Fatalf("after a flush: %+v", st)
	}
	m.check(t, s)
	must(t, s.Append("a", edges()))
	m.check(t, s)
	s.ownPoints = 1
	more := []Entry{{"loss", Point{7, 7, 7}}}
	must(t, s.Append("a", more))
	m.append("a", more)
	must(t, s.flush())
	if st := s.Stats(); st.SegmentPoints != int64(len(edges())+1) {
		t.Fatalf("points that were there are there twice: %+v", st)
	}
	must(t, s.mergeOwn("a", true))
	m.check(t, s)
	if st := s.Stats(); st.Segments-st.Packs != 1 || st.Hidden != 1 {
		t.Fatalf("after sealing: %+v", st)
	}
	must(t, s.compact(true))
	if st := s.Stats(); st.Segments != 1 || st.Hidden != 0 || st.SegmentPoints != int64(len(edges())+1) {
		t.Fatalf("after cleaning: %+v", st)
	}
	m.check(t, s)
}

// TestGoldenStore reads a store that an earlier build wrote: a log, a pack, a file of one owner, something hidden. -rewrite writes it anew.
func TestGoldenStore(t *testing.T) {
	golden := filepath.Join("testdata", "v1")
	m := model{}
	list := deeds(12)
	wave := func(owner string) deed {
		d := deed{owner: owner}
		for i := range 9000 {
			d.entries = append(d.entries, Entry{"wave", Point{int64(i ^ 1), int64(i), float64(i % 50)}})
		}
		return d
	}
	var s *Store
	do := func(d deed) {
		m.do(d)
		if s != nil {
			must(t, d.do(s))
		}
	}
	flush := func() {
		if s != nil {
			must(t, s.flush())
		}
	}
	if *rewrite {
		must(t, os.RemoveAll(golden))
		dir := t.TempDir()
		s = openStore(t, Options{Dir: dir, ownPoints: 5000})
		defer func() { must(t, os.CopyFS(golden, os.DirFS(dir))) }()
	}
	for _, d := range list[:5] {
		do(d)
	}
	do(wave("big"))
	flush()
	do(deed{owner: "run-1", remove: true})
	do(wave("medium"))
	flush()
	for _, d := range list[6:] {
		do(d)
	}
	do(deed{owner: "edges", entries: edges()})
	if s == nil {
		m.check(t, openStore(t, Options{Dir: copyOf(t, golden)}))
	}
}

func TestNames(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir()})
	for _, owner := range []string{"", "-a", "_", "a/b", "../a", "a.b", "ä", "a\x00", "a b", strings.Repeat("a", 257)} {
		if err := s.Append(owner, []Entry{{"k", Point{}}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("the owner %q gives %v", owner, err)
		}
		if _, err := s.Latest(owner); !fault.Is(err, fault.Invalid) {
			t.Errorf("the owner %q gives %v", owner, err)
		}
		if err := s.Delete(owner); !fault.Is(err, fault.Invalid) {
			t.Errorf("the owner %q gives %v", owner, err)
		}
	}
	for _, key := range []string{"", "\xff", strings.Repeat("k", MaxKey+1)} {
		if err := s.Append("a", []Entry{{"k", Point{}}, {key, Point{}}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("the key %q gives %v", key, err)
		}
	}
	must(t, s.Append(strings.Repeat("a", 256), []Entry{{"../../etc/passwd", Point{}}}))
	must(t, s.Append("a", nil))
	infos, err := s.Keys("a")
	if err != nil || len(infos) != 0 {
		t.Errorf("a refused call left %+v, %v", infos, err)
	}
	must(t, s.Delete("nobody"))
	points, next, err := s.History("nobody", "k", Cursor{}, 10)
	if err != nil || len(points) != 0 || !next.IsZero() {
		t.Errorf("nobody has %v, %v, %v", points, next, err)
	}
	c, err := s.Chart("nobody", "k", ChartQuery{Axis: AxisTime, Buckets: 10})
	if err != nil || c.Total != 0 || c.Points == nil || c.Downsampled {
		t.Errorf("the chart of nobody is %+v, %v", c, err)
	}
	for _, q := range []ChartQuery{{Axis: "depth", Buckets: 1}, {Axis: AxisStep}, {Axis: AxisStep, Buckets: MaxBuckets + 1}} {
		if _, err := s.Chart("a", "k", q); !fault.Is(err, fault.Invalid) {
			t.Errorf("the chart %+v gives %v", q, err)
		}
	}
}

// TestChartReadsLittle counts what a chart of many points reads.
func TestChartReadsLittle(t *testing.T) {
	disk := &counting{}
	s := openStore(t, Options{Dir: t.TempDir(), Disk: disk})
	const n = 400_000
	var points []Point
	for i := range n {
		points = append(points, Point{int64(i), int64(i)*100 + int64(i%7), math.Sin(float64(i) / 5000)})
	}
	points[123_456].Value = 99
	points[234_567].Value = -99
	points[345_678].Value = math.NaN()
	for part := range slices.Chunk(points, 1000) {
		var entries []Entry
		for _, p := range part {
			entries = append(entries, Entry{"k", p})
		}
		must(t, s.Append("a", entries))
	}
	must(t, s.flush())
	from, to := int64(100_001), int64(299_998)
	for _, q := range []ChartQuery{{Axis: AxisStep, Buckets: 320}, {Axis: AxisTime, Buckets: 320}, {Axis: AxisStep, Buckets: 320, From: &from, To: &to}} {
		disk.read = 0
		c, err := s.Chart("a", "k", q)
		must(t, err)
		checkChart(t, "a/k", points, q, c)
		// The pyramid of 400,000 points has 391 + 1,563 chunks of 96 bytes: 188 kB; two blocks of 4,096 points take less than 80 kB.
		if disk.read > 280_000 {
			t.Errorf("the chart %+v read %d bytes of %d", q, disk.read, s.Stats().SegmentBytes)
		}
	}
}

// counting counts the bytes that are read.
type counting struct {
	Disk
	read int
}

type countingReader struct {
	Reader
	disk *counting
}

func (d *counting) Open(path string) (Reader, error) {
	r, err := d.Disk.Open(path)
	return countingReader{r, d}, err
}

func (r countingReader) ReadAt(b []byte, at int64) (int, error) {
	r.disk.read += len(b)
	return r.Reader.ReadAt(b, at)
}

// TestManySmallOwners: owners with a handful of points share files, also after many flushes, and cost no memory.
func TestManySmallOwners(t *testing.T) {
	o := Options{Dir: t.TempDir(), Disk: &frail{budget: -1}}
	s := openStore(t, o)
	m := model{}
	for i := range 3000 {
		d := deed{owner: fmt.Sprintf("run-%04d", i*7%3000), entries: []Entry{{"acc", Point{0, int64(i), 0.5}}, {"loss", Point{1, int64(i), 2}}}}
		must(t, d.do(s))
		m.do(d)
		if i%100 == 99 {
			must(t, s.flush())
			must(t, s.compact(false))
		}
	}
	if st := s.Stats(); st.Segments > 2*packTier || st.MemoryOwners != 0 {
		t.Fatalf("3,000 owners and 30 flushes leave %+v", st)
	}
	var half []string
	for i := range 1500 {
		half = append(half, fmt.Sprintf("run-%04d", i*2))
		m.do(deed{owner: half[i], remove: true})
	}
	must(t, s.Delete(half...))
	if !m.looksLike(t, s) {
		t.Fatal("after deleting, the store is not what was acknowledged")
	}
	must(t, s.compact(false))
	if st := s.Stats(); st.Hidden != 0 || st.SegmentPoints != 3000 {
		t.Fatalf("after deleting half of the owners: %+v", st)
	}
	must(t, s.Close())
	if !m.looksLike(t, openStore(t, o)) {
		t.Fatal("after a restart, the store is not what was acknowledged")
	}
}

// TestFewSegments logs a long history in small batches through a small memory.
func TestFewSegments(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), Disk: &frail{budget: -1}, MemoryLimit: 1 << 40, ownPoints: 4000})
	for i := range 200 {
		var entries []Entry
		for k := range 1000 {
			n := int64(i*1000 + k)
			entries = append(entries, Entry{"k", Point{n, n, float64(n % 321)}})
		}
		must(t, s.Append("a", entries))
		if i%5 == 4 {
			must(t, s.flush())
			must(t, s.compact(false))
		}
	}
	if st := s.Stats(); st.Segments > 2*ownTier {
		t.Errorf("40 flushes leave %+v", st)
	}
	must(t, s.Seal("a"))
	must(t, s.sealAsked())
	if st := s.Stats(); st.Segments != 1 || st.SegmentPoints != 200_000 {
		t.Errorf("a sealed owner has %+v", st)
	}
	infos, err := s.Keys("a")
	if err != nil || infos[0].Points != 200_000 || infos[0].LastStep != 199_999 || infos[0].Max != 320 {
		t.Errorf("keys say %+v, %v", infos, err)
	}
}

func TestBackup(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir()})
	m := model{}
	for i, d := range deeds(20) {
		must(t, d.do(s))
		m.do(d)
		if i == 9 {
			must(t, s.flush())
		}
	}
	dir := filepath.Join(t.TempDir(), "backup")
	must(t, s.Backup(t.Context(), dir))
	must(t, s.Delete("run-0"))
	must(t, s.compact(true))
	m.check(t, openStore(t, Options{Dir: dir}))
	if err := s.Backup(t.Context(), dir); err == nil {
		t.Error("a backup goes into a folder that has one")
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := Options{Dir: t.TempDir(), Metrics: registry}
	s := openStore(t, o)
	must(t, s.Append("a", []Entry{{"k", Point{1, 1, 1}}, {"k", Point{2, 2, 2}}}))
	families, err := registry.Gather()
	must(t, err)
	found := map[string]float64{}
	for _, f := range families {
		found[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
	}
	if found["trimtab_series_points_total"] != 2 || found["trimtab_series_appends_total"] != 1 || found["trimtab_series_memory_bytes"] == 0 {
		t.Errorf("metrics are %v", found)
	}
	must(t, s.Close())
	openStore(t, o) // the names are free again
}
