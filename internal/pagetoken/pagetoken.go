// Package pagetoken makes the tokens with which a client asks for the next page of a search: the sort values and the id
// of the last row that it saw, so that a page starts by key and not by counting rows.
//
// A token is bound to the search that made it: with another filter, order or set of experiments it is refused, because it
// would skip or repeat rows in silence. It is opaque, but no secret and no permission: it says where to go on, and the
// search checks what the caller may see as for the first page. The package owns the form of the tokens and must never know
// what is searched.
package pagetoken

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

// MaxBytes is how long a token may be, in characters. Long texts to sort by make long tokens: a tag has 8,000 characters.
const MaxBytes = 128 << 10

// maxValues is how many sort values a token may hold.
const maxValues = 2*filter.MaxOrders + 8

// version is the first byte of a token. A change of the form takes another one.
const version = 1

// Token is where a page ended.
type Token struct {
	Values []filter.Value // of the last row, one for each order of the search, ties among them
	ID     string         // of the last row
}

// Binding is the search that a token belongs to.
type Binding struct {
	Noun   filter.Noun
	Filter string   // as the caller wrote it
	Order  []string // as the caller wrote it
	Scope  []string // experiments, view, and whatever else chooses rows; the order of its elements counts
}

// sum is a digest of the binding in which no two bindings write the same bytes.
func (b Binding) sum() [16]byte {
	h := sha256.New()
	text := func(s string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(s)))
		h.Write(size[:])
		h.Write([]byte(s))
	}
	texts := func(list []string) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(list)))
		h.Write(size[:])
		for _, s := range list {
			text(s)
		}
	}
	text(string(b.Noun))
	text(b.Filter)
	texts(b.Order)
	texts(b.Scope)
	return [16]byte(h.Sum(nil))
}

// The kinds of values on the wire.
const (
	null   = 0
	number = 1
	text   = 2
	absent = 3 // a number that is not there
)

// Encode makes the text of a token: base64 for URLs, without padding. Numbers keep their bits, NaN among them.
func Encode(t Token, bind Binding) string {
	b := []byte{version}
	sum := bind.sum()
	b = append(b, sum[:]...)
	b = binary.AppendUvarint(b, uint64(len(t.Values)))
	for _, v := range t.Values {
		switch {
		case v.Null && v.Numeric:
			b = append(b, absent)
		case v.Null:
			b = append(b, null)
		case v.Numeric:
			b = append(b, number)
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(v.Number))
		default:
			b = append(b, text)
			b = appendText(b, v.Text)
		}
	}
	return seal(appendText(b, t.ID))
}

// seal puts a checksum behind the bytes of a token, which tells a damaged token from one of another search.
func seal(b []byte) string {
	check := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, check[:4]...))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decode reads a token that the search bind was given. Errors are fault.Invalid: the token is damaged, made by another
// version, or belongs to another search.
func Decode(s string, bind Binding) (Token, error) {
	if len(s) > MaxBytes {
		return Token{}, invalid("it is %d characters long, more than %d", len(s), MaxBytes)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return Token{}, invalid("it is not one that a search here gave")
	}
	const least = 1 + 16 + 1 + 1 + 4
	if len(b) < least {
		return Token{}, invalid("it is not one that a search here gave")
	}
	body := b[:len(b)-4]
	if check := sha256.Sum256(body); string(check[:4]) != string(b[len(body):]) {
		return Token{}, invalid("it is damaged")
	}
	if b[0] != version {
		return Token{}, invalid("another version of the server made it")
	}
	if sum := bind.sum(); string(sum[:]) != string(b[1:17]) {
		return Token{}, invalid("it belongs to a search with another filter, order_by or scope")
	}
	r := reader{rest: body[17:]}
	n := r.size()
	if n > maxValues {
		return Token{}, invalid("it is damaged")
	}
	t := Token{}
	for range n {
		t.Values = append(t.Values, r.value())
	}
	t.ID = r.text()
	if r.bad || len(r.rest) > 0 {
		return Token{}, invalid("it is damaged")
	}
	return t, nil
}

func invalid(format string, args ...any) error {
	e := fault.New(fault.Invalid, format, args...)
	e.Message = "Invalid page token: " + e.Message
	return e.WithHint("start again from the first page: send the request without page_token")
}

// reader takes values off the front of rest; after the first thing that is not there it is bad and gives nothing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.rest = true, nil
}

// size reads a length that is not longer than what is left.
func (r *reader) size() int {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *reader) text() string {
	n := r.size()
	if r.bad || n > len(r.rest) {
		r.fail()
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) value() filter.Value {
	if len(r.rest) == 0 {
		r.fail()
		return filter.Value{}
	}
	kind := r.rest[0]
	r.rest = r.rest[1:]
	switch kind {
	case null:
		return filter.Value{Null: true}
	case absent:
		return filter.Value{Null: true, Numeric: true}
	case text:
		return filter.Value{Text: r.text()}
	case number:
		if len(r.rest) >= 8 {
			v := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
			r.rest = r.rest[8:]
			return filter.Value{Numeric: true, Number: v}
		}
	}
	r.fail()
	return filter.Value{}
}
