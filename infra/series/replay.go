package series

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
)

// logEnd is where a log file ends.
type logEnd struct {
	number uint64
	size   int64
}

// replay brings back what the log has. The files form a chain, each naming the one before: a file outside of the chain was begun
// and never used.
func (s *Store) replay(ctx context.Context) error {
	chain, err := s.logChain()
	if err != nil {
		return err
	}
	for i, end := range chain {
		if err := ctx.Err(); err != nil {
			return err
		}
		last := i == len(chain)-1
		good, err := s.replayFile(end, last)
		if err != nil {
			return err
		}
		if good < end.size {
			s.log.Warn("the log of metric points ended in the middle of a record, as after a crash; the rest was cut",
				"file", logName(end.number), "kept", good, "cut", end.size-good)
		}
		s.replayed = logEnd{end.number, good}
	}
	return s.checkSegments()
}

// logChain lists the log files that count, oldest first, and removes the others.
func (s *Store) logChain() ([]logEnd, error) {
	files, err := s.disk.ReadDir(s.path("log"))
	if err != nil {
		return nil, diskFault(err, "read the folder of the log")
	}
	there := map[uint64]bool{}
	var numbers []uint64
	for _, name := range files {
		if number, ok := numberOf(name, "log"); ok {
			s.set.latest = max(s.set.latest, number)
			if number >= s.floor {
				there[number] = true
				numbers = append(numbers, number)
			}
		}
	}
	slices.Sort(numbers)
	var chain []logEnd
	wanted := logEnd{}
	for i := len(numbers) - 1; i >= 0; i-- {
		number := numbers[i]
		if len(chain) > 0 && number != wanted.number {
			continue
		}
		before, size, err := s.logHead(number)
		if errors.Is(err, errHeader) {
			if len(chain) == 0 { // a crash came while the file was begun: nothing was acknowledged in it
				s.log.Warn("a log file of metric points was begun and never used", "file", logName(number))
				continue
			}
			return nil, corrupt(logName(number), "its beginning is damaged")
		}
		if err != nil {
			return nil, err
		}
		if len(chain) > 0 {
			if size < wanted.size {
				return nil, corrupt(logName(number), "it has %d bytes, %d were written", size, wanted.size)
			}
			size = wanted.size
		}
		chain = append(chain, logEnd{number, size})
		wanted = before
	}
	if wanted.number >= max(s.floor, 1) && !there[wanted.number] {
		return nil, corrupt(logName(wanted.number), "it is not there")
	}
	slices.Reverse(chain)
	used := map[uint64]bool{}
	for _, end := range chain {
		used[end.number] = true
	}
	for _, number := range numbers {
		if used[number] {
			continue
		}
		if _, size, err := s.logHead(number); err == nil && size > logHeader {
			return nil, corrupt(logName(number), "it has records, and no later file names it")
		}
	}
	return chain, s.removeAll(s.path("log"), func(name string) bool {
		number, ok := numberOf(name, "log")
		return ok && !used[number]
	})
}

var (
	errHeader = errors.New("the header of a log file is damaged")
	errFrame  = errors.New("a record of the log is damaged")
)

// logHead reads the header of a log file: which file it follows and how long that is, and its own length.
func (s *Store) logHead(number uint64) (before logEnd, size int64, err error) {
	r, err := s.disk.Open(s.path("log", logName(number)))
	if err != nil {
		return logEnd{}, 0, diskFault(err, "open the log file %s", logName(number))
	}
	defer r.Close()
	if size, err = r.Size(); err != nil {
		return logEnd{}, 0, diskFault(err, "look at the log file %s", logName(number))
	}
	b := make([]byte, logHeader)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		if errors.Is(err, io.EOF) {
			return logEnd{}, 0, errHeader
		}
		return logEnd{}, 0, diskFault(err, "read the log file %s", logName(number))
	}
	before, err = parseLogHeader(b, number)
	return before, size, err
}

func parseLogHeader(b []byte, number uint64) (before logEnd, err error) {
	if len(b) < logHeader || string(b[:8]) != logMagic || binary.LittleEndian.Uint64(b[8:]) != number ||
		binary.LittleEndian.Uint32(b[logHeader-4:]) != checksum(b[:logHeader-4]) {
		return logEnd{}, errHeader
	}
	before = logEnd{binary.LittleEndian.Uint64(b[16:]), int64(binary.LittleEndian.Uint64(b[24:]))}
	if before.number >= number || before.size < 0 {
		return logEnd{}, errHeader
	}
	return before, nil
}

// replayFile takes the records of a log file into memory and returns where the last whole one ends. Only the last file may be torn.
func (s *Store) replayFile(end logEnd, last bool) (int64, error) {
	name := logName(end.number)
	file, err := s.disk.Open(s.path("log", name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, corrupt(name, "it is not there")
	}
	if err != nil {
		return 0, diskFault(err, "open the log file %s", name)
	}
	defer file.Close()
	r := bufio.NewReaderSize(io.NewSectionReader(file, logHeader, end.size-logHeader), 1<<18)
	at := int64(logHeader)
	d := &logDecoder{store: s}
	for at < end.size {
		payload, err := readFrame(r, end.size-at, d.buf)
		if errors.Is(err, errFrame) && last {
			return at, nil
		}
		if errors.Is(err, errFrame) {
			return 0, corrupt(name, "the record at %d is damaged", at)
		}
		if err != nil {
			return 0, diskFault(err, "read the log file %s", name)
		}
		d.buf = payload
		if err := d.frame(payload); err != nil {
			return 0, corrupt(name, "the record at %d cannot be read", at)
		}
		at += frameHead + int64(len(payload))
	}
	return at, nil
}

// readFrame reads the payload of a frame that has no more than left bytes; it takes no more memory than those. errFrame: no whole frame.
func readFrame(r io.Reader, left int64, buf []byte) ([]byte, error) {
	var head [frameHead]byte
	if left < frameHead {
		return nil, errFrame
	}
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if n == 0 || n > left-frameHead || n > maxFrame {
		return nil, errFrame
	}
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	if checksum(buf) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errFrame
	}
	return buf, nil
}

// logDecoder reads the payloads of one log file, whose names have numbers.
type logDecoder struct {
	store  *Store
	owners []string
	series []decodedSeries
	buf    []byte
	points []decodedPoint
}

type decodedSeries struct {
	key    string
	owner  *memOwner // the table that the next line is of: a Delete ends it
	series *memSeries
}

type decodedPoint struct {
	series uint64
	Point
}

// frame takes a payload into memory, whole or not at all.
func (d *logDecoder) frame(b []byte) error {
	switch b[0] {
	case framePoints:
		return d.readPoints(b[1:])
	case frameDelete:
		number, used := binary.Uvarint(b[1:])
		if used <= 0 || checkOwner(string(b[1+used:])) != nil {
			return errFrame
		}
		d.store.hideOwner(string(b[1+used:]), number)
		return nil
	}
	return errFrame
}

func (d *logDecoder) readPoints(b []byte) error {
	ref, b, err := takeUvarint(b)
	if err != nil || ref > uint64(len(d.owners)) {
		return errFrame
	}
	if ref == uint64(len(d.owners)) {
		var name []byte
		if name, b, err = takeBytes(b); err != nil || checkOwner(string(name)) != nil {
			return errFrame
		}
		d.owners = append(d.owners, string(name))
	}
	n, b, err := takeUvarint(b)
	if err != nil || n > uint64(len(b))/11 { // an entry takes 11 bytes at least
		return errFrame
	}
	d.points = d.points[:0]
	var p Point
	for range n {
		var of uint64
		if of, b, err = takeUvarint(b); err != nil || of > uint64(len(d.series)) {
			return errFrame
		}
		if of == uint64(len(d.series)) {
			var key []byte
			if key, b, err = takeBytes(b); err != nil || checkKey(string(key)) != nil {
				return errFrame
			}
			d.series = append(d.series, decodedSeries{key: string(key)})
		}
		step, used := varint(b)
		if used <= 0 {
			return errFrame
		}
		b = b[used:]
		at, used := varint(b)
		if used <= 0 || len(b) < used+8 {
			return errFrame
		}
		b = b[used:]
		p = Point{p.Step + step, p.At + at, math.Float64frombits(binary.LittleEndian.Uint64(b))}
		b = b[8:]
		d.points = append(d.points, decodedPoint{of, p})
	}
	if len(b) != 0 {
		return errFrame
	}
	m := d.store.mem
	o := m.owner(d.owners[ref])
	for _, p := range d.points {
		se := &d.series[p.series]
		if se.owner != o {
			se.owner, se.series = o, m.seriesOf(o, se.key)
		}
		m.add(o, se.series, p.Point)
	}
	return nil
}

func takeUvarint(b []byte) (uint64, []byte, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 {
		return 0, nil, errFrame
	}
	return n, b[used:], nil
}

func takeBytes(b []byte) ([]byte, []byte, error) {
	n, b, err := takeUvarint(b)
	if err != nil || n > uint64(len(b)) {
		return nil, nil, errFrame
	}
	return b[:n], b[n:], nil
}
