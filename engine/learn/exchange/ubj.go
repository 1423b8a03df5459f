package exchange

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// isUBJ reports whether b opens like an object of Universal Binary JSON: a brace and the type of a key's length.
func isUBJ(b []byte) bool {
	if len(b) < 3 || b[0] != '{' {
		return false
	}
	switch b[1] {
	case 'i', 'U', 'I', 'l', 'L':
		return true
	}
	return false
}

// ubjDepth is how deep objects and arrays may lie within each other; XGBoost's reach about ten.
const ubjDepth = 100

// fromUBJ rewrites Universal Binary JSON (ubjson.org, draft 12, as XGBoost writes it) as JSON. Numbers that JSON has no
// form for become the texts "NaN", "Infinity" and "-Infinity", which type singles reads.
func fromUBJ(b []byte) ([]byte, error) {
	u := &ubj{rest: b, out: make([]byte, 0, 2*len(b))}
	if err := u.value(u.marker(), 0); err != nil {
		return nil, err
	}
	return u.out, nil
}

type ubj struct{ rest, out []byte }

func (u *ubj) marker() byte {
	for len(u.rest) > 0 {
		c := u.rest[0]
		u.rest = u.rest[1:]
		if c != 'N' { // a marker that means nothing
			return c
		}
	}
	return 0
}

// peek takes the next byte if it is c.
func (u *ubj) peek(c byte) bool {
	if len(u.rest) > 0 && u.rest[0] == c {
		u.rest = u.rest[1:]
		return true
	}
	return false
}

var errCut = fault.New(fault.Corrupt, "the file is cut short")

func (u *ubj) take(n int64) ([]byte, error) {
	if n < 0 || n > int64(len(u.rest)) {
		return nil, errCut
	}
	b := u.rest[:n]
	u.rest = u.rest[n:]
	return b, nil
}

// sizes are the bytes of numbers by their marker.
var sizes = map[byte]int64{'i': 1, 'U': 1, 'I': 2, 'l': 4, 'L': 8, 'd': 4, 'D': 8}

func (u *ubj) integer(kind byte) (int64, error) {
	b, err := u.take(sizes[kind])
	if err != nil {
		return 0, err
	}
	switch kind {
	case 'i':
		return int64(int8(b[0])), nil
	case 'U':
		return int64(b[0]), nil
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	case 'L':
		return int64(binary.BigEndian.Uint64(b)), nil
	}
	return 0, fault.New(fault.Corrupt, "a length has the type %q", kind)
}

func (u *ubj) length() (int64, error) { return u.integer(u.marker()) }

func (u *ubj) text() error {
	n, err := u.length()
	if err != nil {
		return err
	}
	b, err := u.take(n)
	if err != nil {
		return err
	}
	return u.quote(b)
}

func (u *ubj) quote(b []byte) error {
	quoted, err := json.Marshal(string(b))
	u.out = append(u.out, quoted...)
	return err
}

func (u *ubj) number(kind byte) error {
	if kind != 'd' && kind != 'D' {
		v, err := u.integer(kind)
		u.out = strconv.AppendInt(u.out, v, 10)
		return err
	}
	b, err := u.take(sizes[kind])
	if err != nil {
		return err
	}
	v, bits := 0.0, 64
	if kind == 'd' {
		v, bits = float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32
	} else {
		v = math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	switch {
	case v != v:
		u.out = append(u.out, `"NaN"`...)
	case math.IsInf(v, 1):
		u.out = append(u.out, `"Infinity"`...)
	case math.IsInf(v, -1):
		u.out = append(u.out, `"-Infinity"`...)
	default:
		u.out = strconv.AppendFloat(u.out, v, 'g', -1, bits)
	}
	return nil
}

func (u *ubj) value(kind byte, depth int) error {
	if depth > ubjDepth {
		return fault.New(fault.Corrupt, "values lie more than %d deep within each other", ubjDepth)
	}
	switch kind {
	case '{':
		return u.object(depth)
	case '[':
		return u.array(depth)
	case 'S':
		return u.text()
	case 'C':
		b, err := u.take(1)
		if err != nil {
			return err
		}
		return u.quote(b)
	case 'Z':
		u.out = append(u.out, "null"...)
	case 'T':
		u.out = append(u.out, "true"...)
	case 'F':
		u.out = append(u.out, "false"...)
	case 'i', 'U', 'I', 'l', 'L', 'd', 'D':
		return u.number(kind)
	case 0:
		return errCut
	default:
		return fault.New(fault.Corrupt, "a value has the type %q", kind)
	}
	return nil
}

func (u *ubj) object(depth int) error {
	u.out = append(u.out, '{')
	for first := true; !u.peek('}'); first = false {
		if !first {
			u.out = append(u.out, ',')
		}
		if err := u.text(); err != nil {
			return err
		}
		u.out = append(u.out, ':')
		if err := u.value(u.marker(), depth+1); err != nil {
			return err
		}
	}
	u.out = append(u.out, '}')
	return nil
}

func (u *ubj) array(depth int) error {
	u.out = append(u.out, '[')
	var kind byte
	if u.peek('$') {
		kind = u.marker()
		if sizes[kind] == 0 { // a count of values without bytes could be any
			return fault.New(fault.Corrupt, "an array has values of the type %q", kind)
		}
	}
	if u.peek('#') {
		n, err := u.length()
		if err != nil {
			return err
		}
		if n < 0 || n > int64(len(u.rest)) {
			return errCut
		}
		for i := range n {
			if i > 0 {
				u.out = append(u.out, ',')
			}
			own := kind
			if own == 0 {
				own = u.marker()
			}
			if err := u.value(own, depth+1); err != nil {
				return err
			}
		}
	} else if kind != 0 {
		return fault.New(fault.Corrupt, "an array has a type and no count")
	} else {
		for first := true; !u.peek(']'); first = false {
			if !first {
				u.out = append(u.out, ',')
			}
			if err := u.value(u.marker(), depth+1); err != nil {
				return err
			}
		}
	}
	u.out = append(u.out, ']')
	return nil
}
