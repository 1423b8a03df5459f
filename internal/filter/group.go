package filter

import (
	"errors"
	"slices"
)

// Bounds of one statement: how deep parentheses may nest, and of how many tokens, white space among them, it may be made.
const (
	maxDepth  = 100
	maxTokens = 16000
)

var (
	errTooDeep = errors.New("nested too deep")
	errTooLong = errors.New("made of too many words and signs")
)

// grouper builds the tree of MLflow's SQL parser (sqlparse 0.6.1) over the tokens, as far as a filter can tell: which
// tokens make one identifier, one comparison, one invalid clause. Each pass walks the tree once and builds its lists anew,
// so that the whole is linear in the text.
type grouper struct{ source string }

// group turns the tokens of one statement into a tree.
func group(source string, tokens []*node) (*node, error) {
	g := grouper{source}
	if len(tokens) > maxTokens {
		return nil, errTooLong
	}
	root := &node{class: statement, start: tokens[0].start, end: tokens[len(tokens)-1].end, kids: tokens}
	g.comments(root)
	if !g.pairs(root, brackets, "[", "]", 0) || !g.pairs(root, parenthesis, "(", ")", 0) || !g.pairs(root, choice, "CASE", "END", 0) {
		return nil, errTooDeep
	}
	g.functions(root)
	g.where(root)
	for _, p := range passes[:2] {
		g.join(root, p)
	}
	g.identifiers(root)
	g.orders(root)
	for _, p := range passes[2:7] {
		g.join(root, p)
	}
	g.aliases(root)
	g.alignComments(root)
	g.join(root, passes[7])
	return root, nil
}

// some reports whether a node of n passes the test. A pass looks before it builds a list anew.
func (n *node) some(test func(*node) bool) bool { return slices.ContainsFunc(n.kids, test) }

func (g grouper) is(n *node, c class, said string) bool {
	return n.class == c && g.source[n.start:n.end] == said
}

// keyword reports whether n is the keyword, in any case.
func (g grouper) keyword(n *node, upper string) bool {
	return n.class == keyword && equalUpper(g.source[n.start:n.end], upper)
}

func wrap(c class, kids []*node) *node {
	return &node{class: c, start: kids[0].start, end: kids[len(kids)-1].end, kids: kids}
}

// extend puts kids behind those of n.
func extend(n *node, kids ...*node) *node {
	n.kids = append(n.kids, kids...)
	n.end = kids[len(kids)-1].end
	return n
}

// following is the index of the next node after i that is not white space; len(kids) when there is none.
func following(kids []*node, i int) int {
	for i++; i < len(kids) && kids[i].class.isSpace(); i++ {
	}
	return i
}

// below calls visit for the groups in n that are not of class except.
func below(n *node, except class, visit func(*node)) {
	for _, k := range n.kids {
		if k.class.isGroup() && k.class != except {
			visit(k)
		}
	}
}

// comments makes one node of neighbouring comments, when something follows them.
func (g grouper) comments(n *node) {
	if !n.some(func(k *node) bool { return k.class == comment }) {
		return
	}
	var out []*node
	for i := 0; i < len(n.kids); i++ {
		end := i
		if n.kids[i].class == comment {
			for end < len(n.kids) && (n.kids[end].class == comment || n.kids[end].class == newline) {
				end++
			}
		}
		switch end {
		case i:
			out = append(out, n.kids[i])
			continue
		case len(n.kids):
			n.kids = append(out, n.kids[i:]...)
			return
		}
		out = append(out, wrap(comments, n.kids[i:end:end]))
		i = end - 1
	}
	n.kids = out
}

// alignComments hangs a comment on the group before it.
func (g grouper) alignComments(n *node) {
	below(n, 0, g.alignComments)
	if !n.some(func(k *node) bool { return k.class == comments }) {
		return
	}
	var out []*node
	last := -1
	for _, k := range n.kids {
		if k.class == comments && last >= 0 && out[last].class.isGroup() {
			out[last] = extend(out[last], append(out[last+1:len(out):len(out)], k)...)
			out = out[:last+1]
			continue
		}
		out = append(out, k)
		if !k.class.isSpace() {
			last = len(out) - 1
		}
	}
	n.kids = out
}

// pairs groups what stands between opening and closing; false when that nests too deep.
func (g grouper) pairs(n *node, c class, opening, closing string, depth int) bool {
	if depth > maxDepth {
		return false
	}
	opens := func(k *node) bool { return g.is(k, punctuation, opening) || g.keyword(k, opening) }
	if !n.some(opens) {
		for _, k := range n.kids {
			if k.class.isGroup() && k.class != c && !g.pairs(k, c, opening, closing, depth+1) {
				return false
			}
		}
		return true
	}
	var out []*node
	var open []int
	for _, k := range n.kids {
		switch {
		case k.class.isGroup() && k.class != c:
			if !g.pairs(k, c, opening, closing, depth+1) {
				return false
			}
		case opens(k):
			open = append(open, len(out))
			if len(open) > maxDepth {
				return false
			}
		case (g.is(k, punctuation, closing) || g.keyword(k, closing)) && len(open) > 0:
			from := open[len(open)-1]
			open = open[:len(open)-1]
			k = wrap(c, append(append([]*node(nil), out[from:]...), k))
			out = out[:from]
		}
		out = append(out, k)
	}
	n.kids = out
	return true
}

// functions groups a name with the parenthesis behind it.
func (g grouper) functions(n *node) {
	below(n, function, g.functions)
	if !n.some(func(k *node) bool { return k.class == parenthesis }) {
		return
	}
	var out []*node
	for i := 0; i < len(n.kids); i++ {
		k := n.kids[i]
		if next := following(n.kids, i); (k.class == name || k.class == builtin || k.class == placeholder) &&
			next < len(n.kids) && n.kids[next].class == parenthesis {
			k = wrap(function, n.kids[i:next+1:next+1])
			i = next
		}
		out = append(out, k)
	}
	n.kids = out
}

// endsWhere are the keywords before which a WHERE ends.
var endsWhere = []string{"ORDER BY", "GROUP BY", "LIMIT", "UNION", "UNION ALL", "EXCEPT", "INTERSECT", "HAVING", "RETURNING", "INTO"}

// where groups WHERE with all that follows.
func (g grouper) where(n *node) {
	below(n, where, g.where)
	if !n.some(func(k *node) bool { return g.keyword(k, "WHERE") }) {
		return
	}
	var out []*node
	for i := 0; i < len(n.kids); i++ {
		if !g.keyword(n.kids[i], "WHERE") {
			out = append(out, n.kids[i])
			continue
		}
		end := i + 1
	search:
		for ; end < len(n.kids); end++ {
			for _, w := range endsWhere {
				if g.keyword(n.kids[end], w) {
					break search
				}
			}
		}
		if end == len(n.kids) && (n.class == parenthesis || n.class == brackets) {
			end-- // the closing one stays outside
		}
		end = max(end, i+1)
		out = append(out, wrap(where, n.kids[i:end:end]))
		i = end - 1
	}
	n.kids = out
}

// identifiers makes a group of every name that stands alone.
func (g grouper) identifiers(n *node) {
	below(n, identifier, g.identifiers)
	for i, k := range n.kids {
		if k.class == name || k.class == symbol {
			n.kids[i] = wrap(identifier, []*node{k})
		}
	}
}

// orders groups an identifier or a number with the ASC or DESC behind it.
func (g grouper) orders(n *node) {
	below(n, identifier, g.orders)
	if !n.some(func(k *node) bool { return k.class == ordering }) {
		return
	}
	var out []*node
	last := -1
	for _, k := range n.kids {
		if k.class == ordering && last >= 0 {
			if p := out[last].class; p == identifier || p.isNumber() || p == hexadecimal {
				k = wrap(identifier, append(append([]*node(nil), out[last:]...), k))
				out = out[:last]
			}
		}
		out = append(out, k)
		if !k.class.isSpace() {
			last = len(out) - 1
		}
	}
	n.kids = out
}

// aliases groups a thing with the identifier behind it.
func (g grouper) aliases(n *node) {
	below(n, 0, g.aliases)
	var out []*node
	for i := 0; i < len(n.kids); i++ {
		k := n.kids[i]
		switch k.class {
		case parenthesis, choice, function, identifier, operation, comparison, integer, float, hexadecimal:
			next := following(n.kids, i)
			if next < len(n.kids) && n.kids[next].class == identifier {
				if k.class == identifier {
					k = extend(k, n.kids[i+1:next+1]...)
				} else {
					k = wrap(identifier, n.kids[i:next+1:next+1])
				}
				i = next
			}
		}
		out = append(out, k)
	}
	n.kids = out
}

// pass joins what stands around a token into one group.
type pass struct {
	into    class
	match   func(g grouper, n *node) bool
	before  func(g grouper, n *node) bool
	after   func(g grouper, n *node) bool // n is nil at the end
	takes   func(g grouper, n *node) bool // whether the node after belongs to the group; nil: yes
	alone   bool                          // the group starts with the token, not before it
	nests   bool                          // a group of the same class is wrapped, not extended
	shallow bool                          // groups below are not visited
}

func among(classes ...class) func(grouper, *node) bool {
	return func(_ grouper, n *node) bool {
		for _, c := range classes {
			if n != nil && n.class == c {
				return true
			}
		}
		return false
	}
}

func always(grouper, *node) bool      { return true }
func present(_ grouper, n *node) bool { return n != nil }
func never(grouper, *node) bool       { return false }

var operand = among(brackets, parenthesis, function, identifier, operation, typedLiteral, integer, float, text, symbol, name,
	placeholder)

// passes in their order: period, array, type cast, typed literal, operation, comparison, AS, list.
var passes = []pass{
	{into: identifier,
		match: func(g grouper, n *node) bool {
			return g.is(n, punctuation, ".") || g.is(n, operator, "->") || g.is(n, operator, "->>")
		},
		before: among(brackets, identifier, name, symbol), after: always, takes: among(brackets, function, name, symbol, wildcard, text)},
	{into: identifier, match: among(brackets), before: among(brackets, identifier, function, name, symbol), after: always, takes: never,
		shallow: true},
	{into: identifier, match: func(g grouper, n *node) bool { return g.is(n, punctuation, "::") }, before: present, after: present},
	{into: typedLiteral, match: func(g grouper, n *node) bool { return n.class == builtin || g.keyword(n, "TIMESTAMP") },
		before: present, after: among(text), alone: true, nests: true},
	{into: operation, match: among(operator, wildcard), before: operandOrNow, after: operandOrNow, nests: true},
	{into: comparison, match: among(comparator), before: comparand, after: comparand, nests: true},
	{into: identifier, match: func(g grouper, n *node) bool { return g.keyword(n, "AS") },
		before: func(g grouper, n *node) bool {
			return !n.class.isKeyword() || equalUpper(g.source[n.start:n.end], "NULL")
		},
		after: func(_ grouper, n *node) bool { return n != nil && n.class != dml && n.class != ddl && n.class != cte }},
	{into: list, match: func(g grouper, n *node) bool { return g.is(n, punctuation, ",") }, before: listed, after: listed},
}

func operandOrNow(g grouper, n *node) bool {
	return operand(g, n) || n != nil &&
		(g.keyword(n, "CURRENT_DATE") || g.keyword(n, "CURRENT_TIME") || g.keyword(n, "CURRENT_TIMESTAMP"))
}

func comparand(g grouper, n *node) bool {
	return n != nil && n.class != brackets && operand(g, n) || n != nil && n.class.isKeyword() &&
		equalUpper(g.source[n.start:n.end], "NULL")
}

func listed(g grouper, n *node) bool {
	return among(function, choice, identifier, comparison, list, operation, integer, float, text, symbol, name, placeholder, keyword, comment,
		wildcard)(g, n)
}

// join makes one pass over n and the groups in it.
func (g grouper) join(n *node, p pass) {
	if !n.some(func(k *node) bool { return p.match(g, k) }) {
		if !p.shallow {
			below(n, p.into, func(k *node) { g.join(k, p) })
		}
		return
	}
	var out []*node
	var before *node // what stands before the token, and where in out the group with it starts
	from := -1
	delimited := func(k *node) bool {
		return k != nil && (n.class == parenthesis || n.class == brackets || n.class == choice) && (k == n.kids[0] || k == n.kids[len(n.kids)-1])
	}
	for i := 0; i < len(n.kids); i++ {
		k := n.kids[i]
		if k.class.isSpace() {
			out = append(out, k)
			continue
		}
		if !p.shallow && k.class.isGroup() && k.class != p.into {
			g.join(k, p)
		}
		next := following(n.kids, i)
		var after *node
		if next < len(n.kids) {
			after = n.kids[next]
		}
		if !p.match(g, k) || before == nil || !p.before(g, before) || !p.after(g, after) || delimited(before) || delimited(after) {
			out = append(out, k)
			before, from = k, len(out)-1
			continue
		}
		if p.alone {
			from = len(out)
		}
		kids := append(append([]*node(nil), out[from:]...), k)
		taken := after != nil && (p.takes == nil || p.takes(g, after))
		if taken {
			kids = append(kids, n.kids[i+1:next+1]...)
		}
		made := kids[0]
		if made.class == p.into && !p.nests && len(kids) > 1 {
			made = extend(made, kids[1:]...)
		} else {
			made = wrap(p.into, kids)
		}
		out = append(out[:from], made)
		before = made
		if taken {
			i, before = next, after
			if !p.shallow && after.class.isGroup() && after.class != p.into {
				g.join(after, p)
			}
		}
	}
	n.kids = out
}
