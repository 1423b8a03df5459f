package inference

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

// scanner reads JSON (RFC 8259) from a body in one pass. Texts without escapes alias the body. After the first fault every read gives
// zero values; the caller looks at err where it would use them.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fault.New(fault.Invalid, "the body is no valid request: "+format, args...).With("byte", s.i)
		s.i = len(s.b)
	}
}

// space skips white space and gives the byte after it, or 0 at the end.
func (s *scanner) space() byte {
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

func (s *scanner) found() string {
	if s.i >= len(s.b) {
		return "the end"
	}
	return strconv.QuoteRune(rune(s.b[s.i]))
}

// open enters an object or an array and reports whether it has elements. close ends it.
func (s *scanner) open(bracket byte) bool {
	if s.space() != bracket {
		s.fail("expected %q at byte %d, found %s", bracket, s.i, s.found())
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("it is nested deeper than %d", maxDepth)
		return false
	}
	s.i++
	if s.space() == bracket+2 { // '{' + 2 is '}', '[' + 2 is ']'
		s.i++
		s.depth--
		return false
	}
	return s.err == nil
}

// more is called after each element: it reports whether another follows, and leaves the object or array when none does.
func (s *scanner) more(bracket byte) bool {
	switch s.space() {
	case ',':
		s.i++
		return s.err == nil
	case bracket + 2:
		s.i++
		s.depth--
	default:
		s.fail("expected ',' or %q at byte %d, found %s", bracket+2, s.i, s.found())
	}
	return false
}

// key reads a member's name and its colon.
func (s *scanner) key() string {
	if s.space() != '"' {
		s.fail("expected a name in quotes at byte %d, found %s", s.i, s.found())
		return ""
	}
	k := s.text()
	if s.space() != ':' {
		s.fail("expected ':' at byte %d, found %s", s.i, s.found())
		return ""
	}
	s.i++
	return k
}

// text reads a string. The caller has seen its quote.
func (s *scanner) text() string {
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
				s.fail("the text at byte %d is not UTF-8", start)
				return ""
			}
			return unsafe.String(unsafe.SliceData(raw), len(raw))
		case c == '\\':
			return s.escaped(start)
		case c < ' ':
			s.fail("a control character in the text at byte %d", s.i)
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.i++
	}
	s.fail("the text at byte %d has no end", start)
	return ""
}

// escaped reads the rest of a string that has escapes into memory of its own.
func (s *scanner) escaped(start int) string {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.fail("the text at byte %d is not UTF-8", start)
				return ""
			}
			return string(out)
		case c < ' ':
			s.fail("a control character in the text at byte %d", s.i)
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
						s.fail("half a surrogate pair before byte %d", s.i)
						return ""
					}
				}
				if r == 0 {
					s.fail("a NUL character before byte %d", s.i)
					return ""
				}
				out = utf8.AppendRune(out, r)
			default:
				s.fail("an unknown escape before byte %d", s.i)
				return ""
			}
		}
	}
	s.fail("the text at byte %d has no end", start)
	return ""
}

func (s *scanner) hex() rune {
	if s.i+4 > len(s.b) {
		s.fail("the escape at byte %d has no end", s.i)
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
			s.fail("the escape at byte %d is not hexadecimal", s.i)
			return 0
		}
		r = r<<4 | rune(c)
	}
	s.i += 4
	return r
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// number reads a number. A short decimal is computed directly: with at most 15 digits and a power of ten up to 15, one
// correctly rounded division gives the same result as the general algorithm (Clinger 1990).
func (s *scanner) number() float64 {
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
		s.fail("expected a value at byte %d, found %s", start, s.found())
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
			s.fail("the number at byte %d ends with its point", start)
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
			s.fail("the number at byte %d has no exponent", start)
			return 0
		}
	}
	raw := s.b[start:s.i]
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	if err != nil || math.IsInf(f, 0) {
		s.fail("the number at byte %d is out of range", start)
		return 0
	}
	return f
}

// literal reads true, false or null, whose first letter the caller has seen.
func (s *scanner) literal() byte {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			s.i += len(word)
			return word[0]
		}
	}
	s.fail("expected a value at byte %d, found %s", s.i, s.found())
	return 0
}

// skip passes over any value.
func (s *scanner) skip() {
	switch s.space() {
	case '"':
		s.text()
	case '{':
		for ok := s.open('{'); ok; ok = s.more('{') {
			s.key()
			s.skip()
		}
	case '[':
		for ok := s.open('['); ok; ok = s.more('[') {
			s.skip()
		}
	case 't', 'f', 'n':
		s.literal()
	default:
		s.number()
	}
}

// end checks that nothing follows the value.
func (s *scanner) end() {
	if s.err == nil && s.space() != 0 || s.err == nil && s.i < len(s.b) {
		s.fail("something follows the request at byte %d: %s", s.i, s.found())
	}
}
