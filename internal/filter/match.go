package filter

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// MatchText reports whether a text meets the clause. present is whether there is a value at all; only IsNull, and the tag
// of prompts in a registry, match where there is none. A clause about a number matches no text.
func (c Clause) MatchText(v string, present bool) bool {
	if !present {
		return c.AbsentMatches
	}
	switch c.Op {
	case IsNotNull:
		return true
	case IsNull:
		return false
	}
	if c.Numeric {
		return false
	}
	switch c.Op {
	case Equal:
		return v == c.Text
	case NotEqual:
		return v != c.Text
	case Like, ILike:
		if c.pattern == nil {
			return NewPattern(c.Text, c.Op == ILike).Match(v)
		}
		return c.pattern.Match(v)
	case In:
		return slices.Contains(c.List, v)
	case NotIn:
		return !slices.Contains(c.List, v)
	}
	return false
}

// MatchNumber reports whether a number meets the clause. NaN meets only !=.
func (c Clause) MatchNumber(v float64, present bool) bool {
	if !present {
		return c.AbsentMatches
	}
	switch c.Op {
	case IsNotNull:
		return true
	case NotEqual:
		return c.Numeric && v != c.Number
	case Equal:
		return c.Numeric && v == c.Number
	case Less:
		return c.Numeric && v < c.Number
	case LessOrEqual:
		return c.Numeric && v <= c.Number
	case Greater:
		return c.Numeric && v > c.Number
	case GreaterOrEqual:
		return c.Numeric && v >= c.Number
	}
	return false
}

// Pattern is a compiled LIKE: % stands for any text, _ for any one character, and nothing is an escape, as MLflow has it
// on SQLite. It may be used by many goroutines at once.
type Pattern struct {
	fold     bool
	parts    []part // what stands between the %
	anyStart bool
	anyEnd   bool
}

// part is a piece of a pattern without %.
type part struct {
	text  string          // when there is no _ in it
	runes []rune          // otherwise; -1 stands for any character
	masks map[rune]bitset // which positions a character fits
	other bitset          // which positions any other character fits
}

// bitset holds one bit for every position of a part.
type bitset []uint64

// NewPattern compiles a pattern. fold ignores case (ILIKE).
func NewPattern(pattern string, fold bool) *Pattern {
	if fold {
		pattern = strings.ToLower(pattern)
	}
	p := &Pattern{fold: fold, anyStart: strings.HasPrefix(pattern, "%"), anyEnd: strings.HasSuffix(pattern, "%")}
	for piece := range strings.SplitSeq(pattern, "%") {
		if piece != "" {
			p.parts = append(p.parts, newPart(piece))
		}
	}
	return p
}

func newPart(piece string) part {
	if !strings.Contains(piece, "_") {
		return part{text: piece}
	}
	p := part{masks: map[rune]bitset{}}
	for _, r := range piece {
		if r == '_' {
			r = -1
		}
		p.runes = append(p.runes, r)
	}
	words := (len(p.runes) + 63) / 64
	p.other = make(bitset, words)
	for i, r := range p.runes {
		if r < 0 {
			p.other[i/64] |= 1 << (i % 64)
		}
	}
	for i, r := range p.runes {
		if r < 0 {
			continue
		}
		if p.masks[r] == nil {
			p.masks[r] = slices.Clone(p.other)
		}
		p.masks[r][i/64] |= 1 << (i % 64)
	}
	return p
}

// Match reports whether the whole of s fits. Its time is linear in s; where _ is used, in s times a 64th of the pattern.
func (p *Pattern) Match(s string) bool {
	if p.fold {
		s = strings.ToLower(s)
	}
	parts := p.parts
	if len(parts) == 0 {
		return p.anyStart || s == ""
	}
	if !p.anyStart {
		n := parts[0].prefix(s)
		if n < 0 {
			return false
		}
		if s = s[n:]; len(parts) == 1 {
			return s == "" || p.anyEnd
		}
		parts = parts[1:]
	}
	if !p.anyEnd {
		last := parts[len(parts)-1]
		n := last.suffix(s)
		if n < 0 {
			return false
		}
		s, parts = s[:len(s)-n], parts[:len(parts)-1]
	}
	for i := range parts {
		end := parts[i].find(s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return true
}

// prefix is how many bytes of the start of s the part fits, or -1.
func (p *part) prefix(s string) int {
	if p.runes == nil {
		if strings.HasPrefix(s, p.text) {
			return len(p.text)
		}
		return -1
	}
	at := 0
	for _, want := range p.runes {
		r, size := utf8.DecodeRuneInString(s[at:])
		if size == 0 || want >= 0 && want != r {
			return -1
		}
		at += size
	}
	return at
}

// suffix is the same for the end of s.
func (p *part) suffix(s string) int {
	if p.runes == nil {
		if strings.HasSuffix(s, p.text) {
			return len(p.text)
		}
		return -1
	}
	at := len(s)
	for _, want := range slices.Backward(p.runes) {
		r, size := utf8.DecodeLastRuneInString(s[:at])
		if size == 0 || want >= 0 && want != r {
			return -1
		}
		at -= size
	}
	return len(s) - at
}

// find is where the first place in s that the part fits ends, or -1. With _ it is the Shift-And algorithm
// (Baeza-Yates and Gonnet 1992): one bit for every prefix of the part that fits the text up to here.
func (p *part) find(s string) int {
	if p.runes == nil {
		if i := strings.Index(s, p.text); i >= 0 {
			return i + len(p.text)
		}
		return -1
	}
	if len(p.runes) > len(s) {
		return -1
	}
	state := make(bitset, len(p.other))
	last := len(p.runes) - 1
	for at, r := range s {
		mask, known := p.masks[r]
		if !known {
			mask = p.other
		}
		carry := uint64(1)
		for i := range state {
			next := state[i] >> 63
			state[i] = (state[i]<<1 | carry) & mask[i]
			carry = next
		}
		if state[last/64]>>(last%64)&1 == 1 {
			_, size := utf8.DecodeRuneInString(s[at:])
			return at + size
		}
	}
	return -1
}
