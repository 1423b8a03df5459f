package graph

import (
	"slices"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Tensor is what graphs take and give.
type Tensor = tensor.Tensor

// New makes a tensor and checks that its shape fits; a mistake is a panic.
func New[T tensor.Element](data []T, shape ...int) *Tensor { return tensor.New(data, shape...) }

// Input is what a graph is fed with. Elem is "float", "double", "int64", "string", "bool" or another element type by ONNX's name; a
// dimension of -1 is free.
type Input struct {
	Name  string
	Elem  string
	Type  tensor.Type
	Shape []int
	Known bool // whether the file says anything of the shape
}

// A map is fed as two tensors of one dimension: the input's name with these behind it.
const (
	MapKeys   = ".keys"
	MapValues = ".values"
)

// Output is what the file says of an output; it may be wrong, and only a run tells. Type is tensor.None where the file does not say.
type Output struct {
	Name  string
	Type  tensor.Type
	Shape []int
}

// Limits bound a run. The zero value of a field is its default.
type Limits struct {
	Bytes   int64         // of tensors that exist at once; default 2 GiB
	Steps   int64         // of nodes that run, in loops again and again; default 50 million
	Work    int64         // of multiplications and comparisons in the operators that multiply their inputs' sizes; default 2^41
	Timeout time.Duration // beside the context's own deadline; default none
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = 2 << 30
	}
	if l.Steps == 0 {
		l.Steps = 50_000_000
	}
	if l.Work == 0 {
		l.Work = 1 << 41
	}
	return l
}

// Graph is a graph that can be run. It is immutable and safe for concurrent use.
type Graph struct {
	Inputs   []Input
	Outputs  []string
	Declared []Output // what the file says of the outputs
	Limits   Limits   // set before the first run

	body    *body
	named   []string // operators of the graph and its subgraphs, once each
	classes []string
}

// Load reads an ONNX file and prepares it. Bytes that are not one are fault.Corrupt; operators that are not known here are
// fault.FormatNotServed and all named.
func Load(b []byte) (g *Graph, err error) {
	defer caught(&err, fault.Corrupt, "this is not an ONNX file that can be evaluated")
	file, err := format.Read(b)
	if err != nil {
		return nil, err
	}
	g = &Graph{}
	c := newCompiler(file)
	for _, v := range file.Graph.Inputs {
		if file.Graph.Constants[v.Name] != nil {
			continue // old files list initializers among the inputs
		}
		if g.declare(v); v.Kind == format.IsMap {
			c.maps = append(c.maps, v.Name)
		}
	}
	for _, v := range file.Graph.Outputs {
		g.Outputs = append(g.Outputs, v.Name)
		g.Declared = append(g.Declared, Output{Name: v.Name, Type: typeOf(v), Shape: dims(v)})
	}
	inputs := make([]string, len(g.Inputs))
	for i, in := range g.Inputs {
		inputs[i] = in.Name
	}
	g.body = c.body(&file.Graph, nil, inputs, file.Opsets, 0)
	if len(c.unknown) > 0 {
		slices.Sort(c.unknown)
		names := strings.Join(slices.Compact(c.unknown), ", ")
		return nil, fault.New(fault.FormatNotServed, "the graph uses operators that are not evaluated here: %s", names).With("operators", c.unknown)
	}
	g.body.fold()
	g.body.plan()
	slices.Sort(c.named)
	g.named = slices.Compact(c.named)
	g.classes = classesOf(g.body)
	return g, nil
}

func (g *Graph) declare(v format.Value) {
	if v.Kind == format.IsMap {
		keys, values := format.TypeOf(v.Key), format.TypeOf(v.Elem)
		if keys != tensor.String && keys != tensor.Int64 || values == tensor.None {
			throw(fault.FormatNotServed, "the input %q is a map of a kind that is not read here", v.Name)
		}
		g.Inputs = append(g.Inputs, Input{Name: v.Name + MapKeys, Elem: elements[v.Key], Type: keys, Shape: []int{-1}, Known: true},
			Input{Name: v.Name + MapValues, Elem: elements[v.Elem], Type: values, Shape: []int{-1}, Known: true})
		return
	}
	if v.Kind != format.IsTensor || format.TypeOf(v.Elem) == tensor.None {
		throw(fault.FormatNotServed, "the input %q is a sequence or of an element type that is not read here", v.Name)
	}
	g.Inputs = append(g.Inputs, Input{Name: v.Name, Elem: elements[v.Elem], Type: format.TypeOf(v.Elem), Shape: dims(v), Known: v.Shape != nil})
}

func typeOf(v format.Value) tensor.Type {
	if v.Kind != format.IsTensor {
		return tensor.None
	}
	return format.TypeOf(v.Elem)
}

func dims(v format.Value) []int {
	out := []int{}
	for _, d := range v.Shape {
		out = append(out, int(max(min(d, 1<<40), -1)))
	}
	return out
}

var elements = map[int64]string{
	format.Float: "float", format.Double: "double", format.Int64: "int64", format.Int32: "int32", format.String: "string", format.Bool: "bool",
	format.Uint8: "uint8", format.Int8: "int8", format.Uint16: "uint16", format.Int16: "int16", format.Uint32: "uint32", format.Uint64: "uint64",
	format.Float16: "float16", format.BFloat16: "bfloat16",
}

// Used are the operators of the graph and of its subgraphs, each once, in order; those of other domains than ai.onnx with theirs.
func (g *Graph) Used() []string { return slices.Clone(g.named) }

// Nodes is the number of nodes that a run computes, loops not counted again.
func (g *Graph) Nodes() int { return len(g.body.nodes) }

// Classes are the labels of the graph's classifier in the order of its probabilities, as texts; nil when it names none.
func (g *Graph) Classes() []string { return slices.Clone(g.classes) }

// Operators are the names of what can be evaluated, in order; those of other domains than ai.onnx with theirs.
func Operators() []string {
	names := make([]string, 0, len(operators))
	for name := range operators {
		if name != mapOperator {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
