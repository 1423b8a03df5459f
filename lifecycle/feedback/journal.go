package feedback

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// errDamaged is a record that its checksum or its form does not vouch for.
var errDamaged = errors.New("damaged record")

// File is what a journal needs of an open file; *os.File is one. It is a seam: tests put a full disk behind it.
type File interface {
	io.Writer
	io.ReaderAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// openAppend creates a new segment file; it is an error when the file is there already.
func openAppend(path string) (File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
}

const (
	magic         = "TRIMTABL"
	formatVersion = 1
	// segmentSize is where a journal starts a new file. A segment is the unit of compaction and of damage.
	segmentSize = 64 << 20
)

// header is the first record of a segment, after the magic and the version of the format.
type header struct {
	Deployment string    `json:"deployment"`
	Kind       string    `json:"kind"` // predictions or outcomes
	Created    time.Time `json:"created"`
}

// segment is one file of a journal.
type segment struct {
	number  uint32
	path    string
	file    File
	size    int64
	schemas map[uint16]*registry.Signature // by the numbers used in this segment
	cut     bool                           // a failed write could not be undone: nothing more may be added
}

// journal is the append-only files of one kind for one deployment: prefix-00000001.log, prefix-00000002.log, …
// Appends are serialised; reads run beside them.
type journal struct {
	dir    string
	head   header
	create func(path string) (File, error)
	log    *slog.Logger

	mu       sync.Mutex // appends, rolls and the list of segments
	segments map[uint32]*segment
	active   *segment // nil until the first append of this process
	next     uint32

	written atomic.Int64 // bytes appended in the life of this process
	synced  atomic.Int64 // of those, on the disk
	syncMu  sync.Mutex   // one fsync at a time: those who wait for it are served by the one that follows
}

// record is one payload of a segment in the order of the file.
type record struct {
	position position
	payload  []byte
}

// position is where a prediction is: a record in a segment, or a row of a compacted part.
type position uint64

const inPart = position(1) << 63

func segmentPosition(number, offset uint32) position {
	return position(number)<<32 | position(offset)
}

func partPosition(part int, row int) position {
	return inPart | position(part)<<32 | position(row)
}

func (p position) source() uint32 { return uint32(p&^inPart>>32) & 0x7fffffff }
func (p position) offset() uint32 { return uint32(p) }

// openJournal finds the segments of a kind in dir and hands every whole record to each, in order. A torn tail of the last segment is
// cut off: it was never acknowledged. What is cut is kept beside it as NAME.torn. Damage anywhere else is reported, and the records
// before it in that file are used.
func openJournal(dir string, head header, create func(string) (File, error), log *slog.Logger, each func(*segment, record) error) (*journal, error) {
	j := &journal{dir: dir, head: head, create: create, log: log, segments: map[uint32]*segment{}, next: 1}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open the log of %q: %w", head.Deployment, err)
	}
	var numbers []int
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), head.Kind+"-")
		if !ok {
			continue
		}
		if text, ok = strings.CutSuffix(text, ".log"); !ok {
			continue
		}
		if n, err := strconv.ParseUint(text, 10, 31); err == nil {
			numbers = append(numbers, int(n))
		}
	}
	sort.Ints(numbers)
	for i, n := range numbers {
		seg, err := j.load(uint32(n), i == len(numbers)-1, each)
		if err != nil {
			return nil, errors.Join(err, j.close())
		}
		if seg != nil {
			j.segments[seg.number] = seg
		}
		j.next = uint32(n) + 1
	}
	return j, nil
}

func (j *journal) path(number uint32) string {
	return filepath.Join(j.dir, fmt.Sprintf("%s-%08d.log", j.head.Kind, number))
}

// load reads a segment that an earlier process wrote. It answers nil when the file holds nothing.
func (j *journal) load(number uint32, last bool, each func(*segment, record) error) (*segment, error) {
	path := j.path(number)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the log segment %s: %w", path, err)
	}
	seg := &segment{number: number, path: path, schemas: map[uint16]*registry.Signature{}}
	good, err := scan(b, j.head, func(offset int64, payload []byte) error {
		if payload[0] == recordSchema {
			n, sig, err := decodeSchema(payload)
			if err != nil {
				return err
			}
			seg.schemas[n] = sig
			return nil
		}
		return each(seg, record{position: segmentPosition(number, uint32(offset)), payload: payload})
	})
	if err != nil {
		return nil, fmt.Errorf("read the log segment %s: %w", path, err)
	}
	seg.size = good
	if torn := b[good:]; len(torn) > 0 {
		if last {
			// The process ended inside a write: its caller was never answered.
			if err := os.WriteFile(path+".torn", torn, 0o600); err != nil {
				return nil, fmt.Errorf("keep the torn tail of %s: %w", path, err)
			}
			if err := os.Truncate(path, good); err != nil {
				return nil, fmt.Errorf("cut the torn tail of %s: %w", path, err)
			}
			j.log.Warn("cut the torn tail of a log segment", "file", path, "at", good, "bytes", len(torn))
		} else {
			j.log.Error("a log segment is damaged; the records before the damage are used", "file", path, "at", good, "bytes", len(torn))
		}
	}
	if good == 0 {
		if last {
			return nil, os.Remove(path)
		}
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the log segment %s: %w", path, err)
	}
	seg.file = file
	return seg, nil
}

// scan walks the records of a segment's bytes and returns how many bytes from the start are whole records. A fault of each ends it.
func scan(b []byte, want header, each func(offset int64, payload []byte) error) (good int64, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(rest) < 2 {
		return 0, nil
	}
	if v := binary.LittleEndian.Uint16(rest); v != formatVersion {
		return 0, fmt.Errorf("format version %d; this program reads %d", v, formatVersion)
	}
	at := int64(len(magic) + 2)
	for first := true; ; first = false {
		payload, size := frame(b[at:])
		if payload == nil {
			if first {
				return 0, nil
			}
			return at, nil
		}
		if first {
			var h header
			if err := json.Unmarshal(payload, &h); err != nil {
				return 0, fmt.Errorf("%w: header: %w", errDamaged, err)
			}
			if h.Deployment != want.Deployment || h.Kind != want.Kind {
				return 0, fmt.Errorf("it holds the %s of %q, not the %s of %q", h.Kind, h.Deployment, want.Kind, want.Deployment)
			}
		} else if err := each(at, payload); errors.Is(err, errDamaged) {
			return at, nil
		} else if err != nil {
			return at, err
		}
		at += size
	}
}

// frame takes the first record off b; nil when it is not whole.
func frame(b []byte) (payload []byte, size int64) {
	if len(b) < frameSize {
		return nil, 0
	}
	n := binary.LittleEndian.Uint32(b)
	if n == 0 || n > maxRecord || int(n) > len(b)-frameSize {
		return nil, 0
	}
	payload = b[frameSize : frameSize+int(n)]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, 0
	}
	return payload, frameSize + int64(n)
}

// schema is a signature and its number in the segments of this process.
type schema struct {
	number uint16
	sig    *registry.Signature
}

// append writes whole records with one system call and says where they begin. The segment first gets those of schemas that it does
// not know. After a failed write the segment is as it was before.
func (j *journal) append(records []byte, schemas []schema) (number, offset uint32, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.ready(int64(len(records))); err != nil {
		return 0, 0, err
	}
	seg := j.active
	out := records
	var prefix []byte
	for _, s := range schemas {
		if seg.schemas[s.number] == nil {
			if prefix, err = appendSchema(prefix, s.number, s.sig); err != nil {
				return 0, 0, err
			}
		}
	}
	if prefix != nil {
		out = append(prefix, records...)
	}
	if n, err := seg.file.Write(out); err != nil || n < len(out) {
		if err == nil {
			err = io.ErrShortWrite
		}
		if undo := seg.file.Truncate(seg.size); undo != nil {
			// A half-written record would make everything after it unreadable.
			seg.cut = true
			err = errors.Join(err, undo)
		}
		return 0, 0, err
	}
	for _, s := range schemas {
		seg.schemas[s.number] = s.sig
	}
	offset = uint32(seg.size) + uint32(len(out)-len(records))
	seg.size += int64(len(out))
	j.written.Add(int64(len(out)))
	return seg.number, offset, nil
}

// ready makes sure that there is an active segment with room for size bytes. The caller holds mu.
func (j *journal) ready(size int64) error {
	if j.active != nil && !j.active.cut && j.active.size+size <= segmentSize {
		return nil
	}
	if err := j.roll(); err != nil {
		return err
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	seg := &segment{number: j.next, path: j.path(j.next), schemas: map[uint16]*registry.Signature{}}
	file, err := j.create(seg.path)
	if err != nil {
		return err
	}
	head := j.head
	head.Created = time.Now().UTC()
	text, err := json.Marshal(head)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	b := binary.LittleEndian.AppendUint16([]byte(magic), formatVersion)
	b, start := beginFrame(b)
	b = endFrame(append(b, text...), start)
	if _, err := file.Write(b); err != nil {
		return errors.Join(err, file.Close(), os.Remove(seg.path))
	}
	if err := syncDir(j.dir); err != nil {
		return errors.Join(err, file.Close(), os.Remove(seg.path))
	}
	seg.file, seg.size = file, int64(len(b))
	j.next++
	j.segments[seg.number] = seg
	j.active = seg
	return nil
}

// roll seals the active segment: all of it is on the disk before a newer one exists. The caller holds mu.
func (j *journal) roll() error {
	if j.active == nil {
		return nil
	}
	if err := j.active.file.Sync(); err != nil {
		return err
	}
	j.active = nil
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sync returns when everything appended before the call is on the disk. Concurrent callers share one fsync.
func (j *journal) sync() error {
	target := j.written.Load()
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if j.synced.Load() >= target {
		return nil
	}
	j.mu.Lock()
	seg, upTo := j.active, j.written.Load()
	j.mu.Unlock()
	if seg != nil {
		if err := seg.file.Sync(); err != nil {
			// What the kernel dropped is not known, so nothing more goes into this file.
			j.mu.Lock()
			seg.cut = true
			j.mu.Unlock()
			return err
		}
	}
	j.synced.Store(upTo)
	return nil
}

// seal ends the active segment if it has one, so that compaction may take it.
func (j *journal) seal() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.roll()
}

// segment finds a segment by number; nil when it is gone.
func (j *journal) segment(number uint32) *segment {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.segments[number]
}

// read gives the payload at a position.
func (j *journal) read(p position) ([]byte, error) {
	w := window{journal: j, size: 2048}
	return w.read(p)
}

// window reads records of a journal through a buffer, so that positions that come sorted cost few system calls.
type window struct {
	journal *journal
	size    int
	segment *segment
	buf     []byte
	from    int64
}

// read gives the payload at a position; it is good until the next call.
func (w *window) read(p position) ([]byte, error) {
	if w.segment == nil || w.segment.number != p.source() {
		if w.segment = w.journal.segment(p.source()); w.segment == nil {
			return nil, fmt.Errorf("the log segment %d of %q is gone", p.source(), w.journal.head.Deployment)
		}
		w.buf = w.buf[:0]
	}
	at := int64(p.offset())
	for need := frameSize; ; {
		if at >= w.from && at+int64(need) <= w.from+int64(len(w.buf)) {
			b := w.buf[at-w.from:]
			if payload, _ := frame(b); payload != nil {
				return payload, nil
			}
			if whole := frameSize + int(binary.LittleEndian.Uint32(b)); whole > len(b) && whole > need && whole <= maxRecord+frameSize {
				need = whole
				continue
			}
			return nil, fmt.Errorf("read %s at %d: %w", w.segment.path, at, errDamaged)
		}
		if n := max(w.size, need); cap(w.buf) < n {
			w.buf = make([]byte, n)
		}
		n, err := w.segment.file.ReadAt(w.buf[:cap(w.buf)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read %s: %w", w.segment.path, err)
		}
		w.buf, w.from = w.buf[:n], at
		if n < need {
			return nil, fmt.Errorf("read %s at %d: %w", w.segment.path, at, errDamaged)
		}
	}
}

// remove deletes sealed segments whose records live elsewhere now.
func (j *journal) remove(numbers []uint32) error {
	var errs []error
	j.mu.Lock()
	for _, n := range numbers {
		if seg := j.segments[n]; seg != nil {
			errs = append(errs, seg.file.Close(), os.Remove(seg.path))
			delete(j.segments, n)
		}
	}
	j.mu.Unlock()
	return errors.Join(errs...)
}

// close syncs and closes every segment.
func (j *journal) close() error {
	err := j.sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, seg := range j.segments {
		err = errors.Join(err, seg.file.Close())
	}
	j.segments, j.active = map[uint32]*segment{}, nil
	return err
}
