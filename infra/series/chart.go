package series

import (
	"math/bits"
	"slices"
	"sort"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Axis is what a chart is drawn along.
type Axis string

// The axes.
const (
	AxisStep Axis = "step"
	AxisTime Axis = "time"
)

// MaxBuckets is the most buckets of a chart.
const MaxBuckets = 1 << 14

// perBucket is how many points a bucket gives at most, but for the first, which also gives the first of all.
const perBucket = 3

// ChartQuery asks for a chart. From and To bound the axis, both included; nil is the end of the data. Buckets is into how many stretches
// the axis is cut: about the number of pixels or half of it.
type ChartQuery struct {
	Axis     Axis
	From, To *int64
	Buckets  int
}

// ChartPoint is a point that was logged, standing for Count points of its bucket. Buckets are numbered along the axis.
type ChartPoint struct {
	Point
	Bucket int
	Count  int64
}

// Chart is the points to draw, in the order of the axis. When Downsampled, they are the least, the greatest and the last of each bucket and the
// first of all; NaN is least or greatest only where there is no number. Otherwise they are all points of the range.
type Chart struct {
	Points      []ChartPoint
	Total       int64 // distinct points in the range
	Downsampled bool
	Buckets     int // into which the range was cut; 0 when not Downsampled
}

// Chart draws a key. It reads the pyramid of each segment, and blocks only at the ends of the range and where chunks are wider than buckets: some
// hundred kilobytes for any number of points. The borders of buckets move to the nearest beginning of a chunk, so that the extremes of what
// a bucket stands for are exact, and no extreme is ever lost.
func (s *Store) Chart(owner, key string, q ChartQuery) (Chart, error) {
	o := byStep
	switch q.Axis {
	case AxisStep:
	case AxisTime:
		o = byTime
	default:
		return Chart{}, fault.New(fault.Invalid, "a chart has no axis %.40q", string(q.Axis)).WithHint("the axes are step and time")
	}
	if q.Buckets < 1 || q.Buckets > MaxBuckets {
		return Chart{}, fault.New(fault.Invalid, "a chart cannot have %d buckets", q.Buckets).WithHint("ask for 1 to %d", MaxBuckets)
	}
	l, err := s.lookKey(owner, key)
	if err != nil {
		return Chart{}, err
	}
	defer l.close()
	all, err := l.key(key)
	if err != nil {
		return Chart{}, err
	}
	live := all.live
	if o == byStep {
		live = byStepOrder(live)
	}
	d := &drawing{order: o, buckets: q.Buckets}
	if !d.frame(&all, live, q) {
		return Chart{Points: []ChartPoint{}}, nil
	}
	if err := d.draw(&all, live); err != nil {
		return Chart{}, err
	}
	if d.total <= int64(perBucket*q.Buckets) {
		d.exact = true
		if err := d.draw(&all, live); err != nil {
			return Chart{}, err
		}
	}
	return d.chart(), nil
}

// byStepOrder sorts points, which are sorted by time, by step. It copies them only if a step goes back: otherwise one order is the other.
func byStepOrder(points []Point) []Point {
	for i := 1; i < len(points); i++ {
		if points[i].Step < points[i-1].Step {
			return sortPoints(slices.Clone(points), byStep)
		}
	}
	return points
}

// drawing collects the buckets of a chart.
type drawing struct {
	order    order
	buckets  int
	from, to int64  // the part of the axis that has points and was asked for
	width    uint64 // of a bucket; a chunk that is wider is taken apart
	exact    bool
	total    int64
	cells    []cell
	points   []Point // when exact
}

type cell struct {
	chunk
	count int64
}

// frame finds the range. It is false when there is nothing in it.
func (d *drawing) frame(all *keyAt, live []Point, q ChartQuery) bool {
	begun := false
	extend := func(from, to int64) {
		if !begun {
			d.from, d.to, begun = from, to, true
		}
		d.from, d.to = min(d.from, from), max(d.to, to)
	}
	for i := range all.pieces {
		s := &all.pieces[i].sum
		if d.order == byStep {
			extend(s.minStep, s.latest.Step)
		} else {
			extend(s.first.At, s.last.At)
		}
	}
	if len(live) > 0 {
		extend(d.order.x(live[0]), d.order.x(live[len(live)-1]))
	}
	if q.From != nil {
		d.from = max(d.from, *q.From)
	}
	if q.To != nil {
		d.to = min(d.to, *q.To)
	}
	d.width = max(1, uint64(d.to-d.from)/uint64(d.buckets))
	return begun && d.from <= d.to
}

func (d *drawing) draw(all *keyAt, live []Point) error {
	d.total, d.cells, d.points = 0, make([]cell, d.buckets), nil
	for i := range all.pieces {
		c := all.pieces[i].column(d.order)
		v := &visit{drawing: d, column: c, block: -1}
		if c.inline != nil {
			d.addAll(c.inline)
			continue
		}
		if err := v.all(); err != nil {
			return err
		}
	}
	d.addAll(live)
	return nil
}

// addAll takes in those of sorted points that are in the range, a bucket at a time.
func (d *drawing) addAll(points []Point) {
	points = points[sort.Search(len(points), func(i int) bool { return d.order.x(points[i]) >= d.from }):]
	points = points[:sort.Search(len(points), func(i int) bool { return d.order.x(points[i]) > d.to })]
	if d.exact {
		d.points = append(d.points, points...)
	}
	for len(points) > 0 {
		bucket := d.bucket(d.order.x(points[0]))
		n := 1 + sort.Search(len(points)-1, func(i int) bool { return d.bucket(d.order.x(points[i+1])) > bucket })
		c := chunkOf(points[0])
		for _, p := range points[1:n] {
			if below(p.Value, c.min.Value) {
				c.min = p
			}
			if above(p.Value, c.max.Value) {
				c.max = p
			}
		}
		c.last = points[n-1]
		d.add(c, int64(n))
		points = points[n:]
	}
}

// bucket is where x is.
func (d *drawing) bucket(x int64) int {
	span := uint64(d.to - d.from)
	high, low := bits.Mul64(uint64(x-d.from), uint64(d.buckets))
	if span == 1<<64-1 {
		return int(high)
	}
	index, _ := bits.Div64(high, low, span+1)
	return int(index)
}

// add takes in a chunk that is in the range.
func (d *drawing) add(c chunk, count int64) {
	d.total += count
	cell := &d.cells[d.bucket(d.order.x(c.first))]
	if cell.count == 0 {
		cell.chunk, cell.count = c, count
		return
	}
	first, last := cell.first, cell.last
	if d.order.compare(c.first, first) < 0 {
		first = c.first
	}
	if d.order.compare(c.last, last) > 0 {
		last = c.last
	}
	cell.join(c)
	cell.first, cell.last = first, last
	cell.count += count
}

// visit goes through the pyramid of a column.
type visit struct {
	*drawing
	column *column
	block  int64 // whose points are held
	points []Point
}

func (v *visit) all() error {
	c := v.column
	if len(c.sizes) == 0 {
		for block := range c.blocks.n {
			if err := v.raw(block*blockPoints, (block+1)*blockPoints); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range c.level[0].n {
		if err := v.visit(0, i); err != nil {
			return err
		}
	}
	return nil
}

// visit takes in chunk i of a level: as it is when it is in the range and no wider than a bucket, else by its parts.
func (v *visit) visit(level int, i int64) error {
	c := v.column
	record, err := c.level[level].at(i)
	if err != nil {
		return err
	}
	k := getChunk(record)
	first, last := v.order.x(k.first), v.order.x(k.last)
	if last < v.from || first > v.to {
		return nil
	}
	size := c.sizes[level]
	begin, end := i*size, min((i+1)*size, c.count)
	inside := first >= v.from && last <= v.to
	switch {
	case inside && !v.exact && uint64(last-first) <= v.width:
		v.add(k, end-begin)
		return nil
	case level+1 < len(c.level):
		for j := i * fan; j < min((i+1)*fan, c.level[level+1].n); j++ {
			if err := v.visit(level+1, j); err != nil {
				return err
			}
		}
		return nil
	}
	return v.raw(begin, end)
}

// raw takes in the points [begin, end) of the column, which are in one block.
func (v *visit) raw(begin, end int64) error {
	if block := begin / blockPoints; block != v.block {
		v.block = -1
		var err error
		if v.points, err = v.column.load(v.points[:0], block); err != nil {
			return err
		}
		v.block = block
	}
	base := v.block * blockPoints
	v.addAll(v.points[begin-base : min(end-base, int64(len(v.points)))])
	return nil
}

func (d *drawing) chart() Chart {
	if d.exact {
		slices.SortFunc(d.points, d.order.compare)
		c := Chart{Points: make([]ChartPoint, len(d.points)), Total: d.total}
		for i, p := range d.points {
			c.Points[i] = ChartPoint{Point: p, Bucket: i, Count: 1}
		}
		return c
	}
	c := Chart{Total: d.total, Downsampled: true, Buckets: d.buckets, Points: make([]ChartPoint, 0, perBucket*d.buckets+1)}
	begun := false
	for i := range d.cells {
		cell := &d.cells[i]
		if cell.count == 0 {
			continue
		}
		chosen := []Point{cell.min, cell.max, cell.last}
		if !begun {
			chosen, begun = append(chosen, cell.first), true
		}
		for _, p := range sortPoints(chosen, d.order) {
			c.Points = append(c.Points, ChartPoint{p, i, cell.count})
		}
	}
	// Chunks reach over the ends of buckets where segments overlap.
	inOrder := func(a, b ChartPoint) int { return d.order.compare(a.Point, b.Point) }
	if !slices.IsSortedFunc(c.Points, inOrder) {
		slices.SortFunc(c.Points, inOrder)
	}
	return c
}
