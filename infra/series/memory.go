package series

import (
	"slices"
)

// memory holds the points that are in the log and not yet in segments. It is changed by the holder of Store.commit under Store.mu;
// the slices of points that readers take under mu never change at the places that they saw.
type memory struct {
	owners map[string]*memOwner
	bytes  int64 // about what the points and names take
	points int64 // repeated ones may count twice
}

type memOwner struct {
	name   string
	series map[string]*memSeries
	points int64
	log    uint64 // number of the log file that knows this owner as ref
	ref    uint64
}

type memSeries struct {
	key    string
	sorted []Point // by time, without repeats
	tail   []Point // those that came out of order
	latest Point   // of both, by step
	log    uint64
	ref    uint64
}

// What an owner, a series and a point take, roughly: the accounting only has to bound memory.
const (
	ownerBytes  = 400
	seriesBytes = 250
	pointBytes  = 24
)

func newMemory() *memory { return &memory{owners: map[string]*memOwner{}} }

// owner finds an owner or makes it.
func (m *memory) owner(name string) *memOwner {
	o := m.owners[name]
	if o == nil {
		o = &memOwner{name: name, series: map[string]*memSeries{}}
		m.owners[name] = o
		m.bytes += ownerBytes + int64(len(name))
	}
	return o
}

// seriesOf finds a key of an owner or makes it.
func (m *memory) seriesOf(o *memOwner, key string) *memSeries {
	se := o.series[key]
	if se == nil {
		se = &memSeries{key: key}
		o.series[key] = se
		m.bytes += seriesBytes + int64(len(key))
	}
	return se
}

// drop forgets an owner.
func (m *memory) drop(name string) {
	o := m.owners[name]
	if o == nil {
		return
	}
	delete(m.owners, name)
	m.points -= o.points
	m.bytes -= ownerBytes + int64(len(name))
	for key, se := range o.series {
		m.bytes -= seriesBytes + int64(len(key)) + pointBytes*int64(cap(se.sorted)+cap(se.tail))
	}
}

// add takes in a point. The latest point again is no news; one that is not the latest waits in the tail.
func (m *memory) add(o *memOwner, se *memSeries, p Point) {
	held := cap(se.sorted) + cap(se.tail)
	if held == 0 || byStep.compare(p, se.latest) > 0 {
		se.latest = p
	}
	c := 1
	if n := len(se.sorted); n > 0 {
		c = byTime.compare(p, se.sorted[n-1])
	}
	switch {
	case c == 0:
		return
	case c > 0:
		se.sorted = append(se.sorted, p)
	default:
		se.tail = append(se.tail, p)
		if len(se.tail) > 1024+len(se.sorted)/16 {
			before := len(se.sorted) + len(se.tail)
			se.sorted, se.tail = mergePoints(se.sorted, sortPoints(slices.Clone(se.tail), byTime), byTime), nil
			o.points -= int64(before - len(se.sorted))
			m.points -= int64(before - len(se.sorted))
		}
	}
	o.points++
	m.points++
	m.bytes += pointBytes * int64(cap(se.sorted)+cap(se.tail)-held)
}

// glance is the points of a series as they were when it was taken.
type glance struct {
	sorted, tail []Point
	latest       Point
}

func (se *memSeries) glance() glance { return glance{se.sorted, se.tail, se.latest} }

func (g glance) empty() bool { return len(g.sorted)+len(g.tail) == 0 }

// points are those of g, sorted by time and without repeats. The caller must not change them.
func (g glance) points() []Point {
	if len(g.tail) == 0 {
		return g.sorted
	}
	return mergePoints(g.sorted, sortPoints(slices.Clone(g.tail), byTime), byTime)
}

// glance takes the points of a key that are there now. The caller holds mu.
func (m *memory) glance(owner, key string) glance {
	if m == nil {
		return glance{}
	}
	if o := m.owners[owner]; o != nil {
		if se := o.series[key]; se != nil {
			return se.glance()
		}
	}
	return glance{}
}

// glances adds the points of every key of an owner to what is in into. The caller holds mu.
func (m *memory) glances(owner string, into map[string][]glance) {
	if m == nil {
		return
	}
	if o := m.owners[owner]; o != nil {
		for key, se := range o.series {
			if g := se.glance(); !g.empty() {
				into[key] = append(into[key], g)
			}
		}
	}
}

// has reports whether an owner has a point.
func (m *memory) has(owner string) bool {
	if m == nil {
		return false
	}
	o := m.owners[owner]
	return o != nil && o.points > 0
}
