package recipe

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// SQL is a DuckDB SELECT that gives the features as FLOAT columns, named as FeatureNames, over a relation that has the inputs by name. from is
// what stands after FROM. A missing feature is NULL where Row gives NaN. Every step of arithmetic is a subquery of its own, so that nothing is
// repeated. Feature names that differ in case only are refused, because DuckDB does not tell them apart.
func (f *Fitted) SQL(from string) (string, error) {
	seen := map[string]string{}
	for _, name := range f.names {
		low := strings.ToLower(name)
		if other, ok := seen[low]; ok {
			return "", fault.New(fault.NotSupported, "features %s and %s differ in case only, which SQL does not tell apart", other, name)
		}
		seen[low] = name
	}
	q := &layers{from: from}
	var values []string // current columns of the innermost layer, with how they come from the layer below
	add := func(name, expr string) { values = append(values, expr+" AS "+name) }
	flags := ""
	for i, c := range f.columns {
		name := quoteName(f.spec.Inputs[i].Name)
		if c.Text {
			add(variable(i, 0), "nullif(CAST("+name+" AS VARCHAR), '')")
		} else {
			add(variable(i, 0), "nullif(CAST("+name+" AS DOUBLE), CAST('nan' AS DOUBLE))")
		}
	}
	q.push(values)

	values = nil
	for i, c := range f.columns {
		if c.Indicator {
			flag := fmt.Sprintf("m%d", i)
			add(flag, "CASE WHEN "+variable(i, 0)+" IS NULL THEN 1e0 ELSE 0e0 END")
			flags += flag + ", "
		}
		if c.Fill != "" {
			add(variable(i, 0), "coalesce("+variable(i, 0)+", "+quoteText(c.Fill)+")")
		} else {
			add(variable(i, 0), variable(i, 0))
		}
	}
	q.push(values)

	q.operations(flags, func(i, _ int) []Operation { return f.columns[i].Before }, f.columns, func(*Column) int { return 1 })
	values = nil
	for i := range f.columns {
		c := &f.columns[i]
		for j := range c.outputs() {
			if c.Projected != nil {
				add(variable(i, j), c.Projected.sql(j))
			} else if c.Encoder == nil {
				add(variable(i, j), variable(i, 0))
			} else {
				add(variable(i, j), c.Encoder.sql(variable(i, 0), j))
			}
		}
	}
	q.push(append(values, split(flags)...))
	after := func(i, j int) []Operation {
		if f.columns[i].After == nil {
			return nil
		}
		return f.columns[i].After[j]
	}
	q.operations(flags, after, f.columns, (*Column).outputs)

	values = nil
	for i := range f.columns {
		c := &f.columns[i]
		for j := range c.outputs() {
			v := variable(i, j)
			// DuckDB refuses to cast a number beyond float32; IEEE 754 makes it infinite.
			cast := fmt.Sprintf("coalesce(TRY_CAST(%s AS FLOAT), CAST(CASE WHEN %s > 0 THEN 'inf' WHEN %s < 0 THEN '-inf' END AS FLOAT))", v, v, v)
			add(quoteName(f.names[c.offset+j]), cast)
		}
		if c.Indicator {
			add(quoteName(f.names[c.offset+c.width-1]), fmt.Sprintf("CAST(m%d AS FLOAT)", i))
		}
	}
	q.push(values)
	return q.from[1 : len(q.from)-1], nil
}

// outputs is the number of features without the indicator.
func (c *Column) outputs() int {
	switch {
	case c.Hidden:
		return 0
	case c.Projected != nil:
		return len(c.Projected.Weights)
	case c.Encoder == nil:
		return 1
	}
	return c.Encoder.Outputs()
}

func variable(i, j int) string { return fmt.Sprintf("v%d_%d", i, j) }

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(list, ", "), ", ")
}

// layers nests selects: what was pushed last reads what was pushed before.
type layers struct{ from string }

func (q *layers) push(columns []string) {
	q.from = "(SELECT " + strings.Join(columns, ", ") + " FROM " + q.from + ")"
}

// operations pushes one layer per place in the lists of operations.
func (q *layers) operations(flags string, list func(i, j int) []Operation, columns []Column, outputs func(*Column) int) {
	for step := 0; ; step++ {
		var values []string
		any := false
		for i := range columns {
			for j := range outputs(&columns[i]) {
				v := variable(i, j)
				expr := v
				if ops := list(i, j); step < len(ops) {
					expr, any = ops[step].sql(v), true
				}
				values = append(values, expr+" AS "+v)
			}
		}
		if !any {
			return
		}
		q.push(append(values, split(flags)...))
	}
}

// sql is feature k of the projection.
func (p *Projection) sql(k int) string {
	terms := make([]string, len(p.Inputs))
	for i, in := range p.Inputs {
		terms[i] = "((" + variable(in, 0) + " - " + sqlNumber(p.Mean[i]) + ") * " + sqlNumber(p.Weights[k][i]) + ")"
	}
	return strings.Join(terms, " + ")
}

func sqlNumber(f float64) string { return "(" + strconv.FormatFloat(f, 'e', -1, 64) + ")" }

func (o Operation) sql(x string) string {
	a, b := sqlNumber(o.A), sqlNumber(o.B)
	switch o.Op {
	case OpFill:
		return "coalesce(" + x + ", " + a + ")"
	case OpClip:
		return fmt.Sprintf("CASE WHEN %s < %s THEN %s WHEN %s > %s THEN %s ELSE %s END", x, a, a, x, b, b, x)
	case OpLog:
		return fmt.Sprintf("(CASE WHEN %s < 0 THEN -ln(1e0 + abs(%s)) ELSE ln(1e0 + abs(%s)) END)", x, x, x)
	}
	return "((" + x + " - " + a + ") / " + b + ")"
}

// sql is output j of the encoder for the category in column x, where NULL is missing.
func (e *Encoder) sql(x string, j int) string {
	literals := make([]string, 0, e.Categories())
	for _, s := range e.Texts {
		literals = append(literals, quoteText(s))
	}
	for _, n := range e.Numbers {
		literals = append(literals, sqlNumber(n))
	}
	missing := -1
	if e.Missing {
		missing = len(literals)
	}
	value := func(code int, isMissing bool) string {
		v := e.Output(code, j, isMissing)
		if v != v {
			return "NULL"
		}
		return sqlNumber(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CASE WHEN %s IS NULL THEN %s", x, value(missing, true))
	if e.Op == EncodeOneHot {
		switch {
		case j < len(literals):
			fmt.Fprintf(&b, " WHEN %s = %s THEN 1e0 ELSE 0e0 END", x, literals[j])
		case j < e.Categories() || len(literals) == 0:
			fmt.Fprintf(&b, " ELSE %s END", value(-1, false))
		default:
			fmt.Fprintf(&b, " WHEN %s IN (%s) THEN 0e0 ELSE 1e0 END", x, strings.Join(literals, ", "))
		}
		return b.String()
	}
	fmt.Fprintf(&b, " ELSE ")
	if len(literals) == 0 {
		b.WriteString(value(-1, false))
	} else {
		fmt.Fprintf(&b, "CASE %s", x)
		for code, l := range literals {
			fmt.Fprintf(&b, " WHEN %s THEN %s", l, value(code, false))
		}
		fmt.Fprintf(&b, " ELSE %s END", value(-1, false))
	}
	b.WriteString(" END")
	return b.String()
}
