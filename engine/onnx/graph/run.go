package graph

import (
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// operator is how a node is run. prepare turns its attributes, once, into what run wants to have.
type operator struct {
	prepare func(a attributes) (any, error)
	run     func(n *node, opset int64, in []*Tensor) ([]*Tensor, error)
}

var operators map[string]operator

// operators refers to functions that refer to nothing of it; init keeps the compiler from seeing a cycle through node.
func init() {
	operators = map[string]operator{}
	for _, table := range []map[string]operator{elementwise, shaping, linear, classical, ensembles} {
		for name, op := range table {
			operators[name] = op
		}
	}
}

// Operators are the names of what can be evaluated, in order; those of ai.onnx.ml with their domain.
func Operators() []string {
	names := make([]string, 0, len(operators))
	for name := range operators {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Run evaluates the graph. The wanted outputs are given by name; an output that needs what is missing is fault.Invalid.
// Feeds are not changed.
func (g *Graph) Run(feeds map[string]*Tensor, wanted ...string) (out map[string]*Tensor, err error) {
	defer func() {
		// A graph is somebody's file: shapes that do not fit end here as its error, not as ours.
		if r := recover(); r != nil {
			out, err = nil, fault.New(fault.Invalid, "the graph cannot be evaluated on this input: %v", r)
		}
	}()
	values := make(map[string]*Tensor, len(g.constants)+len(g.nodes)+len(feeds))
	for name, t := range g.constants {
		values[name] = t
	}
	for _, in := range g.Inputs {
		t := feeds[in.Name]
		if t == nil {
			return nil, fault.New(fault.Invalid, "the input %q is missing", in.Name)
		}
		values[in.Name] = t
	}
	args := []*Tensor{}
	for i := range g.nodes {
		n := &g.nodes[i]
		args = args[:0]
		for _, name := range n.in {
			t := values[name]
			if t == nil && name != "" {
				return nil, fault.New(fault.Invalid, "node %s (%s) reads %q, which nothing computes", n.name, n.op, name)
			}
			args = append(args, t)
		}
		results, err := n.run(n, g.opset, args)
		if err != nil {
			return nil, fault.Wrap(err, fault.CodeOf(err), "node %s (%s)", n.name, n.op)
		}
		for k, name := range n.out {
			if name != "" && k < len(results) {
				values[name] = results[k]
			}
		}
	}
	out = map[string]*Tensor{}
	for _, name := range wanted {
		if values[name] == nil {
			return nil, fault.New(fault.Invalid, "the graph has no output %q", name)
		}
		out[name] = values[name]
	}
	return out, nil
}

func one(t *Tensor, err error) ([]*Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*Tensor{t}, nil
}

// need checks that the first n inputs are there.
func need(in []*Tensor, n int) error {
	if len(in) < n || slices.Contains(in[:n], nil) {
		return fault.New(fault.Corrupt, "it has %d inputs and needs %d", len(in), n)
	}
	return nil
}

// Classes are the labels of the graph's classifier in the order of its probabilities, as texts; nil when it names none.
func (g *Graph) Classes() []string {
	for _, n := range slices.Backward(g.nodes) {
		c := newClasses(n.attr)
		if c.texts != nil {
			return c.texts
		}
		if c.numbers != nil {
			return texts(c.numbers)
		}
	}
	// Where no node names them, the converter of scikit-learn keeps them as a constant of this name.
	if t := g.constants["classes"]; t != nil {
		switch v := t.Data.(type) {
		case []string:
			return v
		case []int64:
			return texts(v)
		}
	}
	return nil
}

func texts(numbers []int64) []string {
	out := make([]string, len(numbers))
	for i, v := range numbers {
		out[i] = strconv.FormatInt(v, 10)
	}
	return out
}
