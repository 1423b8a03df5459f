package tree

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"unsafe"
)

// quick scores one row by QuickScorer (Lucchese et al., SIGIR 2015): every split that sends the row right strikes the
// leaves of its left side from the set of leaves that its tree has left, in any order, and the first leaf that stays
// is the row's. Which splits of a feature do so depends on the rank of its value alone, so the sets of all trees that
// they leave are kept for some ranks of each feature. A row takes, for each feature, the kept sets of the nearest such
// rank below its own, and strikes the few splits between the two.
//
// M holds one bit for each leaf of a tree.
type quick[M uint32 | uint64] struct {
	columns []quickColumn
	special []int // columns whose state takes more than a rank
	tables  []float32
	states  []quickState
	sets    []M // of all trees for some states
	strikes []strike[M]
	trees   int // padded to a multiple of setBytes
	outputs []int32
	starts  []int32 // of each tree's leaf values
	values  []float64
}

// quickColumn is a feature. It is read by assembly.
type quickColumn struct {
	feature uint32
	table   uint32 // of ranks, in tables
	state   uint32 // of rank 0
	missing uint32 // state of a missing value
}

// quickState is what a value of a feature does to all trees: they have the sets at dense, unless dense is noSets, less
// the strikes.
type quickState struct {
	dense    uint32 // counted in setBytes
	from, to uint32
}

// setBytes is what the sets of all trees are padded to a multiple of.
const setBytes = 128

const noSets = math.MaxUint32

type strike[M uint32 | uint64] struct {
	tree uint32
	keep M
}

// quickScratch is what scoring one row needs.
type quickScratch struct {
	states []uint32
	dense  []uint64 // in bytes
	sets   []uint64
}

// Limits of quick scoring: beyond them rows are walked.
const (
	quickTrees   = 1 << 12
	quickStrikes = 1 << 20
)

// quickRow is what Row needs of a quick[M].
type quickRow interface {
	scratch() *quickScratch
	row(e *Ensemble, s *quickScratch, x []float32, sums []float64)
}

// newQuick is nil when the ensemble is not one that rows are scored quickly with.
func newQuick(e *Ensemble, leaves []int) quickRow {
	if len(e.Trees) == 0 || len(e.Trees) > quickTrees {
		return nil
	}
	most := slices.Max(leaves)
	switch {
	case most <= 32:
		if q := buildQuick[uint32](e); q != nil {
			return q
		}
	case most <= 64:
		if q := buildQuick[uint64](e); q != nil {
			return q
		}
	}
	return nil
}

// quickSplit is a split of a feature.
type quickSplit[M uint32 | uint64] struct {
	strike       strike[M]
	threshold    float32
	words        []uint32 // of a category set
	missingRight bool
}

func buildQuick[M uint32 | uint64](e *Ensemble) *quick[M] {
	q := &quick[M]{}
	size := int(unsafe.Sizeof(M(0)))
	q.trees = (len(e.Trees)*size + setBytes - 1) / setBytes * setBytes / size
	splits := make([][]quickSplit[M], e.Features)
	categorical := make([]bool, e.Features)
	nodes := 0
	for i := range e.Trees {
		t := &e.Trees[i]
		q.outputs, q.starts = append(q.outputs, int32(t.Output)), append(q.starts, int32(len(q.values)))
		leaf := 0
		var visit func(n int32) bool
		visit = func(n int32) bool {
			f := t.Feature[n]
			if f == Leaf {
				q.values = append(q.values, t.Value[n])
				leaf++
				return true
			}
			first := leaf
			if !visit(t.Left[n]) {
				return false
			}
			s := quickSplit[M]{strike: strike[M]{uint32(i), ^(M(1)<<leaf - M(1)<<first)}, threshold: Floor32(t.Threshold[n]), missingRight: !t.MissingLeft[n]}
			isSet := t.Categorical(n)
			if isSet {
				s.words = t.Words(n)
			}
			if len(splits[f]) > 0 && categorical[f] != isSet {
				return false
			}
			categorical[f] = isSet
			splits[f] = append(splits[f], s)
			nodes++
			return visit(t.Right[n])
		}
		if !visit(0) {
			return nil
		}
	}
	// Sets of all trees cost one operation for 32 bytes, a strike about two.
	vector := q.trees * size
	dense := 0
	for _, s := range splits {
		if len(s) > vector/24 {
			dense++
		}
	}
	spare := 0 // sets kept beside the first of each feature
	if dense > 0 {
		spare = max(1, min(max(256<<10, 64*nodes), 4<<20)/vector/dense-2)
	}
	for f, s := range splits {
		if len(s) == 0 {
			continue
		}
		zero := e.ZeroMissing != nil && e.ZeroMissing[f]
		ok := true
		if categorical[f] {
			ok = q.addSets(f, s, len(s) > vector/24)
		} else {
			q.addNumbers(f, s, zero, len(s) > vector/24, spare)
		}
		if !ok || len(q.strikes) > quickStrikes {
			return nil
		}
	}
	return q
}

// keep appends the sets that strikes leave and returns where they are.
func (q *quick[M]) keep(strikes []strike[M]) uint32 {
	at := len(q.sets)
	q.sets = slices.Grow(q.sets, q.trees)[:at+q.trees]
	sets := q.sets[at:]
	for i := range sets {
		sets[i] = ^M(0)
	}
	for _, s := range strikes {
		sets[s.tree] &= s.keep
	}
	return uint32(at * int(unsafe.Sizeof(M(0))) / setBytes)
}

// state appends the state that strikes make: as sets, or as themselves.
func (q *quick[M]) state(strikes []strike[M], dense bool) {
	if dense {
		q.states = append(q.states, quickState{dense: q.keep(strikes)})
		return
	}
	from := uint32(len(q.strikes))
	q.strikes = append(q.strikes, strikes...)
	q.states = append(q.states, quickState{noSets, from, uint32(len(q.strikes))})
}

// addNumbers appends a feature that is compared with thresholds: a state for each rank, then the missing one.
func (q *quick[M]) addNumbers(f int, splits []quickSplit[M], zero, dense bool, spare int) {
	slices.SortStableFunc(splits, func(a, b quickSplit[M]) int { return cmp.Compare(a.threshold, b.threshold) })
	c := quickColumn{feature: uint32(f), table: uint32(len(q.tables)), state: uint32(len(q.states))}
	var thresholds []float32
	var missing []strike[M]
	first := uint32(len(q.strikes))
	for _, s := range splits {
		q.strikes = append(q.strikes, s.strike)
		if s.missingRight {
			missing = append(missing, s.strike)
		}
	}
	all := q.strikes[first:]
	every := max(8, (len(splits)+spare-1)/max(spare, 1))
	kept, place := 0, uint32(noSets)
	add := func(n int) { // the first n splits send the row right
		if dense && (place == noSets || n-kept >= every) {
			kept, place = n, q.keep(all[:n])
		}
		q.states = append(q.states, quickState{place, first + uint32(kept), first + uint32(n)})
	}
	add(0)
	for i, s := range splits {
		if i == 0 || s.threshold != splits[i-1].threshold {
			thresholds = append(thresholds, s.threshold)
		}
		if i+1 == len(splits) || s.threshold != splits[i+1].threshold {
			add(i + 1)
		}
	}
	c.missing = uint32(len(q.states))
	q.state(missing, dense)
	if len(thresholds) > chunk || zero {
		q.special = append(q.special, len(q.columns))
	}
	for rest := thresholds; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
		q.tables = append(q.tables, newRankTable(rest[:min(chunk, len(rest))])...)
	}
	q.columns = append(q.columns, c)
}

// addSets appends a feature whose categories are looked for in sets: a state for each category that one knows, one for
// all others, and the missing one. It is false when they are too many.
func (q *quick[M]) addSets(f int, splits []quickSplit[M], dense bool) bool {
	known := 0
	for _, s := range splits {
		known = max(known, 32*len(s.words))
	}
	if known*len(splits) > quickStrikes || dense && known*q.trees > 1<<19 {
		return false
	}
	c := quickColumn{feature: uint32(f), table: uint32(len(q.tables)), state: uint32(len(q.states))}
	// What a kernel that knows only ranks looks at.
	q.tables = append(q.tables, newRankTable[float32](nil)...)
	var strikes []strike[M]
	for code := range known + 2 {
		strikes = strikes[:0]
		for _, s := range splits {
			right := s.missingRight
			if code <= known {
				right = !contains(s.words, float64(code))
			}
			if right {
				strikes = append(strikes, s.strike)
			}
		}
		q.state(strikes, dense)
	}
	c.missing = uint32(len(q.states) - 1)
	q.special = append(q.special, len(q.columns))
	q.columns = append(q.columns, c)
	return true
}

func (q *quick[M]) scratch() *quickScratch {
	return &quickScratch{
		states: make([]uint32, len(q.columns)),
		dense:  make([]uint64, 0, len(q.columns)),
		sets:   make([]uint64, q.trees*int(unsafe.Sizeof(M(0)))/8),
	}
}

// stateOf is the state of a value in a special column.
func (q *quick[M]) stateOf(e *Ensemble, c *quickColumn, v float32) uint32 {
	f := int(c.feature)
	if e.Missing(f, float64(v)) {
		return c.missing
	}
	known := c.missing - c.state - 1 // thresholds, or categories
	t := rankTable[float32](q.tables[c.table:])
	if math.IsNaN(float64(t[16])) {
		if code := category(float64(v)); code >= 0 {
			return c.state + min(uint32(code), known)
		}
		return c.state + known
	}
	rank := uint32(0)
	for rest := int(known); rest > 0; rest -= chunk {
		rank += uint32(t.rank(v))
		t = t[16+16*(min(chunk, rest)/16+1):]
	}
	return c.state + rank
}

// rowStates finds the state of each column whose values have ranks.
func rowStates(states []uint32, columns []quickColumn, tables []float32, x []float32) {
	for i := range columns {
		c := &columns[i]
		v := x[c.feature]
		if v != v {
			states[i] = c.missing
			continue
		}
		states[i] = c.state + uint32(rankTable[float32](tables[c.table:]).rank(v))
	}
}

// row adds the leaf values of a row to sums.
func (q *quick[M]) row(e *Ensemble, s *quickScratch, x []float32, sums []float64) {
	fillStates(s.states, q.columns, q.tables, x)
	for _, i := range q.special {
		c := &q.columns[i]
		s.states[i] = q.stateOf(e, c, x[c.feature])
	}
	dense := s.dense[:0]
	for _, n := range s.states {
		if d := q.states[n].dense; d != noSets {
			dense = append(dense, uint64(d)*setBytes)
		}
	}
	sets := unsafe.Slice((*M)(unsafe.Pointer(&s.sets[0])), q.trees)
	join(sets, q.sets, dense)
	for _, n := range s.states {
		t := &q.states[n]
		for _, k := range q.strikes[t.from:t.to] {
			sets[k.tree] &= k.keep
		}
	}
	add(q, sets, sums)
}

// joinSets sets sets to what the kept sets at places, in bytes, have in common: 64 bytes at a time, whatever their
// sets are of.
func joinSets[M uint32 | uint64](sets, kept []M, places []uint64) {
	const each = 8
	into := unsafe.Slice((*[each]uint64)(unsafe.Pointer(&sets[0])), len(sets)*int(unsafe.Sizeof(sets[0]))/8/each)
	if len(places) == 0 {
		for i := range sets {
			sets[i] = ^M(0)
		}
		return
	}
	from := unsafe.Slice((*[each]uint64)(unsafe.Pointer(&kept[0])), len(kept)*int(unsafe.Sizeof(kept[0]))/8/each)
	for i := range into {
		first := &from[int(places[0]/(8*each))+i]
		a, b, c, d, e, f, g, h := first[0], first[1], first[2], first[3], first[4], first[5], first[6], first[7]
		for _, p := range places[1:] {
			v := &from[int(p/(8*each))+i]
			a, b, c, d = a&v[0], b&v[1], c&v[2], d&v[3]
			e, f, g, h = e&v[4], f&v[5], g&v[6], h&v[7]
		}
		into[i] = [each]uint64{a, b, c, d, e, f, g, h}
	}
}

// addLeaves adds the value of the first leaf that each tree has left to its sum.
func addLeaves[M uint32 | uint64](q *quick[M], sets []M, sums []float64) {
	for i, start := range q.starts {
		sums[q.outputs[i]] += q.values[int(start)+bits.TrailingZeros64(uint64(sets[i]))]
	}
}
