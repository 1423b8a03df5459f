package recipe

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/trimtab-ml/trimtab/engine/table"
)

// Bound is an expression bound to the order of a row's cells. It is immutable and safe for concurrent use.
type Bound struct{ eval evaluator }

type (
	evaluator func(row []table.Value) table.Value
	// numeric gives ok = false for null.
	numeric func(row []table.Value) (f float64, ok bool)
)

// Bind finds the columns of the expression among columns. zones gives the zone in which the date parts of a datetime column are meant; a column
// that it does not name is in UTC. A column that is not there is fault.Invalid with a hint.
func (e *Expr) Bind(columns []string, zones map[string]*time.Location) (*Bound, error) {
	b := &binder{columns: columns, zones: zones}
	eval := b.value(e.root)
	if b.err != nil {
		return nil, b.err
	}
	return &Bound{eval: eval}, nil
}

// Eval computes the value for one row, whose cells are in the order that Bind was given. A boolean is 0 or 1.
// It does not allocate, except for lower and upper.
func (b *Bound) Eval(row []table.Value) table.Value { return b.eval(row) }

// binder builds closures from nodes and keeps the first error.
type binder struct {
	columns []string
	zones   map[string]*time.Location
	err     error
}

func constant(v table.Value) evaluator { return func([]table.Value) table.Value { return v } }

func truth(b bool) table.Value {
	if b {
		return table.Value{F: 1}
	}
	return table.Value{}
}

func (b *binder) column(n *node) evaluator {
	i := slices.Index(b.columns, n.text)
	if i < 0 {
		if b.err == nil {
			b.err = unknownColumn(n, b.columns)
		}
		return constant(table.Null)
	}
	return func(row []table.Value) table.Value {
		v := row[i]
		if v.Null || v.F != v.F {
			return table.Null
		}
		return v
	}
}

// value builds the evaluator of any node.
func (b *binder) value(n *node) evaluator {
	switch n.op {
	case opColumn:
		return b.column(n)
	case opNumber, opBoolean:
		return constant(table.Value{F: n.number})
	case opText:
		return constant(table.Text(n.text))
	case opNull:
		return constant(table.Null)
	case opNot:
		arg := b.value(n.args[0])
		return func(row []table.Value) table.Value {
			v := arg(row)
			if v.Null {
				return table.Null
			}
			return truth(v.F == 0)
		}
	case opAnd, opOr:
		return b.logic(n)
	case opIsNull:
		arg := b.value(n.args[0])
		return func(row []table.Value) table.Value { return truth(arg(row).Null) }
	case opIn:
		return b.in(n)
	case opBetween:
		return b.between(n)
	case opCall:
		return b.call(n)
	case opEqual, opUnequal, opLess, opLessEqual, opGreater, opGreaterEqual:
		left, right, holds := b.value(n.args[0]), b.value(n.args[1]), comparison(n.op)
		return func(row []table.Value) table.Value {
			x, y := left(row), right(row)
			if x.Null || y.Null {
				return table.Null
			}
			return truth(holds(compare(x, y)))
		}
	}
	return b.finite(n)
}

// compare orders two cells that are not null. One of the two fields is always the same in cells of one kind.
func compare(x, y table.Value) int {
	switch {
	case x.F < y.F:
		return -1
	case x.F > y.F:
		return 1
	}
	return strings.Compare(x.S, y.S)
}

func comparison(op operator) func(order int) bool {
	switch op {
	case opEqual:
		return func(o int) bool { return o == 0 }
	case opUnequal:
		return func(o int) bool { return o != 0 }
	case opLess:
		return func(o int) bool { return o < 0 }
	case opLessEqual:
		return func(o int) bool { return o <= 0 }
	case opGreater:
		return func(o int) bool { return o > 0 }
	}
	return func(o int) bool { return o >= 0 }
}

// logic is three-valued: the deciding value wins over null.
func (b *binder) logic(n *node) evaluator {
	left, right, decides := b.value(n.args[0]), b.value(n.args[1]), n.op == opOr
	return func(row []table.Value) table.Value {
		x := left(row)
		if !x.Null && (x.F != 0) == decides {
			return truth(decides)
		}
		y := right(row)
		switch {
		case !y.Null && (y.F != 0) == decides:
			return truth(decides)
		case x.Null || y.Null:
			return table.Null
		}
		return truth(!decides)
	}
}

func (b *binder) in(n *node) evaluator {
	x := b.value(n.args[0])
	var list []evaluator
	for _, a := range n.args[1:] {
		list = append(list, b.value(a))
	}
	return func(row []table.Value) table.Value {
		v, null := x(row), false
		if v.Null {
			return table.Null
		}
		for _, item := range list {
			switch w := item(row); {
			case w.Null:
				null = true
			case compare(v, w) == 0:
				return truth(true)
			}
		}
		if null {
			return table.Null
		}
		return truth(false)
	}
}

func (b *binder) between(n *node) evaluator {
	x, low, high := b.value(n.args[0]), b.value(n.args[1]), b.value(n.args[2])
	return func(row []table.Value) table.Value {
		v, l, h := x(row), low(row), high(row)
		switch {
		case v.Null:
			return table.Null
		case !l.Null && compare(v, l) < 0, !h.Null && compare(v, h) > 0:
			return truth(false)
		case l.Null || h.Null:
			return table.Null
		}
		return truth(true)
	}
}

// finite is the value of arithmetic: null when it is not a finite number.
func (b *binder) finite(n *node) evaluator {
	f := b.number(n)
	return func(row []table.Value) table.Value {
		x, ok := f(row)
		if !ok || x-x != 0 { // Inf - Inf and NaN - NaN are NaN
			return table.Null
		}
		return table.Value{F: x}
	}
}

// flowing reports whether n passes a result that is not finite on to the arithmetic around it, so that the whole chain is checked once at its
// end. Division, remainder and exp are checked on the spot: x / 0 is null, and 1 / (x / 0) too.
func (n *node) flowing() bool {
	switch n.op {
	case opNegate, opAdd, opSubtract, opMultiply:
		return true
	case opCall:
		switch n.text {
		case "abs", "log", "sqrt", "round", "floor", "ceil":
			return true
		}
	}
	return false
}

// number builds the numeric form, which leaves the result of a flowing node unchecked.
func (b *binder) number(n *node) numeric {
	switch n.op {
	case opNegate, opAdd, opSubtract, opMultiply, opDivide, opModulo:
	case opCall:
		if n.function.result == classNumber && n.function.argument == classNumber {
			return b.mathematics(n)
		}
		fallthrough
	default:
		v := b.value(n)
		return func(row []table.Value) (float64, bool) {
			x := v(row)
			return x.F, !x.Null
		}
	}
	left := b.number(n.args[0])
	if n.op == opNegate {
		return func(row []table.Value) (float64, bool) {
			x, ok := left(row)
			return -x, ok
		}
	}
	right := b.number(n.args[1])
	var combine func(x, y float64) float64
	switch n.op {
	case opAdd:
		combine = func(x, y float64) float64 { return x + y }
	case opSubtract:
		combine = func(x, y float64) float64 { return x - y }
	case opMultiply:
		combine = func(x, y float64) float64 { return x * y }
	case opDivide:
		combine = func(x, y float64) float64 { return x / y }
	default:
		combine = math.Mod
	}
	check := !n.flowing()
	return func(row []table.Value) (float64, bool) {
		x, ok := left(row)
		if !ok {
			return 0, false
		}
		y, ok := right(row)
		if !ok {
			return 0, false
		}
		z := combine(x, y)
		return z, !check || z-z == 0
	}
}

// mathematics is the functions from number to number.
func (b *binder) mathematics(n *node) numeric {
	arg := b.number(n.args[0])
	var f func(float64) float64
	switch n.text {
	case "abs":
		f = math.Abs
	case "log":
		f = func(x float64) float64 {
			if x <= 0 {
				return math.NaN()
			}
			return math.Log(x)
		}
	case "sqrt":
		f = math.Sqrt
	case "exp":
		f = func(x float64) float64 {
			if x = math.Exp(x); math.IsInf(x, 0) {
				return math.NaN()
			}
			return x
		}
	case "floor":
		f = math.Floor
	case "ceil":
		f = math.Ceil
	default:
		scale := 1.0
		if len(n.args) == 2 {
			scale = math.Pow(10, n.args[1].number)
		}
		f = func(x float64) float64 {
			if y := math.Round(x * scale); !math.IsInf(y, 0) {
				return y / scale
			}
			return x
		}
	}
	return func(row []table.Value) (float64, bool) {
		x, ok := arg(row)
		if !ok {
			return 0, false
		}
		x = f(x)
		return x, x == x
	}
}

func (b *binder) call(n *node) evaluator {
	f := n.function
	if f.result == classNumber && f.argument == classNumber {
		return b.finite(n)
	}
	args := make([]evaluator, len(n.args))
	for i, a := range n.args {
		args[i] = b.value(a)
	}
	switch n.text {
	case "coalesce":
		return func(row []table.Value) table.Value {
			for _, a := range args {
				if v := a(row); !v.Null {
					return v
				}
			}
			return table.Null
		}
	case "if":
		return func(row []table.Value) table.Value {
			if c := args[0](row); !c.Null && c.F != 0 {
				return args[1](row)
			}
			return args[2](row)
		}
	case "lower", "upper":
		fold := unicode.ToLower
		if n.text == "upper" {
			fold = upperRune
		}
		return onPresent(args[0], func(v table.Value) table.Value { return table.Text(strings.Map(fold, v.S)) })
	case "length":
		return onPresent(args[0], func(v table.Value) table.Value { return table.Value{F: float64(utf8.RuneCountInString(v.S))} })
	case "epoch":
		return onPresent(args[0], func(v table.Value) table.Value { return table.Value{F: v.F / 1e6} })
	}
	part, calendar := dateParts[n.text], calendarOf(b.zone(n.args[0]))
	return onPresent(args[0], func(v table.Value) table.Value {
		local, ok := calendar.local(v.F)
		if !ok {
			return table.Null
		}
		return table.Value{F: float64(part(local))}
	})
}

func onPresent(arg evaluator, f func(table.Value) table.Value) evaluator {
	return func(row []table.Value) table.Value {
		v := arg(row)
		if v.Null {
			return table.Null
		}
		return f(v)
	}
}

// zone is that of the first column in n.
func (b *binder) zone(n *node) *time.Location { return b.zones[firstColumn(n)] }

func firstColumn(n *node) string {
	name := ""
	n.walk(func(m *node) {
		if m.op == opColumn && name == "" {
			name = m.text
		}
	})
	return name
}

// upperRune is Unicode's simple mapping with DuckDB's capital for the sharp s.
func upperRune(r rune) rune {
	if r == 'ß' {
		return 'ẞ'
	}
	return unicode.ToUpper(r)
}
