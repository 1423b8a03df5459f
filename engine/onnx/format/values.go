package format

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Attributes are the settings of a node by name: int64, float32, string, []int64, []float32, []string or *Tensor.
type Attributes map[string]any

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
		case 7:
			floats, err = appendFloats(floats, v, part)
		case 8:
			ints, err = appendInts(ints, v, part)
		case 9:
			texts = append(texts, string(part))
		case 20:
			kind = int64(v)
		}
		return err
	})
	switch kind {
	case 1:
		value = f
	case 2:
		value = i
	case 3:
		value = s
	case 4:
		value = t
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
		case 5, 7:
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
	if raw != nil {
		if floats, doubles, ints, err = fromRaw(t.Name, t.Elem, raw); err != nil {
			return nil, err
		}
	}
	held := 0
	switch t.Elem {
	case Float:
		t.Data, held = floats, len(floats)
	case Double:
		t.Data, held = doubles, len(doubles)
	case Int64, Int32, Uint8:
		t.Data, held = ints, len(ints)
	case Bool:
		flags := make([]bool, len(ints))
		for i, v := range ints {
			flags[i] = v != 0
		}
		t.Data, held = flags, len(flags)
	case String:
		t.Data, held = texts, len(texts)
	default:
		return nil, fault.New(fault.FormatNotServed, "tensor %s has the element type %d, which is not read here", t.Name, t.Elem)
	}
	if held != n {
		return nil, fault.New(fault.Corrupt, "tensor %s of shape %v holds %d values", t.Name, dims, held)
	}
	return t, nil
}

// Floats is the numbers of a tensor, nil for texts and for no tensor.
func (t *Tensor) Floats() []float64 {
	if t == nil {
		return nil
	}
	switch data := t.Data.(type) {
	case []float64:
		return data
	case []float32:
		return convert(data)
	case []int64:
		return convert(data)
	}
	return nil
}

func convert[T float32 | int64](in []T) []float64 {
	out := make([]float64, len(in))
	for i, v := range in {
		out[i] = float64(v)
	}
	return out
}

func fromRaw(name string, elem int64, raw []byte) (floats []float32, doubles []float64, ints []int64, err error) {
	width := map[int64]int{Float: 4, Int32: 4, Double: 8, Int64: 8, Bool: 1, Uint8: 1}[elem]
	if width == 0 || len(raw)%width != 0 {
		return nil, nil, nil, fault.New(fault.Corrupt, "the bytes of tensor %s do not fit its type %d", name, elem)
	}
	for ; len(raw) > 0; raw = raw[width:] {
		switch elem {
		case Float:
			floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		case Int32:
			ints = append(ints, int64(int32(binary.LittleEndian.Uint32(raw))))
		case Double:
			doubles = append(doubles, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		case Int64:
			ints = append(ints, int64(binary.LittleEndian.Uint64(raw)))
		case Bool, Uint8:
			ints = append(ints, int64(raw[0]))
		}
	}
	return floats, doubles, ints, nil
}
