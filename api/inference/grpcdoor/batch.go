package grpcdoor

import (
	"math"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Tensors that are not inputs of a model, as over HTTP.
const (
	tensorKey = "trimtab_key"
	tensorAt  = "trimtab_at"
)

// special takes in the tensors that speak about rows: their keys and their times.
func (q *inferRequest) special(name string, t *tensor.Tensor) (bool, error) {
	switch name {
	case tensorKey:
		keys, ok := t.Data.([]string)
		if !ok {
			return true, fault.New(fault.Invalid, "%s is a BYTES tensor", tensorKey)
		}
		q.keys = append(q.keys[:0], keys...)
		return true, nil
	case tensorAt:
		q.at = q.at[:0]
		switch d := t.Data.(type) {
		case []int64:
			q.at = append(q.at, d...)
			return true, nil
		case []string:
			for i, s := range d {
				us, ok := serve.ParseTime(s)
				if !ok {
					return true, fault.New(fault.Invalid, "%s: text %d is no time such as 2013-04-01T10:00:00Z", tensorAt, i)
				}
				q.at = append(q.at, us)
			}
			return true, nil
		}
		return true, fault.New(fault.Invalid, "%s is a tensor of times: BYTES such as 2013-04-01T10:00:00Z, or INT64 microseconds", tensorAt)
	}
	return false, nil
}

// parameters takes in what the request's parameters say. Those of this server and of Triton are understood here, the others go to the
// model.
func (q *inferRequest) parameters() error {
	b := &q.batch
	for i := range q.params {
		p := &q.params[i]
		ok := true
		switch p.name {
		case "key":
			var key string
			if key, ok = p.value.(string); ok && key != "" {
				b.Keys = append(q.keys[:0], key)
				q.keys = b.Keys
			}
		case "at":
			var us int64
			switch v := p.value.(type) {
			case int64:
				us = v
			case string:
				us, ok = serve.ParseTime(v)
			default:
				ok = false
			}
			if ok {
				b.At = append(q.at[:0], us)
				q.at = b.At
			}
		case "explain":
			b.Explain, ok = p.value.(bool)
		case "label":
			q.label, ok = p.value.(string)
		case "priority":
			var v int64
			v, ok = whole(p.value)
			if ok = ok && v >= math.MinInt32 && v <= math.MaxInt32; ok {
				if v > 0 { // Triton's: 1 is the first, 0 is usual
					b.Priority = 2 - int(v)
				}
			}
		case "timeout": // microseconds, as Triton has it
			q.timeout, ok = whole(p.value)
			ok = ok && q.timeout >= 0
		case "sequence_id", "sequence_start", "sequence_end", "binary_data_output", "triton_enable_empty_final_response":
			// of Triton's state and transport: nothing here depends on them
		default:
			if p.name == "" || p.value == nil {
				continue
			}
			if b.Params == nil {
				b.Params = make(map[string]any, len(q.params))
			}
			value := p.value
			if s, ok := value.(string); ok {
				value = string([]byte(s)) // parameters may outlive the message
			}
			b.Params[string([]byte(p.name))] = value
		}
		if !ok {
			return fault.New(fault.Invalid, "the parameter %s is not what it must be: %s", p.name, parameterForms[p.name])
		}
	}
	return nil
}

var parameterForms = map[string]string{
	"key":      "a text that names the row",
	"at":       "a time such as 2013-04-01T10:00:00Z, or whole microseconds",
	"explain":  "true or false",
	"label":    "a text that names a label of the route",
	"priority": "a whole number; 1 is the first, 0 is usual",
	"timeout":  "a whole number of microseconds",
}

func whole(value any) (int64, bool) {
	switch v := value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

// choice is the version that a request asks for.
func choice(model, version, label string) (serve.Choice, error) {
	c := serve.Choice{Label: label}
	if version == "" {
		return c, nil
	}
	v, err := strconv.Atoi(version)
	if err != nil || v < 1 {
		return c, fault.New(fault.NotFound, "%s has no version %q", clip(model), clip(version)).WithHint("versions are 1, 2, 3, …")
	}
	c.Version = v
	return c, nil
}
