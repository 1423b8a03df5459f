package cases

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// reader takes the named values of one case and remembers the first thing that is wrong. After that every value is empty.
type reader struct {
	metric        string
	input, params map[string]json.RawMessage
	decoded       map[string]any
	err           error
}

func (r *reader) refuse(format string, args ...any) {
	if r.err == nil {
		r.err = fault.New(fault.Invalid, r.metric+": "+format, args...)
	}
}

// fail takes over an error, if there is one.
func (r *reader) fail(err error) {
	if err != nil && r.err == nil {
		r.err = err
	}
}

// raw is the value of that name, of the parameters or the input; nil where it is absent or null.
func (r *reader) raw(name string) any {
	if r.err != nil {
		return nil
	}
	b, ok := r.params[name]
	if !ok || string(b) == "null" {
		b, ok = r.input[name]
	}
	if !ok || string(b) == "null" {
		return nil
	}
	v, ok := r.decoded[name]
	if ok {
		return v
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		r.refuse("%s cannot be read: %v", name, err)
		return nil
	}
	if r.decoded == nil {
		r.decoded = map[string]any{}
	}
	r.decoded[name] = v
	return v
}

func (r *reader) has(name string) bool { return r.raw(name) != nil }

// float reads one number, also written as one of the texts nan, inf and -inf.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		f, err := strconv.ParseFloat(string(v), 64)
		return f, err == nil || math.IsInf(f, 0) // too large a number is infinite
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		switch strings.ToLower(v) {
		case "nan":
			return math.NaN(), true
		case "inf", "+inf", "infinity":
			return math.Inf(1), true
		case "-inf", "-infinity":
			return math.Inf(-1), true
		}
	}
	return 0, false
}

// list is the list of that name; it must be there.
func (r *reader) list(name string) []any {
	v := r.raw(name)
	if v == nil {
		r.refuse("%s is missing", name)
		return nil
	}
	l, ok := v.([]any)
	if !ok {
		r.refuse("%s is not a list", name)
	}
	return l
}

// floats is the list of numbers of that name, which must be there.
func (r *reader) floats(name string) []float64 { return r.numbers(name, r.list(name)) }

func (r *reader) numbers(name string, l []any) []float64 {
	out := make([]float64, len(l))
	for i, v := range l {
		f, ok := float(v)
		if !ok {
			r.refuse("%s: value %d is not a number", name, i+1)
			return nil
		}
		out[i] = f
	}
	return out
}

// weights is the list w, or nil where there is none: n non-negative finite numbers.
func (r *reader) weights(name string, n int) []float64 {
	if !r.has(name) {
		return nil
	}
	w := r.floats(name)
	r.same(n, name, len(w))
	for i, v := range w {
		if !(v >= 0) || math.IsInf(v, 0) {
			r.refuse("%s: weight %d is %v; weights are non-negative numbers", name, i+1, v)
		}
	}
	return w
}

func (r *reader) same(n int, name string, m int) {
	if n != m {
		r.refuse("%s has %d values for %d rows", name, m, n)
	}
}

// matrix is the list of equally long lists of that name, row by row, and the length of a row.
func (r *reader) matrix(name string) (values []float64, k int) {
	rows := r.list(name)
	for i, row := range rows {
		l, ok := row.([]any)
		if !ok {
			r.refuse("%s: row %d is not a list", name, i+1)
			return nil, 0
		}
		if i == 0 {
			k = len(l)
		}
		if len(l) != k || k == 0 {
			r.refuse("%s: row %d has %d values, the first has %d", name, i+1, len(l), k)
			return nil, 0
		}
		values = append(values, r.numbers(name, l)...)
		if r.err != nil {
			return nil, 0
		}
	}
	return values, k
}

// rows is the matrix as one slice a row.
func (r *reader) rows(name string) [][]float64 {
	values, k := r.matrix(name)
	var out [][]float64
	for at := 0; at < len(values); at += k {
		out = append(out, values[at:at+k])
	}
	return out
}

// label reads the name of a class.
func label(v any) (metric.Label, bool) {
	if s, ok := v.(string); ok {
		return metric.Text(s), true
	}
	f, ok := float(v)
	return metric.Number(f), ok && !math.IsNaN(f)
}

// labels is the list of class names of that name.
func (r *reader) labels(name string) []metric.Label {
	l := r.list(name)
	out := make([]metric.Label, len(l))
	for i, v := range l {
		got, ok := label(v)
		if !ok {
			r.refuse("%s: value %d is neither a number nor a text", name, i+1)
			return nil
		}
		out[i] = got
	}
	return out
}

// integers is a list of whole numbers that fit an int32.
func (r *reader) integers(name string) []int32 {
	v := r.floats(name)
	out := make([]int32, len(v))
	for i, f := range v {
		if f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			r.refuse("%s: value %d is %v, not a whole number", name, i+1, f)
			return nil
		}
		out[i] = int32(f)
	}
	return out
}

// number is one number, or def.
func (r *reader) number(name string, def float64) float64 {
	v := r.raw(name)
	if v == nil {
		return def
	}
	f, ok := float(v)
	if !ok {
		r.refuse("%s is not a number", name)
		return def
	}
	return f
}

// within is one finite number of [lo, hi], or def.
func (r *reader) within(name string, def, lo, hi float64) float64 {
	f := r.number(name, def)
	if !(f >= lo && f <= hi) {
		r.refuse("%s is %v; it is from %g to %g", name, f, lo, hi)
		return def
	}
	return f
}

// integer is one whole number of [lo, hi], or def.
func (r *reader) integer(name string, def, lo, hi int) int {
	f := r.within(name, float64(def), float64(lo), float64(hi))
	if f != math.Trunc(f) {
		r.refuse("%s is %v, not a whole number", name, f)
		return def
	}
	return int(f)
}

// flag is true or false, or def.
func (r *reader) flag(name string, def bool) bool {
	switch v := r.raw(name).(type) {
	case nil:
	case bool:
		return v
	default:
		if f, ok := float(v); ok && (f == 0 || f == 1) {
			return f == 1
		}
		r.refuse("%s is neither true nor false", name)
	}
	return def
}

// choice is one of the words, the first where none is given. null and false are "none" where that is a word.
func (r *reader) choice(name string, words ...string) string {
	v := r.raw(name)
	if v == nil {
		return words[0]
	}
	s, ok := v.(string)
	if b, isBool := v.(bool); isBool && !b {
		s, ok = "none", true
	}
	if !ok || !slices.Contains(words, s) {
		r.refuse("%s is %v; it is one of %s", name, v, strings.Join(words, ", "))
		return words[0]
	}
	return s
}
