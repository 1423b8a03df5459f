package pagetoken

import (
	"encoding/base64"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/filter"
)

var search = Binding{Noun: filter.Runs, Filter: "metrics.m > 1", Order: []string{"metrics.m DESC"}, Scope: []string{"1", "2"}}

var tokens = []Token{
	{ID: "a"},
	{},
	{ID: strings.Repeat("0", 32), Values: []filter.Value{{Numeric: true, Number: math.NaN()}, {Null: true}, {Null: true, Numeric: true}, {Text: "é'\x00"},
		{Numeric: true, Number: math.Inf(-1)}, {Numeric: true, Number: math.Copysign(0, -1)}, {Text: ""}, {Text: strings.Repeat("x", 8000)}}},
}

func same(a, b Token) bool {
	return a.ID == b.ID && slices.EqualFunc(a.Values, b.Values, func(v, w filter.Value) bool {
		return v.Null == w.Null && v.Numeric == w.Numeric && v.Text == w.Text && math.Float64bits(v.Number) == math.Float64bits(w.Number)
	})
}

func TestTokenComesBack(t *testing.T) {
	for _, want := range tokens {
		s := Encode(want, search)
		if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			t.Errorf("%q cannot stand in a URL", s)
		}
		got, err := Decode(s, search)
		if err != nil || !same(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
	}
}

func TestTokenBelongsToOneSearch(t *testing.T) {
	s := Encode(tokens[2], search)
	for name, change := range map[string]func(*Binding){
		"noun":              func(b *Binding) { b.Noun = filter.LoggedModels },
		"filter":            func(b *Binding) { b.Filter += " " },
		"order":             func(b *Binding) { b.Order = nil },
		"scope":             func(b *Binding) { b.Scope = []string{"12"} },
		"between the lists": func(b *Binding) { b.Order, b.Scope = []string{"metrics.m DESC", "1"}, []string{"2"} },
	} {
		other := search
		change(&other)
		_, err := Decode(s, other)
		if fault.CodeOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "Invalid page token: it belongs to") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedTokens(t *testing.T) {
	s := Encode(tokens[2], search)
	bad := []string{"", "x", "!!!", "eyJvZmZzZXQiOiAxMH0=", s[1:], s[:len(s)-1], s + "A", s + "=", " " + s, strings.Repeat("A", MaxBytes+1), strings.Repeat("A", 100)}
	for i := 0; i < len(s); i += 97 {
		flipped := []byte(s)
		if flipped[i]++; flipped[i] > 'z' {
			flipped[i] = 'A'
		}
		bad = append(bad, string(flipped))
	}
	for _, s := range bad {
		_, err := Decode(s, search)
		if fault.CodeOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), "Invalid page token: ") || fault.HintOf(err) == "" {
			t.Errorf("%.40q: %v", s, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, t := range tokens {
		b, err := base64.RawURLEncoding.DecodeString(Encode(t, search))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[17:len(b)-4], Encode(t, search))
	}
	sum := search.sum()
	f.Fuzz(func(t *testing.T, values []byte, s string) {
		if values != nil { // otherwise a checksum is never met by chance
			s = seal(append(append([]byte{version}, sum[:]...), values...))
		}
		token, err := Decode(s, search)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		again, err := Decode(Encode(token, search), search)
		if err != nil || !same(token, again) {
			t.Fatalf("%+v, %+v, %v", token, again, err)
		}
	})
}
