package series

import (
	"encoding/binary"
	"math"
	"path/filepath"
)

// A log file is a header and then frames. A frame is the length of its payload and its CRC-32C, 4 bytes each, little endian, and the
// payload: what one Append or one Delete said. Owners and keys get a number when a file first names them, in the order of the file.
//
// The header ends the file before: what lies beyond that length there was never acknowledged.

// logMagic begins a log file.
const logMagic = "TTSLOG\x00\x01"

// logHeader is the length of magic, number, number of the file before, its length, and the checksum of those.
const logHeader = 8 + 3*8 + 4

// frameHead is the length before the payload of a frame.
const frameHead = 8

// maxFrame is the longest payload: the most entries of one Append, every one with a key of its own.
const maxFrame = 1 + 10 + 10 + 256 + 10 + MaxEntries*(10+2+MaxKey+10+10+8)

const (
	framePoints = 1
	frameDelete = 2
)

// logFile is the log file that is being written. All its fields belong to the holder of Store.commit, but for file.Sync.
type logFile struct {
	file   File
	number uint64
	size   int64 // bytes that were acknowledged
	broken bool  // bytes beyond size may be there and cannot be removed: the next file says so
	owners uint64
	series uint64
	buf    []byte
}

func logName(number uint64) string { return fileName(number, "log") }

func appendLogHeader(b []byte, number, before uint64, length int64) []byte {
	start := len(b)
	b = append(b, logMagic...)
	b = binary.LittleEndian.AppendUint64(b, number)
	b = binary.LittleEndian.AppendUint64(b, before)
	b = binary.LittleEndian.AppendUint64(b, uint64(length))
	return binary.LittleEndian.AppendUint32(b, checksum(b[start:]))
}

// newLog makes the next log file. before is the one that it ends, if any.
func (s *Store) newLog(number, before uint64, length int64) (*logFile, error) {
	path := s.path("log", logName(number))
	f, err := s.disk.Create(path)
	if err != nil {
		return nil, diskFault(err, "make the log file %s", filepath.Base(path))
	}
	fail := func(err error) (*logFile, error) {
		f.Close()
		_ = s.disk.Remove(path) // it says nothing; the next try takes the next number
		return nil, diskFault(err, "begin the log file %s", filepath.Base(path))
	}
	if _, err := f.WriteAt(appendLogHeader(nil, number, before, length), 0); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if err := s.disk.SyncDir(s.path("log")); err != nil {
		return fail(err)
	}
	return &logFile{file: f, number: number, size: logHeader}, nil
}

// rotate ends the log file and begins the next. The caller holds commit.
func (s *Store) rotate() error {
	if err := s.wal.file.Sync(); err != nil {
		s.metrics.syncFailures.Inc()
		s.log.Error("the log of metric points did not reach the disk; its points become segments", "file", logName(s.wal.number), "error", err)
		s.suspect.Store(true)
	}
	s.mu.Lock()
	number := s.set.take()
	s.mu.Unlock()
	next, err := s.newLog(number, s.wal.number, s.wal.size)
	if err != nil {
		return err
	}
	next.buf = s.wal.buf
	if err := s.wal.file.Close(); err != nil {
		s.log.Warn("a log file did not close", "file", logName(s.wal.number), "error", err)
	}
	s.wal = next
	return nil
}

// names remembers which names a batch gave numbers to, so that they lose them when it is not written.
type names struct {
	owners []*memOwner
	series []*memSeries
}

// appendPoints adds the frame of one Append. The caller holds commit.
func (l *logFile) appendPoints(b []byte, c *call, added *names) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, framePoints)
	o := c.mem
	if o.log != l.number {
		o.log, o.ref = l.number, l.owners
		l.owners++
		added.owners = append(added.owners, o)
		b = binary.AppendUvarint(b, o.ref)
		b = binary.AppendUvarint(b, uint64(len(o.name)))
		b = append(b, o.name...)
	} else {
		b = binary.AppendUvarint(b, o.ref)
	}
	b = binary.AppendUvarint(b, uint64(len(c.entries)))
	var before Point
	for i := range c.entries {
		e, se := &c.entries[i], c.series[i]
		if se.log != l.number {
			se.log, se.ref = l.number, l.series
			l.series++
			added.series = append(added.series, se)
			b = binary.AppendUvarint(b, se.ref)
			b = binary.AppendUvarint(b, uint64(len(se.key)))
			b = append(b, se.key...)
		} else {
			b = binary.AppendUvarint(b, se.ref)
		}
		b = binary.AppendVarint(b, e.Step-before.Step)
		b = binary.AppendVarint(b, e.At-before.At)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(e.Value))
		before = e.Point
	}
	return endFrame(b, start)
}

// appendDelete adds the frame of one Delete: segments up to number hide what they have of the owner.
func appendDelete(b []byte, owner string, number uint64) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, frameDelete)
	b = binary.AppendUvarint(b, number)
	b = append(b, owner...)
	return endFrame(b, start)
}

func endFrame(b []byte, start int) []byte {
	payload := b[start+frameHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[start+4:], checksum(payload))
	return b
}

// write adds frames to the file, all of them or none.
func (l *logFile) write(frames []byte) error {
	_, err := l.file.WriteAt(frames, l.size)
	if err == nil {
		l.size += int64(len(frames))
		return nil
	}
	if cut := l.file.Truncate(l.size); cut != nil {
		l.broken = true
	}
	return diskFault(err, "write metric points")
}

// forget takes back the numbers that a batch gave and did not write.
func (l *logFile) forget(added *names) {
	for _, o := range added.owners {
		o.log = 0
		l.owners--
	}
	for _, se := range added.series {
		se.log = 0
		l.series--
	}
}
