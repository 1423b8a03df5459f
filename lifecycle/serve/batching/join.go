package batching

import (
	"reflect"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// joinable is the rows of a request, 0 = unknown, and whether it may be joined with others: every input that it carries has one entry
// per row, and the engine leaves the number of rows free.
func (b *Batcher) joinable(q *predictor.Request) (rows int, ok bool) {
	for i, in := range q.Inputs {
		if in.Tensor == nil || len(in.Shape) == 0 || !b.rows[in.Name] || i > 0 && in.Shape[0] != rows {
			return 0, false
		}
		if n, ok := tensor.Volume(in.Shape); !ok || n != length(in.Data) {
			return 0, false // what the engine says about it is its own business
		}
		rows = in.Shape[0]
	}
	return rows, rows > 0 && rows <= b.opt.MaxRows
}

// alike tells whether two requests may run as one.
func alike(a, b *predictor.Request) bool {
	if len(a.Inputs) != len(b.Inputs) || !slices.Equal(a.Wanted, b.Wanted) {
		return false
	}
	for i := range a.Inputs {
		x, y := &a.Inputs[i], &b.Inputs[i]
		if x.Name != y.Name || x.Type() != y.Type() || !slices.Equal(x.Shape[1:], y.Shape[1:]) {
			return false
		}
	}
	return len(a.Params) == 0 && len(b.Params) == 0 || reflect.DeepEqual(a.Params, b.Params)
}

// join makes one request of those of members, which are alike, in memory of its own.
func join(members []*waiting) *predictor.Request {
	head := members[0].q
	q := &predictor.Request{Inputs: make([]tensor.Named, len(head.Inputs)), Wanted: slices.Clone(head.Wanted), Params: head.Params}
	total := 0
	for _, w := range members {
		total += w.rows
	}
	for i, in := range head.Inputs {
		shape := slices.Clone(in.Shape)
		shape[0] = total
		parts := make([]any, len(members))
		for k, w := range members {
			parts[k] = w.q.Inputs[i].Data
		}
		n, _ := tensor.Volume(shape) // the sum of volumes that were checked
		q.Inputs[i] = tensor.Named{Name: strings.Clone(in.Name), Tensor: &tensor.Tensor{Shape: shape, Data: concat(parts, n)}}
	}
	return q
}

func concat(parts []any, n int) any {
	switch parts[0].(type) {
	case []bool:
		return appended[bool](parts, n)
	case []uint8:
		return appended[uint8](parts, n)
	case []uint16:
		return appended[uint16](parts, n)
	case []uint32:
		return appended[uint32](parts, n)
	case []uint64:
		return appended[uint64](parts, n)
	case []int8:
		return appended[int8](parts, n)
	case []int16:
		return appended[int16](parts, n)
	case []int32:
		return appended[int32](parts, n)
	case []int64:
		return appended[int64](parts, n)
	case []tensor.Float16:
		return appended[tensor.Float16](parts, n)
	case []tensor.BFloat16:
		return appended[tensor.BFloat16](parts, n)
	case []float32:
		return appended[float32](parts, n)
	case []float64:
		return appended[float64](parts, n)
	case []string:
		out := make([]string, 0, n)
		for _, p := range parts {
			for _, s := range p.([]string) {
				out = append(out, strings.Clone(s)) // a text may lie in a buffer of its caller
			}
		}
		return out
	}
	return nil
}

func appended[T any](parts []any, n int) []T {
	out := make([]T, 0, n)
	for _, p := range parts {
		out = append(out, p.([]T)...)
	}
	return out
}

// length is the number of values of a tensor's data; -1 for what is none.
func length(data any) int {
	switch d := data.(type) {
	case []bool:
		return len(d)
	case []uint8:
		return len(d)
	case []uint16:
		return len(d)
	case []uint32:
		return len(d)
	case []uint64:
		return len(d)
	case []int8:
		return len(d)
	case []int16:
		return len(d)
	case []int32:
		return len(d)
	case []int64:
		return len(d)
	case []tensor.Float16:
		return len(d)
	case []tensor.BFloat16:
		return len(d)
	case []float32:
		return len(d)
	case []float64:
		return len(d)
	case []string:
		return len(d)
	}
	return -1
}

// splits tells whether an answer has one entry per row in each of its outputs.
func splits(out []tensor.Named, rows int) bool {
	for _, o := range out {
		if o.Tensor == nil || len(o.Shape) == 0 || o.Shape[0] != rows {
			return false
		}
		if n, ok := tensor.Volume(o.Shape); !ok || n != length(o.Data) {
			return false
		}
	}
	return true
}
