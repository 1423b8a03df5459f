package series

import (
	"errors"
	"iter"
	"slices"
)

// Merging in size tiers: of segments sorted by size, the smallest ones among which none is more than twice as long as those before it
// together are one tier; a tier with enough members becomes one segment. Every point is so rewritten about log₃ of the number of flushes times.
const (
	ownTier   = 4
	packTier  = 6
	smallest  = 256 << 10 // segments shorter than this are alike
	maxPack   = 1 << 30   // packs longer than this stay
	fewHidden = 256       // hidden owners that do not yet make it worth to rewrite packs
	smallPack = 64 << 20  // packs that are rewritten for one hidden owner when there is nothing else to do
)

// tier picks the segments to merge: at least n, or none.
func tier(segments []*segment, n int) []*segment {
	sorted := slices.Clone(segments)
	slices.SortFunc(sorted, func(a, b *segment) int {
		if a.size != b.size {
			return int(min(1, max(-1, a.size-b.size)))
		}
		return int(min(1, max(-1, int64(a.number)-int64(b.number))))
	})
	var sum int64
	length := 0
	for _, seg := range sorted {
		if length > 0 && seg.size > max(2*sum, smallest) {
			break
		}
		sum += seg.size
		length++
	}
	if length < n {
		return nil
	}
	return sorted[:length]
}

// errEnding ends a merge whose store is closed.
var errEnding = errors.New("the store of metric points is being closed")

// compact merges until no tier is full. When the store is idle, hidden owners leave the packs.
func (s *Store) compact(idle bool) error {
	for {
		s.mu.RLock()
		var owner string
		var own []*segment
		for name, list := range s.set.own {
			if own = tier(list, ownTier); own != nil {
				owner = name
				break
			}
		}
		packs := s.packsToMerge(idle)
		s.mu.RUnlock()
		if own == nil && packs == nil {
			return nil
		}
		var err error
		if own != nil {
			err = s.mergeOwn(owner, false)
		} else {
			err = s.mergePacks(packs)
		}
		if errors.Is(err, errEnding) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// packsToMerge picks packs by size, or those that have hidden owners when there are many of these. The caller holds mu.
func (s *Store) packsToMerge(idle bool) []*segment {
	var owners int64
	var oldest []*segment
	var hidden uint64
	for _, number := range s.set.hidden {
		hidden = max(hidden, number)
	}
	var size int64
	var small []*segment
	for _, seg := range s.set.packs {
		owners += seg.owners
		if seg.number <= hidden {
			oldest = append(oldest, seg)
			size += seg.size
		}
		if seg.size < maxPack {
			small = append(small, seg)
		}
	}
	n := int64(len(s.set.hidden))
	if len(oldest) > 0 && (idle && (size < smallPack || n >= owners/100) || n >= fewHidden && n >= owners/10) {
		return oldest
	}
	return tier(small, packTier)
}

// job is a merge: the state that it begins with, and numbers for what it makes that are smaller than those of later flushes and deletes.
type job struct {
	inputs  []*segment
	hidden  map[string]uint64
	numbers []uint64
}

// beginJob takes the state for a merge while no flush is landing. choose picks the inputs and says which owners do not count; it is called under mu.
func (s *Store) beginJob(choose func() ([]*segment, map[string]uint64)) job {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	var j job
	j.inputs, j.hidden = choose()
	points := int64(0)
	for _, seg := range j.inputs {
		points += seg.points
	}
	for range 1 + points/s.ownPoints {
		j.numbers = append(j.numbers, s.set.take())
	}
	return j
}

// land puts the results of a merge in the place of its inputs.
func (s *Store) land(j job, out *output, removed []*segment, also func()) error {
	made := out.segments()
	for i, seg := range made {
		seg.number = j.numbers[i]
	}
	if len(made) > 0 {
		if err := out.name(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	for _, seg := range removed {
		s.set.remove(seg)
	}
	for _, seg := range made {
		s.set.add(seg)
		if seg.owner != "" {
			s.set.hide(seg.owner, s.set.hidden[seg.owner]) // deleted while this ran
		}
	}
	if also != nil {
		also()
	}
	s.set.forgetHidden()
	s.set.stale = true
	s.mu.Unlock()
	s.metrics.merges.Inc()
	return s.saveManifest()
}

// forgetHidden drops what hides nothing any more.
func (t *segmentSet) forgetHidden() {
	oldest := ^uint64(0)
	for _, seg := range t.packs {
		oldest = min(oldest, seg.number)
	}
	for owner, number := range t.hidden {
		if number < oldest {
			delete(t.hidden, owner)
		}
	}
}

// mergePacks makes one pack of several; owners that have many points by now get files of their own.
func (s *Store) mergePacks(packs []*segment) error {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	j := s.beginJob(func() ([]*segment, map[string]uint64) {
		hidden := map[string]uint64{}
		for owner, number := range s.set.hidden {
			hidden[owner] = number
		}
		var inputs []*segment
		for _, seg := range packs {
			if slices.Contains(s.set.packs, seg) {
				inputs = append(inputs, seg)
			}
		}
		return inputs, hidden
	})
	open := &opened{store: s, files: map[uint64]*segmentFile{}}
	defer open.close()
	out := &output{store: s, merge: true}
	defer out.abort()
	var cursors []*cursor
	defer func() { stop(cursors) }()
	for _, seg := range j.inputs {
		f, err := open.open(seg)
		if err != nil {
			return err
		}
		c, err := newCursor(f, f.top.ref)
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	for {
		owner, ok := least(cursors)
		if !ok {
			break
		}
		var h holding
		var points int64
		for _, c := range cursors {
			if c.done || string(c.name) != owner {
				continue
			}
			if c.file.seg.number > j.hidden[owner] {
				e, err := readOwnerEntry(c.payload)
				if err != nil {
					return c.file.damaged(err)
				}
				h = append(h, ownerIn{c.file, e})
				points += e.points
			}
			if err := c.advance(); err != nil {
				return err
			}
		}
		if len(h) == 0 {
			continue
		}
		if err := s.mergeOwner(out, owner, points, h); err != nil {
			return err
		}
	}
	if err := out.close(); err != nil {
		return err
	}
	return s.land(j, out, j.inputs, nil)
}

// mergeOwn makes one file of the files that an owner has for itself, or, when sealed, of everything that segments have of it.
func (s *Store) mergeOwn(owner string, sealed bool) error {
	s.compacting.Lock()
	defer s.compacting.Unlock()
	var own []*segment
	j := s.beginJob(func() ([]*segment, map[string]uint64) {
		own = s.set.own[owner]
		if sealed {
			return s.set.of(owner), nil
		}
		own = tier(own, ownTier)
		return own, nil
	})
	open := &opened{store: s, files: map[uint64]*segmentFile{}}
	defer open.close()
	h, err := open.with(owner, j.inputs)
	if err != nil {
		return err
	}
	var points int64
	for _, in := range h {
		points += in.points
	}
	if len(h) < 2 || sealed && points < s.ownPoints {
		return nil
	}
	out := &output{store: s, merge: true}
	defer out.abort()
	if err := s.mergeOwner(out, owner, max(points, s.ownPoints), h); err != nil {
		return err
	}
	return s.land(j, out, own, func() {
		if sealed {
			// The pieces in packs are in the new file too. Deletes and flushes since took greater numbers.
			s.set.hide(owner, j.numbers[0]-1)
		}
	})
}

// mergeOwner writes what segments have of an owner.
func (s *Store) mergeOwner(out *output, owner string, points int64, h holding) error {
	w, err := out.writer(owner, points)
	if err != nil {
		return err
	}
	w.begin(owner)
	var cursors []*cursor
	defer func() { stop(cursors) }()
	for _, in := range h {
		c, err := newCursor(in.file, in.keys)
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
	}
	for {
		key, ok := least(cursors)
		if !ok {
			break
		}
		var pieces []piece
		var payload []byte
		for _, c := range cursors {
			if c.done || string(c.name) != key {
				continue
			}
			e, err := readEntry(c.payload, c.file.seg.size)
			if err != nil {
				return c.file.damaged(err)
			}
			pieces, payload = append(pieces, piece{c.file, e}), c.payload
			if err := c.advance(); err != nil {
				return err
			}
		}
		if len(pieces) == 1 && pieces[0].few != nil {
			err = w.copy(key, payload, pieces[0].count)
		} else {
			err = w.series(key, func(o order) (source, error) { return mergePieces(pieces, nil, o) })
		}
		if err != nil {
			return err
		}
	}
	return out.end(w)
}

// mergePieces gives the points of pieces and of live in an order.
func mergePieces(pieces []piece, live []Point, o order) (source, error) {
	var sources []source
	for i := range pieces {
		sources = append(sources, &columnSource{column: pieces[i].column(o)})
	}
	if len(live) > 0 || len(sources) == 0 {
		sources = append(sources, sorted(live, o))
	}
	return merge(o, sources)
}

// cursor goes through a table.
type cursor struct {
	tableEntry
	file *segmentFile
	done bool
	next func() (tableEntry, error, bool)
	end  func()
}

func newCursor(f *segmentFile, ref tableRef) (*cursor, error) {
	c := &cursor{file: f}
	c.next, c.end = iter.Pull2(walk(f.page, ref))
	if err := c.advance(); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (c *cursor) advance() error {
	e, err, ok := c.next()
	if err != nil {
		return c.file.damaged(err)
	}
	c.tableEntry, c.done = e, !ok
	return nil
}

func stop(cursors []*cursor) {
	for _, c := range cursors {
		c.end()
	}
}

// least is the first name that a cursor is at.
func least(cursors []*cursor) (name string, ok bool) {
	var first []byte
	for _, c := range cursors {
		if !c.done && (!ok || string(c.name) < string(first)) {
			first, ok = c.name, true
		}
	}
	return string(first), ok
}

// Seal says that an owner is finished. Soon after, everything that is stored of an owner with many points is in one file; an owner with few
// stays in shared ones. More points may still come.
func (s *Store) Seal(owner string) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if err := s.open(); err != nil {
		return err
	}
	s.sealMu.Lock()
	if !slices.Contains(s.sealing, owner) {
		s.sealing = append(s.sealing, owner)
	}
	s.sealMu.Unlock()
	signal(s.kick)
	return nil
}

// sealAsked does what Seal promised.
func (s *Store) sealAsked() error {
	s.sealMu.Lock()
	owners := s.sealing
	s.sealing = nil
	s.sealMu.Unlock()
	flush := false
	s.mu.RLock()
	for _, owner := range owners {
		o := s.mem.owners[owner]
		flush = flush || o != nil && o.points >= blockPoints
	}
	s.mu.RUnlock()
	if flush {
		if err := s.flush(); err != nil {
			return err
		}
	}
	for _, owner := range owners {
		s.mu.RLock()
		var points int64
		for _, seg := range s.set.own[owner] {
			points += seg.points
		}
		pieces := len(s.set.of(owner))
		s.mu.RUnlock()
		if pieces < 2 || points == 0 && pieces < packTier/2 {
			continue
		}
		if err := s.mergeOwn(owner, true); err != nil && !errors.Is(err, errEnding) {
			return err
		}
	}
	return nil
}
