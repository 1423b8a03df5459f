package recipe

import (
	"fmt"
	"strconv"
	"strings"
)

// SQL is a DuckDB expression with the same result over columns of the same names. zones gives the IANA zone of datetime columns, as in Bind.
//
// The result of arithmetic is DOUBLE, of conditions BOOLEAN, of date parts BIGINT. The session's time zone must be UTC when a datetime column is a
// TIMESTAMP WITH TIME ZONE. A NaN in a column counts as a number to DuckDB: relations are expected to hold null instead.
func (e *Expr) SQL(zones map[string]string) string {
	w := &sqlWriter{zones: zones}
	w.any(e.root)
	return w.String()
}

type sqlWriter struct {
	strings.Builder
	zones map[string]string
}

// sqlCost is the number of nodes that the SQL form of n has, counting repetition.
func sqlCost(n *node) int {
	cost := 1
	for _, a := range n.args {
		c := sqlCost(a)
		if a.flowing() && !n.flowing() && n.op != opDivide && n.op != opModulo {
			c *= 2
		}
		cost += c
	}
	switch {
	case n.op == opDivide, n.op == opModulo, n.op == opCall && (n.text == "exp" || n.text == "log" || n.text == "sqrt"):
		cost *= 2
	case n.op == opCall && n.text == "round":
		cost *= 3
	}
	return min(cost, maxSQLCost+1)
}

func (w *sqlWriter) put(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
}

// as writes n in the form that a value of class c has.
func (w *sqlWriter) as(n *node, c class) {
	switch c {
	case classNumber:
		w.number(n)
	case classBoolean:
		w.condition(n)
	case classText:
		w.cast(n, "VARCHAR", n.class() == classText)
	case classTime:
		w.cast(n, "TIMESTAMP", n.class() == classTime)
	default:
		w.any(n)
	}
}

func (w *sqlWriter) cast(n *node, sqlType string, already bool) {
	if already && n.op != opCall {
		w.any(n)
		return
	}
	w.put("CAST(")
	w.any(n)
	w.put(" AS ", sqlType, ")")
}

func (w *sqlWriter) condition(n *node) { w.cast(n, "BOOLEAN", n.class() == classBoolean) }

// number writes n as a finite DOUBLE or NULL. The unchecked result of a chain of arithmetic appears twice.
func (w *sqlWriter) number(n *node) {
	if !n.flowing() {
		w.flow(n)
		return
	}
	w.checked(func() { w.flow(n) })
}

func (w *sqlWriter) checked(write func()) {
	w.put("CASE WHEN isfinite(")
	write()
	w.put(") THEN ")
	write()
	w.put(" END")
}

var arithmetic = map[operator]string{opAdd: " + ", opSubtract: " - ", opMultiply: " * ", opDivide: " / ", opModulo: " % "}

// flow writes n as a DOUBLE that may be infinite or NaN when n is flowing.
func (w *sqlWriter) flow(n *node) {
	switch n.op {
	case opNumber:
		w.put("(", strconv.FormatFloat(n.number, 'e', -1, 64), ")")
		return
	case opNegate:
		w.put("(-")
		w.flow(n.args[0])
		w.put(")")
		return
	case opAdd, opSubtract, opMultiply:
		w.operation(n)
		return
	case opDivide, opModulo:
		w.put("(")
		w.checked(func() { w.operation(n) })
		w.put(")")
		return
	case opCall:
		if w.mathematics(n) {
			return
		}
	}
	w.cast(n, "DOUBLE", false)
}

func (w *sqlWriter) operation(n *node) {
	w.put("(")
	w.flow(n.args[0])
	w.put(arithmetic[n.op])
	w.flow(n.args[1])
	w.put(")")
}

func (w *sqlWriter) mathematics(n *node) bool {
	arg := func() { w.flow(n.args[0]) }
	switch n.text {
	case "abs", "floor", "ceil":
		w.put(n.text, "(")
		arg()
		w.put(")")
	case "exp":
		w.put("(")
		w.checked(func() { w.put("exp("); arg(); w.put(")") })
		w.put(")")
	case "log", "sqrt":
		name, domain := "ln", " > 0"
		if n.text == "sqrt" {
			name, domain = "sqrt", " >= 0"
		}
		w.put(name, "(CASE WHEN ")
		arg()
		w.put(domain, " THEN ")
		arg()
		w.put(" END)")
	case "round":
		scale := "1e0"
		if len(n.args) == 2 {
			scale = fmt.Sprintf("1e%d", int(n.args[1].number))
		}
		w.put("(CASE WHEN isinf(")
		arg()
		w.put(" * ", scale, ") THEN ")
		arg()
		w.put(" ELSE round(")
		arg()
		w.put(" * ", scale, ") / ", scale, " END)")
	default:
		return false
	}
	return true
}

// any writes n in its own class.
func (w *sqlWriter) any(n *node) {
	switch n.op {
	case opColumn:
		w.put(quoteName(n.text))
	case opText:
		w.put(quoteText(n.text))
	case opBoolean:
		w.put(strings.ToUpper(strconv.FormatBool(n.number == 1)))
	case opNull:
		w.put("NULL")
	case opNot:
		w.put("(NOT ")
		w.condition(n.args[0])
		w.put(")")
	case opAnd, opOr:
		w.put("(")
		w.condition(n.args[0])
		w.put(" ", strings.ToUpper(symbols[n.op].text), " ")
		w.condition(n.args[1])
		w.put(")")
	case opIsNull:
		w.put("(")
		w.as(n.args[0], n.args[0].class())
		w.put(" IS NULL)")
	case opIn:
		c := common(n.args)
		w.put("(")
		w.as(n.args[0], c)
		w.put(" IN (")
		w.list(n.args[1:], c)
		w.put("))")
	case opBetween:
		c := common(n.args)
		w.put("(")
		w.as(n.args[0], c)
		w.put(" BETWEEN ")
		w.as(n.args[1], c)
		w.put(" AND ")
		w.as(n.args[2], c)
		w.put(")")
	case opEqual, opUnequal, opLess, opLessEqual, opGreater, opGreaterEqual:
		c := common(n.args)
		w.put("(")
		w.as(n.args[0], c)
		w.put(" ", strings.Replace(symbols[n.op].text, "!=", "<>", 1), " ")
		w.as(n.args[1], c)
		w.put(")")
	case opCall:
		w.call(n)
	default:
		w.number(n)
	}
}

func (w *sqlWriter) list(args []*node, c class) {
	for i, a := range args {
		if i > 0 {
			w.put(", ")
		}
		w.as(a, c)
	}
}

func (w *sqlWriter) call(n *node) {
	switch n.text {
	case "coalesce":
		w.put("coalesce(")
		w.list(n.args, n.branchClass())
		w.put(")")
		return
	case "if":
		c := n.branchClass()
		w.put("CASE WHEN ")
		w.condition(n.args[0])
		w.put(" THEN ")
		w.as(n.args[1], c)
		w.put(" ELSE ")
		w.as(n.args[2], c)
		w.put(" END")
		return
	case "lower", "upper", "length":
		w.put(n.text, "(")
		w.as(n.args[0], classText)
		w.put(")")
		return
	}
	if n.function.argument == classNumber {
		w.number(n)
		return
	}
	w.datePart(n)
}

func (w *sqlWriter) datePart(n *node) {
	local := func() { w.as(n.args[0], classTime) }
	if zone := w.zones[firstColumn(n.args[0])]; zone != "" && zone != "UTC" {
		utc := local
		local = func() {
			w.put("timezone(", quoteText(zone), ", timezone('UTC', ")
			utc()
			w.put("))")
		}
	}
	switch n.text {
	case "epoch":
		w.put("(epoch_us(")
		w.as(n.args[0], classTime)
		w.put(") / 1e6)")
	case "weekday":
		w.put("(isodow(")
		local()
		w.put(") - 1)")
	case "is_weekend":
		w.put("(isodow(")
		local()
		w.put(") >= 6)")
	case "day_of_year":
		w.put("dayofyear(")
		local()
		w.put(")")
	default:
		w.put(n.text, "(")
		local()
		w.put(")")
	}
}
