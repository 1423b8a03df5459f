package track

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/filter"
)

// columnsFor are the columns that clauses and orders look at, beside the attributes.
func columnsFor(clauses []filter.Clause, orders []filter.Order) []columnKey {
	var keys []columnKey
	add := func(kind filter.Kind, name string) {
		key := columnKey{kind, name}
		if kind == filter.Dataset {
			key = readingsKey
		}
		if kind != filter.Attribute && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, c := range clauses {
		add(c.Kind, c.Key)
	}
	for _, o := range orders {
		add(o.Kind, o.Key)
	}
	return keys
}

// candidates are the slots of runs of experiments that a view sees and that meet all clauses, in the order of their numbers.
func (x *index) candidates(experiments []int64, view View, clauses []filter.Clause) []int32 {
	wanted, some := make([]bool, len(x.experimentIDs)), false
	for _, e := range experiments {
		if n, ok := x.order[e]; ok {
			wanted[n], some = true, true
		}
	}
	if !some {
		return nil
	}
	var sees [3]bool
	sees[slotActive], sees[slotDeleted] = view.sees(StageActive), view.sees(StageDeleted)
	out := make([]int32, 0, len(x.numbers))
	for slot, stage := range x.stages {
		if sees[stage] && wanted[x.experiment[slot]] {
			out = append(out, int32(slot))
		}
	}
	for i := range clauses {
		meets := x.matcher(&clauses[i])
		out = slices.DeleteFunc(out, func(slot int32) bool { return !meets(slot) })
	}
	return out
}

// matcher tells which slots meet a clause.
func (x *index) matcher(c *filter.Clause) func(slot int32) bool {
	switch c.Kind {
	case filter.Metric:
		column := x.columns[columnKey{c.Kind, c.Key}].numbers
		return func(slot int32) bool { return c.MatchNumber(column.get(slot)) }
	case filter.Dataset:
		return x.columns[readingsKey].readings.matcher(c)
	case filter.Param, filter.Tag:
		return x.columns[columnKey{c.Kind, c.Key}].texts.matcher(c)
	}
	switch c.Key {
	case "start_time":
		return func(slot int32) bool { return c.MatchNumber(float64(x.started[slot]), true) }
	case "end_time":
		return func(slot int32) bool { return c.MatchNumber(float64(x.finished[slot]), x.finished[slot] != noTime) }
	case "run_id":
		if c.Op == filter.In || c.Op == filter.NotIn {
			listed := make(map[string]bool, len(c.List))
			for _, id := range c.List {
				listed[id] = true
			}
			return func(slot int32) bool { return listed[x.id(slot)] == (c.Op == filter.In) }
		}
		return func(slot int32) bool { return c.MatchText(x.id(slot), true) }
	case "artifact_uri":
		return func(slot int32) bool { return c.MatchText(x.uri(slot), true) }
	}
	if column := x.attribute(c.Key); column != nil {
		return column.matcher(c)
	}
	return func(int32) bool { return false }
}

// attribute is the column of an attribute that is a text.
func (x *index) attribute(key string) *texts {
	switch key {
	case "run_name":
		return x.names
	case "user_id":
		return x.users
	case "status":
		return x.states
	}
	return nil
}

func (b *base) uri(slot int32) string {
	if uri, ok := b.uris.get(slot); ok {
		return uri
	}
	return usualURI(b.experimentIDs[b.experiment[slot]], b.id(slot))
}

// matcher looks at each text once.
func (c *texts) matcher(clause *filter.Clause) func(slot int32) bool {
	const yes, no = 1, 2
	seen := make([]uint8, len(c.ends))
	seen[0] = no
	if clause.MatchText("", false) {
		seen[0] = yes
	}
	return func(slot int32) bool {
		code := c.code(slot)
		if seen[code] == 0 {
			seen[code] = no
			if clause.MatchText(c.text(code), true) {
				seen[code] = yes
			}
		}
		return seen[code] == yes
	}
}

// matcher is met by a run that has read one dataset which meets the clause.
func (c *readings) matcher(clause *filter.Clause) func(slot int32) bool {
	met := make([]bool, len(c.all))
	for i, r := range c.all {
		switch clause.Key {
		case "name":
			met[i] = clause.MatchText(r.name, true)
		case "digest":
			met[i] = clause.MatchText(r.digest, true)
		case "context":
			met[i] = clause.MatchText(r.context, r.context != "")
		}
	}
	return func(slot int32) bool {
		return slices.ContainsFunc(c.of[slot], func(code uint32) bool { return met[code] })
	}
}

// sorting is one key of an order over slots.
type sorting struct {
	order filter.Order
	// key puts slots in order roughly: a smaller key comes before. Equal keys say nothing, unless exact.
	key   func(slot int32) uint64
	exact bool
	value func(slot int32) filter.Value
	// compare is order.Compare of two values.
	compare func(a, b int32) int
}

// Keys of what comes last. No number's bits and no text's first bytes are as high.
const (
	keyAbsent = math.MaxUint64
	keyNaN    = math.MaxUint64 - 1
)

// sortKey turns a number into bits that order as numbers do.
func sortKey(v float64, present, desc bool) uint64 {
	switch {
	case !present:
		return keyAbsent
	case v != v:
		return keyNaN
	}
	bits := math.Float64bits(v + 0) // no negative zero
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	if desc {
		return ^bits
	}
	return bits
}

// textSortKey is the first bytes of a text.
func textSortKey(v string, present, desc bool) uint64 {
	if !present {
		return keyAbsent
	}
	var first [8]byte
	copy(first[:], v)
	key := binary.BigEndian.Uint64(first[:])
	if desc {
		return ^key
	}
	return key
}

func (x *index) sortings(orders []filter.Order) []sorting {
	out := make([]sorting, len(orders))
	for i, o := range orders {
		out[i] = x.sorting(o)
	}
	return out
}

func (x *index) sorting(o filter.Order) sorting {
	switch {
	case o.Kind == filter.Metric:
		return sortingOfNumbers(o, x.columns[columnKey{o.Kind, o.Key}].numbers.get)
	case o.Kind != filter.Attribute:
		return x.columns[columnKey{o.Kind, o.Key}].texts.sorting(o)
	}
	switch o.Key {
	case "start_time":
		return sortingOfNumbers(o, func(slot int32) (float64, bool) { return float64(x.started[slot]), true })
	case "end_time":
		return sortingOfNumbers(o, func(slot int32) (float64, bool) { return float64(x.finished[slot]), x.finished[slot] != noTime })
	case "run_id":
		return x.sortingOfIDs(o)
	case "artifact_uri":
		return sortingOfTexts(o, func(slot int32) (string, bool) { return x.uri(slot), true })
	}
	return x.attribute(o.Key).sorting(o)
}

func sortingOfNumbers(o filter.Order, get func(slot int32) (float64, bool)) sorting {
	return sorting{
		order: o, exact: true,
		key: func(slot int32) uint64 {
			v, ok := get(slot)
			return sortKey(v, ok, o.Desc)
		},
		value: func(slot int32) filter.Value {
			v, ok := get(slot)
			return filter.Value{Null: !ok, Numeric: true, Number: v}
		},
		compare: func(a, b int32) int {
			v, hasV := get(a)
			w, hasW := get(b)
			return filter.CompareNumber(v, hasV, w, hasW, o.Desc)
		},
	}
}

func sortingOfTexts(o filter.Order, get func(slot int32) (string, bool)) sorting {
	return sorting{
		order: o,
		key: func(slot int32) uint64 {
			v, ok := get(slot)
			return textSortKey(v, ok, o.Desc)
		},
		value: func(slot int32) filter.Value {
			v, ok := get(slot)
			return filter.Value{Null: !ok, Text: v}
		},
		compare: func(a, b int32) int {
			v, hasV := get(a)
			w, hasW := get(b)
			return filter.CompareText(v, hasV, w, hasW, o.Desc)
		},
	}
}

func (c *texts) sorting(o filter.Order) sorting {
	s := sortingOfTexts(o, c.get)
	rank, ok := c.ranks()
	if !ok {
		return s
	}
	s.exact = true
	s.key = func(slot int32) uint64 {
		switch code := c.code(slot); {
		case code == 0:
			return keyAbsent
		case o.Desc:
			return uint64(len(rank)) - rank[code]
		default:
			return rank[code]
		}
	}
	s.compare = func(a, b int32) int { return cmp.Compare(s.key(a), s.key(b)) }
	return s
}

func (x *index) sortingOfIDs(o filter.Order) sorting {
	s := sortingOfTexts(o, func(slot int32) (string, bool) { return x.id(slot), true })
	if len(x.odd) > 0 {
		return s
	}
	// Digits order as the bytes that they stand for.
	s.key = func(slot int32) uint64 {
		key := binary.BigEndian.Uint64(x.ids[slot][:8])
		if o.Desc {
			return ^key
		}
		return key
	}
	s.compare = func(a, b int32) int {
		c := bytes.Compare(x.ids[a][:], x.ids[b][:])
		if o.Desc {
			return -c
		}
		return c
	}
	return s
}

// entry is a slot with its first two keys.
type entry struct {
	first, second uint64
	slot          int32
}

type sorter struct {
	by       []sorting
	decisive bool // the first key is exact
	both     bool // the second key is too
}

func newSorter(by []sorting) *sorter {
	s := &sorter{by: by, decisive: by[0].exact}
	s.both = s.decisive && len(by) > 1 && by[1].exact
	return s
}

func (s *sorter) entry(slot int32) entry {
	e := entry{first: s.by[0].key(slot), slot: slot}
	if s.decisive && len(s.by) > 1 {
		e.second = s.by[1].key(slot)
	}
	return e
}

func (s *sorter) compare(a, b entry) int {
	if a.first != b.first {
		return cmp.Compare(a.first, b.first)
	}
	if a.second != b.second {
		return cmp.Compare(a.second, b.second)
	}
	from := 0
	switch {
	case s.both:
		from = 2
	case s.decisive:
		from = 1
	}
	for _, by := range s.by[from:] {
		if c := by.compare(a.slot, b.slot); c != 0 {
			return c
		}
	}
	return 0
}

// values is the place of a slot in the order.
func (s *sorter) values(slot int32) []filter.Value {
	out := make([]filter.Value, len(s.by))
	for i, by := range s.by {
		out[i] = by.value(slot)
		out[i].Text = strings.Clone(out[i].Text)
	}
	return out
}

// after keeps the slots that come behind a place.
func (s *sorter) after(slots []int32, place []filter.Value) []int32 {
	return slices.DeleteFunc(slots, func(slot int32) bool {
		for i, by := range s.by {
			if c := by.order.Compare(by.value(slot), place[i]); c != 0 {
				return c < 0
			}
		}
		return true
	})
}

// first are the n slots that come first, in order.
func (s *sorter) first(slots []int32, n int) []int32 {
	var best []entry
	if n < len(slots)/8 {
		best = s.topmost(slots, n)
	} else {
		best = make([]entry, len(slots))
		for i, slot := range slots {
			best[i] = s.entry(slot)
		}
	}
	slices.SortFunc(best, s.compare)
	if len(best) > n {
		best = best[:n]
	}
	out := make([]int32, len(best))
	for i, e := range best {
		out[i] = e.slot
	}
	return out
}

// topmost finds the n first without putting the others in order: a heap has the last of them on top.
func (s *sorter) topmost(slots []int32, n int) []entry {
	if n == 0 {
		return nil
	}
	heap := make([]entry, 0, n)
	// The latest runs are the last, and most orders want them first: then most of the others are passed over.
	for _, slot := range slices.Backward(slots) {
		e := s.entry(slot)
		if len(heap) < n {
			heap = append(heap, e)
			for i := len(heap) - 1; i > 0; {
				parent := (i - 1) / 2
				if s.compare(heap[i], heap[parent]) <= 0 {
					break
				}
				heap[i], heap[parent] = heap[parent], heap[i]
				i = parent
			}
			continue
		}
		if s.compare(e, heap[0]) >= 0 {
			continue
		}
		heap[0] = e
		for i := 0; ; {
			child := 2*i + 1
			if child >= n {
				break
			}
			if child+1 < n && s.compare(heap[child+1], heap[child]) > 0 {
				child++
			}
			if s.compare(heap[i], heap[child]) >= 0 {
				break
			}
			heap[i], heap[child] = heap[child], heap[i]
			i = child
		}
	}
	return heap
}
