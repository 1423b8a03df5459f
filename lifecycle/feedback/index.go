package feedback

import (
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"math"
	"slices"
	"sort"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/internal/id"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// What is known of the truth of a prediction.
const (
	unknown uint8 = iota
	labeled
	withoutLabel // known to have none
)

// anyTime is the At of an outcome that names a key alone.
const anyTime = math.MinInt64

// entry is what memory holds of a prediction: enough to find it, to count it and to join it; 88 bytes.
// Everything else is read from its position.
type entry struct {
	id       [16]byte
	key      uint64 // hash
	at       int64
	position position
	label    float64
	known    int64 // when the label was known
	score    float64
	champion float64 // NaN when the row was not paired
	version  uint32
	same     int32 // the entry before it with the same key, or -1
	schema   uint16
	arm      serve.Arm
	state    uint8
	own      bool // its key is its id: byID finds it, byKey does not
}

// truth is an outcome that may yet meet a prediction: by key for ever, by id until it has met its own.
type truth struct {
	position position
	at       int64 // anyTime for a key alone
	known    int64
	same     int32 // the truth before it for the same target, or -1
	matched  bool
}

// revision is what was said of a prediction's truth at one time.
type revision struct {
	state uint8
	label float64
	known int64
}

const chunkSize = 4096

// chunk is a run of entries with the range of their times, so that a window skips what it cannot contain.
type chunk struct {
	entries  []entry
	min, max int64
}

// index finds predictions by id, key and time. It is not safe for concurrent use: the log that owns it locks.
type index struct {
	seed   maphash.Seed
	chunks []chunk
	n      int32

	byID    map[uint64]int32   // by the random half of the id
	twins   map[[16]byte]int32 // ids whose random half is taken
	byKey   map[uint64]int32   // the last entry of a key
	history map[int32][]revision

	truths                  []truth
	truthByKey              map[uint64]int32 // the last truth of a key
	truthByID               map[[16]byte]int32
	newestByID, newestByKey int32 // the last truth of either kind, or -1
	pending                 int64
}

func newIndex() *index {
	return &index{seed: maphash.MakeSeed(), byID: map[uint64]int32{}, twins: map[[16]byte]int32{}, byKey: map[uint64]int32{}, history: map[int32][]revision{},
		truthByKey: map[uint64]int32{}, truthByID: map[[16]byte]int32{}, newestByID: -1, newestByKey: -1}
}

func (x *index) hash(key string) uint64 { return maphash.String(x.seed, key) }

// idBytes is the form in which ids are compared. An id that the server did not make is hashed.
func idBytes(s string) (out [16]byte) {
	if id.Valid(s) {
		_, _ = hex.Decode(out[:], []byte(s)) // id.Valid has checked every digit
		return out
	}
	sum := blake3.Sum256([]byte(s))
	copy(out[:], sum[:])
	return out
}

func (x *index) entry(i int32) *entry { return &x.chunks[i/chunkSize].entries[i%chunkSize] }

// find gives the entry with an id, or -1.
func (x *index) find(id [16]byte) int32 {
	if i, ok := x.byID[binary.LittleEndian.Uint64(id[8:])]; ok && x.entry(i).id == id {
		return i
	}
	if i, ok := x.twins[id]; ok {
		return i
	}
	return -1
}

// add takes a prediction in and gives its number.
func (x *index) add(e entry) int32 {
	i := x.n
	if int(i)%chunkSize == 0 {
		x.chunks = append(x.chunks, chunk{entries: make([]entry, 0, chunkSize), min: e.at, max: e.at})
	}
	half := binary.LittleEndian.Uint64(e.id[8:])
	if _, taken := x.byID[half]; taken {
		x.twins[e.id] = i
	} else {
		x.byID[half] = i
	}
	e.same = -1
	if !e.own {
		if last, ok := x.byKey[e.key]; ok {
			e.same = last
		}
		x.byKey[e.key] = i
	}
	c := &x.chunks[len(x.chunks)-1]
	c.entries = append(c.entries, e)
	c.min, c.max = min(c.min, e.at), max(c.max, e.at)
	x.n++
	return i
}

// meets says whether a truth by key is about a prediction for the time at.
func (t *truth) meets(at int64) bool {
	if t.at != anyTime {
		return t.at == at
	}
	return at <= t.known
}

// ownKey gives the prediction whose key is its id, or -1.
func (x *index) ownKey(text string) int32 {
	if !id.Valid(text) {
		return -1
	}
	if i := x.find(idBytes(text)); i >= 0 && x.entry(i).own {
		return i
	}
	return -1
}

// matches gives the predictions of a key, by its hash and its text, that a truth is about, in the order of arrival.
func (x *index) matches(key uint64, text string, t *truth) []int32 {
	var out []int32
	i, ok := x.byKey[key]
	for ok && i >= 0 {
		e := x.entry(i)
		if t.meets(e.at) {
			out = append(out, i)
		}
		i = e.same
	}
	slices.Reverse(out)
	if own := x.ownKey(text); own >= 0 && t.meets(x.entry(own).at) {
		at, _ := slices.BinarySearch(out, own)
		out = slices.Insert(out, at, own)
	}
	return out
}

// newest is the greatest time of a key's predictions, or anyTime when it has none.
func (x *index) newest(key uint64, text string) int64 {
	at := int64(anyTime)
	if own := x.ownKey(text); own >= 0 {
		at = x.entry(own).at
	}
	for i, ok := x.byKey[key]; ok && i >= 0; {
		e := x.entry(i)
		at = max(at, e.at)
		i = e.same
	}
	return at
}

// waiting gives the truths that are about entry i, in the order of arrival.
func (x *index) waiting(i int32) []int32 {
	e := x.entry(i)
	var out []int32
	for t, ok := x.truthByKey[e.key]; ok && t >= 0; t = x.truths[t].same {
		if x.truths[t].meets(e.at) {
			out = append(out, t)
		}
	}
	for t, ok := x.truthByID[e.id]; ok && t >= 0; t = x.truths[t].same {
		out = append(out, t)
	}
	sort.Slice(out, func(a, b int) bool { return out[a] < out[b] })
	return out
}

// lastByID gives the truth that waits for a prediction and that nothing received later can have contradicted, or -1. Which key the
// prediction will have is not known, so any later truth by key can have.
func (x *index) lastByID(id [16]byte) int32 {
	if t, ok := x.truthByID[id]; ok && t > x.newestByKey {
		return t
	}
	return -1
}

// lastByKey gives the truth of a key that is about every prediction that n is about, and that nothing received later can have
// contradicted, or -1.
func (x *index) lastByKey(key uint64, n *truth) int32 {
	for t, ok := x.truthByKey[key]; ok && t >= 0; t = x.truths[t].same {
		c := &x.truths[t]
		if n.at != anyTime && c.at != anyTime && c.at != n.at {
			continue // about other predictions
		}
		covers := n.at != anyTime && c.meets(n.at) || n.at == anyTime && c.at == anyTime && c.known >= n.known
		if covers && t > x.newestByID {
			return t
		}
		return -1
	}
	return -1
}

// keepByKey stores a truth that names a key.
func (x *index) keepByKey(key uint64, t truth) {
	t.same = -1
	if last, ok := x.truthByKey[key]; ok {
		t.same = last
	}
	x.truthByKey[key] = int32(len(x.truths))
	x.newestByKey = int32(len(x.truths))
	x.keep(t)
}

// keepByID stores a truth whose prediction has not turned up.
func (x *index) keepByID(id [16]byte, t truth) {
	t.same = -1
	if last, ok := x.truthByID[id]; ok {
		t.same = last
	}
	x.truthByID[id] = int32(len(x.truths))
	x.newestByID = int32(len(x.truths))
	x.keep(t)
}

func (x *index) keep(t truth) {
	x.truths = append(x.truths, t)
	if !t.matched {
		x.pending++
	}
}

// met notes that a truth has met a prediction.
func (x *index) met(t int32) {
	if !x.truths[t].matched {
		x.truths[t].matched = true
		x.pending--
	}
}

// says reports whether r is what is known of entry i already.
func (x *index) says(i int32, r revision) bool {
	e := x.entry(i)
	return e.state == r.state && (r.state != labeled || e.label == r.label)
}

// set makes r what is known of entry i, and reports whether that contradicts what was known before. The same again has no effect.
func (x *index) set(i int32, r revision) (revised bool) {
	if x.says(i, r) {
		return false
	}
	e := x.entry(i)
	if e.state != unknown {
		if x.history[i] == nil {
			x.history[i] = []revision{{e.state, e.label, e.known}}
		}
		x.history[i] = append(x.history[i], r)
		revised = true
	}
	e.state, e.label, e.known = r.state, r.label, r.known
	return revised
}

// asOf is what was known of entry i at a time: of what was known by then, the last received.
func (x *index) asOf(i int32, at int64) revision {
	e := x.entry(i)
	if h := x.history[i]; h != nil {
		for k := len(h) - 1; k >= 0; k-- {
			if h[k].known <= at {
				return h[k]
			}
		}
		return revision{label: math.NaN()}
	}
	if e.known > at {
		return revision{label: math.NaN()}
	}
	return revision{e.state, e.label, e.known}
}

// between gives the entries with from <= at < to for which keep holds, in the order of arrival.
func (x *index) between(from, to int64, keep func(*entry) bool) []int32 {
	var out []int32
	for c := range x.chunks {
		ch := &x.chunks[c]
		if ch.max < from || ch.min >= to {
			continue
		}
		for k := range ch.entries {
			if e := &ch.entries[k]; e.at >= from && e.at < to && keep(e) {
				out = append(out, int32(c*chunkSize+k))
			}
		}
	}
	return out
}
