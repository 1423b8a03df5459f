package onnx

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/recipe"
)

// graph collects the parts of a GraphProto. Values are known by name; names that it makes up start with prefix, which no input starts with.
type graph struct {
	nodes, initializers, inputs, outputs []message
	prefix                               string
	made                                 int
}

func newGraph(inputs []recipe.Input) *graph {
	g := &graph{prefix: "#"}
	for slices.ContainsFunc(inputs, func(in recipe.Input) bool { return strings.HasPrefix(in.Name, g.prefix) }) {
		g.prefix += "#"
	}
	return g
}

func (g *graph) fresh() string {
	g.made++
	return g.prefix + strconv.Itoa(g.made)
}

// node adds an operator of ai.onnx with one output and returns the output's name.
func (g *graph) node(op string, inputs []string, attributes ...attribute) string {
	return g.add("", op, g.fresh(), inputs, attributes)
}

// ml adds an operator of ai.onnx.ml.
func (g *graph) ml(op string, inputs []string, attributes ...attribute) string {
	return g.add(domainML, op, g.fresh(), inputs, attributes)
}

func (g *graph) add(domain, op, output string, inputs []string, attributes []attribute) string {
	var m message
	for _, in := range inputs {
		m.text(1, in)
	}
	m.text(2, output)
	m.text(3, op+output)
	m.text(4, op)
	for _, a := range attributes {
		m.bytes(5, a())
	}
	if domain != "" {
		m.text(7, domain)
	}
	g.nodes = append(g.nodes, m)
	return output
}

// output names a value as an output of the graph.
func (g *graph) output(name, value string, kind, columns int64) {
	g.add("", "Identity", name, []string{value}, nil)
	g.outputs = append(g.outputs, valueInfo(name, kind, columns, ""))
}

// doubles adds a constant.
func (g *graph) doubles(v []float64, dims ...int64) string {
	name := g.fresh()
	g.initializers = append(g.initializers, doubles(name, dims, v))
	return name
}

func (g *graph) int64s(v []int64, dims ...int64) string {
	name := g.fresh()
	g.initializers = append(g.initializers, int64s(name, dims, v))
	return name
}

func (g *graph) floats(v []float32, dims ...int64) string {
	name := g.fresh()
	g.initializers = append(g.initializers, floats(name, dims, v))
	return name
}

func (g *graph) cast(value string, to int64) string {
	return g.node("Cast", []string{value}, intAttribute("to", to))
}

// model is the ModelProto around the graph.
func (g *graph) model(name string, metadata map[string]string) []byte {
	var body, m message
	for _, n := range g.nodes {
		body.bytes(1, n)
	}
	body.text(2, name)
	for _, t := range g.initializers {
		body.bytes(5, t)
	}
	for _, v := range g.inputs {
		body.bytes(11, v)
	}
	for _, v := range g.outputs {
		body.bytes(12, v)
	}
	m.int(1, irVersion)
	m.text(2, "trimtab")
	m.bytes(7, body)
	for _, set := range []struct {
		domain  string
		version int64
	}{{"", opset}, {domainML, opsetML}} {
		var s message
		s.text(1, set.domain)
		s.int(2, set.version)
		m.bytes(8, s)
	}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		var entry message
		entry.text(1, key)
		entry.text(2, metadata[key])
		m.bytes(14, entry)
	}
	return m
}
