package project

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The bounds of a file. Depth is checked on the tokens, before the parser recurses; nodes are counted with every alias
// followed, so that a few anchors cannot stand for a billion values.
const (
	maxBytes  = 1 << 20
	maxDepth  = 32
	maxNodes  = 100_000
	maxTokens = 40_000 // the parser's work grows with the square of the entries of one mapping
)

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	intNode
	floatNode
	textNode
	listNode
	mapNode
)

// String is the kind as a reader of the file would say it.
func (k nodeKind) String() string {
	return [...]string{"nothing", "true or false", "a whole number", "a number", "text", "a list", "a mapping"}[k]
}

// node is one value of the file with its place. Aliased nodes are shared, never copied.
type node struct {
	kind  nodeKind
	pos   fault.Position
	text  string // a scalar as written, without quotes
	value any    // bool, int64, uint64, float64 or string of a scalar
	inset int    // columns from pos to the first character of text; -1 when text does not lie on one line as written
	keys  []*node
	items []*node // of a list, or the values of keys
	index map[string]int
}

// reader turns the syntax tree into nodes.
type reader struct {
	file    string
	anchors map[string]*node
	nodes   int
	faults  *faults
}

// readYAML gives the one document of src. The error is a syntax error or a broken bound: nothing further can be said then.
func readYAML(file string, src []byte, all *faults) (*node, *fault.Error) {
	here := func(line, column int) fault.Position { return fault.Position{File: file, Line: line, Column: column} }
	if len(src) > maxBytes {
		return nil, fault.New(fault.TooLarge, "the file has %d bytes; at most %d are read", len(src), maxBytes).At(here(0, 0))
	}
	if at := invalidUTF8(src); at >= 0 {
		line := 1 + strings.Count(string(src[:at]), "\n")
		return nil, fault.New(fault.Invalid, "the file is not UTF-8 text").WithHint("save it as UTF-8").At(here(line, 0))
	}
	src = trimBOM(src)
	tokens := lexer.Tokenize(string(src))
	if err := checkDepth(file, tokens); err != nil {
		return nil, err
	}
	tree, err := parseTokens(tokens)
	if err != nil {
		return nil, syntaxFault(file, src, err)
	}
	var bodies []ast.Node
	for _, d := range tree.Docs {
		if d != nil && d.Body != nil {
			if _, comment := d.Body.(*ast.CommentGroupNode); !comment {
				bodies = append(bodies, d.Body)
			}
		}
	}
	switch len(bodies) {
	case 0:
		return nil, fault.New(fault.Invalid, "the file is empty").At(here(1, 1)).
			WithHint("trimtab init --data FILE writes a first one")
	case 1:
	default:
		p := bodies[1].GetToken().Position
		return nil, fault.New(fault.Invalid, "the file holds %d documents; one project is one document", len(bodies)).
			At(here(p.Line, p.Column)).WithHint("remove the line ---")
	}
	r := &reader{file: file, anchors: map[string]*node{}, faults: all}
	n, ferr := r.read(bodies[0])
	if ferr != nil {
		return nil, ferr
	}
	return n, nil
}

// parseTokens calls the parser; a panic in it, which a hostile file might find, is a syntax error of that file.
func parseTokens(tokens token.Tokens) (tree *ast.File, err error) {
	defer func() {
		if p := recover(); p != nil {
			tree, err = nil, fmt.Errorf("the parser gave up: %v", p)
		}
	}()
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size <= 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

func trimBOM(src []byte) []byte {
	if len(src) >= 3 && src[0] == 0xEF && src[1] == 0xBB && src[2] == 0xBF {
		return src[3:]
	}
	return src
}

// checkDepth refuses nesting that would make the recursive parser slow or overflow its stack: brackets, entries and
// keys that open on one line, and the indentation of blocks.
func checkDepth(file string, tokens token.Tokens) *fault.Error {
	if len(tokens) > maxTokens {
		return fault.New(fault.TooLarge, "the file has more than %d words and signs", maxTokens).At(fault.Position{File: file})
	}
	flow, opened, line := 0, 0, 0
	var indents []int
	for _, t := range tokens {
		if t.Position.Line != line {
			line, opened = t.Position.Line, 0
			for len(indents) > 0 && indents[len(indents)-1] >= t.Position.Column {
				indents = indents[:len(indents)-1]
			}
			indents = append(indents, t.Position.Column)
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow = max(0, flow-1)
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			opened++
		}
		if flow+opened+len(indents) > 2*maxDepth {
			return fault.New(fault.Invalid, "the file is nested too deeply").
				At(fault.Position{File: file, Line: t.Position.Line, Column: t.Position.Column})
		}
	}
	return nil
}

// syntaxFault turns the parser's error into a fault with its place and the usual reason.
func syntaxFault(file string, src []byte, err error) *fault.Error {
	var at fault.Position
	message := err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			at = fault.Position{Line: syntax.Token.Position.Line, Column: syntax.Token.Position.Column}
		}
	}
	at.File = file
	f := fault.New(fault.Invalid, "not valid YAML: %s", message).At(at)
	lines := strings.Split(string(src), "\n")
	text := ""
	if at.Line >= 1 && at.Line <= len(lines) {
		text = lines[at.Line-1]
	}
	switch {
	case strings.HasPrefix(strings.TrimLeft(text, " "), "\t") || strings.Contains(message, "tab"):
		return f.WithHint("indent with spaces: YAML does not allow tabs there")
	case strings.Contains(message, "could not find end character"):
		return f.WithHint("close the quotation mark")
	case strings.Contains(message, "flow") || strings.Contains(message, "']'") || strings.Contains(message, "'}'"):
		return f.WithHint("close every [ and { on the way; put quotes around text that has one of : { } [ ] , & * # ? | > %% @ in it")
	}
	return f.WithHint("check the indentation and the quotes around this line; text with ': ' or '#' in it needs quotes")
}

func (r *reader) at(t *token.Token) fault.Position {
	if t == nil || t.Position == nil {
		return fault.Position{File: r.file}
	}
	return fault.Position{File: r.file, Line: t.Position.Line, Column: t.Position.Column}
}

// read gives the node of one syntax node. The error ends the reading; lesser mistakes are collected.
func (r *reader) read(a ast.Node) (*node, *fault.Error) {
	if r.nodes++; r.nodes > maxNodes {
		return nil, fault.New(fault.TooLarge, "the file has more than %d values", maxNodes).At(r.at(a.GetToken()))
	}
	n := &node{pos: r.at(a.GetToken()), inset: -1}
	switch a := a.(type) {
	case *ast.NullNode:
		n.kind, n.text = nullNode, a.Token.Value
	case *ast.BoolNode:
		n.kind, n.value, n.text = boolNode, a.Value, a.Token.Value
	case *ast.IntegerNode:
		n.kind, n.value, n.text = intNode, a.Value, a.Token.Value
	case *ast.FloatNode:
		n.kind, n.value, n.text = floatNode, a.Value, a.Token.Value
	case *ast.InfinityNode:
		n.kind, n.value, n.text = textNode, a.Token.Value, a.Token.Value
	case *ast.NanNode:
		n.kind, n.value, n.text = textNode, a.Token.Value, a.Token.Value
	case *ast.StringNode:
		n.kind, n.value, n.text = textNode, a.Value, a.Value
		n.inset = inset(a.Token)
	case *ast.LiteralNode:
		n.kind, n.value, n.text = textNode, a.Value.Value, a.Value.Value
		n.pos = r.at(a.Start)
	case *ast.SequenceNode:
		n.kind = listNode
		for _, v := range a.Values {
			item, err := r.read(v)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
	case *ast.MappingNode:
		n.kind = mapNode
		if len(a.Values) > 0 && !a.IsFlowStyle {
			n.pos = r.at(a.Values[0].Key.GetToken())
		}
		for _, v := range a.Values {
			if err := r.entry(n, v); err != nil {
				return nil, err
			}
		}
	case *ast.MappingValueNode:
		n.kind = mapNode
		n.pos = r.at(a.Key.GetToken())
		if err := r.entry(n, a); err != nil {
			return nil, err
		}
	case *ast.AnchorNode:
		name := a.Name.GetToken().Value
		r.anchors[name] = nil // an alias inside its own anchor finds this
		inner, err := r.readOrNull(a.Value, a.Start)
		if err != nil {
			return nil, err
		}
		r.anchors[name] = inner
		return inner, nil
	case *ast.AliasNode:
		name := a.Value.GetToken().Value
		target, ok := r.anchors[name]
		if !ok || target == nil {
			return nil, fault.New(fault.Invalid, "the alias *%s stands for nothing", name).At(n.pos).
				WithHint("write &%s before the value it should repeat, above this line", name)
		}
		if r.nodes += target.size(maxNodes); r.nodes > maxNodes {
			return nil, fault.New(fault.TooLarge, "the aliases of the file stand for more than %d values", maxNodes).At(n.pos)
		}
		return target, nil
	case *ast.TagNode:
		return nil, fault.New(fault.Invalid, "the YAML tag %s is not used here", a.Start.Value).At(n.pos).
			WithHint("write the plain value")
	case *ast.CommentGroupNode:
		n.kind = nullNode
	default:
		return nil, fault.New(fault.Invalid, "this YAML form (%s) is not used here", a.Type()).At(n.pos)
	}
	return n, nil
}

func (r *reader) readOrNull(a ast.Node, near *token.Token) (*node, *fault.Error) {
	if a == nil {
		return &node{kind: nullNode, pos: r.at(near), inset: -1}, nil
	}
	return r.read(a)
}

// entry adds one key and its value to the mapping n; a key that is there already is a mistake, and << merges.
func (r *reader) entry(n *node, v *ast.MappingValueNode) *fault.Error {
	value, err := r.readOrNull(v.Value, v.Start)
	if err != nil {
		return err
	}
	if v.Key.IsMergeKey() {
		sources := []*node{value}
		if value.kind == listNode {
			sources = value.items
		}
		for _, s := range sources {
			if s.kind != mapNode {
				r.faults.add(fault.New(fault.Invalid, "<< merges a mapping, and this is %s", s.kind).At(s.pos))
				continue
			}
			for i, k := range s.keys {
				if n.get(k.text) == nil {
					n.put(k, s.items[i])
				}
			}
			if r.nodes += len(s.keys); r.nodes > maxNodes {
				return fault.New(fault.TooLarge, "the aliases of the file stand for more than %d values", maxNodes).At(n.pos)
			}
		}
		return nil
	}
	key, err := r.read(v.Key)
	if err != nil {
		return err
	}
	if key.kind == listNode || key.kind == mapNode {
		return fault.New(fault.Invalid, "a key must be text, and this is %s", key.kind).At(key.pos)
	}
	if i, ok := n.index[key.text]; ok {
		r.faults.add(fault.New(fault.Invalid, "the key %q is here twice", key.text).At(key.pos).
			WithHint("it is on line %d already; keep one of them", n.keys[i].pos.Line))
		return nil
	}
	n.put(key, value)
	return nil
}

func (n *node) put(key, value *node) {
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[key.text] = len(n.keys)
	n.keys, n.items = append(n.keys, key), append(n.items, value)
}

// inset is how far the text of a scalar starts after its token, or -1 when columns cannot be counted in it.
func inset(t *token.Token) int {
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		if strings.Contains(t.Origin, t.Value) && !strings.Contains(t.Value, "\n") {
			return 1
		}
		return -1
	}
	if strings.Contains(t.Origin, t.Value) && !strings.Contains(t.Value, "\n") {
		return 0
	}
	return -1
}

// size is the number of values under n with aliases followed, or more than limit.
func (n *node) size(limit int) int {
	total := 1
	for _, c := range n.items {
		if total > limit {
			return total
		}
		total += c.size(limit - total)
	}
	return total
}

// get is the value of a key, or nil.
func (n *node) get(key string) *node {
	if i, ok := n.index[key]; ok {
		return n.items[i]
	}
	return nil
}

// within is the place of the character at the 1-based column of the node's own text.
func (n *node) within(column int) fault.Position {
	p := n.pos
	if n.inset >= 0 && column > 0 {
		p.Column += n.inset + column - 1
	}
	return p
}

// plain is the node as what JSON would hold: nil, bool, int64, float64, string, []any, map[string]any.
func (n *node) plain() any {
	switch n.kind {
	case nullNode:
		return nil
	case listNode:
		out := make([]any, 0, len(n.items))
		for _, c := range n.items {
			out = append(out, c.plain())
		}
		return out
	case mapNode:
		out := make(map[string]any, len(n.keys))
		for i, k := range n.keys {
			out[k.text] = n.items[i].plain()
		}
		return out
	}
	if u, ok := n.value.(uint64); ok && u <= 1<<63-1 {
		return int64(u)
	}
	return n.value
}

// describe is the value as the message quotes it.
func (n *node) describe() string {
	switch n.kind {
	case nullNode, listNode, mapNode:
		return n.kind.String()
	}
	text := n.text
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return fmt.Sprintf("%q", text)
}
