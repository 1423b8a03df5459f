package series

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Point is one value of a metric. NaN with its payload, ±Inf and −0 are kept bit for bit.
type Point struct {
	Step  int64
	At    int64 // milliseconds since 1970 UTC
	Value float64
}

// Entry is a point of a key.
type Entry struct {
	Key string
	Point
}

// rank maps the bits of a value to a number whose order is that of the values: NaNs by their bits, then −Inf … −0, +0 … +Inf.
// It is one to one, so that equal ranks are equal bits.
func rank(v float64) uint64 {
	bits := math.Float64bits(v)
	if bits>>63 != 0 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	// Flipped like this, positive NaNs are the 2^52−1 greatest numbers. One turn of the ring puts them first.
	return bits + (1<<52 - 1)
}

// order is a way to sort points.
type order uint8

const (
	byTime order = iota // at, step, value
	byStep              // step, at, value
)

func (o order) compare(a, b Point) int {
	if o == byStep {
		if c := cmp.Compare(a.Step, b.Step); c != 0 {
			return c
		}
		if c := cmp.Compare(a.At, b.At); c != 0 {
			return c
		}
	} else {
		if c := cmp.Compare(a.At, b.At); c != 0 {
			return c
		}
		if c := cmp.Compare(a.Step, b.Step); c != 0 {
			return c
		}
	}
	return cmp.Compare(rank(a.Value), rank(b.Value))
}

// x is the place of p on the axis that o sorts by.
func (o order) x(p Point) int64 {
	if o == byStep {
		return p.Step
	}
	return p.At
}

// sortPoints sorts points and drops the repeated ones, in place.
func sortPoints(points []Point, o order) []Point {
	slices.SortFunc(points, o.compare)
	return slices.CompactFunc(points, func(a, b Point) bool { return o.compare(a, b) == 0 })
}

// mergePoints is the union of two sorted lists without repeats. It returns one of them when the other is empty.
func mergePoints(a, b []Point, o order) []Point {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	if o.compare(a[len(a)-1], b[0]) < 0 {
		return append(a[:len(a):len(a)], b...)
	}
	merged := make([]Point, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch c := o.compare(a[0], b[0]); {
		case c < 0:
			merged, a = append(merged, a[0]), a[1:]
		case c > 0:
			merged, b = append(merged, b[0]), b[1:]
		default:
			merged, a, b = append(merged, a[0]), a[1:], b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

// below reports whether a is a better least value than b: numbers come before NaN, and the earlier of equals stays.
func below(a, b float64) bool { return a < b || b != b && a == a }

// above reports whether a is a better greatest value than b.
func above(a, b float64) bool { return a > b || b != b && a == a }

// Cursor is a place in the history of a key: after a point. The zero Cursor is the beginning, and the end where History returns it.
type Cursor struct {
	after Point
	set   bool
}

// IsZero tells whether c is no place.
func (c Cursor) IsZero() bool { return !c.set }

// After is the place after p.
func After(p Point) Cursor { return Cursor{after: p, set: true} }

const cursorVersion = 1

// String is c as text for a page token; "" for the zero Cursor.
func (c Cursor) String() string {
	if !c.set {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(appendPoint([]byte{cursorVersion}, c.after))
}

// ParseCursor reads what String wrote. Anything else is fault.Invalid.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	if len(text) <= 64 {
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil && len(b) == 1+pointSize && b[0] == cursorVersion {
			if c := After(getPoint(b[1:])); c.String() == text { // the decoder overlooks line ends
				return c, nil
			}
		}
	}
	return Cursor{}, fault.New(fault.Invalid, "%.80q is not a place in a history", text).WithHint("give back the cursor of the page before, unchanged")
}

// pointSize is the length of a point as it stands in indexes and cursors.
const pointSize = 24

func appendPoint(b []byte, p Point) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Step))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.At))
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(p.Value))
}

func getPoint(b []byte) Point {
	return Point{Step: int64(binary.LittleEndian.Uint64(b)), At: int64(binary.LittleEndian.Uint64(b[8:])),
		Value: math.Float64frombits(binary.LittleEndian.Uint64(b[16:]))}
}
