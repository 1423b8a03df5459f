package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpu is the time that this process has computed: what others do on the machine does not count.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, begin time.Duration) {
	b.ReportMetric(float64((cpu()-begin).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkAppend is one log-batch of 1,000 points. Goal: 300 µs of computing.
func BenchmarkAppend(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			s := openStore(b, Options{Dir: b.TempDir()})
			entries := make([]Entry, 1000)
			for i := range entries {
				entries[i].Key = fmt.Sprintf("group/metric_%d", i%keys)
			}
			r := rand.New(rand.NewPCG(1, 2))
			step := int64(0)
			b.ReportAllocs()
			begin := cpu()
			b.ResetTimer()
			for range b.N {
				for i := range entries {
					if i%keys == 0 {
						step++
					}
					entries[i].Point = Point{step, 1_700_000_000_000 + step*10, r.Float64()}
				}
				if err := s.Append("0123456789abcdef0123456789abcdef", entries); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			reportCPU(b, begin)
		})
	}
}

// million fills a store with owners that have a million points each, as a training would log them.
func million(b testing.TB, dir string, owners, points int) *Store {
	s, err := Open(b.Context(), Options{Dir: dir})
	must(b, err)
	r := rand.New(rand.NewPCG(1, 2))
	entries := make([]Entry, 1000)
	for o := range owners {
		for step := 0; step < points; step += len(entries) {
			for i := range entries {
				n := step + i
				entries[i] = Entry{"loss", Point{int64(n), 1_700_000_000_000 + int64(n)*137 + r.Int64N(20), 2*math.Exp(-float64(n)/3e5) + 0.1*r.NormFloat64()}}
			}
			must(b, s.Append(fmt.Sprintf("run-%03d", o), entries))
		}
	}
	must(b, s.Close())
	s, err = Open(b.Context(), Options{Dir: dir})
	must(b, err)
	return s
}

// BenchmarkChart draws 100 owners with a million points each into 320 buckets. Goal: 50 ms. The store is kept where
// TRIMTAB_BENCH_DIR says, or made for 10 owners.
func BenchmarkChart(b *testing.B) {
	dir, owners, points := b.TempDir(), 10, 1_000_000
	if kept := os.Getenv("TRIMTAB_BENCH_DIR"); kept != "" {
		dir, owners = filepath.Join(kept, "chart"), 100
	}
	var s *Store
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); err == nil {
		s = openStore(b, Options{Dir: dir})
	} else {
		begin := cpu()
		s = million(b, dir, owners, points)
		b.Cleanup(func() { s.Close() })
		b.Logf("filled with %d points in %v of computing, %+v", owners*points, cpu()-begin, s.Stats())
	}
	b.ReportAllocs()
	begin := cpu()
	b.ResetTimer()
	for range b.N {
		for o := range owners {
			c, err := s.Chart(fmt.Sprintf("run-%03d", o), "loss", ChartQuery{Axis: AxisStep, Buckets: 320})
			if err != nil || c.Total != int64(points) {
				b.Fatal(c.Total, err)
			}
		}
	}
	b.StopTimer()
	reportCPU(b, begin)
}

// BenchmarkOpen opens a store with 100,000 owners. Goal: 100 ms.
func BenchmarkOpen(b *testing.B) {
	dir, owners := b.TempDir(), 2000
	if kept := os.Getenv("TRIMTAB_BENCH_DIR"); kept != "" {
		dir, owners = filepath.Join(kept, "open"), 100_000
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); err != nil {
		s, err := Open(b.Context(), Options{Dir: dir})
		must(b, err)
		begin := cpu()
		for o := range owners {
			var entries []Entry
			for k := range 5 {
				entries = append(entries, Entry{fmt.Sprintf("metric_%d", k), Point{0, 1_700_000_000_000 + int64(o), float64(o) / 3}})
			}
			must(b, s.Append(fmt.Sprintf("%032x", o*7919), entries))
		}
		must(b, s.Close())
		b.Logf("filled in %v of computing", cpu()-begin)
	}
	begin := cpu()
	b.ResetTimer()
	for range b.N {
		s, err := Open(b.Context(), Options{Dir: dir})
		must(b, err)
		b.StopTimer()
		latest, err := s.Latest(fmt.Sprintf("%032x", (owners/2)*7919))
		if err != nil || len(latest) != 5 {
			b.Fatal(latest, err)
		}
		if b.N == 1 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.Logf("heap %d KiB, %+v", m.HeapAlloc>>10, s.Stats())
		}
		must(b, s.Close())
		b.StartTimer()
	}
	b.StopTimer()
	reportCPU(b, begin)
}

// BenchmarkBlock packs and unpacks full blocks of typical curves.
func BenchmarkBlock(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	curves := map[string]func(i int) Point{
		"noise": func(i int) Point {
			return Point{int64(i), 1_700_000_000_000 + int64(i)*137 + r.Int64N(20), r.NormFloat64()}
		},
		"smooth": func(i int) Point {
			return Point{int64(i), 1_700_000_000_000 + int64(i)*100, 2 * math.Exp(-float64(i)/3e4)}
		},
		"rounded": func(i int) Point {
			return Point{int64(i), 1_700_000_000_000 + int64(i)*100 + r.Int64N(9), math.Round(r.Float64()*1e4) / 1e4}
		},
		"constant": func(i int) Point { return Point{int64(i), 1_700_000_000_000 + int64(i)*100, 0.001} },
		"float32": func(i int) Point {
			return Point{int64(i) * 10, 1_700_000_000_000 + int64(i)*100 + r.Int64N(9), float64(float32(r.NormFloat64()))}
		},
	}
	for name, curve := range curves {
		points := make([]Point, blockPoints)
		for i := range points {
			points[i] = curve(i)
		}
		packed := appendBlock(nil, points)
		b.Run("pack/"+name, func(b *testing.B) {
			b.ReportMetric(float64(len(packed))/blockPoints, "bytes/point")
			for range b.N {
				packed = appendBlock(packed[:0], points)
			}
		})
		b.Run("unpack/"+name, func(b *testing.B) {
			var held []Point
			for range b.N {
				var err error
				held, err = readBlock(held[:0], packed)
				must(b, err)
			}
		})
	}
}
