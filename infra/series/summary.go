package series

import (
	"encoding/binary"
)

// inlinePoints is how many points of a key stand in the table of keys itself, without blocks.
const inlinePoints = 32

// entry is what the table of keys says of a key: its points when they are few, and else a summary and where its columns are.
//
//	uvarint count · flags · block of the points                                                 when count ≤ inlinePoints
//	uvarint count · flags · summary · offset of the time column's arrays [· of the step column's]     otherwise
type entry struct {
	count int64
	sum   summary
	few   []Point // by time
	time  int64
	step  int64 // -1 when the order of steps is that of time
}

const entryHasSteps = 1

// summary is what is known of points without reading them.
type summary struct {
	chunk         // first and last by time, min and max
	latest  Point // last by step
	minStep int64
}

const summaryBytes = chunkRecord + pointSize + 8

func summarize(p Point) summary { return summary{chunkOf(p), p, p.Step} }

// add takes in the next point by time.
func (s *summary) add(p Point) {
	s.join(chunkOf(p))
	s.minStep = min(s.minStep, p.Step)
	if byStep.compare(p, s.latest) > 0 {
		s.latest = p
	}
}

// merge takes in other points, earlier or later.
func (s *summary) merge(o summary) {
	if byTime.compare(o.first, s.first) < 0 {
		s.first = o.first
	}
	last := s.last
	if byTime.compare(o.last, last) > 0 {
		last = o.last
	}
	s.join(o.chunk)
	s.last = last
	s.minStep = min(s.minStep, o.minStep)
	if byStep.compare(o.latest, s.latest) > 0 {
		s.latest = o.latest
	}
}

// summaryOf sums up points that are sorted by time; there is one at least.
func summaryOf(points []Point) summary {
	s := summarize(points[0])
	for _, p := range points[1:] {
		s.add(p)
	}
	return s
}

func (e *entry) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(e.count))
	if e.count <= inlinePoints {
		return appendBlock(append(b, 0), e.few)
	}
	flags := byte(0)
	if e.step >= 0 {
		flags = entryHasSteps
	}
	b = e.sum.chunk.append(append(b, flags))
	b = appendPoint(b, e.sum.latest)
	b = binary.LittleEndian.AppendUint64(b, uint64(e.sum.minStep))
	b = binary.LittleEndian.AppendUint64(b, uint64(e.time))
	if e.step >= 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.step))
	}
	return b
}

// readEntry reads what append wrote into a file of the size.
func readEntry(b []byte, size int64) (entry, error) {
	count, used := binary.Uvarint(b)
	if used <= 0 || count == 0 || len(b) <= used || b[used] > entryHasSteps {
		return entry{}, errPage
	}
	e := entry{count: int64(count), step: -1}
	flags, b := b[used], b[used+1:]
	if count <= inlinePoints {
		var err error
		if e.few, err = readBlock(nil, b); err != nil || len(e.few) != int(count) {
			return entry{}, errPage
		}
		for i, p := range e.few[1:] {
			if byTime.compare(e.few[i], p) >= 0 {
				return entry{}, errPage
			}
		}
		e.sum = summaryOf(e.few)
		return e, nil
	}
	if len(b) != summaryBytes+8+8*int(flags) || count > uint64(size)<<12 {
		return entry{}, errPage
	}
	e.sum.chunk = getChunk(b)
	e.sum.latest = getPoint(b[chunkRecord:])
	e.sum.minStep = int64(binary.LittleEndian.Uint64(b[chunkRecord+pointSize:]))
	b = b[summaryBytes:]
	e.time = int64(binary.LittleEndian.Uint64(b))
	length := columnBytes(e.count)
	if e.time < 0 || length > size || e.time > size-length {
		return entry{}, errPage
	}
	if flags == entryHasSteps {
		e.step = int64(binary.LittleEndian.Uint64(b[8:]))
		if e.step < 0 || e.step > size-length {
			return entry{}, errPage
		}
	}
	return e, nil
}
