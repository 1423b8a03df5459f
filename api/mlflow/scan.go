package mlflow

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
// zero values and loops end; the caller looks at err once.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fault.New(fault.Invalid, "Bad Request. The body is no valid JSON: "+format, args...).With("byte", s.i)
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

// open enters an object or an array and reports whether it has elements.
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

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escaped reads the rest of a string that has escapes into memory of its own.
func (s *scanner) escaped(start int) string {
	out := append([]byte(nil), s.b[start:s.i]...)
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		if c == '"' {
			if !utf8.Valid(out) {
				s.fail("the text at byte %d is not UTF-8", start)
				return ""
			}
			return string(out)
		}
		if c < ' ' {
			s.fail("a control character in the text at byte %d", s.i)
			return ""
		}
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if s.i >= len(s.b) {
			break
		}
		c = s.b[s.i]
		s.i++
		if plain := escapes[c]; plain != 0 {
			out = append(out, plain)
			continue
		}
		if c != 'u' {
			s.fail("an unknown escape before byte %d", s.i)
			return ""
		}
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
		if s.err != nil {
			return ""
		}
		out = utf8.AppendRune(out, r)
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

// digits reads a run of digits onto a mantissa, which wraps when there are too many for it, and gives their number.
func (s *scanner) digits(mantissa uint64) (uint64, int) {
	start := s.i
	for s.i < len(s.b) && s.b[s.i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(s.b[s.i]-'0')
		s.i++
	}
	return mantissa, s.i - start
}

// number reads a number as a float64, and as an int64 when it has neither point nor exponent and fits: whole tells. What does not fit
// into a float64 gives an infinity. A short decimal is computed directly: with at most 15 digits and a power of ten up to 15, one
// correctly rounded division gives the same result as the general algorithm (Clinger 1990).
func (s *scanner) number() (f float64, n int64, whole bool) {
	start := s.i
	negative := s.i < len(s.b) && s.b[s.i] == '-'
	if negative {
		s.i++
	}
	first := s.i
	mantissa, digits := s.digits(0)
	if digits == 0 || digits > 1 && s.b[first] == '0' {
		s.i = start
		s.fail("expected a value at byte %d, found %s%s", start, s.found(), s.nan())
		return 0, 0, false
	}
	fraction := 0
	whole = true
	if s.i < len(s.b) && s.b[s.i] == '.' {
		whole = false
		s.i++
		if mantissa, fraction = s.digits(mantissa); fraction == 0 {
			s.fail("the number at byte %d ends with its point", start)
			return 0, 0, false
		}
	}
	exponent := s.i < len(s.b) && s.b[s.i]|0x20 == 'e'
	if !exponent && digits+fraction <= 15 {
		f = float64(mantissa) / powers[fraction]
		if negative {
			return -f, -int64(mantissa), whole
		}
		return f, int64(mantissa), whole
	}
	if exponent {
		whole = false
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if _, n := s.digits(0); n == 0 {
			s.fail("the number at byte %d has no exponent", start)
			return 0, 0, false
		}
	}
	raw := unsafe.String(unsafe.SliceData(s.b[start:]), s.i-start)
	f, _ = strconv.ParseFloat(raw, 64) // out of range gives an infinity
	if whole {
		var err error
		n, err = strconv.ParseInt(raw, 10, 64)
		whole = err == nil
	}
	return f, n, whole
}

// nan is what to do about the words that Python writes for numbers which JSON does not have.
func (s *scanner) nan() string {
	for _, word := range [...]string{"NaN", "Infinity", "-Infinity"} {
		if len(s.b)-s.i >= len(word) && string(s.b[s.i:s.i+len(word)]) == word {
			return ": send it in quotes, \"" + word + "\""
		}
	}
	return ""
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

// skip passes over any value and gives its bytes.
func (s *scanner) skip() []byte {
	kind := s.space()
	start := s.i
	switch kind {
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
	if s.err != nil {
		return nil
	}
	return s.b[start:s.i]
}

// end checks that nothing follows the value.
func (s *scanner) end() {
	if s.err == nil && (s.space() != 0 || s.i < len(s.b)) {
		s.fail("something follows the value at byte %d: %s", s.i, s.found())
	}
}

// float reads a number that stands in quotes: the three words, or a decimal.
func float(text string) (float64, bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	case "":
		return 0, false
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c|0x20 != 'e' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// integer reads a whole number that stands in quotes.
func integer(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && text[0] != '+'
}
