package series

import (
	"encoding/binary"
	"path/filepath"
)

// segmentWriter writes a segment to a temporary file: begin, series …, endOwner for each owner in order, then finish or abort.
type segmentWriter struct {
	store  *Store
	path   string
	file   File
	buf    []byte
	offset int64 // of the end of buf in the file

	owners, keys tableWriter
	time, step   columnWriter
	payload      []byte
	few          []Point
	owner        string
	ownerPoints  int64
	ownerKeys    int64

	points     int64
	ownerCount int64
	only       string // the owner of all points; "" for a pack
	made       *segment
	merge      bool
}

const writeBuffer = 256 << 10

// newSegment begins a segment. only is the owner of a file of its own, "" for a pack.
func (s *Store) newSegment(only string) (*segmentWriter, error) {
	s.mu.Lock()
	name := fileName(s.set.take(), "tmp")
	s.mu.Unlock()
	w := &segmentWriter{store: s, path: s.path("temp", name), only: only}
	f, err := s.disk.Create(w.path)
	if err != nil {
		return nil, diskFault(err, "make a segment of metric points")
	}
	w.file = f
	w.owners.emit, w.keys.emit, w.time.emit, w.step.emit = w.emit, w.emit, w.emit, w.emit
	w.buf = append(w.buf, segmentMagic...)
	w.offset = int64(len(segmentMagic))
	return w, nil
}

// emit adds bytes to the file and says where they are.
func (w *segmentWriter) emit(b []byte) (uint64, error) {
	if len(w.buf)+len(b) > writeBuffer {
		if err := w.drain(); err != nil {
			return 0, err
		}
	}
	at := uint64(w.offset)
	w.offset += int64(len(b))
	if len(b) > writeBuffer {
		if _, err := w.file.WriteAt(b, int64(at)); err != nil {
			return 0, diskFault(err, "write a segment of metric points")
		}
		return at, nil
	}
	w.buf = append(w.buf, b...)
	return at, nil
}

func (w *segmentWriter) drain() error {
	if w.merge {
		select {
		case <-w.store.ending:
			return errEnding
		default:
		}
	}
	if _, err := w.file.WriteAt(w.buf, w.offset-int64(len(w.buf))); err != nil {
		return diskFault(err, "write a segment of metric points")
	}
	w.buf = w.buf[:0]
	return nil
}

func (w *segmentWriter) begin(owner string) { w.owner, w.ownerPoints, w.ownerKeys = owner, 0, 0 }

// series writes a key of the owner. open gives its points in an order and may be called once for each. No points, no key.
func (w *segmentWriter) series(key string, open func(order) (source, error)) error {
	src, err := open(byTime)
	if err != nil {
		return err
	}
	e := entry{step: -1}
	inOrder := true
	few := w.few[:0]
	last := int64(0)
	for {
		p, ok, err := src.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if e.count++; e.count == 1 {
			e.sum = summarize(p)
		} else {
			e.sum.add(p)
			inOrder = inOrder && p.Step >= last
		}
		last = p.Step
		if e.count <= inlinePoints {
			few = append(few, p)
			continue
		}
		if e.count == inlinePoints+1 {
			for _, q := range few {
				if err := w.time.add(q); err != nil {
					return err
				}
			}
		}
		if err := w.time.add(p); err != nil {
			return err
		}
	}
	w.few = few
	switch {
	case e.count == 0:
		return nil
	case e.count <= inlinePoints:
		e.few = few
	default:
		base, err := w.time.end()
		if err != nil {
			return err
		}
		e.time = int64(base)
		if !inOrder {
			if e.step, err = w.steps(open); err != nil {
				return err
			}
		}
	}
	w.payload = e.append(w.payload[:0])
	return w.copy(key, w.payload, e.count)
}

func (w *segmentWriter) steps(open func(order) (source, error)) (int64, error) {
	src, err := open(byStep)
	if err != nil {
		return 0, err
	}
	for {
		p, ok, err := src.next()
		if err != nil {
			return 0, err
		}
		if !ok {
			break
		}
		if err := w.step.add(p); err != nil {
			return 0, err
		}
	}
	base, err := w.step.end()
	return int64(base), err
}

// copy adds an entry of a key as it is.
func (w *segmentWriter) copy(key string, payload []byte, count int64) error {
	w.ownerPoints += count
	w.ownerKeys++
	return w.keys.add(key, payload)
}

// endOwner ends what begin began. An owner without points leaves no trace.
func (w *segmentWriter) endOwner() error {
	if w.ownerKeys == 0 {
		return nil
	}
	ref, err := w.keys.end()
	if err != nil {
		return err
	}
	w.points += w.ownerPoints
	w.ownerCount++
	return w.owners.add(w.owner, ownerEntry{ref, w.ownerPoints}.append(nil))
}

// finish makes the file whole and durable, still under its temporary name.
func (w *segmentWriter) finish() error {
	ref, err := w.owners.end()
	if err != nil {
		return err
	}
	footer := ref.append(nil)
	footer = binary.LittleEndian.AppendUint64(footer, uint64(w.ownerCount))
	footer = binary.LittleEndian.AppendUint64(footer, uint64(w.points))
	footer = binary.LittleEndian.AppendUint32(footer, checksum(footer))
	if _, err := w.emit(append(footer, segmentMagic...)); err != nil {
		return err
	}
	if err := w.drain(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return diskFault(err, "sync a segment of metric points")
	}
	file := w.file
	w.file = nil
	if err := file.Close(); err != nil {
		return diskFault(err, "close a segment of metric points")
	}
	w.made = &segment{owner: w.only, size: w.offset, points: w.points, owners: w.ownerCount}
	return nil
}

// abort removes the file if it has not got its name.
func (w *segmentWriter) abort() {
	if w.file != nil {
		_ = w.file.Close() // it is removed
		w.file = nil
	}
	if w.path != "" {
		_ = w.store.disk.Remove(w.path) // a best effort: Open removes what stays
		w.path = ""
	}
}

// output is the result of a flush or a merge: segments that wait for their names.
type output struct {
	store   *Store
	merge   bool // ended by Close
	writers []*segmentWriter
	pack    *segmentWriter
}

// writer is the one that an owner with so many points goes to.
func (o *output) writer(owner string, points int64) (*segmentWriter, error) {
	only := ""
	if points >= o.store.ownPoints {
		only = owner
	} else if o.pack != nil {
		return o.pack, nil
	}
	w, err := o.store.newSegment(only)
	if err != nil {
		return nil, err
	}
	w.merge = o.merge
	o.writers = append(o.writers, w)
	if only == "" {
		o.pack = w
	}
	return w, nil
}

// end ends an owner, and its file if no other owner shares it.
func (o *output) end(w *segmentWriter) error {
	if err := w.endOwner(); err != nil {
		return err
	}
	if w == o.pack {
		return nil
	}
	return w.finish()
}

// close finishes the pack.
func (o *output) close() error {
	if o.pack == nil {
		return nil
	}
	return o.pack.finish()
}

// segments are those that have points.
func (o *output) segments() []*segment {
	var made []*segment
	for _, w := range o.writers {
		if w.made != nil && w.made.points > 0 {
			made = append(made, w.made)
		}
	}
	return made
}

// name gives the files of the segments, which have got their numbers, their names. They count when the manifest has them.
func (o *output) name() error {
	for _, w := range o.writers {
		if w.made == nil || w.made.number == 0 {
			continue
		}
		path := o.store.segmentPath(w.made.number)
		if err := o.store.disk.Rename(w.path, path); err != nil {
			return diskFault(err, "name the segment %s", filepath.Base(path))
		}
		w.path = ""
	}
	if err := o.store.disk.SyncDir(o.store.path("segments")); err != nil {
		return diskFault(err, "sync the folder of segments")
	}
	return nil
}

// abort removes what has no name.
func (o *output) abort() {
	for _, w := range o.writers {
		w.abort()
	}
}
