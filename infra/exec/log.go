package exec

import (
	"bytes"
	"fmt"
	"sync"
)

// maxLine is where a line that does not end is broken.
const maxLine = 64 << 10

// Log keeps what a program printed, line by line, as a terminal would have left it (a progress bar is its last state),
// within a bound: the first half and the newest. It says how much is missing between. Safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	limit   int
	head    []byte
	full    bool // the head takes no more
	tail    [][]byte
	size    int // bytes of tail
	lost    int // bytes that fell out of the tail
	lines   int // that fell out
	changes int64
	streams []*stream
}

// NewLog keeps at most limit bytes.
func NewLog(limit int) *Log { return &Log{limit: limit} }

// stream is one of the pipes of a program: lines of two must not be mixed.
type stream struct {
	log     *Log
	partial []byte
}

func (l *Log) stream() *stream {
	if l == nil {
		return &stream{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &stream{log: l}
	l.streams = append(l.streams, s)
	return s
}

func (s *stream) write(data []byte) {
	if s.log == nil {
		return
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.changes++
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		if end < 0 {
			s.partial = overwritten(append(s.partial, data...))
			for len(s.partial) > maxLine {
				s.log.add(s.partial[:maxLine])
				s.partial = append([]byte{}, s.partial[maxLine:]...)
			}
			return
		}
		s.partial = append(s.partial, data[:end]...)
		s.log.add(overwritten(bytes.TrimSuffix(s.partial, []byte{'\r'})))
		s.partial, data = s.partial[:0], data[end+1:]
	}
}

// overwritten is what stays of a line after carriage returns; one at its end may be followed by the end of the line.
func overwritten(line []byte) []byte {
	if len(line) < 2 {
		return line
	}
	return line[bytes.LastIndexByte(line[:len(line)-1], '\r')+1:]
}

// end takes a line without an end as one.
func (s *stream) end() {
	if s.log == nil {
		return
	}
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	if rest := bytes.TrimSuffix(s.partial, []byte{'\r'}); len(rest) > 0 {
		s.log.add(rest)
		s.log.changes++
	}
	s.partial = nil
}

// add keeps a line, without its end. The caller holds the lock.
func (l *Log) add(line []byte) {
	size := len(line) + 1
	if !l.full && len(l.head)+size <= l.limit/2 {
		l.head = append(append(l.head, line...), '\n')
		return
	}
	l.full = true
	l.tail = append(l.tail, bytes.Clone(line))
	l.size += size
	drop := 0
	for l.size > l.limit/2 && drop < len(l.tail) {
		out := len(l.tail[drop]) + 1
		l.size -= out
		l.lost += out
		l.lines++
		l.tail[drop] = nil
		drop++
	}
	l.tail = l.tail[drop:]
}

// Bytes is the log as it is now.
func (l *Log) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := bytes.Clone(l.head)
	if l.lost > 0 {
		out = fmt.Appendf(out, "… %d lines (%d bytes) left out …\n", l.lines, l.lost)
	}
	for _, line := range l.tail {
		out = append(append(out, line...), '\n')
	}
	for _, s := range l.streams {
		if len(s.partial) > 0 {
			out = append(append(out, s.partial...), '\n')
		}
	}
	return out
}

// Changes grows with everything that was printed.
func (l *Log) Changes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changes
}

// Last is the last lines, for a message about a failure.
func (l *Log) Last(lines int) string {
	all := bytes.TrimRight(l.Bytes(), "\n")
	at := len(all)
	for range lines {
		if at = bytes.LastIndexByte(all[:max(at, 0)], '\n'); at < 0 {
			break
		}
	}
	return string(all[at+1:])
}
