package series

import (
	"iter"
	"maps"
	"math"
	"slices"
)

// Latest is the latest point of every key of an owner: the one with the greatest step, then time, then value, where NaN is less than
// any number. An owner that is not there has no keys.
func (s *Store) Latest(owner string) (map[string]Point, error) {
	l, err := s.lookAt(owner, "")
	if err != nil {
		return nil, err
	}
	defer l.close()
	latest := map[string]Point{}
	note := func(key string, p Point) {
		if have, ok := latest[key]; !ok || byStep.compare(p, have) > 0 {
			latest[key] = p
		}
	}
	for _, in := range l.holding {
		for e, err := range walk(in.file.page, in.keys) {
			if err != nil {
				return nil, in.file.damaged(err)
			}
			of, err := readEntry(e.payload, in.file.seg.size)
			if err != nil {
				return nil, in.file.damaged(err)
			}
			note(string(e.name), of.sum.latest)
		}
	}
	for key, glances := range l.lives {
		for _, g := range glances {
			note(key, g.latest)
		}
	}
	return latest, nil
}

// KeyInfo is what is known of a key.
type KeyInfo struct {
	Key       string
	Points    int64 // distinct ones
	FirstStep int64 // the least step
	LastStep  int64 // the greatest
	FirstAt   int64 // the earliest time
	LastAt    int64
	Min, Max  float64 // of the numbers; NaN when there are none
	Last      Point   // as in Latest
}

func (s summary) info(key string, count int64) KeyInfo {
	return KeyInfo{Key: key, Points: count, FirstStep: s.minStep, LastStep: s.latest.Step, FirstAt: s.first.At, LastAt: s.last.At,
		Min: s.min.Value, Max: s.max.Value, Last: s.latest}
}

// Keys lists the keys of an owner, sorted.
func (s *Store) Keys(owner string) ([]KeyInfo, error) {
	l, err := s.lookAt(owner, "")
	if err != nil {
		return nil, err
	}
	defer l.close()
	type found struct {
		sum    summary
		count  int64
		pieces []piece
	}
	all := map[string]*found{}
	for _, in := range l.holding {
		for e, err := range walk(in.file.page, in.keys) {
			if err != nil {
				return nil, in.file.damaged(err)
			}
			of, err := readEntry(e.payload, in.file.seg.size)
			if err != nil {
				return nil, in.file.damaged(err)
			}
			f := all[string(e.name)]
			if f == nil {
				f = &found{sum: of.sum}
				all[string(e.name)] = f
			} else {
				f.sum.merge(of.sum)
			}
			f.count += of.count
			if len(l.lives[string(e.name)]) > 0 {
				f.pieces = append(f.pieces, piece{in.file, of})
			}
		}
	}
	for key, glances := range l.lives {
		f := all[key]
		if f == nil {
			f = &found{}
			all[key] = f
		}
		points, err := without(pointsOf(glances), f.pieces)
		if err != nil {
			return nil, err
		}
		if len(points) == 0 {
			continue
		}
		if f.count == 0 {
			f.sum = summaryOf(points)
		} else {
			f.sum.merge(summaryOf(points))
		}
		f.count += int64(len(points))
	}
	infos := make([]KeyInfo, 0, len(all))
	for _, key := range slices.Sorted(maps.Keys(all)) {
		infos = append(infos, all[key].sum.info(key, all[key].count))
	}
	return infos, nil
}

// History gives up to limit points of a key after a cursor, in the order (at, step, value), each once. The cursor that it returns is the
// place after the last of them, and zero when there are no more. Points that are appended while pages are read appear where their time puts them.
func (s *Store) History(owner, key string, from Cursor, limit int) ([]Point, Cursor, error) {
	if limit <= 0 {
		return nil, from, nil
	}
	l, err := s.lookKey(owner, key)
	if err != nil {
		return nil, Cursor{}, err
	}
	defer l.close()
	src, err := l.history(key, from)
	if err != nil {
		return nil, Cursor{}, err
	}
	points := make([]Point, 0, min(limit, 1024))
	for {
		p, ok, err := src.next()
		if err != nil {
			return nil, Cursor{}, err
		}
		if !ok {
			return points, Cursor{}, nil
		}
		if len(points) == limit {
			return points, After(points[limit-1]), nil
		}
		points = append(points, p)
	}
}

func (s *Store) lookKey(owner, key string) (*look, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	return s.lookAt(owner, key)
}

// history gives the points of the key that l looked at, from a cursor on.
func (l *look) history(key string, from Cursor) (source, error) {
	pieces, err := l.pieces(key)
	if err != nil {
		return nil, err
	}
	live := pointsOf(l.live)
	if !from.set {
		return mergePieces(pieces, live, byTime)
	}
	sources := []source{&sliceSource{live[after(live, from.after, byTime):]}}
	for i := range pieces {
		if byTime.compare(pieces[i].sum.last, from.after) <= 0 {
			continue
		}
		src, err := startAfter(pieces[i].column(byTime), from.after)
		if err != nil {
			return nil, err
		}
		sources = append(sources, src)
	}
	return merge(byTime, sources)
}

// Points gives the whole history of a key in the order (at, step, value), each point once, as it is when the first one is asked for. It holds
// some blocks in memory. An error is the last thing that it gives.
func (s *Store) Points(owner, key string) iter.Seq2[Point, error] {
	return func(yield func(Point, error) bool) {
		l, err := s.lookKey(owner, key)
		if err != nil {
			yield(Point{}, err)
			return
		}
		defer l.close()
		src, err := l.history(key, Cursor{})
		give(src, err, func(Point) bool { return true }, yield)
	}
}

// Steps gives the points of a key whose steps are in [from, to], in the order (step, at, value), each once. It reads blocks of that range
// only. An error is the last thing that it gives.
func (s *Store) Steps(owner, key string, from, to int64) iter.Seq2[Point, error] {
	return func(yield func(Point, error) bool) {
		l, err := s.lookKey(owner, key)
		if err != nil {
			yield(Point{}, err)
			return
		}
		defer l.close()
		pieces, err := l.pieces(key)
		if err != nil {
			yield(Point{}, err)
			return
		}
		var sources []source
		for i := range pieces {
			if pieces[i].sum.minStep > to || pieces[i].sum.latest.Step < from {
				continue
			}
			src, err := startFrom(pieces[i].column(byStep), from)
			if err != nil {
				yield(Point{}, err)
				return
			}
			sources = append(sources, src)
		}
		live := byStepOrder(pointsOf(l.live))
		begin, _ := slices.BinarySearchFunc(live, lowest(byStep, from), byStep.compare)
		sources = append(sources, &sliceSource{live[begin:]})
		src, err := merge(byStep, sources)
		give(src, err, func(p Point) bool { return p.Step <= to }, yield)
	}
}

// lowest is the first point that can be at a place of an axis.
func lowest(o order, x int64) Point {
	p := Point{Step: x, At: math.MinInt64, Value: math.Float64frombits(0x7FF0000000000001)} // rank 0
	if o == byTime {
		p.Step, p.At = math.MinInt64, x
	}
	return p
}

// startFrom makes a source of the points of c at x and after.
func startFrom(c *column, x int64) (*columnSource, error) {
	p := lowest(c.order, x)
	src, err := startAfter(c, p)
	if err != nil {
		return nil, err
	}
	if at := len(src.held) - len(src.points); at > 0 && c.order.compare(src.held[at-1], p) == 0 {
		src.points = src.held[at-1:] // p itself is a point
	}
	return src, nil
}

// give passes points on while they are wanted.
func give(src source, err error, wanted func(Point) bool, yield func(Point, error) bool) {
	for err == nil {
		var p Point
		var ok bool
		if p, ok, err = src.next(); err != nil {
			break
		}
		if !ok || !wanted(p) || !yield(p, nil) {
			return
		}
	}
	yield(Point{}, err)
}

// Export gives every point of an owner, by key and then as Points does, for a file of all that there is. An error is the last thing that it gives.
func (s *Store) Export(owner string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		keys, err := s.Keys(owner)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, info := range keys {
			for p, err := range s.Points(owner, info.Key) {
				if !yield(Entry{info.Key, p}, err) || err != nil {
					return
				}
			}
		}
	}
}

// Owners gives the names of all owners that have points, sorted. An error is the last thing that it gives.
func (s *Store) Owners() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.open(); err != nil {
			yield("", err)
			return
		}
		names := map[string]struct{}{}
		open := &opened{store: s, files: map[uint64]*segmentFile{}}
		defer open.close()
		s.mu.RLock()
		for name := range s.set.own {
			names[name] = struct{}{}
		}
		for _, m := range []*memory{s.frozen, s.mem} {
			if m == nil {
				continue
			}
			for name := range m.owners {
				if m.has(name) && (m != s.frozen || !s.deleted[name]) {
					names[name] = struct{}{}
				}
			}
		}
		packs, hidden := s.set.packs, maps.Clone(s.set.hidden)
		var cursors []*cursor
		var err error
		for _, seg := range packs { // opened under mu: no merge removes them meanwhile
			var f *segmentFile
			if f, err = open.open(seg); err != nil {
				break
			}
			var c *cursor
			if c, err = newCursor(f, f.top.ref); err != nil {
				break
			}
			cursors = append(cursors, c)
		}
		s.mu.RUnlock()
		defer func() { stop(cursors) }()
		if err != nil {
			yield("", err)
			return
		}
		outside := slices.Sorted(maps.Keys(names))
		for {
			name, ok := least(cursors)
			for len(outside) > 0 && (!ok || outside[0] < name) {
				if !yield(outside[0], nil) {
					return
				}
				outside = outside[1:]
			}
			if !ok {
				return
			}
			counts := len(outside) > 0 && outside[0] == name
			if counts {
				outside = outside[1:]
			}
			for _, c := range cursors {
				if c.done || string(c.name) != name {
					continue
				}
				counts = counts || c.file.seg.number > hidden[name]
				if err := c.advance(); err != nil {
					yield("", err)
					return
				}
			}
			if counts && !yield(name, nil) {
				return
			}
		}
	}
}
