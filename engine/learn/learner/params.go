package learner

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Params are the settings of a learner by the field's names, as a configuration file gives them. Numbers may be of
// any Go number type or json.Number.
type Params map[string]any

// A Reader takes named parameters out of Params and remembers the first thing that is wrong. A learner asks for each
// parameter it has, then calls Done, which also refuses the names nobody asked for.
type Reader struct {
	learner string
	params  Params
	known   []string
	err     error
}

// NewReader starts reading the parameters of the named learner.
func NewReader(learner string, p Params) *Reader { return &Reader{learner: learner, params: p} }

// Float is the parameter name, or def when it is not set. It must be finite and lie in [lo, hi].
func (r *Reader) Float(name string, def, lo, hi float64) float64 {
	r.known = append(r.known, name)
	v, set := r.params[name]
	if !set || v == nil {
		return def
	}
	f, ok := number(v)
	if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
		r.refuse(fault.New(fault.Invalid, "%s: %s must be a number, not %v", r.learner, name, v))
		return def
	}
	if f < lo || f > hi {
		r.refuse(r.outside(name, v, lo, hi))
		return def
	}
	return f
}

// Int is the parameter name, or def when it is not set. It must be a whole number in [lo, hi].
func (r *Reader) Int(name string, def, lo, hi int) int {
	r.known = append(r.known, name)
	v, set := r.params[name]
	if !set || v == nil {
		return def
	}
	f, ok := number(v)
	if !ok || f != math.Trunc(f) {
		r.refuse(fault.New(fault.Invalid, "%s: %s must be a whole number, not %v", r.learner, name, v))
		return def
	}
	if f < float64(lo) || f > float64(hi) {
		r.refuse(r.outside(name, v, float64(lo), float64(hi)))
		return def
	}
	return int(f)
}

// Seed is the parameter "seed" and whether it was set: a whole number from 0 to 2^53.
func (r *Reader) Seed() (uint64, bool) {
	if v, set := r.params["seed"]; !set || v == nil {
		r.known = append(r.known, "seed")
		return 0, false
	}
	return uint64(r.Int("seed", 0, 0, 1<<53)), true
}

// Text is the parameter name, or def when it is not set. It must be one of the choices, if there are any.
func (r *Reader) Text(name, def string, choices ...string) string {
	r.known = append(r.known, name)
	v, set := r.params[name]
	if !set || v == nil {
		return def
	}
	s, ok := v.(string)
	switch {
	case !ok:
		r.refuse(fault.New(fault.Invalid, "%s: %s must be a text, not %v", r.learner, name, v))
	case len(choices) > 0 && !slices.Contains(choices, s):
		e := fault.New(fault.Invalid, "%s: %s cannot be %q", r.learner, name, s)
		if near := Nearest(s, choices); near != "" {
			e = e.WithHint("did you mean %q? It is one of %s", near, strings.Join(choices, ", "))
		} else {
			e = e.WithHint("it is one of %s", strings.Join(choices, ", "))
		}
		r.refuse(e)
	default:
		return s
	}
	return def
}

// Bool is the parameter name, or def when it is not set.
func (r *Reader) Bool(name string, def bool) bool {
	r.known = append(r.known, name)
	v, set := r.params[name]
	if !set || v == nil {
		return def
	}
	b, ok := v.(bool)
	if !ok {
		r.refuse(fault.New(fault.Invalid, "%s: %s must be true or false, not %v", r.learner, name, v))
		return def
	}
	return b
}

// Floats is the list of numbers name, or def when it is not set. Each must be finite and lie in [lo, hi].
func (r *Reader) Floats(name string, def []float64, lo, hi float64) []float64 {
	r.known = append(r.known, name)
	v, set := r.params[name]
	if !set || v == nil {
		return def
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice {
		r.refuse(fault.New(fault.Invalid, "%s: %s must be a list of numbers, not %v", r.learner, name, v))
		return def
	}
	out := make([]float64, list.Len())
	for i := range out {
		item := list.Index(i).Interface()
		f, ok := number(item)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			r.refuse(fault.New(fault.Invalid, "%s: %s must be a list of numbers, and has %v", r.learner, name, item))
			return def
		}
		if f < lo || f > hi {
			r.refuse(r.outside(name, item, lo, hi))
			return def
		}
		out[i] = f
	}
	return out
}

// Ints is the list of whole numbers name, or def when it is not set. Each must lie in [lo, hi].
func (r *Reader) Ints(name string, def []int, lo, hi int) []int {
	if v, set := r.params[name]; !set || v == nil {
		r.known = append(r.known, name)
		return def
	}
	var out []int
	for _, f := range r.Floats(name, nil, float64(lo), float64(hi)) {
		if f != math.Trunc(f) {
			r.refuse(fault.New(fault.Invalid, "%s: %s must be a list of whole numbers, and has %v", r.learner, name, f))
			return def
		}
		out = append(out, int(f))
	}
	return out
}

// Any is the parameter name as it was given, nil when it is not set, for values of a form of their own. What is wrong
// with it is told with Refuse.
func (r *Reader) Any(name string) any {
	r.known = append(r.known, name)
	return r.params[name]
}

// Refuse makes Done fail with e, unless something was wrong before.
func (r *Reader) Refuse(e *fault.Error) { r.refuse(e) }

// Is reports whether the parameter name is set to the given word, such as auto where a number may stand too. It does
// not count as reading the parameter.
func (r *Reader) Is(name, word string) bool {
	s, ok := r.params[name].(string)
	return ok && s == word
}

// Done is the first fault met, or one for the first name, in alphabetical order, that the learner does not have.
func (r *Reader) Done() error {
	if r.err != nil {
		return r.err
	}
	known := map[string]bool{}
	for _, k := range r.known {
		known[k] = true
	}
	var unknown []string
	for k := range r.params {
		if !known[k] {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	sort.Strings(unknown)
	sort.Strings(r.known)
	e := fault.New(fault.Invalid, "%s has no parameter %q", r.learner, unknown[0])
	if near := Nearest(unknown[0], r.known); near != "" {
		return e.WithHint("did you mean %q? Parameters are %s", near, strings.Join(r.known, ", "))
	}
	return e.WithHint("parameters are %s", strings.Join(r.known, ", "))
}

func (r *Reader) refuse(e *fault.Error) {
	if r.err == nil {
		r.err = e
	}
}

func (r *Reader) outside(name string, v any, lo, hi float64) *fault.Error {
	if hi >= math.MaxFloat64 {
		return fault.New(fault.Invalid, "%s: %s must be at least %v, not %v", r.learner, name, lo, v)
	}
	return fault.New(fault.Invalid, "%s: %s must be from %v to %v, not %v", r.learner, name, lo, hi, v)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case float32:
		return float64(n), true
	case int:
		return float64(n), true
	case int32:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint:
		return float64(n), true
	case uint32:
		return float64(n), true
	case uint64:
		return float64(n), true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// Nearest is the candidate with the fewest edits (insert, delete, replace, swap of neighbours) from name, if it is
// near enough to be meant: one edit for every three letters, and at least one, but not every letter. Capitals count as
// small letters. Ties go to the first candidate; "" when none is near.
func Nearest(name string, candidates []string) string {
	best, found := max(1, (len(name)+1)/3)+1, ""
	for _, c := range candidates {
		if d := edits(strings.ToLower(name), strings.ToLower(c)); d < best && d < max(len(name), len(c)) {
			best, found = d, c
		}
	}
	return found
}

// edits is the optimal string alignment distance.
func edits(a, b string) int {
	two := make([]int, len(b)+1)
	one := make([]int, len(b)+1)
	now := make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(one[j]+1, now[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], two[j-2]+1)
			}
		}
		two, one, now = one, now, two
	}
	return one[len(b)]
}
