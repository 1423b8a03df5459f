package series

import (
	"maps"
	"slices"
	"time"
)

// defaultOwnPoints is how many points give an owner a file of its own: about a megabyte, so that files are neither many nor tiny.
const defaultOwnPoints = 1 << 17

// segmentSet is the segments that count. Its lists are replaced and never changed, so that readers may keep them.
type segmentSet struct {
	latest uint64 // the greatest number that a file was given, of the log or of a segment
	packs  []*segment
	own    map[string][]*segment
	hidden map[string]uint64 // what segments up to the number have of an owner does not count
	doomed []*segment        // out of the set; their files go when the manifest is written
	stale  bool              // the manifest does not say what the set says
}

// take is the next number.
func (t *segmentSet) take() uint64 {
	t.latest++
	return t.latest
}

func (t *segmentSet) add(seg *segment) {
	if seg.owner == "" {
		t.packs = append(slices.Clone(t.packs), seg)
		return
	}
	t.own[seg.owner] = append(slices.Clone(t.own[seg.owner]), seg)
}

func (t *segmentSet) remove(seg *segment) {
	gone := func(other *segment) bool { return other == seg }
	if seg.owner == "" {
		t.packs = slices.DeleteFunc(slices.Clone(t.packs), gone)
	} else if rest := slices.DeleteFunc(slices.Clone(t.own[seg.owner]), gone); len(rest) > 0 {
		t.own[seg.owner] = rest
	} else {
		delete(t.own, seg.owner)
	}
	t.doomed = append(t.doomed, seg)
}

// hide ends what segments up to number have of an owner.
func (t *segmentSet) hide(owner string, number uint64) {
	if number > t.hidden[owner] {
		t.hidden[owner] = number
	}
	for _, seg := range t.own[owner] {
		if seg.number <= t.hidden[owner] {
			t.remove(seg)
			t.stale = true
		}
	}
}

// of lists the segments that may have points of an owner.
func (t *segmentSet) of(owner string) []*segment {
	var list []*segment
	for _, seg := range t.packs {
		if seg.number > t.hidden[owner] {
			list = append(list, seg)
		}
	}
	return append(list, t.own[owner]...)
}

// hideOwner takes an owner out of everything that is there. The caller holds commit and mu.
func (s *Store) hideOwner(owner string, number uint64) {
	s.mem.drop(owner)
	if s.frozen != nil {
		s.deleted[owner] = true
	}
	s.set.hide(owner, number)
}

// flush makes segments of everything in memory and ends the log files that held it.
func (s *Store) flush() error { return s.flushOver(0) }

// flushOver flushes when memory holds more bytes than that, and before that what a flush could not write.
func (s *Store) flushOver(bytes int64) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.mu.RLock()
	left := s.frozen != nil
	s.mu.RUnlock()
	if left {
		if err := s.flushOnce(bytes); err != nil {
			return err
		}
	}
	suspect := s.suspect.Swap(false)
	if suspect {
		bytes = -1 // even with nothing in memory: the log may have lost a Delete, the manifest has it
	}
	err := s.flushOnce(bytes)
	if err != nil && suspect {
		s.suspect.Store(true)
	}
	return err
}

// flushOnce makes segments of the frozen tables, or else freezes those in memory first. The caller holds flushing.
func (s *Store) flushOnce(bytes int64) error {
	began := time.Now()
	work, floor, err := s.freeze(bytes)
	if err != nil || work == nil {
		return err
	}
	out := &output{store: s}
	defer out.abort()
	if err = s.writeMemory(out, work); err == nil {
		err = out.close()
	}
	if err == nil {
		err = s.landFlush(out, floor)
	}
	if err != nil {
		s.metrics.flushFailures.Inc()
		return err
	}
	s.metrics.flushes.Inc()
	s.log.Debug("metric points became segments", "points", work.points, "owners", len(work.owners), "took", time.Since(began))
	return s.saveManifest()
}

// freeze ends the tables in memory and the log behind them. Tables that a flush before could not write come first. floor is the first log
// file that has nothing of the tables.
func (s *Store) freeze(bytes int64) (work *memory, floor uint64, err error) {
	s.commit.Lock()
	defer s.commit.Unlock()
	if s.frozen != nil {
		return s.frozen, s.frozenFloor, nil
	}
	if s.mem.bytes <= bytes {
		return nil, 0, nil
	}
	if s.wal != nil {
		if err := s.rotate(); err != nil {
			return nil, 0, err
		}
		floor = s.wal.number
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wal == nil {
		floor = s.set.take() // the next log file still names the one before: until the segments land, that one counts
	}
	s.frozen, s.frozenFloor, s.mem, s.deleted = s.mem, floor, newMemory(), map[string]bool{}
	return s.frozen, floor, nil
}

// landFlush puts the segments of a flush in the place of the frozen tables.
func (s *Store) landFlush(out *output, floor uint64) error {
	// A Delete comes wholly before the numbers, and is in s.deleted, or wholly after, and hides them in the log too.
	s.commit.Lock()
	s.mu.Lock()
	made := out.segments()
	for _, seg := range made {
		seg.number = s.set.take()
	}
	latest := s.set.latest
	s.mu.Unlock()
	s.commit.Unlock()
	if len(made) > 0 {
		if err := out.name(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range made {
		s.set.add(seg)
	}
	for owner := range s.deleted {
		s.set.hide(owner, latest)
	}
	s.frozen, s.deleted, s.floor, s.set.stale = nil, nil, floor, true
	return nil
}

// writeMemory writes frozen tables as segments, without the points that segments have already.
func (s *Store) writeMemory(out *output, work *memory) error {
	open := &opened{store: s, files: map[uint64]*segmentFile{}}
	defer open.close()
	for _, name := range slices.Sorted(maps.Keys(work.owners)) {
		o := work.owners[name]
		s.mu.RLock()
		gone := s.deleted[name]
		s.mu.RUnlock()
		if gone || o.points == 0 {
			continue
		}
		has, err := open.now(name)
		if err != nil {
			return err
		}
		w, err := out.writer(name, o.points)
		if err != nil {
			return err
		}
		w.begin(name)
		for _, key := range slices.Sorted(maps.Keys(o.series)) {
			se := o.series[key]
			points := se.glance().points()
			pieces, err := has.pieces(key)
			if err != nil {
				return err
			}
			if points, err = without(points, pieces); err != nil {
				return err
			}
			if err := w.series(key, func(by order) (source, error) { return sorted(points, by), nil }); err != nil {
				return err
			}
		}
		if err := out.end(w); err != nil {
			return err
		}
	}
	return nil
}

// sorted gives points, sorted by time, in an order.
func sorted(points []Point, by order) source {
	if by == byStep {
		points = sortPoints(slices.Clone(points), byStep)
	}
	return &sliceSource{points}
}

// keepLoop flushes when memory is full or nothing happens, and merges segments.
func (s *Store) keepLoop() {
	defer s.workers.Done()
	tick := time.NewTicker(idleAfter / 6)
	defer tick.Stop()
	for {
		asked := false
		select {
		case <-s.ending:
			return
		case <-s.kick:
			asked = true
		case <-tick.C:
		}
		if err := s.keep(asked, time.Since(time.Unix(0, s.last.Load())) > idleAfter); err != nil {
			s.log.Error("the segments of metric points are not in order; trying again", "error", err)
		}
	}
}

// keep does what is due.
func (s *Store) keep(asked, idle bool) error {
	limit := s.limit - 1
	suspect := s.suspect.Load()
	if idle || suspect {
		limit = 0
	}
	if asked || idle || suspect {
		if err := s.flushOver(limit); err != nil {
			return err
		}
	}
	if err := s.sealAsked(); err != nil {
		return err
	}
	if err := s.compact(idle); err != nil {
		return err
	}
	s.compacting.Lock()
	s.mu.Lock()
	s.set.forgetHidden()
	stale := s.set.stale
	s.mu.Unlock()
	s.compacting.Unlock()
	if stale {
		return s.saveManifest()
	}
	return nil
}
