package serve

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxExact bounds the whole numbers that a float64 holds exactly.
const maxExact = 1 << 53

// value makes a cell the value that an input of a kind takes. Nothing is guessed: a number in quotes is not a number. ok is false when
// the cell is not of the kind.
//
//	double    a JSON number
//	long      a whole JSON number, up to 2^53
//	boolean   true or false
//	datetime  RFC 3339; "YYYY-MM-DD HH:MM:SS[.ffffff]" and "YYYY-MM-DD" in UTC; or whole microseconds since the epoch, UTC
//	string    a JSON string, or bytes that are UTF-8; "" is missing, as in the recipe
func value(c Cell, kind table.Kind) (v table.Value, ok bool) {
	if c.Type == NullCell {
		return table.Null, true
	}
	switch kind {
	case table.Double:
		return table.Value{F: c.Number}, c.Type == NumberCell && !math.IsInf(c.Number, 0) && !math.IsNaN(c.Number)
	case table.Long:
		return table.Value{F: c.Number}, c.Type == NumberCell && whole(c.Number)
	case table.Boolean:
		return table.Value{F: c.Number}, c.Type == BoolCell
	case table.String:
		if c.Type != TextCell {
			return table.Null, false
		}
		if c.Text == "" {
			return table.Null, true
		}
		return table.Value{S: c.Text}, utf8.ValidString(c.Text)
	case table.Datetime:
		switch c.Type {
		case NumberCell:
			return table.Value{F: c.Number}, whole(c.Number)
		case TextCell:
			us, ok := ParseTime(c.Text)
			return table.Value{F: float64(us)}, ok
		}
	}
	return table.Null, false
}

func whole(f float64) bool { return f == math.Trunc(f) && math.Abs(f) <= maxExact }

// ParseTime reads a time in one of the forms that requests may use, as microseconds since the epoch, UTC. A time without a zone is UTC.
func ParseTime(s string) (us int64, ok bool) {
	if us, ok := plainTime(s); ok {
		return us, true
	}
	for _, form := range [...]string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", time.DateOnly, "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(form, s); err == nil {
			if t.Before(earliest) || t.After(latest) {
				return 0, false
			}
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// Times outside of these do not fit everywhere they go.
var (
	earliest = time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// plainTime reads the commonest form, 2013-04-01T10:00:00Z or with a space and without the Z, without the general parser.
func plainTime(s string) (us int64, ok bool) {
	if len(s) == 20 && s[19] == 'Z' {
		s = s[:19]
	}
	if len(s) != 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	n := func(from, to int) int {
		v := 0
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				return -1
			}
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day, hour, minute, second := n(0, 4), n(5, 7), n(8, 10), n(11, 13), n(14, 16), n(17, 19)
	if year < 1700 || year >= 2200 || month < 1 || month > 12 || day < 1 || day > 28 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false // or a case for the general parser
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).UnixMicro(), true
}

// mismatch is the fault of a cell that is not of its input's kind.
func mismatch(row int, in *input, c Cell) error {
	shown := shownCell(c)
	if in.personal {
		shown = "a value of another type" // personal data does not go into errors and logs
	}
	want := expected(in.kind)
	if c.Type == TextCell && in.kind == table.String {
		want += " in UTF-8"
	}
	f := fault.New(fault.Invalid, "row %d, column %q: expected %s, got %s", row, in.name, want, shown).
		With("row", row).With("column", in.name).With("expected", string(in.kind))
	if !in.personal {
		f.With("value", shown)
	}
	if c.Type == TextCell && (in.kind == table.Double || in.kind == table.Long) {
		if _, err := strconv.ParseFloat(c.Text, 64); err == nil && !in.personal {
			return f.WithHint("send %s without quotes", clip(c.Text))
		}
	}
	if c.Type == NumberCell && in.kind == table.String {
		return f.WithHint("send it in quotes")
	}
	return f.WithHint("null says that a value is missing")
}

func expected(k table.Kind) string {
	switch k {
	case table.Double:
		return "a number"
	case table.Long:
		return "a whole number"
	case table.Boolean:
		return "true or false"
	case table.Datetime:
		return "a time (2013-04-01T10:00:00Z, or microseconds since the epoch)"
	default:
		return "a text"
	}
}

func shownCell(c Cell) string {
	switch c.Type {
	case TextCell:
		return "the text " + strconv.Quote(clip(c.Text))
	case NumberCell:
		return "the number " + strconv.FormatFloat(c.Number, 'g', -1, 64)
	case BoolCell:
		return strconv.FormatBool(c.Number != 0)
	case OtherCell:
		return "an array or an object"
	default:
		return "null"
	}
}

// clip keeps an error short and printable, whatever a caller sent.
func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
