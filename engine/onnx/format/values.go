package format

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Attributes are the settings of a node by name: int64, float32, string, []int64, []float32, []string, *Tensor, *Graph or Ref.
type Attributes map[string]any

// Ref is an attribute of a node of a function: it has the value of the call's attribute of this name.
type Ref string

// Int is a whole number, or otherwise when there is none of the name.
func (a Attributes) Int(name string, otherwise int64) int64 {
	if v, ok := a[name].(int64); ok {
		return v
	}
	return otherwise
}

// Float is a number, or otherwise when there is none of the name.
func (a Attributes) Float(name string, otherwise float32) float32 {
	if v, ok := a[name].(float32); ok {
		return v
	}
	return otherwise
}

// Text is a text, "" when there is none of the name.
func (a Attributes) Text(name string) string { v, _ := a[name].(string); return v }

// Ints is a list, nil when there is none of the name.
func (a Attributes) Ints(name string) []int64 { v, _ := a[name].([]int64); return v }

// Floats is a list, nil when there is none of the name.
func (a Attributes) Floats(name string) []float32 { v, _ := a[name].([]float32); return v }

// Texts is a list, nil when there is none of the name.
func (a Attributes) Texts(name string) []string { v, _ := a[name].([]string); return v }

// Tensor is a tensor, nil when there is none of the name.
func (a Attributes) Tensor(name string) *Tensor { v, _ := a[name].(*Tensor); return v }

// Graph is a graph that a node runs, nil when there is none of the name.
func (a Attributes) Graph(name string) *Graph { v, _ := a[name].(*Graph); return v }

// Attributes reads the node's settings.
func (n *Node) Attributes() (Attributes, error) {
	out := Attributes{}
	for _, b := range n.attributes {
		name, value, err := readAttribute(b)
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

func readAttribute(b []byte) (name string, value any, err error) {
	var kind int64
	var f float32
	var i int64
	var s string
	var t *Tensor
	var g *Graph
	ref := ""
	var floats []float32
	var ints []int64
	var texts []string
	err = visit(b, func(field protowire.Number, v uint64, part []byte) (err error) {
		switch field {
		case 1:
			name = string(part)
		case 2:
			f = math.Float32frombits(uint32(v))
		case 3:
			i = int64(v)
		case 4:
			s = string(part)
		case 5:
			t, err = Raw(part).Tensor()
		case 6:
			g = &Graph{Constants: map[string]Raw{}}
			err = g.read(part)
		case 7:
			floats, err = appendFloats(floats, v, part)
		case 8:
			ints, err = appendInts(ints, v, part)
		case 9:
			texts = append(texts, string(part))
		case 20:
			kind = int64(v)
		case 21:
			ref = string(part)
		}
		return err
	})
	if ref != "" {
		return name, Ref(ref), err
	}
	switch kind {
	case 1:
		value = f
	case 2:
		value = i
	case 3:
		value = s
	case 4:
		value = t
	case 5:
		value = g
	case 6:
		value = floats
	case 7:
		value = ints
	case 8:
		value = texts
	}
	return name, value, err
}

// Tensor reads the tensor. A shape that its values do not fill is fault.Corrupt; an element type that is not read, and
// values in another file, are fault.FormatNotServed.
func (b Raw) Tensor() (*Tensor, error) {
	t := &Tensor{}
	var dims, ints []int64
	var floats []float32
	var doubles []float64
	var texts []string
	var raw []byte
	external := false
	err := visit(b, func(field protowire.Number, v uint64, part []byte) (err error) {
		switch field {
		case 1:
			dims, err = appendInts(dims, v, part)
		case 2:
			t.Elem = int64(v)
		case 4:
			floats, err = appendFloats(floats, v, part)
		case 5, 7, 11: // 11 holds the unsigned ones of 32 and 64 bits
			ints, err = appendInts(ints, v, part)
		case 6:
			texts = append(texts, string(part))
		case 8:
			t.Name = string(part)
		case 9:
			raw = part
		case 10:
			if part == nil {
				doubles = append(doubles, math.Float64frombits(v))
				return nil
			}
			for ; len(part) >= 8; part = part[8:] {
				doubles = append(doubles, math.Float64frombits(binary.LittleEndian.Uint64(part)))
			}
		case 13:
			external = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if external {
		return nil, fault.New(fault.FormatNotServed, "the values of %s lie in another file", t.Name)
	}
	n := 1
	t.Shape = make([]int, len(dims))
	for i, d := range dims {
		if d < 0 || d > maxValues || n > maxValues/int(max(d, 1)) {
			return nil, fault.New(fault.Corrupt, "tensor %s has the shape %v", t.Name, dims)
		}
		t.Shape[i] = int(d)
		n *= int(d)
	}
	kind := TypeOf(t.Elem)
	if kind == tensor.None {
		return nil, fault.New(fault.FormatNotServed, "tensor %s has the element type %d, which is not read here", t.Name, t.Elem)
	}
	if raw != nil {
		if kind == tensor.String {
			return nil, fault.New(fault.Corrupt, "tensor %s has texts as raw bytes", t.Name)
		}
		all, err := tensor.FromRaw(kind, t.Shape, raw)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "tensor %s", t.Name)
		}
		t.Data = all.Data
		return t, nil
	}
	held := 0
	switch kind {
	case tensor.FP32:
		t.Data, held = floats, len(floats)
	case tensor.FP64:
		t.Data, held = doubles, len(doubles)
	case tensor.String:
		t.Data, held = texts, len(texts)
	default:
		t.Data, held = whole(kind, ints), len(ints)
	}
	if held != n {
		return nil, fault.New(fault.Corrupt, "tensor %s of shape %v holds %d values", t.Name, dims, held)
	}
	return t, nil
}

// whole gives whole numbers, and the bits of half-precision ones, their type.
func whole(kind tensor.Type, ints []int64) any {
	switch kind {
	case tensor.Bool:
		flags := make([]bool, len(ints))
		for i, v := range ints {
			flags[i] = v != 0
		}
		return flags
	case tensor.Uint8:
		return narrow[uint8](ints)
	case tensor.Int8:
		return narrow[int8](ints)
	case tensor.Uint16:
		return narrow[uint16](ints)
	case tensor.Int16:
		return narrow[int16](ints)
	case tensor.Uint32:
		return narrow[uint32](ints)
	case tensor.Int32:
		return narrow[int32](ints)
	case tensor.Uint64:
		return narrow[uint64](ints)
	case tensor.FP16:
		return narrow[tensor.Float16](ints)
	case tensor.BF16:
		return narrow[tensor.BFloat16](ints)
	}
	if ints == nil {
		return []int64{}
	}
	return ints
}

func narrow[T ~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64](ints []int64) []T {
	out := make([]T, len(ints))
	for i, v := range ints {
		out[i] = T(v)
	}
	return out
}

// Floats is the numbers of a tensor, nil for texts and for no tensor.
func (t *Tensor) Floats() []float64 {
	if t == nil {
		return nil
	}
	if _, flags := t.Data.([]bool); flags {
		return nil
	}
	values, err := (&tensor.Tensor{Shape: t.Shape, Data: t.Data}).Float64s()
	if err != nil {
		return nil
	}
	return values
}
