package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/table"
)

type operator uint8

const (
	opColumn operator = iota
	opNumber
	opText
	opBoolean
	opNull
	opNegate
	opNot
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opEqual
	opUnequal
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opAnd
	opOr
	opIn
	opBetween
	opIsNull
	opCall
)

// symbols are the operators as written between their operands, with the binding strength for printing.
var symbols = map[operator]struct {
	text, word string
	strength   int
}{
	opOr: {"or", "or", 1}, opAnd: {"and", "and", 2},
	opEqual: {"=", "is", 4}, opUnequal: {"!=", "is_not", 4}, opLess: {"<", "below", 4}, opLessEqual: {"<=", "at_most", 4},
	opGreater: {">", "above", 4}, opGreaterEqual: {">=", "at_least", 4},
	opAdd: {"+", "plus", 5}, opSubtract: {"-", "minus", 5},
	opMultiply: {"*", "times", 6}, opDivide: {"/", "per", 6}, opModulo: {"%", "mod", 6},
}

// node is one piece of an expression. Which fields count depends on op.
type node struct {
	op       operator
	column   int // where it stands in the source, 1-based
	args     []*node
	text     string // column name, text literal or function name
	number   float64
	integer  bool // a number written without point or exponent
	function *function
}

// Expr is a parsed expression. It is immutable and safe for concurrent use.
type Expr struct{ root *node }

// String is the expression in a normal form that parses to the same expression.
func (e *Expr) String() string {
	var b strings.Builder
	e.root.write(&b, 0)
	return b.String()
}

func (n *node) strength() int {
	if s, ok := symbols[n.op]; ok {
		return s.strength
	}
	switch n.op {
	case opNot:
		return 3
	case opIn, opBetween, opIsNull:
		return 4
	case opNegate:
		return 7
	case opNumber:
		if n.number < 0 {
			return 7
		}
	}
	return 8
}

// write prints n, in parentheses when it binds less than strength.
func (n *node) write(b *strings.Builder, strength int) {
	if n.strength() < strength {
		b.WriteByte('(')
		defer b.WriteByte(')')
	}
	switch n.op {
	case opColumn:
		writeName(b, n.text)
	case opNumber:
		b.WriteString(formatNumber(n.number, n.integer))
	case opText:
		b.WriteString(quoteText(n.text))
	case opBoolean:
		b.WriteString(strconv.FormatBool(n.number == 1))
	case opNull:
		b.WriteString("null")
	case opNegate:
		b.WriteByte('-')
		n.args[0].write(b, 8)
	case opNot:
		b.WriteString("not ")
		n.args[0].write(b, 3)
	case opIsNull:
		n.args[0].write(b, 5)
		b.WriteString(" is null")
	case opBetween:
		n.args[0].write(b, 5)
		b.WriteString(" between ")
		n.args[1].write(b, 5)
		b.WriteString(" and ")
		n.args[2].write(b, 5)
	case opIn:
		n.args[0].write(b, 5)
		b.WriteString(" in (")
		writeList(b, n.args[1:])
		b.WriteByte(')')
	case opCall:
		b.WriteString(n.text)
		b.WriteByte('(')
		writeList(b, n.args)
		b.WriteByte(')')
	default:
		s := symbols[n.op]
		left := s.strength
		if left == 4 { // comparisons do not chain
			left = 5
		}
		n.args[0].write(b, left)
		b.WriteString(" " + s.text + " ")
		n.args[1].write(b, s.strength+1)
	}
}

func writeList(b *strings.Builder, args []*node) {
	for i, a := range args {
		if i > 0 {
			b.WriteString(", ")
		}
		a.write(b, 0)
	}
}

func writeName(b *strings.Builder, name string) {
	plain := name != "" && !slices.Contains(reserved, strings.ToLower(name))
	for i, r := range name {
		plain = plain && (isNameStart(r) || i > 0 && isNamePart(r))
	}
	if plain {
		b.WriteString(name)
		return
	}
	b.WriteString(quoteName(name))
}

// quoteName is a column name as SQL and expressions write it.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText is a text literal as SQL and expressions write it.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func formatNumber(f float64, integer bool) string {
	if integer {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// Columns are the raw columns that the expression reads, in order of first use.
func (e *Expr) Columns() []string {
	var names []string
	e.root.walk(func(n *node) {
		if n.op == opColumn && !slices.Contains(names, n.text) {
			names = append(names, n.text)
		}
	})
	return names
}

func (n *node) walk(visit func(*node)) {
	visit(n)
	for _, a := range n.args {
		a.walk(visit)
	}
}

// IsColumn reports whether the expression is a bare column, and which.
func (e *Expr) IsColumn() (string, bool) {
	if e.root.op != opColumn {
		return "", false
	}
	return e.root.text, true
}

// Slug is a name for the value of the expression: weekday(time_hour) becomes weekday_time_hour. A bare column keeps its
// name. Different expressions can have one slug when they differ in parentheses, in case or in the odd characters of a text only.
func (e *Expr) Slug() string {
	if name, ok := e.IsColumn(); ok {
		return name
	}
	var words []string
	e.root.words(&words)
	var b strings.Builder
	for _, r := range strings.ToLower(strings.Join(words, "_")) {
		switch {
		case r >= 'a' && r <= 'z' || isDigit(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	slug := strings.Trim(b.String(), "_")
	if slug == "" {
		return "value"
	}
	return slug
}

func (n *node) words(out *[]string) {
	each := func(args []*node) {
		for _, a := range args {
			a.words(out)
		}
	}
	switch n.op {
	case opColumn, opText:
		*out = append(*out, n.text)
	case opNumber, opBoolean, opNull:
		var b strings.Builder
		n.write(&b, 0)
		*out = append(*out, strings.Replace(b.String(), "-", "minus_", 1))
	case opNegate:
		*out = append(*out, "minus")
		each(n.args)
	case opNot:
		*out = append(*out, "not")
		each(n.args)
	case opIsNull:
		each(n.args)
		*out = append(*out, "is_null")
	case opBetween:
		n.args[0].words(out)
		*out = append(*out, "between")
		each(n.args[1:])
	case opIn:
		n.args[0].words(out)
		*out = append(*out, "in")
		each(n.args[1:])
	case opCall:
		*out = append(*out, n.text)
		each(n.args)
	default:
		n.args[0].words(out)
		*out = append(*out, symbols[n.op].word)
		n.args[1].words(out)
	}
}

// class is what is known of a value's type without a schema. A column is of unknown class until its use tells.
type class uint8

const (
	classUnknown class = iota
	classNumber
	classBoolean
	classText
	classTime
)

func classOf(k table.Kind) class {
	switch k {
	case table.String:
		return classText
	case table.Boolean:
		return classBoolean
	case table.Datetime:
		return classTime
	}
	return classNumber
}

func (n *node) class() class {
	switch n.op {
	case opColumn, opNull:
		return classUnknown
	case opText:
		return classText
	case opNumber, opNegate, opAdd, opSubtract, opMultiply, opDivide, opModulo:
		return classNumber
	case opCall:
		if n.function.result == classUnknown {
			return n.branchClass()
		}
		return n.function.result
	}
	return classBoolean
}

// branchClass is the class of coalesce and if: that of the first branch that tells.
func (n *node) branchClass() class {
	for _, a := range n.args[n.function.branches:] {
		if c := a.class(); c != classUnknown {
			return c
		}
	}
	return classUnknown
}

// common is the class in which several operands are compared; unknown when none of them tells.
func common(args []*node) class {
	found := classUnknown
	for _, a := range args {
		c := a.class()
		if c == classBoolean {
			c = classNumber
		}
		if c != classUnknown {
			found = c
			break
		}
	}
	return found
}

// function describes a callable. Its result is unknown when it is that of its arguments from branches on.
type function struct {
	min, max int
	argument class // of every argument; unknown: any
	result   class
	branches int
	kind     table.Kind // of the result, when result is known
}

func (f *function) takes() string {
	switch {
	case f.min == f.max && f.min == 1:
		return "one argument"
	case f.min == f.max:
		return fmt.Sprintf("%d arguments", f.min)
	case f.max == maxArguments:
		return fmt.Sprintf("at least %d arguments", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

const maxArguments = 64

var functions, functionNames = func() (map[string]*function, []string) {
	number := func(min, max int) *function {
		return &function{min: min, max: max, argument: classNumber, result: classNumber, kind: table.Double}
	}
	part := func() *function {
		return &function{min: 1, max: 1, argument: classTime, result: classNumber, kind: table.Long}
	}
	text := func() *function {
		return &function{min: 1, max: 1, argument: classText, result: classText, kind: table.String}
	}
	m := map[string]*function{
		"abs": number(1, 1), "log": number(1, 1), "exp": number(1, 1), "sqrt": number(1, 1), "round": number(1, 2), "floor": number(1, 1), "ceil": number(1, 1),
		"lower": text(), "upper": text(), "length": {min: 1, max: 1, argument: classText, result: classNumber, kind: table.Long},
		"coalesce": {min: 1, max: maxArguments}, "if": {min: 3, max: 3, branches: 1},
		"is_weekend": {min: 1, max: 1, argument: classTime, result: classBoolean, kind: table.Boolean},
		"epoch":      {min: 1, max: 1, argument: classTime, result: classNumber, kind: table.Double},
	}
	for _, p := range []string{"hour", "minute", "weekday", "day", "month", "year", "day_of_year"} {
		m[p] = part()
	}
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return m, names
}()
