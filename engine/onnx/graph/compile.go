package graph

import (
	"slices"
	"sync"

	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Bounds of what a file may unfold into.
const (
	maxDepth  = 16 // of subgraphs and functions in one another
	maxNodes  = 1 << 17
	maxFolded = 64 << 20 // bytes of a constant that is computed at loading
)

// attributes are the settings of a node; its tensors are *Tensor of this package.
type attributes = format.Attributes

// operator is how a node is run. prepare turns its attributes, once, into what run wants to have.
type operator struct {
	prepare func(n *node) any
	run     func(c *call)
	impure  bool // its result is not a constant when its inputs are
}

// node is one operator with what it was made with.
type node struct {
	op       string // "Add", or "ai.onnx.ml.Scaler"
	name     string
	opset    int64 // of its domain
	in, out  []int // slots; -1 for an input or output that is left out
	attr     attributes
	prepared any
	bodies   map[string]*body // of its attributes that are graphs
	operator
}

// body is a graph, or a graph within a node, with its values numbered.
type body struct {
	inputs    []int // slots that are fed
	outputs   []int
	captures  []capture // values of the graph around it
	constants map[int]*Tensor
	fixed     []fixed // the constants as a list
	nodes     []node
	slots     int
	names     map[string]int // of the outermost body
	need      [][]bool       // per output, which nodes it needs
	pool      sync.Pool
}

type capture struct{ outer, inner int }

type fixed struct {
	slot  int
	value *Tensor
}

// scope knows the values of a body by name. Functions have scopes of their own in the body of their call.
type scope struct {
	body   *body
	outer  *scope // of the graph around it
	names  map[string]int
	opsets map[string]int64
	call   attributes // of the function's call
	depth  int
}

type compiler struct {
	functions map[string]*format.Function
	nodes     int
	unknown   []string
	named     []string
	maps      []string // inputs that are maps
}

func newCompiler(file *format.File) *compiler {
	c := &compiler{functions: map[string]*format.Function{}}
	for i := range file.Functions {
		c.functions[file.Functions[i].Op] = &file.Functions[i]
	}
	return c
}

// body numbers the values of a graph. inputs names what it is fed with.
func (c *compiler) body(g *format.Graph, around *scope, inputs []string, opsets map[string]int64, depth int) *body {
	if depth > maxDepth {
		throw(fault.Corrupt, "graphs lie in one another %d deep", depth)
	}
	b := &body{constants: map[int]*Tensor{}}
	s := &scope{body: b, outer: around, names: map[string]int{}, opsets: opsets, depth: depth}
	if around != nil {
		s.call = around.call
	} else {
		b.names = s.names
	}
	for _, name := range inputs {
		b.inputs = append(b.inputs, s.define(name))
	}
	if around == nil {
		for _, name := range c.maps {
			n := node{op: mapOperator, operator: operators[mapOperator], in: []int{s.names[name+MapKeys], s.names[name+MapValues]}}
			n.out = []int{s.define(name)}
			b.nodes = append(b.nodes, n)
		}
	}
	for name, raw := range g.Constants {
		if slices.Contains(inputs, name) && around == nil {
			continue
		}
		t, err := raw.Tensor()
		if err != nil {
			panic(thrown{err})
		}
		b.constants[s.define(name)] = &Tensor{Shape: t.Shape, Data: t.Data}
	}
	c.all(g.Nodes, s)
	for _, v := range g.Outputs {
		slot, ok := s.find(v.Name)
		if !ok && len(c.unknown) == 0 {
			throw(fault.Corrupt, "nothing computes the output %q", v.Name)
		}
		b.outputs = append(b.outputs, slot)
	}
	return b
}

func (s *scope) define(name string) int {
	slot := s.body.slots
	s.body.slots++
	s.names[name] = slot
	return slot
}

// find is the slot of a name; a value of the graph around comes in as a capture.
func (s *scope) find(name string) (int, bool) {
	if slot, ok := s.names[name]; ok {
		return slot, true
	}
	if s.outer == nil {
		return -1, false
	}
	outer, ok := s.outer.find(name)
	if !ok {
		return -1, false
	}
	slot := s.define(name)
	s.body.captures = append(s.body.captures, capture{outer, slot})
	return slot, true
}

func (c *compiler) all(nodes []format.Node, s *scope) {
	for i := range nodes {
		if c.nodes++; c.nodes > maxNodes {
			throw(fault.Corrupt, "it has more than %d nodes", maxNodes)
		}
		c.node(&nodes[i], s)
	}
}

func (c *compiler) node(from *format.Node, s *scope) {
	attr := c.attributes(from, s)
	in := make([]int, len(from.In))
	for i, name := range from.In {
		slot, ok := -1, true
		if name != "" {
			slot, ok = s.find(name)
		}
		if !ok && len(c.unknown) == 0 {
			throw(fault.Corrupt, "node %s (%s) reads %q, which nothing computes", from.Name, from.Op, name)
		}
		in[i] = slot
	}
	if f := c.functions[from.Op]; f != nil {
		c.inline(f, from, in, attr, s)
		return
	}
	c.named = append(c.named, from.Op)
	op, known := operators[from.Op]
	if !known {
		c.unknown = append(c.unknown, from.Op)
	}
	n := node{op: from.Op, name: from.Name, in: in, attr: attr, operator: op, opset: version(s.opsets, from.Op)}
	for name, v := range attr {
		if g, ok := v.(*format.Graph); ok && g != nil {
			inputs := make([]string, len(g.Inputs))
			for i, in := range g.Inputs {
				inputs[i] = in.Name
			}
			if n.bodies == nil {
				n.bodies = map[string]*body{}
			}
			n.bodies[name] = c.body(g, s, inputs, s.opsets, s.depth+1)
		}
	}
	for _, name := range from.Out {
		slot := -1
		if name != "" {
			slot = s.define(name)
		}
		n.out = append(n.out, slot)
	}
	if known && op.prepare != nil {
		n.prepared = prepared(&n, op)
	}
	s.body.nodes = append(s.body.nodes, n)
}

// prepared names the node in what prepare throws.
func prepared(n *node, op operator) (out any) {
	var err error
	defer func() {
		if err != nil {
			panic(thrown{err})
		}
	}()
	defer caught(&err, fault.Corrupt, "node %s (%s)", n.name, n.op)
	return op.prepare(n)
}

// attributes reads a node's settings; within a function some come from the call.
func (c *compiler) attributes(from *format.Node, s *scope) attributes {
	attr, err := from.Attributes()
	if err != nil {
		panic(thrown{err})
	}
	for name, v := range attr {
		switch v := v.(type) {
		case format.Ref:
			delete(attr, name)
			if given, ok := s.call[string(v)]; ok {
				attr[name] = given
			}
		case *format.Tensor:
			if v != nil {
				attr[name] = &Tensor{Shape: v.Shape, Data: v.Data}
			}
		}
	}
	return attr
}

// inline puts the nodes of a function in the place of its call.
func (c *compiler) inline(f *format.Function, from *format.Node, in []int, attr attributes, s *scope) {
	if s.depth >= maxDepth {
		throw(fault.Corrupt, "functions call one another %d deep", s.depth)
	}
	inner := &scope{body: s.body, names: map[string]int{}, opsets: f.Opsets, call: attributes{}, depth: s.depth + 1}
	for name, v := range f.Defaults {
		inner.call[name] = v
		if t, ok := v.(*format.Tensor); ok && t != nil {
			inner.call[name] = &Tensor{Shape: t.Shape, Data: t.Data}
		}
	}
	for name, v := range attr {
		inner.call[name] = v
	}
	for i, name := range f.In {
		inner.names[name] = -1
		if i < len(in) {
			inner.names[name] = in[i]
		}
	}
	c.all(f.Nodes, inner)
	for i, name := range from.Out {
		if i >= len(f.Out) || name == "" {
			continue
		}
		slot, ok := inner.names[f.Out[i]]
		if !ok && len(c.unknown) == 0 {
			throw(fault.Corrupt, "the function %s does not compute %q", f.Op, f.Out[i])
		}
		s.names[name] = slot
	}
}

// version is the opset of an operator's domain. A file without an import of ai.onnx, as XGBoost's converter writes them, has the one of
// today's converters.
func version(opsets map[string]int64, op string) int64 {
	domain := domainOf(op)
	for name, v := range opsets {
		if name == domain || domain == "" && name == "ai.onnx" {
			return v
		}
	}
	if domain == "" {
		return 21
	}
	return 1
}

func domainOf(op string) string {
	for i := len(op) - 1; i >= 0; i-- {
		if op[i] == '.' {
			return op[:i]
		}
	}
	return ""
}

// fold computes once what depends on constants only.
func (b *body) fold() {
	kept := b.nodes[:0]
	for i := range b.nodes {
		n := &b.nodes[i]
		for _, inner := range n.bodies {
			inner.fold()
			inner.plan()
		}
		if !b.folded(n) {
			kept = append(kept, *n)
		}
	}
	b.nodes = kept
}

func (b *body) folded(n *node) bool {
	if n.impure || n.bodies != nil || slices.Contains(n.out, -1) {
		return false
	}
	in := make([]*Tensor, len(n.in))
	for i, slot := range n.in {
		if slot < 0 {
			continue
		}
		if in[i] = b.constants[slot]; in[i] == nil {
			return false
		}
	}
	r := &run{limits: Limits{Bytes: maxFolded, Work: 1 << 28, Steps: 1 << 10}.orDefault()}
	c := call{node: n, run: r, in: in, out: make([]*Tensor, len(n.out)), kept: make([]*Tensor, len(n.out)), views: make([]*Tensor, len(n.out))}
	var err error
	func() {
		defer caught(&err, fault.Invalid, "")
		n.run(&c)
	}()
	if err != nil || slices.Contains(c.out, nil) {
		return false // it will say so when it is run
	}
	for i, slot := range n.out {
		b.constants[slot] = c.out[i]
	}
	return true
}

// plan finds out which nodes each output needs.
func (b *body) plan() {
	for slot, t := range b.constants {
		b.fixed = append(b.fixed, fixed{slot, t})
	}
	maker := make([]int, b.slots)
	for i := range maker {
		maker[i] = -1
	}
	for i := range b.nodes {
		for _, slot := range b.nodes[i].out {
			if slot >= 0 {
				maker[slot] = i
			}
		}
	}
	b.need = make([][]bool, len(b.outputs))
	for k, slot := range b.outputs {
		need := make([]bool, len(b.nodes))
		if slot >= 0 && maker[slot] >= 0 {
			need[maker[slot]] = true
		}
		for i := len(b.nodes) - 1; i >= 0; i-- {
			if !need[i] {
				continue
			}
			n := &b.nodes[i]
			for _, slot := range n.in {
				if slot >= 0 && maker[slot] >= 0 {
					need[maker[slot]] = true
				}
			}
			for _, inner := range n.bodies {
				for _, c := range inner.captures {
					if maker[c.outer] >= 0 {
						need[maker[c.outer]] = true
					}
				}
			}
		}
		b.need[k] = need
	}
}

// classesOf finds the labels of the classifier nearest to the outputs. Where no node names them, the converter of scikit-learn keeps
// them as a constant of that name.
func classesOf(b *body) []string {
	for _, n := range slices.Backward(b.nodes) {
		c := newClasses(n.attr)
		if c.texts != nil {
			return c.texts
		}
		if c.numbers != nil {
			return textsOf(c.numbers)
		}
	}
	if slot, ok := b.names["classes"]; ok && b.constants[slot] != nil {
		switch v := b.constants[slot].Data.(type) {
		case []string:
			return v
		case []int64:
			return textsOf(v)
		case []int32:
			return textsOf(convert[int32, int64](v))
		}
	}
	return nil
}
