package series

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
)

// A segment file is the magic, for each owner in order the columns of its keys and the table of its keys, then the table of owners,
// then a footer of fixed size: where the table of owners is, how many owners and points there are, a checksum, and the magic again.

const segmentMagic = "TTSSEG\x00\x01"

// segmentFooter is the length of table reference, owners, points, checksum and magic.
const segmentFooter = tableRefSize + 8 + 8 + 4 + 8

// segment is a file of points that never changes.
type segment struct {
	number uint64
	owner  string // of all its points; "" for a pack
	size   int64
	points int64
	owners int64
	top    atomic.Pointer[segmentTop]
}

// segmentTop is what stays in memory of a segment that was read once: some bytes per hundred owners.
type segmentTop struct {
	ref   tableRef
	index []tableEntry // the first page of the table of owners, when it is an index
}

func fileName(number uint64, kind string) string { return fmt.Sprintf("%012d.%s", number, kind) }

func (s *Store) segmentPath(number uint64) string {
	return s.path("segments", fileName(number, "seg"))
}

// segmentFile is an open segment. It belongs to one goroutine.
type segmentFile struct {
	seg  *segment
	path string
	r    Reader
	top  *segmentTop
	held [2]heldPage // the pages that were looked into last: of owners, of keys
	turn int
	any  bool // checksums are not looked at, so that fuzzing gets past them
}

// intact compares bytes with their checksum.
func (f *segmentFile) intact(b []byte, sum []byte) bool {
	return f.any || binary.LittleEndian.Uint32(sum) == checksum(b)
}

type heldPage struct {
	offset  uint64
	entries []tableEntry
}

// openSegment opens a segment to read it.
func openSegment(disk FS, path string, seg *segment) (*segmentFile, error) {
	r, err := disk.Open(path)
	if err != nil {
		return nil, err
	}
	f := &segmentFile{seg: seg, path: path, r: r, top: seg.top.Load()}
	if f.top == nil {
		if err := f.readTop(); err != nil {
			r.Close()
			return nil, err
		}
	}
	return f, nil
}

func (f *segmentFile) readTop() error {
	if f.seg.size < int64(len(segmentMagic)+segmentFooter) {
		return f.corrupt("it has only %d bytes", f.seg.size)
	}
	var b [segmentFooter]byte
	if err := f.read(b[:], f.seg.size-segmentFooter); err != nil {
		return err
	}
	body := b[:segmentFooter-12]
	if string(b[segmentFooter-8:]) != segmentMagic || !f.intact(body, b[segmentFooter-12:]) {
		return f.corrupt("its end is not that of a segment")
	}
	ref, err := getTableRef(body)
	if err != nil {
		return f.corrupt("its table of owners is nowhere")
	}
	top := &segmentTop{ref: ref}
	if ref.index {
		if top.index, err = f.page(ref); err != nil {
			return err
		}
	}
	f.top = top
	f.seg.top.Store(top)
	return nil
}

func (f *segmentFile) close() { _ = f.r.Close() } // it was only read

func (f *segmentFile) corrupt(format string, args ...any) error {
	return corrupt(filepath.Base(f.path), format, args...)
}

// read fills b from offset.
func (f *segmentFile) read(b []byte, offset int64) error {
	if offset < 0 || offset > f.seg.size-int64(len(b)) {
		return f.corrupt("%d bytes at %d lie beyond its end", len(b), offset)
	}
	n, err := f.r.ReadAt(b, offset)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return f.corrupt("it is shorter than the %d bytes that were written", f.seg.size)
	}
	return diskFault(err, "read metric points from %s", filepath.Base(f.path))
}

// recent is page, from memory if it was one of the last two: lookups often come sorted.
func (f *segmentFile) recent(ref tableRef) ([]tableEntry, error) {
	for _, h := range f.held {
		if h.entries != nil && h.offset == ref.offset {
			return h.entries, nil
		}
	}
	entries, err := f.page(ref)
	if err != nil {
		return nil, err
	}
	f.held[f.turn] = heldPage{ref.offset, entries}
	f.turn = 1 - f.turn
	return entries, nil
}

// page reads a page of a table.
func (f *segmentFile) page(ref tableRef) ([]tableEntry, error) {
	if ref.length > maxPage || int64(ref.length) > f.seg.size {
		return nil, f.corrupt("a page of %d bytes cannot be", ref.length)
	}
	b := make([]byte, ref.length)
	if err := f.read(b, int64(ref.offset)); err != nil {
		return nil, err
	}
	if len(b) < 4 || !f.intact(b[:len(b)-4], b[len(b)-4:]) {
		return nil, f.corrupt("the checksum of the page at %d is wrong", ref.offset)
	}
	entries, err := pageEntries(b[:len(b)-4])
	if err != nil {
		return nil, f.corrupt("the page at %d is damaged", ref.offset)
	}
	return entries, nil
}

// damaged names the file in the error of a page.
func (f *segmentFile) damaged(err error) error {
	if errors.Is(err, errPage) {
		return f.corrupt("a table is damaged")
	}
	return err
}

// ownerEntry is what the table of owners says of one.
type ownerEntry struct {
	keys   tableRef
	points int64
}

func (e ownerEntry) append(b []byte) []byte {
	return binary.AppendUvarint(e.keys.append(b), uint64(e.points))
}

func readOwnerEntry(b []byte) (ownerEntry, error) {
	ref, err := getTableRef(b)
	if err != nil {
		return ownerEntry{}, err
	}
	points, used := binary.Uvarint(b[tableRefSize:])
	if used <= 0 {
		return ownerEntry{}, errPage
	}
	return ownerEntry{ref, int64(points)}, nil
}

// find looks for an owner.
func (f *segmentFile) find(owner string) (ownerEntry, bool, error) {
	payload, found, err := lookUp(f.recent, f.top.ref, f.top.index, owner)
	if err != nil || !found {
		return ownerEntry{}, false, f.damaged(err)
	}
	e, err := readOwnerEntry(payload)
	return e, err == nil, f.damaged(err)
}

// key looks for a key of an owner.
func (f *segmentFile) key(o ownerEntry, key string) (entry, bool, error) {
	payload, found, err := lookUp(f.recent, o.keys, nil, key)
	if err != nil || !found {
		return entry{}, false, f.damaged(err)
	}
	e, err := readEntry(payload, f.seg.size)
	return e, err == nil, f.damaged(err)
}

// piece is what one segment has of a key.
type piece struct {
	file *segmentFile
	entry
}

// column opens the points of p in an order.
func (p *piece) column(o order) *column {
	if p.few != nil {
		points := p.few
		if o == byStep {
			points = sortPoints(append([]Point(nil), points...), byStep)
		}
		return &column{file: p.file, order: o, count: p.count, inline: points, blocks: array{n: 1}}
	}
	base := p.time
	if o == byStep && p.step >= 0 {
		base = p.step
	}
	return newColumn(p.file, o, p.count, base)
}
