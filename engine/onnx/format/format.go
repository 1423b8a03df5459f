// Package format reads ONNX files into Go values: the graph's nodes with their attributes, its constants, inputs and
// outputs. It owns the field numbers of onnx.proto3; it must never know what an operator does.
//
// Reading trusts no count: lists grow with the bytes that are there, and a tensor is made when it is asked for.
package format

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Element types of tensors.
const (
	Float    = 1
	Uint8    = 2
	Int8     = 3
	Uint16   = 4
	Int16    = 5
	Int32    = 6
	Int64    = 7
	String   = 8
	Bool     = 9
	Float16  = 10
	Double   = 11
	Uint32   = 12
	Uint64   = 13
	BFloat16 = 16
)

var types = map[int64]tensor.Type{
	Float: tensor.FP32, Uint8: tensor.Uint8, Int8: tensor.Int8, Uint16: tensor.Uint16, Int16: tensor.Int16, Int32: tensor.Int32,
	Int64: tensor.Int64, String: tensor.String, Bool: tensor.Bool, Float16: tensor.FP16, Double: tensor.FP64, Uint32: tensor.Uint32,
	Uint64: tensor.Uint64, BFloat16: tensor.BF16,
}

// TypeOf is the type of an element; tensor.None for those that are not read here.
func TypeOf(elem int64) tensor.Type { return types[elem] }

// Bounds of what is read: a file may say that a tensor has any size.
const (
	maxValues = 1 << 28
	maxNodes  = 1 << 16

	maxFunctions = 1 << 12
)

// File is an ONNX file.
type File struct {
	IR       int64
	Producer string
	Opsets   map[string]int64 // by domain; "" is ai.onnx
	Metadata map[string]string
	Graph    Graph

	Functions []Function
}

// Function is an operator that the file defines by a graph of others.
type Function struct {
	Op       string // "domain.Name"
	In, Out  []string
	Nodes    []Node
	Opsets   map[string]int64
	Defaults Attributes // of attributes that a call may leave out
}

// Graph is the nodes in the order they are computed in.
type Graph struct {
	Nodes           []Node
	Constants       map[string]Raw // initializers
	Inputs, Outputs []Value
}

// Kind is what a value is.
type Kind uint8

// The kinds.
const (
	IsTensor Kind = iota
	IsSequence
	IsMap
)

// Value describes an input or an output. Elem is 0 for what is not a tensor, and of a map what its values are; a dimension of -1 is
// free, and a nil Shape says nothing.
type Value struct {
	Name, Doc string
	Kind      Kind
	Key       int64 // of a map
	Elem      int64
	Shape     []int64
}

// Node is an operator: "Add", or "ai.onnx.ml.Scaler".
type Node struct {
	Op, Name string
	In, Out  []string

	attributes [][]byte
}

// Tensor is an array in row-major order. Data is a slice of a tensor.Element with as many values as the product of Shape.
type Tensor struct {
	Name  string
	Elem  int64
	Shape []int
	Data  any
}

// Raw is the bytes of a tensor.
type Raw []byte

// Read reads an ONNX file. Bytes that are not one are fault.Corrupt.
func Read(b []byte) (*File, error) {
	f := &File{Opsets: map[string]int64{}, Metadata: map[string]string{}, Graph: Graph{Constants: map[string]Raw{}}}
	found := false
	err := visit(b, func(field protowire.Number, v uint64, part []byte) error {
		switch field {
		case 1:
			f.IR = int64(v)
		case 2:
			f.Producer = string(part)
		case 7:
			found = true
			return f.Graph.read(part)
		case 8:
			set, err := pair(part)
			f.Opsets[string(set[1].part)] = int64(set[2].v)
			return err
		case 14:
			entry, err := pair(part)
			f.Metadata[string(entry[1].part)] = string(entry[2].part)
			return err
		case 25:
			if len(f.Functions) == maxFunctions {
				return fault.New(fault.Corrupt, "it has more than %d functions", maxFunctions)
			}
			fn, err := readFunction(part)
			f.Functions = append(f.Functions, fn)
			return err
		}
		return nil
	})
	if err == nil && !found {
		err = fault.New(fault.Corrupt, "it holds no graph")
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "this is not an ONNX file")
	}
	return f, nil
}

// Opens reports whether b begins as an ONNX file does: with the version of its intermediate representation.
func Opens(b []byte) bool {
	field, kind, n := protowire.ConsumeTag(b)
	if n < 0 || field != 1 || kind != protowire.VarintType {
		return false
	}
	v, m := protowire.ConsumeVarint(b[n:])
	if m < 0 || v == 0 || v > 100 || len(b) == n+m {
		return false
	}
	_, kind, n = protowire.ConsumeTag(b[n+m:])
	return n > 0 && (kind == protowire.BytesType || kind == protowire.VarintType)
}

func (g *Graph) read(b []byte) error {
	return visit(b, func(field protowire.Number, _ uint64, part []byte) (err error) {
		switch field {
		case 1:
			if len(g.Nodes) == maxNodes {
				return fault.New(fault.Corrupt, "it has more than %d nodes", maxNodes)
			}
			var n Node
			n, err = readNode(part)
			g.Nodes = append(g.Nodes, n)
		case 5:
			var name string
			err = visit(part, func(field protowire.Number, _ uint64, part []byte) error {
				if field == 8 {
					name = string(part)
				}
				return nil
			})
			g.Constants[name] = Raw(part)
		case 11, 12:
			var v Value
			v, err = readValue(part)
			if field == 11 {
				g.Inputs = append(g.Inputs, v)
			} else {
				g.Outputs = append(g.Outputs, v)
			}
		}
		return err
	})
}

func readNode(b []byte) (Node, error) {
	n := Node{}
	domain := ""
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			n.In = append(n.In, string(part))
		case 2:
			n.Out = append(n.Out, string(part))
		case 3:
			n.Name = string(part)
		case 4:
			n.Op = string(part)
		case 5:
			n.attributes = append(n.attributes, part)
		case 7:
			domain = string(part)
		}
		return nil
	})
	if domain != "" && domain != "ai.onnx" {
		n.Op = domain + "." + n.Op
	}
	return n, err
}

// readFunction reads a FunctionProto.
func readFunction(b []byte) (Function, error) {
	f := Function{Opsets: map[string]int64{}, Defaults: Attributes{}}
	domain := ""
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			f.Op = string(part)
		case 4:
			f.In = append(f.In, string(part))
		case 5:
			f.Out = append(f.Out, string(part))
		case 7:
			if len(f.Nodes) == maxNodes {
				return fault.New(fault.Corrupt, "a function has more than %d nodes", maxNodes)
			}
			n, err := readNode(part)
			f.Nodes = append(f.Nodes, n)
			return err
		case 9:
			set, err := pair(part)
			f.Opsets[string(set[1].part)] = int64(set[2].v)
			return err
		case 10:
			domain = string(part)
		case 11:
			name, value, err := readAttribute(part)
			f.Defaults[name] = value
			return err
		}
		return nil
	})
	if domain != "" && domain != "ai.onnx" {
		f.Op = domain + "." + f.Op
	}
	return f, err
}

func readValue(b []byte) (Value, error) {
	out := Value{}
	err := visit(b, func(field protowire.Number, _ uint64, part []byte) error {
		switch field {
		case 1:
			out.Name = string(part)
		case 2:
			return visit(part, func(field protowire.Number, _ uint64, part []byte) error {
				switch field {
				case 1:
					return out.tensor(part)
				case 4:
					out.Kind = IsSequence
				case 5:
					out.Kind = IsMap
					return out.dictionary(part)
				}
				return nil
			})
		case 3:
			out.Doc = string(part)
		}
		return nil
	})
	return out, err
}

func (value *Value) tensor(b []byte) error {
	return visit(b, func(field protowire.Number, v uint64, part []byte) error {
		switch field {
		case 1:
			value.Elem = int64(v)
		case 2:
			value.Shape = []int64{}
			return visit(part, value.dimension)
		}
		return nil
	})
}

// dictionary reads the type of a map from a scalar to tensors.
func (value *Value) dictionary(b []byte) error {
	return visit(b, func(field protowire.Number, v uint64, part []byte) error {
		switch field {
		case 1:
			value.Key = int64(v)
		case 2:
			return visit(part, func(field protowire.Number, _ uint64, part []byte) error {
				if field == 1 {
					return value.tensor(part)
				}
				return nil
			})
		}
		return nil
	})
}

func (value *Value) dimension(_ protowire.Number, _ uint64, part []byte) error {
	d := int64(-1)
	err := visit(part, func(field protowire.Number, v uint64, _ []byte) error {
		if field == 1 {
			d = int64(v)
		}
		return nil
	})
	value.Shape = append(value.Shape, d)
	return err
}

type fieldValue struct {
	v    uint64
	part []byte
}

// pair is the last value of each of the first two fields of a message.
func pair(b []byte) (out [3]fieldValue, err error) {
	err = visit(b, func(field protowire.Number, v uint64, part []byte) error {
		if field <= 2 {
			out[field] = fieldValue{v, part}
		}
		return nil
	})
	return out, err
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
			return nil, damaged(n)
		}
		to = append(to, int64(v))
		packed = packed[n:]
	}
	return to, nil
}

func damaged(n int) error {
	return fault.Wrap(protowire.ParseError(n), fault.Corrupt, "a field is damaged")
}

// visit calls f for the fields of a message: v has a varint or the bits of a fixed value, part what is length-delimited.
func visit(b []byte, f func(field protowire.Number, v uint64, part []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return damaged(n)
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
			return damaged(n)
		}
		b = b[n:]
		if err := f(field, v, part); err != nil {
			return err
		}
	}
	return nil
}
