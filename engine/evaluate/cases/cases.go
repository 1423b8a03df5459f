// Package cases answers a file of questions to every metric, statistical test, calibration and fairness measure of
// engine/evaluate: the door through which scripts, and the comparison with other libraries, reach them.
//
// In: {"cases": [{"id", "metric", "input": {...}, "params": {...}}, ...]}. Out: {"answers": {"<id>": value, ...}}, a
// value being a number, a list, a matrix or an object. Numbers that JSON lacks are written "nan", "inf" and "-inf", and
// read so too, or as the bare words of Python's json module. It owns the format and knows no definition of its own.
package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// question is one case.
type question struct {
	ID     name                       `json:"id"`
	Metric string                     `json:"metric"`
	Input  map[string]json.RawMessage `json:"input"`
	Params map[string]json.RawMessage `json:"params"`
}

// name is a text or a number, which names by its digits.
type name string

// UnmarshalJSON implements json.Unmarshaler.
func (n *name) UnmarshalJSON(b []byte) error {
	var text string
	var number json.Number
	if err := json.Unmarshal(b, &number); err == nil && string(b) == string(number) {
		*n = name(number)
		return nil
	}
	err := json.Unmarshal(b, &text)
	*n = name(text)
	return err
}

// handlers answers each metric. A handler reads what it needs and returns a value that plain knows; faults of the input
// stay in the reader.
var handlers = map[string]func(r *reader) any{}

func register(all map[string]func(r *reader) any) {
	for name, h := range all {
		handlers[name] = h
	}
}

// Names is the metrics that can be asked for, in alphabetical order.
func Names() []string {
	var out []string
	for name := range handlers {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Run answers the cases that r holds and writes the answers to w. A case that cannot be answered is left out and its
// reason printed to warn, one line each; the others are answered, and Run then fails with fault.Invalid.
func Run(r io.Reader, w io.Writer, warn io.Writer) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read cases: %w", err)
	}
	var file struct {
		Cases []json.RawMessage `json:"cases"`
	}
	if err = json.Unmarshal(b, &file); err != nil {
		if json.Unmarshal(quoteNumbers(b), &file) == nil {
			err = nil
		}
	}
	if err != nil {
		return fault.New(fault.Invalid, "the file of cases cannot be read: %v", err).
			WithHint(`it is a JSON object {"cases": [{"id", "metric", "input", "params"}, ...]}`)
	}
	answers := make(map[string]any, len(file.Cases))
	failed := 0
	for i, raw := range file.Cases {
		id, value, err := answer(raw)
		if id == "" {
			id = fmt.Sprintf("#%d", i+1)
		}
		if err != nil {
			failed++
			reason := err.Error()
			if hint := fault.HintOf(err); hint != "" {
				reason += "; " + hint
			}
			if _, err := fmt.Fprintf(warn, "%s: %s\n", id, reason); err != nil {
				return fmt.Errorf("report a case: %w", err)
			}
			continue
		}
		answers[id] = value
	}
	out, err := json.Marshal(map[string]any{"answers": answers})
	if err == nil {
		_, err = w.Write(append(out, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	if failed > 0 {
		return fault.New(fault.Invalid, "%d of %d cases cannot be answered", failed, len(file.Cases)).
			WithHint("the reasons are printed above, one line for each")
	}
	return nil
}

// quoteNumbers makes texts of the bare NaN, Infinity and -Infinity that Python's json module writes.
func quoteNumbers(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); {
		word := ""
		switch b[i] {
		case '"': // copied whole: what looks like a number in a text is none
			end := i + 1
			for end < len(b) && b[end] != '"' {
				if b[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(b))
			out = append(out, b[i:end]...)
			i = end
			continue
		case 'N', 'I', '-':
			for _, w := range []string{"NaN", "Infinity", "-Infinity"} {
				if bytes.HasPrefix(b[i:], []byte(w)) {
					word = w
				}
			}
		}
		if word == "" {
			out = append(out, b[i])
			i++
			continue
		}
		out = append(append(append(out, '"'), word...), '"')
		i += len(word)
	}
	return out
}

func answer(raw json.RawMessage) (id string, value any, err error) {
	var q question
	if err := json.Unmarshal(raw, &q); err != nil {
		var only struct{ ID json.RawMessage }
		_ = json.Unmarshal(raw, &only) // a name for the message, if there is one
		return strings.Trim(string(only.ID), `"`), nil, fault.New(fault.Invalid, "the case cannot be read: %v", err)
	}
	if q.ID == "" {
		return "", nil, fault.New(fault.Invalid, "the case has no id")
	}
	h, ok := handlers[q.Metric]
	if !ok {
		e := fault.New(fault.Invalid, "there is no metric %q", q.Metric)
		if near := learner.Nearest(q.Metric, Names()); near != "" {
			e = e.WithHint("did you mean %q?", near)
		}
		return string(q.ID), nil, e
	}
	r := &reader{metric: q.Metric, input: q.Input, params: q.Params}
	value = h(r)
	if r.err != nil {
		return string(q.ID), nil, r.err
	}
	return string(q.ID), plain(value), nil
}

// plain turns a value into what JSON can hold.
func plain(v any) any {
	switch v := v.(type) {
	case metric.Score:
		return plain(v.Value)
	case float64:
		switch {
		case math.IsNaN(v):
			return "nan"
		case math.IsInf(v, 1):
			return "inf"
		case math.IsInf(v, -1):
			return "-inf"
		}
		return v
	case []float64:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case [][]float64:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case []object:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case object:
		out := make(map[string]any, len(v))
		for name := range v {
			out[name] = plain(v[name])
		}
		return out
	}
	return v
}

// object is an answer of several named values.
type object map[string]any
