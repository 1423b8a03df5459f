package series

import (
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// call is one Append that waits for its place in the log.
type call struct {
	owner   string
	entries []Entry
	remove  bool // a Delete

	mem    *memOwner
	series []*memSeries // by entry

	done bool // belongs to the holder of commit, like err
	err  error
}

// Append stores points of an owner. When it returns, the operating system has them: they survive the end of this process, and
// SyncEvery later a power cut. All of the entries are stored or, with an error, none; callers at the same time share one write.
// A point that is there already is stored once. fault.Invalid: a name that cannot be; fault.Unavailable: a full disk, memory that is
// full because the disk is, a closed store.
func (s *Store) Append(owner string, entries []Entry) error {
	if err := checkOwner(owner); err != nil {
		return err
	}
	if len(entries) > MaxEntries {
		return fault.New(fault.TooLarge, "%d metric points at once are more than %d", len(entries), MaxEntries)
	}
	checked := ""
	for i := range entries {
		if key := entries[i].Key; key != checked {
			if err := checkKey(key); err != nil {
				return err
			}
			checked = key
		}
	}
	if err := s.open(); err != nil || len(entries) == 0 {
		return err
	}
	if err := s.makeRoom(); err != nil {
		return err
	}
	return s.do(&call{owner: owner, entries: entries})
}

// makeRoom asks for a flush when memory is full, and waits for one when it is twice that.
func (s *Store) makeRoom() error {
	s.mu.RLock()
	held := s.mem.bytes
	s.mu.RUnlock()
	if held < s.limit {
		return nil
	}
	if held < 2*s.limit {
		signal(s.kick)
		return nil
	}
	if err := s.flushOver(2 * s.limit); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the memory for metric points is full and cannot be written to segments").
			WithHint("look at the disk of %s", s.dir)
	}
	return nil
}

// do puts calls in the queue and returns when someone, maybe this caller, has written them. They share their fate.
func (s *Store) do(calls ...*call) error {
	s.queueMu.Lock()
	s.queue = append(s.queue, calls...)
	s.queueMu.Unlock()
	s.commit.Lock()
	defer s.commit.Unlock()
	c := calls[0]
	if !c.done {
		s.queueMu.Lock()
		batch := s.queue
		s.queue = nil
		s.queueMu.Unlock()
		s.write(batch)
	}
	return c.err
}

// write takes a batch of calls to the log with one system call and then to memory. The caller holds commit.
func (s *Store) write(batch []*call) {
	err := s.open()
	if err == nil && (s.wal == nil || s.wal.broken) {
		err = s.renewLog()
	}
	if err != nil {
		s.finish(batch, err)
		return
	}
	l := s.wal
	var added names
	buf := l.buf[:0]
	hide := uint64(0) // no segment takes a number while commit is held
	s.mu.Lock()       // names are made here
	for _, c := range batch {
		if c.remove {
			hide = s.set.latest
			continue
		}
		s.resolve(c)
	}
	s.mu.Unlock()
	stored := 0 // calls up to the last that is not a Delete
	for i, c := range batch {
		if c.remove {
			buf = appendDelete(buf, c.owner, hide)
		} else {
			buf = l.appendPoints(buf, c, &added)
			stored = i + 1
		}
	}
	err = l.write(buf)
	if cap(buf) <= 1<<20 {
		l.buf = buf
	}
	if err != nil {
		l.forget(&added)
		s.finish(batch, err)
		return
	}
	var points int
	s.mu.Lock()
	for i, c := range batch {
		if c.remove {
			s.hideOwner(c.owner, hide)
			// What the batch says of the owner after this belongs to a new table.
			for _, later := range batch[min(i+1, stored):stored] {
				if !later.remove && later.owner == c.owner {
					s.resolve(later)
				}
			}
			continue
		}
		for k := range c.entries {
			s.mem.add(c.mem, c.series[k], c.entries[k].Point)
		}
		points += len(c.entries)
	}
	s.mu.Unlock()
	s.last.Store(time.Now().UnixNano())
	s.metrics.wrote(points, len(batch), len(buf))
	s.finish(batch, nil)
	signal(s.unsynced)
}

// resolve finds the tables of a call, or makes them. The caller holds commit and mu.
func (s *Store) resolve(c *call) {
	c.mem = s.mem.owner(c.owner)
	if cap(c.series) < len(c.entries) {
		c.series = make([]*memSeries, len(c.entries))
	}
	c.series = c.series[:len(c.entries)]
	var last *memSeries
	for i := range c.entries {
		if key := c.entries[i].Key; last == nil || last.key != key {
			last = s.mem.seriesOf(c.mem, key)
		}
		c.series[i] = last
	}
}

func (s *Store) finish(batch []*call, err error) {
	if err != nil {
		s.metrics.failed(len(batch))
	}
	for _, c := range batch {
		c.done, c.err = true, err
		c.mem, c.series = nil, nil
	}
}

// renewLog makes the first log file of this process, or one in the place of a file that cannot be written any more.
func (s *Store) renewLog() error {
	if s.wal != nil {
		return s.rotate()
	}
	s.mu.Lock()
	number := s.set.take()
	s.mu.Unlock()
	var err error
	s.wal, err = s.newLog(number, s.replayed.number, s.replayed.size)
	return err
}

// Sync returns when everything that was acknowledged before survives a power cut. A failed fsync may have lost what it was for, and
// another one would not say so: then the points go from memory into segments, and Sync fails only if they cannot.
func (s *Store) Sync() error {
	s.commit.Lock()
	l := s.wal
	s.commit.Unlock()
	if l != nil {
		if err := l.file.Sync(); err != nil {
			s.commit.Lock()
			if s.wal == l { // a file that was ended meanwhile was synced then
				s.metrics.syncFailures.Inc()
				s.log.Error("the log of metric points did not reach the disk; its points become segments", "file", logName(l.number), "error", err)
				s.suspect.Store(true)
			}
			s.commit.Unlock()
		}
	}
	if !s.suspect.Load() {
		return nil
	}
	return s.flush()
}

// syncLoop gives every append an fsync, at most SyncEvery later.
func (s *Store) syncLoop() {
	defer s.workers.Done()
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-s.ending:
			return
		case <-s.unsynced:
		}
		wait.Reset(s.every)
		select {
		case <-s.ending:
			return
		case <-wait.C:
		}
		if err := s.Sync(); err != nil {
			s.log.Error("metric points are neither safe in the log nor in segments; trying again", "error", err)
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Delete ends owners: their points are gone when it returns, and stay gone after a crash of the machine. Their bytes leave shared files
// when those are merged. Points that are appended later make a new owner of that name. An owner that is not there is not an error.
// Many at once cost one write and one fsync.
func (s *Store) Delete(owners ...string) error {
	calls := make([]*call, 0, len(owners))
	for _, owner := range owners {
		if err := checkOwner(owner); err != nil {
			return err
		}
		calls = append(calls, &call{owner: owner, remove: true})
	}
	if err := s.open(); err != nil || len(calls) == 0 {
		return err
	}
	if err := s.do(calls...); err != nil {
		return err
	}
	if err := s.Sync(); err != nil {
		return err
	}
	s.dropHidden()
	return nil
}
