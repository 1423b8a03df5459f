package series

import (
	"slices"
	"sort"
)

// source gives sorted points one after the other.
type source interface {
	next() (p Point, ok bool, err error)
}

// sliceSource gives the points of a list.
type sliceSource struct{ points []Point }

func (s *sliceSource) next() (Point, bool, error) {
	if len(s.points) == 0 {
		return Point{}, false, nil
	}
	p := s.points[0]
	s.points = s.points[1:]
	return p, true, nil
}

// columnSource gives the points of a column, a block at a time.
type columnSource struct {
	column *column
	block  int64 // the next one
	points []Point
	held   []Point
}

func (s *columnSource) next() (Point, bool, error) {
	for len(s.points) == 0 {
		if s.block >= s.column.blocks.n {
			return Point{}, false, nil
		}
		var err error
		if s.held, err = s.column.load(s.held[:0], s.block); err != nil {
			return Point{}, false, err
		}
		s.points = s.held
		s.block++
	}
	p := s.points[0]
	s.points = s.points[1:]
	return p, true, nil
}

// startAfter makes a source of the points of c that come after p.
func startAfter(c *column, p Point) (*columnSource, error) {
	block, err := c.blockForOrFirst(p)
	if err != nil {
		return nil, err
	}
	s := &columnSource{column: c, block: block}
	if s.held, err = c.load(nil, block); err != nil {
		return nil, err
	}
	s.block++
	s.points = s.held[after(s.held, p, c.order):]
	return s, nil
}

func (c *column) blockForOrFirst(p Point) (int64, error) {
	if c.inline != nil {
		return 0, nil
	}
	return c.blockFor(p)
}

// after is the number of sorted points that do not come after p.
func after(points []Point, p Point, o order) int {
	return sort.Search(len(points), func(i int) bool { return o.compare(points[i], p) > 0 })
}

// merger gives the points of several sources in order, each of them once.
type merger struct {
	order order
	heads []head
	last  Point
	begun bool
}

type head struct {
	Point
	from source
}

// merge joins sources that are sorted by o.
func merge(o order, sources []source) (source, error) {
	if len(sources) == 1 {
		return sources[0], nil
	}
	m := &merger{order: o}
	for _, s := range sources {
		p, ok, err := s.next()
		if err != nil {
			return nil, err
		}
		if ok {
			m.heads = append(m.heads, head{p, s})
		}
	}
	return m, nil
}

func (m *merger) next() (Point, bool, error) {
	for len(m.heads) > 0 {
		least := 0
		for i := 1; i < len(m.heads); i++ {
			if m.order.compare(m.heads[i].Point, m.heads[least].Point) < 0 {
				least = i
			}
		}
		h := &m.heads[least]
		p := h.Point
		following, ok, err := h.from.next()
		if err != nil {
			return Point{}, false, err
		}
		if ok {
			h.Point = following
		} else {
			m.heads = slices.Delete(m.heads, least, least+1)
		}
		if m.begun && m.order.compare(p, m.last) == 0 {
			continue
		}
		m.last, m.begun = p, true
		return p, true, nil
	}
	return Point{}, false, nil
}

// without leaves out of points, sorted by time, those that a piece has. It reads blocks only where their ranges overlap.
func without(points []Point, pieces []piece) ([]Point, error) {
	for i := range pieces {
		var err error
		if points, err = withoutPiece(points, &pieces[i]); err != nil {
			return nil, err
		}
	}
	return points, nil
}

func withoutPiece(points []Point, p *piece) ([]Point, error) {
	if len(points) == 0 || byTime.compare(points[len(points)-1], p.sum.first) < 0 || byTime.compare(points[0], p.sum.last) > 0 {
		return points, nil
	}
	c := p.column(byTime)
	var kept, held []Point
	copied := false
	for i, q := range points {
		there := false
		if byTime.compare(q, p.sum.first) >= 0 && byTime.compare(q, p.sum.last) <= 0 {
			if len(held) == 0 || byTime.compare(q, held[len(held)-1]) > 0 {
				block, err := c.blockForOrFirst(q)
				if err != nil {
					return nil, err
				}
				if held, err = c.load(held[:0], block); err != nil {
					return nil, err
				}
			}
			at := after(held, q, byTime)
			there = at > 0 && byTime.compare(held[at-1], q) == 0
		}
		switch {
		case there && !copied:
			kept, copied = append(make([]Point, 0, len(points)-1), points[:i]...), true
		case !there && copied:
			kept = append(kept, q)
		}
	}
	if copied {
		return kept, nil
	}
	return points, nil
}
