package track

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"

	"github.com/trimtab-ml/trimtab/internal/filter"
)

// A page token is the place after a row: the row's values in the total order of the search. Rows that come or go meanwhile move no others
// to another page. The token also holds a hash of the question, so that it is not taken for the place in another answer.

type token struct {
	Scope  []byte       `json:"s"`
	Values []tokenValue `json:"v"`
}

// tokenValue is filter.Value with the bits of its number, because JSON has no NaN.
type tokenValue struct {
	Null   bool   `json:"z,omitempty"`
	Number uint64 `json:"n,omitempty,string"`
	Text   string `json:"t,omitempty"`
}

// maxToken bounds what is decoded: a few keys with long values.
const maxToken = 64 << 10

// scopeOf is the hash of the parts of a question that must not change between pages.
func scopeOf(parts ...any) []byte {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(parts); err != nil {
		panic(fmt.Sprintf("a scope is made of strings: %v", err))
	}
	return h.Sum(nil)[:12]
}

// pageToken writes the place after a row.
func pageToken(scope []byte, values []filter.Value) string {
	t := token{Scope: scope, Values: make([]tokenValue, len(values))}
	for i, v := range values {
		t.Values[i] = tokenValue{Null: v.Null, Number: math.Float64bits(v.Number), Text: v.Text}
	}
	doc, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("a token is made of numbers and strings: %v", err))
	}
	return base64.RawURLEncoding.EncodeToString(doc)
}

// readToken reads the place that pageToken wrote for the same question, with one value for each order; nil for an empty token.
func readToken(scope []byte, text string, orders []filter.Order) ([]filter.Value, error) {
	if text == "" {
		return nil, nil
	}
	if len(text) > maxToken {
		return nil, invalid("Invalid page token, could not base64-decode")
	}
	doc, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid("Invalid page token, could not base64-decode")
	}
	var t token
	if err := json.Unmarshal(doc, &t); err != nil || len(t.Values) != len(orders) {
		return nil, invalid("Invalid page token, parsed value was not of the expected form")
	}
	if string(t.Scope) != string(scope) {
		return nil, invalid("Invalid page token, it belongs to a search with another filter or order")
	}
	values := make([]filter.Value, len(orders))
	for i, v := range t.Values {
		values[i] = filter.Value{Null: v.Null, Numeric: orders[i].Numeric, Number: math.Float64frombits(v.Number), Text: v.Text}
	}
	return values, nil
}

// compareValues orders rows by their values.
func compareValues(orders []filter.Order, a, b []filter.Value) int {
	for i, o := range orders {
		if c := o.Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return 0
}
