package series

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// model is what a store must say, kept the simple way.
type model map[string]map[string]map[identity]Point

type identity struct {
	step, at int64
	bits     uint64
}

func idOf(p Point) identity { return identity{p.Step, p.At, math.Float64bits(p.Value)} }

func (m model) append(owner string, entries []Entry) {
	for _, e := range entries {
		if m[owner] == nil {
			m[owner] = map[string]map[identity]Point{}
		}
		if m[owner][e.Key] == nil {
			m[owner][e.Key] = map[identity]Point{}
		}
		m[owner][e.Key][idOf(e.Point)] = e.Point
	}
}

func (m model) points(owner, key string, o order) []Point {
	points := slices.Collect(maps.Values(m[owner][key]))
	slices.SortFunc(points, o.compare)
	return points
}

// same compares bits, not values: NaN is equal to itself and 0 is not −0.
func same(a, b []Point) bool {
	return slices.EqualFunc(a, b, func(a, b Point) bool { return idOf(a) == idOf(b) })
}

func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

// check compares everything that a store says with the model.
func (m model) check(t *testing.T, s *Store) {
	t.Helper()
	var owners []string
	for owner, err := range s.Owners() {
		must(t, err)
		owners = append(owners, owner)
	}
	if want := slices.Sorted(maps.Keys(m)); !slices.Equal(owners, want) {
		t.Fatalf("owners are %q, want %q", owners, want)
	}
	for owner := range m {
		m.checkOwner(t, s, owner)
	}
}

func (m model) checkOwner(t *testing.T, s *Store, owner string) {
	t.Helper()
	latest, err := s.Latest(owner)
	must(t, err)
	infos, err := s.Keys(owner)
	must(t, err)
	if len(latest) != len(m[owner]) || len(infos) != len(m[owner]) {
		t.Fatalf("%s has %d latest and %d keys, want %d", owner, len(latest), len(infos), len(m[owner]))
	}
	for i, key := range slices.Sorted(maps.Keys(m[owner])) {
		m.checkKey(t, s, owner, key, infos[i], latest[key])
	}
}

func (m model) checkKey(t *testing.T, s *Store, owner, key string, info KeyInfo, latest Point) {
	t.Helper()
	name := fmt.Sprintf("%s/%q", owner, key)
	points := m.points(owner, key, byTime)
	steps := m.points(owner, key, byStep)
	want := KeyInfo{Key: key, Points: int64(len(points)), FirstStep: steps[0].Step, LastStep: steps[len(steps)-1].Step,
		FirstAt: points[0].At, LastAt: points[len(points)-1].At, Min: math.NaN(), Max: math.NaN(), Last: steps[len(steps)-1]}
	for _, p := range points {
		if p.Value == p.Value {
			if want.Min != want.Min || p.Value < want.Min {
				want.Min = p.Value
			}
			if want.Max != want.Max || p.Value > want.Max {
				want.Max = p.Value
			}
		}
	}
	if info.Key != key || info.Points != want.Points || info.FirstStep != want.FirstStep || info.LastStep != want.LastStep ||
		info.FirstAt != want.FirstAt || info.LastAt != want.LastAt || !sameFloat(info.Min, want.Min) || !sameFloat(info.Max, want.Max) ||
		idOf(info.Last) != idOf(want.Last) || idOf(latest) != idOf(want.Last) {
		t.Fatalf("%s: keys say\n%+v, latest %+v, want\n%+v", name, info, latest, want)
	}
	var got []Point
	for p, err := range s.Points(owner, key) {
		must(t, err)
		got = append(got, p)
	}
	if !same(got, points) {
		t.Fatalf("%s: %d points, want %d", name, len(got), len(points))
	}
	got = nil
	cursor := Cursor{}
	limit := len(points)/3 + 1
	for pages := 0; ; pages++ {
		page, next, err := s.History(owner, key, cursor, limit)
		must(t, err)
		got = append(got, page...)
		if next.IsZero() {
			break
		}
		if cursor, err = ParseCursor(next.String()); err != nil || len(page) != limit || pages > 5 {
			t.Fatalf("%s: page %d has %d points, %v", name, pages, len(page), err)
		}
	}
	if !same(got, points) {
		t.Fatalf("%s: pages have %d points, want %d", name, len(got), len(points))
	}
	from, to := steps[len(steps)/4].Step, steps[len(steps)*3/4].Step
	got = nil
	for p, err := range s.Steps(owner, key, from, to) {
		must(t, err)
		got = append(got, p)
	}
	between := slices.DeleteFunc(slices.Clone(steps), func(p Point) bool { return p.Step < from || p.Step > to })
	if !same(got, between) {
		t.Fatalf("%s: %d points of steps %d to %d, want %d", name, len(got), from, to, len(between))
	}
	for _, q := range []ChartQuery{
		{Axis: AxisStep, Buckets: 320}, {Axis: AxisTime, Buckets: 7}, {Axis: AxisStep, Buckets: 3, From: &from, To: &to},
		{Axis: AxisTime, Buckets: 50, From: &points[len(points)/3].At}, {Axis: AxisStep, Buckets: 1, To: &to},
	} {
		c, err := s.Chart(owner, key, q)
		must(t, err)
		checkChart(t, name, points, q, c)
	}
}

// checkChart compares a chart with the points that it is of.
func checkChart(t *testing.T, name string, points []Point, q ChartQuery, c Chart) {
	t.Helper()
	o := byStep
	if q.Axis == AxisTime {
		o = byTime
	}
	points = slices.DeleteFunc(slices.Clone(points), func(p Point) bool {
		return q.From != nil && o.x(p) < *q.From || q.To != nil && o.x(p) > *q.To
	})
	slices.SortFunc(points, o.compare)
	if c.Total != int64(len(points)) || c.Downsampled != (len(points) > perBucket*q.Buckets) {
		t.Fatalf("%s: the chart %+v has %d points of %d, downsampled %v", name, q, c.Total, len(points), c.Downsampled)
	}
	var drawn []Point
	for _, p := range c.Points {
		drawn = append(drawn, p.Point)
	}
	if !c.Downsampled {
		if !same(drawn, points) {
			t.Fatalf("%s: the chart %+v is not exact", name, q)
		}
		return
	}
	if len(drawn) > perBucket*q.Buckets+1 || !slices.IsSortedFunc(drawn, o.compare) {
		t.Fatalf("%s: the chart %+v has %d points, or they are not sorted", name, q, len(drawn))
	}
	there := map[identity]bool{}
	for _, p := range points {
		there[idOf(p)] = true
	}
	counts := map[int]int64{}
	var least, greatest = math.NaN(), math.NaN()
	for _, p := range c.Points {
		if !there[idOf(p.Point)] {
			t.Fatalf("%s: the chart %+v shows %+v, which was not logged", name, q, p)
		}
		counts[p.Bucket] = p.Count
		if below(p.Value, least) {
			least = p.Value
		}
		if above(p.Value, greatest) {
			greatest = p.Value
		}
	}
	var sum int64
	for _, n := range counts {
		sum += n
	}
	all := summaryOf(points)
	if sum != c.Total || !sameFloat(least, all.min.Value) || !sameFloat(greatest, all.max.Value) ||
		idOf(drawn[0]) != idOf(points[0]) || idOf(drawn[len(drawn)-1]) != idOf(points[len(points)-1]) {
		t.Fatalf("%s: the chart %+v lost an end or an extreme, or counts %d of %d", name, q, sum, c.Total)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// odd are values that are easily lost.
var odd = []float64{math.NaN(), math.Float64frombits(0x7FF0000000000001), math.Float64frombits(0xFFF8000000001234), math.Inf(1), math.Inf(-1),
	math.Copysign(0, -1), 0, math.MaxFloat64, math.SmallestNonzeroFloat64, -math.MaxFloat64, 1}

// TestRandom does random things to a store and to the model, and compares them.
func TestRandom(t *testing.T) {
	rounds, operations := 4, 60
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(round), 4))
			o := Options{Dir: t.TempDir(), MemoryLimit: 1 << 40, Disk: &frail{budget: -1}}
			o.ownPoints = []int64{5000, 20_000, 0}[round%3]
			s := openStore(t, o)
			m := model{}
			owners := []string{"a", "b-1", "B_2", "0", "zz"}
			keys := []string{"loss", "val/acc", "Größe", "a b", "x"}
			clock := int64(0)
			for range operations {
				owner := owners[r.IntN(len(owners))]
				switch action := r.IntN(100); {
				case action < 60:
					var entries []Entry
					n := r.IntN(200)
					if r.IntN(12) == 0 {
						n = 9000
					}
					key := keys[r.IntN(len(keys))]
					for range n {
						clock += int64(r.IntN(3))
						p := Point{Step: clock, At: clock * 10, Value: r.NormFloat64()}
						switch r.IntN(40) {
						case 0:
							p.Value = odd[r.IntN(len(odd))]
						case 1:
							p.Step = r.Int64N(1000)
						case 2:
							p.At = r.Int64N(1000)
						case 3:
							p = Point{r.Int64N(5), r.Int64N(5), odd[r.IntN(len(odd))]}
						case 4:
							if r.IntN(50) == 0 {
								p = Point{math.MinInt64, math.MaxInt64, 1}
							}
						}
						if n < 1000 {
							key = keys[r.IntN(len(keys))]
						}
						entries = append(entries, Entry{key, p})
						if r.IntN(10) == 0 { // again
							entries = append(entries, entries[r.IntN(len(entries))])
						}
					}
					must(t, s.Append(owner, entries))
					m.append(owner, entries)
				case action < 75:
					must(t, s.flush())
				case action < 78:
					must(t, s.mergePacks(packsOf(s)))
				case action < 82:
					must(t, s.Seal(owner))
					must(t, s.sealAsked())
				case action < 85:
					must(t, s.compact(true))
				case action < 88:
					must(t, s.Delete(owner))
					delete(m, owner)
				case action < 92:
					must(t, s.Close())
					s = openStore(t, o)
				case action < 95: // as after kill -9
					crashed := s
					must(t, crashed.Sync())
					o.Dir = copyOf(t, o.Dir)
					s = openStore(t, o)
				default:
					m.check(t, s)
				}
			}
			m.check(t, s)
			must(t, s.Close())
			m.check(t, openStore(t, o))
		})
	}
}
