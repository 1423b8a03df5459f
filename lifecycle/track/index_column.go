package track

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// fewTexts is up to how many different texts a column keeps each of them once, and can say their order.
const fewTexts = 4096

// texts is a column of texts by slot. A text takes its bytes and four more, a slot four. Texts are never changed in place, so those that get
// gives stay what they are.
type texts struct {
	codes []uint32 // by slot: 0 = absent, otherwise the number of the text, from 1
	ends  []uint32 // text n is arena[ends[n-1]:ends[n]]
	arena strings.Builder
	known map[string]uint32 // while there are few
	full  bool              // a text had no room: places have 32 bits
}

func newTexts(slots int) *texts {
	return &texts{codes: make([]uint32, 0, slots), ends: []uint32{0}, known: map[string]uint32{}}
}

// code is the number of the text in a slot.
func (c *texts) code(slot int32) uint32 {
	if int(slot) < len(c.codes) {
		return c.codes[slot]
	}
	return 0
}

func (c *texts) text(code uint32) string { return c.arena.String()[c.ends[code-1]:c.ends[code]] }

func (c *texts) get(slot int32) (string, bool) {
	code := c.code(slot)
	if code == 0 {
		return "", false
	}
	return c.text(code), true
}

func (c *texts) set(slot int32, v string) {
	if old, ok := c.get(slot); ok && old == v {
		return
	}
	c.reach(slot)
	c.codes[slot] = c.add(v)
}

func (c *texts) add(v string) uint32 {
	if code, ok := c.known[v]; ok {
		return code
	}
	if uint64(c.arena.Len())+uint64(len(v)) > math.MaxUint32 {
		c.full = true
		return 0
	}
	c.arena.WriteString(v)
	c.ends = append(c.ends, uint32(c.arena.Len()))
	code := uint32(len(c.ends) - 1)
	switch {
	case c.known == nil:
	case len(c.known) == fewTexts:
		c.known = nil
	default:
		c.known[c.text(code)] = code
	}
	return code
}

// reach makes the column as long as to hold a slot.
func (c *texts) reach(slot int32) {
	for len(c.codes) <= int(slot) {
		c.codes = append(c.codes, 0)
	}
}

func (c *texts) unset(slot int32) {
	if int(slot) < len(c.codes) {
		c.codes[slot] = 0
	}
}

// wasteful reports whether most of the column are texts that were replaced.
func (c *texts) wasteful() bool { return len(c.ends) > 2*len(c.codes)+2*fewTexts }

// packed is the column without what was replaced and without room to grow.
func (c *texts) packed() *texts {
	p := &texts{codes: slices.Clone(c.codes), ends: []uint32{0}, known: map[string]uint32{}}
	used, bytes := make([]bool, len(c.ends)), 0
	for _, code := range c.codes {
		if code > 0 && !used[code] {
			used[code] = true
			bytes += int(c.ends[code] - c.ends[code-1])
		}
	}
	p.arena.Grow(bytes)
	moved := make([]uint32, len(c.ends))
	for slot, code := range c.codes {
		if code == 0 {
			continue
		}
		if moved[code] == 0 {
			moved[code] = p.add(c.text(code))
		}
		p.codes[slot] = moved[code]
	}
	p.ends = slices.Clip(p.ends)
	return p
}

// ranks gives the place of each text among all, by its number; ok is false when there are too many to say.
func (c *texts) ranks() (rank []uint64, ok bool) {
	if c.known == nil {
		return nil, false
	}
	codes := make([]uint32, len(c.ends)-1)
	for i := range codes {
		codes[i] = uint32(i + 1)
	}
	slices.SortFunc(codes, func(a, b uint32) int { return cmp.Compare(c.text(a), c.text(b)) })
	rank = make([]uint64, len(c.ends))
	for i, code := range codes {
		rank[code] = uint64(i)
	}
	return rank, true
}

func (c *texts) size() int64 {
	// A map entry is a key of two words, a value, and as much again for the room between.
	return int64(4*cap(c.codes)+4*cap(c.ends)+c.arena.Cap()) + int64(len(c.known))*40 + 256
}

// numbers is a column of numbers by slot.
type numbers struct {
	values  []float64
	present []uint64 // a bit per slot
}

func (c *numbers) get(slot int32) (float64, bool) {
	if int(slot) >= len(c.values) || c.present[slot/64]>>(slot%64)&1 == 0 {
		return 0, false
	}
	return c.values[slot], true
}

func (c *numbers) set(slot int32, v float64) {
	for len(c.values) <= int(slot) {
		c.values = append(c.values, 0)
	}
	for len(c.present) <= int(slot/64) {
		c.present = append(c.present, 0)
	}
	c.values[slot] = v
	c.present[slot/64] |= 1 << (slot % 64)
}

func (c *numbers) unset(slot int32) {
	if int(slot) < len(c.values) {
		c.present[slot/64] &^= 1 << (slot % 64)
	}
}

func (c *numbers) size() int64 { return int64(8*cap(c.values)+8*cap(c.present)) + 256 }

// readings is the column of what datasets runs read, and what for.
type readings struct {
	of    map[int32][]uint32
	all   []reading
	codes map[reading]uint32
}

type reading struct {
	dataset int64
	name    string
	digest  string
	context string // "" = the client did not say
}

func newReadings() *readings {
	return &readings{of: map[int32][]uint32{}, codes: map[reading]uint32{}}
}

func (c *readings) add(slot int32, r reading) {
	code, ok := c.codes[r]
	if !ok {
		code = uint32(len(c.all))
		c.all = append(c.all, r)
		c.codes[r] = code
	}
	c.of[slot] = append(c.of[slot], code)
}

func (c *readings) size() int64 { return int64(len(c.of))*56 + int64(len(c.all))*256 + 256 }
