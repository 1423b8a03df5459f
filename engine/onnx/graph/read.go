package graph

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Element types of onnx.proto.
const (
	elemFloat  = 1
	elemInt32  = 6
	elemInt64  = 7
	elemString = 8
	elemBool   = 9
	elemDouble = 11
)

// Bounds of what is read: a file may say that a tensor has any size.
const (
	maxValues = 1 << 28
	maxNodes  = 1 << 16
)

// Input is what a graph is fed with. Elem is "float", "double", "int64", "string" or "bool"; a dimension of -1 is free.
type Input struct {
	Name  string
	Elem  string
	Shape []int
}

// Graph is a graph that can be run. It is immutable and safe for concurrent use.
type Graph struct {
	Inputs  []Input
	Outputs []string

	nodes     []node
	constants map[string]*Tensor
	opset     int64
}

// node is one operator with what it was made with.
type node struct {
	op       string // "Add", or "ai.onnx.ml.Scaler"
	name     string
	in, out  []string
	attr     attributes
	prepared any // what the operator made of its attributes once
	run      func(n *node, opset int64, in []*Tensor) ([]*Tensor, error)
}

// attributes are the settings of a node by name: int64, float32, string, []int64, []float32, []string or *Tensor.
type attributes map[string]any

func (a attributes) int(name string, otherwise int64) int64 {
	if v, ok := a[name].(int64); ok {
		return v
	}
	return otherwise
}

func (a attributes) float(name string, otherwise float32) float32 {
	if v, ok := a[name].(float32); ok {
		return v
	}
	return otherwise
}

func (a attributes) text(name string) string { v, _ := a[name].(string); return v }

func (a attributes) ints(name string) []int64 { v, _ := a[name].([]int64); return v }

func (a attributes) floats(name string) []float32 { v, _ := a[name].([]float32); return v }

func (a attributes) texts(name string) []string { v, _ := a[name].([]string); return v }

// Load reads an ONNX file and prepares it. Bytes that are not one are fault.Corrupt; an operator that is not known here is
// fault.FormatNotServed and named.
func Load(b []byte) (*Graph, error) {
	g := &Graph{constants: map[string]*Tensor{}, opset: 1}
	var body []byte
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 7:
			body = part
		case 8:
			domain, version := "", int64(0)
			err := visit(part, func(field protowire.Number, v uint64, part []byte) error {
				if field == 1 {
					domain = string(part)
				} else if field == 2 {
					version = int64(v)
				}
				return nil
			})
			if domain == "" || domain == "ai.onnx" {
				g.opset = version
			}
			return err
		}
		return nil
	})
	if err == nil && body == nil {
		err = fault.New(fault.Corrupt, "it holds no graph")
	}
	if err == nil {
		err = g.read(body)
	}
	if err != nil {
		if fault.Is(err, fault.FormatNotServed) {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.Corrupt, "this is not an ONNX file")
	}
	return g, nil
}

func (g *Graph) read(b []byte) error {
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			if len(g.nodes) == maxNodes {
				return fault.New(fault.Corrupt, "it has more than %d nodes", maxNodes)
			}
			n, err := readNode(part)
			g.nodes = append(g.nodes, n)
			return err
		case 5:
			name, t, err := readTensor(part)
			g.constants[name] = t
			return err
		case 11:
			in, err := readInput(part)
			g.Inputs = append(g.Inputs, in)
			return err
		case 12:
			out, err := readInput(part)
			g.Outputs = append(g.Outputs, out.Name)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	// Old files list initializers among the inputs.
	g.Inputs = slices.DeleteFunc(g.Inputs, func(in Input) bool { return g.constants[in.Name] != nil })
	for i := range g.nodes {
		n := &g.nodes[i]
		op, known := operators[n.op]
		if !known {
			return fault.New(fault.FormatNotServed, "the graph uses the operator %s, which is not evaluated here", n.op)
		}
		n.run = op.run
		if op.prepare != nil {
			if n.prepared, err = op.prepare(n.attr); err != nil {
				return err
			}
		}
	}
	return nil
}

func readNode(b []byte) (node, error) {
	n := node{attr: attributes{}}
	domain := ""
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			n.in = append(n.in, string(part))
		case 2:
			n.out = append(n.out, string(part))
		case 3:
			n.name = string(part)
		case 4:
			n.op = string(part)
		case 5:
			name, value, err := readAttribute(part)
			n.attr[name] = value
			return err
		case 7:
			domain = string(part)
		}
		return nil
	})
	if domain != "" && domain != "ai.onnx" {
		n.op = domain + "." + n.op
	}
	return n, err
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
			_, t, err = readTensor(part)
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

// appendFloats reads a repeated float, packed or not: visit gives the bits of one, or the bytes of many.
func appendFloats(to []float32, bits uint64, packed []byte) ([]float32, error) {
	if packed == nil {
		return append(to, math.Float32frombits(uint32(bits))), nil
	}
	if len(packed)%4 != 0 {
		return nil, fault.New(fault.Corrupt, "a list of floats is cut")
	}
	for ; len(packed) > 0; packed = packed[4:] {
		to = append(to, math.Float32frombits(binary.LittleEndian.Uint32(packed)))
	}
	return to, nil
}

func appendInts(to []int64, v uint64, packed []byte) ([]int64, error) {
	if packed == nil {
		return append(to, int64(v)), nil
	}
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		to = append(to, int64(v))
		packed = packed[n:]
	}
	return to, nil
}

func readTensor(b []byte) (string, *Tensor, error) {
	var name string
	var elem int64
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
			elem = int64(v)
		case 4:
			floats, err = appendFloats(floats, v, part)
		case 5, 7:
			ints, err = appendInts(ints, v, part)
		case 6:
			texts = append(texts, string(part))
		case 8:
			name = string(part)
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
		return name, nil, err
	}
	if external {
		return name, nil, fault.New(fault.FormatNotServed, "the values of %s lie in another file", name)
	}
	shape, n := make([]int, len(dims)), 1
	for i, d := range dims {
		if d < 0 || d > maxValues || n > maxValues/int(max(d, 1)) {
			return name, nil, fault.New(fault.Corrupt, "tensor %s has the shape %v", name, dims)
		}
		shape[i] = int(d)
		n *= int(d)
	}
	if raw != nil {
		if floats, doubles, ints, err = fromRaw(name, elem, raw); err != nil {
			return name, nil, err
		}
	}
	t := &Tensor{Shape: shape}
	held := 0
	switch elem {
	case elemFloat:
		t.Data, held = floats, len(floats)
	case elemDouble:
		t.Data, held = doubles, len(doubles)
	case elemInt64, elemInt32:
		t.Data, held = ints, len(ints)
	case elemBool:
		flags := make([]bool, len(ints))
		for i, v := range ints {
			flags[i] = v != 0
		}
		t.Data, held = flags, len(flags)
	case elemString:
		t.Data, held = texts, len(texts)
	default:
		return name, nil, fault.New(fault.FormatNotServed, "tensor %s has the element type %d, which is not evaluated here", name, elem)
	}
	if held != n {
		return name, nil, fault.New(fault.Corrupt, "tensor %s of shape %v holds %d values", name, dims, held)
	}
	return name, t, nil
}

func fromRaw(name string, elem int64, raw []byte) (floats []float32, doubles []float64, ints []int64, err error) {
	width := map[int64]int{elemFloat: 4, elemInt32: 4, elemDouble: 8, elemInt64: 8, elemBool: 1}[elem]
	if width == 0 || len(raw)%width != 0 {
		return nil, nil, nil, fault.New(fault.Corrupt, "the bytes of tensor %s do not fit its type %d", name, elem)
	}
	for ; len(raw) > 0; raw = raw[width:] {
		switch elem {
		case elemFloat:
			floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		case elemInt32:
			ints = append(ints, int64(int32(binary.LittleEndian.Uint32(raw))))
		case elemDouble:
			doubles = append(doubles, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		case elemInt64:
			ints = append(ints, int64(binary.LittleEndian.Uint64(raw)))
		case elemBool:
			ints = append(ints, int64(raw[0]))
		}
	}
	return floats, doubles, ints, nil
}

func readInput(b []byte) (Input, error) {
	in := Input{}
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			in.Name = string(part)
		case 2:
			return visit(part, func(field protowire.Number, _ uint64, part []byte) error {
				if field != 1 {
					return nil // sequences and maps: outputs of ZipMap, which are not read
				}
				return visit(part, func(field protowire.Number, v uint64, part []byte) error {
					switch field {
					case 1:
						in.Elem = map[uint64]string{elemFloat: "float", elemDouble: "double", elemInt64: "int64", elemInt32: "int64", elemString: "string", elemBool: "bool"}[v]
					case 2:
						return visit(part, func(_ protowire.Number, _ uint64, part []byte) error {
							d := -1
							err := visit(part, func(field protowire.Number, v uint64, _ []byte) error {
								if field == 1 {
									d = int(int64(v))
								}
								return nil
							})
							in.Shape = append(in.Shape, d)
							return err
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	return in, err
}

// visit calls f for the fields of a message: v has a varint or the bits of a fixed value, part what is length-delimited.
func visit(b []byte, f func(field protowire.Number, v uint64, part []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var part []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var short uint32
			short, n = protowire.ConsumeFixed32(b)
			v = uint64(short)
		case protowire.Fixed64Type:
			v, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			part, n = protowire.ConsumeBytes(b)
			if part == nil {
				part = []byte{}
			}
		default:
			return fault.New(fault.Corrupt, "a field has the wire type %d", kind)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(field, v, part); err != nil {
			return err
		}
	}
	return nil
}
