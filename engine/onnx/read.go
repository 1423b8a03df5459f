package onnx

import (
	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Outline is what a file says about itself without its numbers.
type Outline struct {
	IR              int64
	Opsets          map[string]int64 // by domain; "" is ai.onnx
	Inputs, Outputs []Tensor
	Operators       map[string]int // how many nodes of each operator, ai.onnx.ml's with their domain
	Metadata        map[string]string
}

// Tensor describes an input or an output. Type is float, double, int64, string or another number of ONNX; a dimension of -1 is free.
type Tensor struct {
	Name, Type string
	Shape      []int64
	Doc        string
}

// Read gives the outline of an ONNX file. Bytes that are not one are fault.Corrupt; it never panics.
func Read(b []byte) (*Outline, error) {
	file, err := format.Read(b)
	if err != nil {
		return nil, err
	}
	if file.IR == 0 || len(file.Opsets) == 0 {
		return nil, fault.New(fault.Corrupt, "this is not an ONNX file: it names no version")
	}
	o := &Outline{IR: file.IR, Opsets: file.Opsets, Operators: map[string]int{}, Metadata: file.Metadata}
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

func describe(v format.Value) Tensor {
	t := Tensor{Name: v.Name, Type: "other", Shape: v.Shape, Doc: v.Doc}
	switch v.Elem {
	case format.Float:
		t.Type = "float"
	case format.Double:
		t.Type = "double"
	case format.Int64:
		t.Type = "int64"
	case format.String:
		t.Type = "string"
	}
	return t
}
