package recipe

import (
	"strings"
	"unicode/utf8"
)

// Bounds of an expression, so that no text can exhaust the parser, the evaluator or the database.
const (
	maxSourceBytes = 4096
	maxDepth       = 50
	maxNodes       = 500    // operands and operators; DuckDB refuses expressions nested 1,000 deep
	maxSQLCost     = 20_000 // pieces of SQL, counting what the SQL form has to repeat
)

// ParseExpr reads an expression over columns. The language is a small part of SQL's:
//
//	numbers 12, 1.5, 1e3; texts 'it''s'; true, false, null; columns name, "odd name" or `odd name`
//	+ - * / %    comparison = == != <> < <= > >=    and, or, not
//	x in (a, b), x not in (...), x is null, x is not null, x between a and b
//	if(condition, a, b), coalesce(a, b, ...)
//	abs, log (natural), exp, sqrt, round(x[, digits]), floor, ceil
//	lower, upper, length
//	hour, minute, weekday (Monday = 0), day, month, year, day_of_year, is_weekend, epoch (seconds) of a datetime column
//
// Null follows SQL's three-valued logic. Arithmetic is in float64; a result that is not a finite number (x / 0, log of
// 0, an overflow) is null. Faults are fault.Invalid with the column in the text, and a hint for misspelt names.
func ParseExpr(src string) (*Expr, error) {
	if len(src) > maxSourceBytes {
		return nil, invalid(0, "the expression has %d bytes; at most %d are taken", len(src), maxSourceBytes)
	}
	if !utf8.ValidString(src) || strings.ContainsRune(src, 0) {
		return nil, invalid(0, "the expression is not valid UTF-8 text")
	}
	p := &parser{lexer: lexer{src: src}}
	if err := p.step(); err != nil {
		return nil, err
	}
	if p.token.kind == tokenEnd {
		return nil, invalid(1, "the expression is empty")
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.token.kind != tokenEnd {
		return nil, p.unexpected("an operator or the end")
	}
	nodes := 0
	root.walk(func(*node) { nodes++ })
	if nodes > maxNodes || sqlCost(root) > maxSQLCost {
		return nil, invalid(0, "the expression is too complex").WithHint("split it into several derived inputs")
	}
	return &Expr{root: root}, nil
}

// parser is a recursive-descent parser with one token of lookahead.
type parser struct {
	lexer lexer
	token token
	depth int
}

func (p *parser) step() (err error) {
	p.token, err = p.lexer.next()
	return err
}

func (p *parser) unexpected(want string) error {
	if p.token.kind == tokenEnd {
		return invalid(p.token.column, "the expression ends where %s should be", want)
	}
	return invalid(p.token.column, "unexpected %q where %s should be", p.token.text, want)
}

func (p *parser) enter() error {
	p.depth++
	if p.depth > maxDepth {
		return invalid(p.token.column, "the expression is nested more than %d deep", maxDepth).WithHint("split it into several derived inputs")
	}
	return nil
}

func (p *parser) keyword(word string) bool {
	return p.token.kind == tokenName && strings.EqualFold(p.token.text, word)
}

func (p *parser) symbol(s string) bool { return p.token.kind == tokenSymbol && p.token.text == s }

func (p *parser) expectSymbol(s string) error {
	if !p.symbol(s) {
		return p.unexpected("\"" + s + "\"")
	}
	return p.step()
}

func (p *parser) expectKeyword(word string) error {
	if !p.keyword(word) {
		return p.unexpected(word)
	}
	return p.step()
}

// chain reads operand (word operand)*, where a long chain nests to the left without counting as depth of the source.
func (p *parser) chain(word string, op operator, operand func() (*node, error)) (*node, error) {
	left, err := operand()
	for err == nil && p.keyword(word) {
		n := &node{op: op, column: p.token.column}
		if err = p.step(); err != nil {
			break
		}
		var right *node
		if right, err = operand(); err != nil {
			break
		}
		n.args = []*node{left, right}
		left = n
	}
	return left, err
}

func (p *parser) or() (*node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	return p.chain("or", opOr, func() (*node, error) { return p.chain("and", opAnd, p.not) })
}

func (p *parser) not() (*node, error) {
	if !p.keyword("not") {
		return p.comparison()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	n := &node{op: opNot, column: p.token.column}
	if err := p.step(); err != nil {
		return nil, err
	}
	arg, err := p.not()
	n.args = []*node{arg}
	return n, err
}

var comparisons = map[string]operator{"=": opEqual, "==": opEqual, "!=": opUnequal, "<>": opUnequal, "<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual}

func (p *parser) comparison() (*node, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	at := p.token.column
	if p.token.kind == tokenSymbol {
		op, ok := comparisons[p.token.text]
		if !ok {
			return left, nil
		}
		if err := p.step(); err != nil {
			return nil, err
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		if _, again := comparisons[p.token.text]; again && p.token.kind == tokenSymbol {
			return nil, invalid(p.token.column, "a comparison cannot be compared again").WithHint("write a < b and b < c, or put parentheses")
		}
		return &node{op: op, column: at, args: []*node{left, right}}, nil
	}
	switch {
	case p.keyword("is"):
		return p.isNull(left, at)
	case p.keyword("in"), p.keyword("between"):
		return p.membership(left, at)
	case p.keyword("not"):
		if err := p.step(); err != nil {
			return nil, err
		}
		if !p.keyword("in") && !p.keyword("between") {
			return nil, p.unexpected("in or between")
		}
		n, err := p.membership(left, at)
		return &node{op: opNot, column: at, args: []*node{n}}, err
	}
	return left, nil
}

func (p *parser) isNull(left *node, at int) (*node, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	negated := p.keyword("not")
	if negated {
		if err := p.step(); err != nil {
			return nil, err
		}
	}
	if err := p.expectKeyword("null"); err != nil {
		return nil, err
	}
	n := &node{op: opIsNull, column: at, args: []*node{left}}
	if negated {
		n = &node{op: opNot, column: at, args: []*node{n}}
	}
	return n, nil
}

func (p *parser) membership(left *node, at int) (*node, error) {
	between := p.keyword("between")
	if err := p.step(); err != nil {
		return nil, err
	}
	if between {
		low, err := p.sum()
		if err != nil {
			return nil, err
		}
		if err := p.expectKeyword("and"); err != nil {
			return nil, err
		}
		high, err := p.sum()
		return &node{op: opBetween, column: at, args: []*node{left, low, high}}, err
	}
	if err := p.expectSymbol("("); err != nil {
		return nil, err
	}
	list, err := p.list()
	if err == nil && len(list) == 0 {
		err = invalid(at, "in () needs at least one value")
	}
	return &node{op: opIn, column: at, args: append([]*node{left}, list...)}, err
}

// list reads expressions up to and with the closing parenthesis.
func (p *parser) list() ([]*node, error) {
	var list []*node
	for !p.symbol(")") {
		if len(list) > 0 {
			if !p.symbol(",") {
				return nil, p.unexpected("a comma or \")\"")
			}
			if err := p.step(); err != nil {
				return nil, err
			}
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, p.step()
}

func (p *parser) binary(operand func() (*node, error), ops map[string]operator) (*node, error) {
	left, err := operand()
	for err == nil && p.token.kind == tokenSymbol {
		op, ok := ops[p.token.text]
		if !ok {
			break
		}
		n := &node{op: op, column: p.token.column}
		if err = p.step(); err != nil {
			break
		}
		var right *node
		if right, err = operand(); err != nil {
			break
		}
		n.args = []*node{left, right}
		left = n
	}
	return left, err
}

var (
	sums     = map[string]operator{"+": opAdd, "-": opSubtract}
	products = map[string]operator{"*": opMultiply, "/": opDivide, "%": opModulo}
)

func (p *parser) sum() (*node, error)     { return p.binary(p.product, sums) }
func (p *parser) product() (*node, error) { return p.binary(p.unary, products) }

func (p *parser) unary() (*node, error) {
	negative := p.symbol("-")
	if !negative && !p.symbol("+") {
		return p.primary()
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	at := p.token.column
	if err := p.step(); err != nil {
		return nil, err
	}
	arg, err := p.unary()
	if err != nil || !negative {
		return arg, err
	}
	if arg.op == opNumber && arg.number > 0 { // a literal; keeps -1 one piece
		return &node{op: opNumber, column: at, number: -arg.number, integer: arg.integer}, nil
	}
	return &node{op: opNegate, column: at, args: []*node{arg}}, nil
}

func (p *parser) primary() (*node, error) {
	t := p.token
	switch t.kind {
	case tokenNumber:
		return &node{op: opNumber, column: t.column, number: t.number, integer: !strings.ContainsAny(t.text, ".eE")}, p.step()
	case tokenText:
		return &node{op: opText, column: t.column, text: t.text}, p.step()
	case tokenQuotedName:
		return &node{op: opColumn, column: t.column, text: t.text}, p.step()
	case tokenName:
		return p.name(t)
	case tokenSymbol:
		if t.text != "(" {
			break
		}
		if err := p.step(); err != nil {
			return nil, err
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		return n, p.expectSymbol(")")
	}
	return nil, p.unexpected("a column, a value or a function")
}

var reserved = []string{"and", "or", "not", "in", "is", "null", "between", "true", "false"}

func (p *parser) name(t token) (*node, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	word := strings.ToLower(t.text)
	switch word {
	case "true", "false":
		n := &node{op: opBoolean, column: t.column}
		if word == "true" {
			n.number = 1
		}
		return n, nil
	case "null":
		return &node{op: opNull, column: t.column}, nil
	case "and", "or", "not", "in", "is", "between":
		return nil, invalid(t.column, "unexpected %q where a column, a value or a function should be", t.text).
			WithHint("a column of that name is written in double quotes")
	}
	if !p.symbol("(") {
		return &node{op: opColumn, column: t.column, text: t.text}, nil
	}
	f, ok := functions[word]
	if !ok {
		return nil, suggest(invalid(t.column, "there is no function %s", t.text), t.text, functionNames)
	}
	if err := p.step(); err != nil {
		return nil, err
	}
	args, err := p.list()
	if err != nil {
		return nil, err
	}
	n := &node{op: opCall, column: t.column, text: word, args: args, function: f}
	return n, checkCall(n)
}

func checkCall(n *node) error {
	f := n.function
	if len(n.args) < f.min || len(n.args) > f.max {
		return invalid(n.column, "%s takes %s, not %d", n.text, f.takes(), len(n.args))
	}
	if n.text == "round" && len(n.args) == 2 {
		d := n.args[1]
		if d.op != opNumber || !d.integer || d.number < 0 || d.number > 15 {
			return invalid(d.column, "the digits of round are a number from 0 to 15")
		}
	}
	return nil
}
