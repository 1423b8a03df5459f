package codec

import (
	"math"

	"github.com/trimtab-ml/trimtab/api/inference/scan"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Cell reads a value as it is spelt.
func Cell(s *scan.Scanner) serve.Cell {
	switch s.Space() {
	case '"':
		return serve.Cell{Type: serve.TextCell, Text: s.Text()}
	case 't', 'f', 'n':
		switch s.Literal() {
		case 't':
			return serve.Cell{Type: serve.BoolCell, Number: 1}
		case 'f':
			return serve.Cell{Type: serve.BoolCell}
		}
		return serve.Cell{}
	case '{', '[':
		s.Skip()
		return serve.Cell{Type: serve.OtherCell}
	default:
		return serve.Cell{Type: serve.NumberCell, Number: s.Number()}
	}
}

// OptionalText reads a text or null, which is "".
func OptionalText(s *scan.Scanner, what string) string {
	switch s.Space() {
	case '"':
		return s.Text()
	case 'n':
		s.Literal()
	default:
		s.Fail("%s is a text (byte %d)", what, s.Offset())
	}
	return ""
}

// Flag reads true, false, or null, which is false.
func Flag(s *scan.Scanner, what string) bool {
	switch s.Space() {
	case 't', 'f', 'n':
		return s.Literal() == 't'
	}
	s.Fail("%s is true or false (byte %d)", what, s.Offset())
	return false
}

// Time reads a time: a text that serve.ParseTime takes, or whole microseconds since the epoch.
func Time(s *scan.Scanner) int64 {
	if s.Space() == '"' {
		text := s.Text()
		at, ok := serve.ParseTime(text)
		if !ok {
			s.Fail("at is a time such as 2013-04-01T10:00:00Z, not %q", Clip(text))
		}
		return at
	}
	f := s.Number()
	if !(f == math.Trunc(f) && math.Abs(f) <= 1<<53) {
		s.Fail("at is a time such as 2013-04-01T10:00:00Z, or whole microseconds")
		return 0
	}
	return int64(f)
}

// Param reads a value of the parameters that a caller gives a model: a text, a number or a boolean, as Go has it; nil for null. What is
// none of these is refused.
func Param(s *scan.Scanner, what string) any {
	switch s.Space() {
	case '"':
		return string([]byte(s.Text())) // it outlives the body
	case 't', 'f', 'n':
		switch s.Literal() {
		case 't':
			return true
		case 'f':
			return false
		}
		return nil
	case '{', '[':
		s.Fail("%s is a text, a number, true or false (byte %d)", what, s.Offset())
		return nil
	}
	if v, negative, ok := s.Whole(); ok && v < 1<<63 {
		if negative {
			return -int64(v)
		}
		return int64(v)
	}
	return s.Number()
}
