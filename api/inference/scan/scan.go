// Package scan reads JSON (RFC 8259) from a body in one pass, without reflection and almost without memory of its own.
//
// It owns the grammar and its limits: nesting, numbers, texts in UTF-8. It must never know what a body is about: doors say what they expect
// at each place, and the scanner says what it found there.
package scan

import (
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxDepth bounds nesting, so that a body cannot exhaust the stack.
const maxDepth = 64

// Scanner reads one JSON value. Texts without escapes alias the body. After the first fault every read gives zero values; the caller
// looks at Err where it would use them. A Scanner serves one goroutine.
type Scanner struct {
	Err error // the first fault: fault.Invalid with the place in the body

	b      []byte
	i      int
	depth  int
	tokens bool
}

// New is a scanner at the start of a body.
func New(body []byte) Scanner { return Scanner{b: body} }

// NewWithTokens is one that takes also the tokens NaN, Infinity, +Infinity and -Infinity for numbers, which Python's json writes.
func NewWithTokens(body []byte) Scanner { return Scanner{b: body, tokens: true} }

// Offset is the place of the next byte.
func (s *Scanner) Offset() int { return s.i }

// From is a second scanner of the same body that begins at offset, to read again what was skipped.
func (s *Scanner) From(offset int) Scanner {
	return Scanner{b: s.b, i: offset, depth: s.depth, tokens: s.tokens}
}

// Refuse makes err the fault of the body, unless there is one already.
func (s *Scanner) Refuse(err error) {
	if s.Err == nil {
		s.Err = err
		s.i = len(s.b)
	}
}

// Fail refuses the body: the text says what is wrong at the place that was reached.
func (s *Scanner) Fail(format string, args ...any) {
	if s.Err == nil {
		s.Err = fault.New(fault.Invalid, "the body is no valid request: "+format, args...).With("byte", s.i)
		s.i = len(s.b)
	}
}

// Space skips white space and gives the byte after it, or 0 at the end.
func (s *Scanner) Space() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

func (s *Scanner) found() string {
	if s.i >= len(s.b) {
		return "the end"
	}
	return strconv.QuoteRune(rune(s.b[s.i]))
}

// Open enters an object or an array and reports whether it has elements. More ends it.
func (s *Scanner) Open(bracket byte) bool {
	if s.Space() != bracket {
		s.Fail("expected %q at byte %d, found %s", bracket, s.i, s.found())
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.Fail("it is nested deeper than %d", maxDepth)
		return false
	}
	s.i++
	if s.Space() == bracket+2 { // '{' + 2 is '}', '[' + 2 is ']'
		s.i++
		s.depth--
		return false
	}
	return s.Err == nil
}

// More is called after each element: it reports whether another follows, and leaves the object or array when none does.
func (s *Scanner) More(bracket byte) bool {
	switch s.Space() {
	case ',':
		s.i++
		return s.Err == nil
	case bracket + 2:
		s.i++
		s.depth--
	default:
		s.Fail("expected ',' or %q at byte %d, found %s", bracket+2, s.i, s.found())
	}
	return false
}

// Key reads a member's name and its colon.
func (s *Scanner) Key() string {
	if s.Space() != '"' {
		s.Fail("expected a name in quotes at byte %d, found %s", s.i, s.found())
		return ""
	}
	k := s.Text()
	if s.Space() != ':' {
		s.Fail("expected ':' at byte %d, found %s", s.i, s.found())
		return ""
	}
	s.i++
	return k
}

// Text reads a string. The caller has seen its quote.
func (s *Scanner) Text() string {
	s.i++
	start, ascii := s.i, true
	for s.i < len(s.b) {
		c := s.b[s.i]
		switch {
		case c == '"':
			raw := s.b[start:s.i]
			s.i++
			if !ascii && !utf8.Valid(raw) {
				s.i = start
				s.Fail("the text at byte %d is not UTF-8", start)
				return ""
			}
			return unsafe.String(unsafe.SliceData(raw), len(raw))
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.Fail("a control character in the text at byte %d", s.i)
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.i++
	}
	s.Fail("the text at byte %d has no end", start)
	return ""
}

// escaped reads the rest of a string that has escapes into memory of its own.
func (s *Scanner) escaped(start int) string {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.Fail("the text at byte %d is not UTF-8", start)
				return ""
			}
			return string(out)
		case c < ' ':
			s.Fail("a control character in the text at byte %d", s.i)
			return ""
		case c != '\\':
			out = append(out, c)
		case s.i >= len(s.b):
		default:
			c = s.b[s.i]
			s.i++
			switch c {
			case '"', '\\', '/':
				out = append(out, c)
			case 'b':
				out = append(out, '\b')
			case 'f':
				out = append(out, '\f')
			case 'n':
				out = append(out, '\n')
			case 'r':
				out = append(out, '\r')
			case 't':
				out = append(out, '\t')
			case 'u':
				r := s.hex()
				if utf16.IsSurrogate(r) {
					second := rune(-1)
					if s.i+1 < len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
						s.i += 2
						second = s.hex()
					}
					if r = utf16.DecodeRune(r, second); r == utf8.RuneError {
						s.Fail("half a surrogate pair before byte %d", s.i)
						return ""
					}
				}
				if r == 0 {
					s.Fail("a NUL character before byte %d", s.i)
					return ""
				}
				out = utf8.AppendRune(out, r)
			default:
				s.Fail("an unknown escape before byte %d", s.i)
				return ""
			}
		}
	}
	s.Fail("the text at byte %d has no end", start)
	return ""
}

func (s *Scanner) hex() rune {
	if s.i+4 > len(s.b) {
		s.Fail("the escape at byte %d has no end", s.i)
		return 0
	}
	var r rune
	for _, c := range s.b[s.i : s.i+4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			s.Fail("the escape at byte %d is not hexadecimal", s.i)
			return 0
		}
		r = r<<4 | rune(c)
	}
	s.i += 4
	return r
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// Number reads a number. A short decimal is computed directly: with at most 15 digits and a power of ten up to 15, one
// correctly rounded division gives the same result as the general algorithm (Clinger 1990).
func (s *Scanner) Number() float64 {
	if s.tokens {
		if f, ok := s.token(); ok {
			return f
		}
	}
	start := s.i
	negative := false
	if s.i < len(s.b) && s.b[s.i] == '-' {
		negative = true
		s.i++
	}
	var mantissa uint64
	digits, first := 0, s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		mantissa = mantissa*10 + uint64(s.b[s.i]-'0')
		s.i++
		digits++
	}
	if digits == 0 || digits > 1 && s.b[first] == '0' {
		s.i = start
		s.Fail("expected a value at byte %d, found %s", start, s.found())
		return 0
	}
	fraction := 0
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			mantissa = mantissa*10 + uint64(s.b[s.i]-'0')
			s.i++
			fraction++
		}
		if fraction == 0 {
			s.Fail("the number at byte %d ends with its point", start)
			return 0
		}
	}
	exponent := s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E')
	if !exponent && digits+fraction <= 15 {
		f := float64(mantissa) / powers[fraction]
		if negative {
			return -f
		}
		return f
	}
	if exponent {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		from := s.i
		for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
			s.i++
		}
		if s.i == from {
			s.Fail("the number at byte %d has no exponent", start)
			return 0
		}
	}
	raw := s.b[start:s.i]
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	if err != nil || math.IsInf(f, 0) {
		s.Fail("the number at byte %d is out of range", start)
		return 0
	}
	return f
}

// token reads one of the tokens for numbers that JSON lacks.
func (s *Scanner) token() (f float64, ok bool) {
	rest := s.b[s.i:]
	if len(rest) < 3 || rest[0] >= '0' && rest[0] <= '9' || rest[0] == '-' && rest[1] != 'I' {
		return 0, false
	}
	for _, t := range [...]struct {
		text  string
		value float64
	}{{"NaN", math.NaN()}, {"Infinity", math.Inf(1)}, {"-Infinity", math.Inf(-1)}, {"+Infinity", math.Inf(1)}} {
		if len(rest) >= len(t.text) && string(rest[:len(t.text)]) == t.text {
			s.i += len(t.text)
			return t.value, true
		}
	}
	return 0, false
}

// Whole reads a number that is spelt as a whole one, exactly: its size and its sign. ok is false, and nothing is read, when it is spelt
// otherwise or beyond 64 bits; Number reads it then.
func (s *Scanner) Whole() (size uint64, negative, ok bool) {
	i := s.i
	if i < len(s.b) && s.b[i] == '-' {
		negative = true
		i++
	}
	first := i
	for ; i < len(s.b) && s.b[i] >= '0' && s.b[i] <= '9'; i++ {
		d := uint64(s.b[i] - '0')
		if size > (math.MaxUint64-d)/10 {
			return 0, false, false
		}
		size = size*10 + d
	}
	if i == first || i > first+1 && s.b[first] == '0' || i < len(s.b) && (s.b[i] == '.' || s.b[i] == 'e' || s.b[i] == 'E') {
		return 0, false, false
	}
	s.i = i
	return size, negative, true
}

// Literal reads true, false or null, whose first letter the caller has seen.
func (s *Scanner) Literal() byte {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return word[0]
		}
	}
	s.Fail("expected a value at byte %d, found %s", s.i, s.found())
	return 0
}

// Skip passes over any value.
func (s *Scanner) Skip() {
	switch s.Space() {
	case '"':
		s.Text()
	case '{':
		for ok := s.Open('{'); ok; ok = s.More('{') {
			s.Key()
			s.Skip()
		}
	case '[':
		for ok := s.Open('['); ok; ok = s.More('[') {
			s.Skip()
		}
	case 't', 'f', 'n':
		s.Literal()
	default:
		s.Number()
	}
}

// End checks that nothing follows the value.
func (s *Scanner) End() {
	if s.Err == nil && s.Space() != 0 || s.Err == nil && s.i < len(s.b) {
		s.Fail("something follows the request at byte %d: %s", s.i, s.found())
	}
}

// Left is the bytes that are still to be read.
func (s *Scanner) Left() int { return len(s.b) - s.i }
