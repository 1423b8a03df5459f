package graph

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
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

// attributes are the settings of a node; its tensors are *Tensor of this package.
type attributes = format.Attributes

// Load reads an ONNX file and prepares it. Bytes that are not one are fault.Corrupt; an operator that is not known here is
// fault.FormatNotServed and named.
func Load(b []byte) (*Graph, error) {
	file, err := format.Read(b)
	if err != nil {
		return nil, err
	}
	g := &Graph{constants: map[string]*Tensor{}, opset: 1}
	for domain, version := range file.Opsets {
		if domain == "" || domain == "ai.onnx" {
			g.opset = version
		}
	}
	if err := g.read(&file.Graph); err != nil {
		if fault.Is(err, fault.FormatNotServed) {
			return nil, err
		}
		return nil, fault.Wrap(err, fault.Corrupt, "this is not an ONNX file")
	}
	return g, nil
}

func (g *Graph) read(file *format.Graph) error {
	for name, raw := range file.Constants {
		t, err := raw.Tensor()
		if err != nil {
			return err
		}
		g.constants[name] = &Tensor{Shape: t.Shape, Data: t.Data}
	}
	for _, v := range file.Inputs {
		if g.constants[v.Name] != nil {
			continue // old files list initializers among the inputs
		}
		in := Input{Name: v.Name, Elem: elements[v.Elem]}
		for _, d := range v.Shape {
			in.Shape = append(in.Shape, int(d))
		}
		g.Inputs = append(g.Inputs, in)
	}
	for _, v := range file.Outputs {
		g.Outputs = append(g.Outputs, v.Name)
	}
	for i := range file.Nodes {
		n, err := prepare(&file.Nodes[i])
		if err != nil {
			return err
		}
		g.nodes = append(g.nodes, n)
	}
	return nil
}

var elements = map[int64]string{
	format.Float: "float", format.Double: "double", format.Int64: "int64", format.Int32: "int64", format.String: "string", format.Bool: "bool",
}

func prepare(from *format.Node) (node, error) {
	n := node{op: from.Op, name: from.Name, in: slices.Clone(from.In), out: slices.Clone(from.Out)}
	op, known := operators[n.op]
	if !known {
		return n, fault.New(fault.FormatNotServed, "the graph uses the operator %s, which is not evaluated here", n.op)
	}
	n.run = op.run
	var err error
	if n.attr, err = from.Attributes(); err != nil {
		return n, err
	}
	for name, v := range n.attr {
		if t, ok := v.(*format.Tensor); ok && t != nil {
			n.attr[name] = &Tensor{Shape: t.Shape, Data: t.Data}
		}
	}
	if op.prepare != nil {
		n.prepared, err = op.prepare(n.attr)
	}
	return n, err
}
