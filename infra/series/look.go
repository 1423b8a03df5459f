package series

import (
	"errors"
	"io/fs"
)

// opened is segment files that were opened for one piece of work, by number.
type opened struct {
	store *Store
	files map[uint64]*segmentFile
}

func (o *opened) open(seg *segment) (*segmentFile, error) {
	if f := o.files[seg.number]; f != nil {
		return f, nil
	}
	f, err := openSegment(o.store.disk, o.store.segmentPath(seg.number), seg)
	if err != nil {
		return nil, err
	}
	o.files[seg.number] = f
	return f, nil
}

func (o *opened) close() {
	for _, f := range o.files {
		f.close()
	}
}

// ownerIn is an owner in one segment.
type ownerIn struct {
	file *segmentFile
	ownerEntry
}

// holding is where an owner has points.
type holding []ownerIn

// with finds which of the segments have the owner.
func (o *opened) with(owner string, segments []*segment) (holding, error) {
	var h holding
	for _, seg := range segments {
		f, err := o.open(seg)
		if err != nil {
			return nil, err
		}
		e, found, err := f.find(owner)
		if err != nil {
			return nil, err
		}
		if found {
			h = append(h, ownerIn{f, e})
		}
	}
	return h, nil
}

// now finds where an owner has points now. A merge may remove a file between the look at the list and the opening: then the list
// is another, and it is looked at again.
func (o *opened) now(owner string) (holding, error) {
	for try := 1; ; try++ {
		o.store.mu.RLock()
		there := o.store.set.of(owner)
		o.store.mu.RUnlock()
		h, err := o.with(owner, there)
		if try == tries || !errors.Is(err, fs.ErrNotExist) {
			return h, err
		}
	}
}

// tries is how often a list of files is looked at that changes meanwhile.
const tries = 10

// pieces are what the segments have of a key.
func (h holding) pieces(key string) ([]piece, error) {
	var pieces []piece
	for _, in := range h {
		e, found, err := in.file.key(in.ownerEntry, key)
		if err != nil {
			return nil, err
		}
		if found {
			pieces = append(pieces, piece{in.file, e})
		}
	}
	return pieces, nil
}

// look is an owner as it is at one moment. It is closed by whoever took it.
type look struct {
	holding
	open  *opened
	live  []glance            // of the key that was asked for
	lives map[string][]glance // of all keys, when none was
}

func (l *look) close() { l.open.close() }

// lookAt takes a look at a key of an owner, or at all keys when key is "". It tries again as now does.
func (s *Store) lookAt(owner, key string) (*look, error) {
	if err := checkOwner(owner); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		l := &look{open: &opened{store: s, files: map[uint64]*segmentFile{}}}
		s.mu.RLock()
		there := s.set.of(owner)
		frozen := s.frozen
		if s.deleted[owner] {
			frozen = nil
		}
		if key != "" {
			for _, m := range []*memory{frozen, s.mem} {
				if g := m.glance(owner, key); !g.empty() {
					l.live = append(l.live, g)
				}
			}
		} else {
			l.lives = map[string][]glance{}
			frozen.glances(owner, l.lives)
			s.mem.glances(owner, l.lives)
		}
		s.mu.RUnlock()
		var err error
		if l.holding, err = l.open.with(owner, there); err == nil {
			return l, nil
		}
		l.close()
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if try == tries {
			return nil, corrupt(s.path("segments"), "a segment is not there: %v", err)
		}
	}
}

// points are those of glances, by time and without repeats.
func pointsOf(glances []glance) []Point {
	var points []Point
	for _, g := range glances {
		points = mergePoints(points, g.points(), byTime)
	}
	return points
}

// keyAt is all there is of a key: pieces that have no point in common, and points in memory that are in none of them.
type keyAt struct {
	pieces []piece
	live   []Point // by time
}

// key is what a look at one key saw.
func (l *look) key(key string) (keyAt, error) {
	pieces, err := l.pieces(key)
	if err != nil {
		return keyAt{}, err
	}
	live, err := without(pointsOf(l.live), pieces)
	return keyAt{pieces, live}, err
}
