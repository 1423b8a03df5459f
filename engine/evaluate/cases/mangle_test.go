package cases_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/cases"
)

// extremes are what a script may write where a sensible value is expected.
var extremes = []any{"nan", "inf", "-inf", 0.0, -1.0, 1.0, 2.0, 1e308, -1e308, 5e-324, 1e15, "x", "", true, nil, []any{}, []any{1.0}, map[string]any{},
	[]any{[]any{1.0, 2.0}, []any{3.0, 4.0}}, []any{"inf", "-inf", 0.0}}

// mangle changes one thing in a JSON value.
func mangle(r *rand.Rand, v any) any {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 || r.IntN(4) == 0 {
			break
		}
		out := append([]any(nil), v...)
		i := r.IntN(len(out))
		switch r.IntN(6) {
		case 0:
			return out[:i]
		case 1: // all alike
			for j := range out {
				out[j] = v[i]
			}
		case 2:
			return append(out, out[i])
		default:
			out[i] = mangle(r, out[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		var names []string
		for name := range v {
			out[name] = v[name]
			names = append(names, name)
		}
		if len(names) == 0 || r.IntN(8) == 0 {
			break
		}
		name := names[r.IntN(len(names))]
		if r.IntN(8) == 0 {
			delete(out, name)
		} else {
			out[name] = mangle(r, out[name])
		}
		return out
	}
	return extremes[r.IntN(len(extremes))]
}

// Whatever a script asks, it gets an answer or a reason: never a panic, and never half a file.
func TestMangledCases(t *testing.T) {
	var file struct{ Cases []map[string]any }
	if err := json.Unmarshal(load(t).raw, &file); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range file.Cases {
		if b, _ := json.Marshal(c); len(b) > 3000 {
			continue // the sizes of samples, not their values, make these slow
		}
		var all []any
		for range 6 {
			bad := map[string]any{"id": "x", "metric": c["metric"], "input": c["input"], "params": c["params"]}
			for range 1 + r.IntN(3) {
				part := []string{"input", "params", "input"}[r.IntN(3)]
				bad[part] = mangle(r, bad[part])
			}
			all = append(all, bad)
		}
		b, err := json.Marshal(map[string]any{"cases": all})
		if err != nil {
			t.Fatal(err)
		}
		var out, warn bytes.Buffer
		_ = cases.Run(bytes.NewReader(b), &out, &warn)
		if !json.Valid(out.Bytes()) {
			t.Errorf("no JSON for %s", b)
		}
	}
}
