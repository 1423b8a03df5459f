package onnx

import (
	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	evaluate "github.com/trimtab-ml/trimtab/engine/onnx/graph"
	array "github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Outline is what a file says about itself without its numbers.
type Outline struct {
	IR              int64
	Opsets          map[string]int64 // by domain; "" is ai.onnx
	Inputs, Outputs []Tensor
	Operators       map[string]int // how many nodes of each operator, ai.onnx.ml's with their domain
	Metadata        map[string]string
	Producer        string
}

// Tensor describes an input or an output. Type is float, double, int64, string or another number of ONNX; a dimension of -1 is free.
type Tensor struct {
	Name, Type string
	Shape      []int64
	Doc        string
}

// Operators are the names of what can be evaluated in this program, in order; those of other domains than ai.onnx with theirs.
func Operators() []string { return evaluate.Operators() }

// Read gives the outline of an ONNX file. Bytes that are not one are fault.Corrupt; it never panics.
func Read(b []byte) (*Outline, error) {
	file, err := format.Read(b)
	if err != nil {
		return nil, err
	}
	if file.IR == 0 || len(file.Opsets) == 0 {
		return nil, fault.New(fault.Corrupt, "this is not an ONNX file: it names no version")
	}
	o := &Outline{IR: file.IR, Opsets: file.Opsets, Operators: map[string]int{}, Metadata: file.Metadata, Producer: file.Producer}
	for i := range file.Graph.Nodes {
		o.Operators[file.Graph.Nodes[i].Op]++
	}
	for _, v := range file.Graph.Inputs {
		o.Inputs = append(o.Inputs, describe(v))
	}
	for _, v := range file.Graph.Outputs {
		o.Outputs = append(o.Outputs, describe(v))
	}
	return o, nil
}

var typeNames = map[array.Type]string{
	array.FP32: "float", array.FP64: "double", array.Int64: "int64", array.String: "string", array.Bool: "bool", array.Int32: "int32",
	array.Int16: "int16", array.Int8: "int8", array.Uint64: "uint64", array.Uint32: "uint32", array.Uint16: "uint16", array.Uint8: "uint8",
	array.FP16: "float16", array.BF16: "bfloat16",
}

// Element is the type of the elements, array.None for what is no tensor.
func (t Tensor) Element() array.Type {
	for kind, name := range typeNames {
		if name == t.Type {
			return kind
		}
	}
	return array.None
}

func describe(v format.Value) Tensor {
	t := Tensor{Name: v.Name, Type: "other", Shape: v.Shape, Doc: v.Doc}
	if name, ok := typeNames[format.TypeOf(v.Elem)]; ok && v.Kind == format.IsTensor {
		t.Type = name
	}
	return t
}
