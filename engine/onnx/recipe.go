package onnx

import (
	"slices"

	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// features writes the recipe and returns the name of the float matrix [N, features].
func (g *graph) features(f *recipe.Fitted) (string, error) {
	var parts []string
	columns := f.Columns()
	doubles := make([]string, len(columns)) // of the inputs that projections combine
	for i, c := range columns {
		in := f.Inputs()[i]
		kind := int64(typeDouble)
		if in.Kind == table.String {
			kind = typeString
		}
		g.inputs = append(g.inputs, valueInfo(in.Name, kind, 1, in.Expr))
		value, missing := "", ""
		var err error
		if c.Hidden || c.Projected != nil {
			if c.Indicator {
				missing = g.cast(g.node("IsNaN", []string{in.Name}), typeFloat)
			}
			if doubles[i], err = g.before(&c, in.Name); err != nil {
				return "", fault.Wrap(err, fault.NotSupported, "input %s", in.Name)
			}
			if c.Projected != nil {
				parts = append(parts, "") // when all its inputs are there
			}
			if c.Indicator {
				parts = append(parts, missing)
			}
			continue
		}
		if c.Text {
			value, missing, err = g.text(&c, in.Name)
		} else {
			value, missing, err = g.number(&c, in.Name)
		}
		if err != nil {
			return "", fault.Wrap(err, fault.NotSupported, "input %s", in.Name)
		}
		parts = append(parts, value)
		if c.Indicator {
			parts = append(parts, missing)
		}
	}
	at := 0
	for i := range columns {
		if p := columns[i].Projected; p != nil {
			at += slices.Index(parts[at:], "")
			parts[at] = g.project(p, doubles)
		}
	}
	return g.node("Concat", parts, intAttribute("axis", 1)), nil
}

// project writes linear combinations of the inputs, whose values are doubles [N, 1].
func (g *graph) project(p *recipe.Projection, doubles []string) string {
	var own []string
	for _, in := range p.Inputs {
		own = append(own, doubles[in])
	}
	n, k := int64(len(p.Inputs)), int64(len(p.Weights))
	weights := make([]float64, 0, n*k)
	for i := range p.Inputs {
		for _, w := range p.Weights {
			weights = append(weights, w[i])
		}
	}
	x := g.node("Sub", []string{g.node("Concat", own, intAttribute("axis", 1)), g.doubles(p.Mean, 1, n)})
	return g.cast(g.node("MatMul", []string{x, g.doubles(weights, n, k)}), typeFloat)
}

// before writes the first operations of a number.
func (g *graph) before(c *recipe.Column, value string) (string, error) {
	var err error
	for _, o := range c.Before {
		if value, err = g.operation([]recipe.Operation{o}, value); err != nil {
			return "", err
		}
	}
	return value, nil
}

// text writes a text input: its code by LabelEncoder, then the encoder. missing is the float indicator, when the column wants it.
func (g *graph) text(c *recipe.Column, input string) (value, missing string, err error) {
	e := c.Encoder
	keys, codes := []string{""}, []int64{rowMissing(e)}
	for k, s := range e.Texts {
		if s == c.Fill && c.Fill != "" {
			codes[0] = rowOf(k)
		}
		keys, codes = append(keys, s), append(codes, rowOf(k))
	}
	if c.Fill != "" && codes[0] == rowMissing(e) {
		codes[0] = rowUnseen
	}
	row := g.ml("LabelEncoder", []string{input}, stringsAttribute("keys_strings", keys), intsAttribute("values_int64s", codes), intAttribute("default_int64", rowUnseen))
	if c.Indicator {
		missing = g.ml("LabelEncoder", []string{input}, stringsAttribute("keys_strings", []string{""}), floatsAttribute("values_floats", []float32{1}), floatAttribute("default_float", 0))
	}
	value, err = g.encode(c, row)
	return value, missing, err
}

// number writes a numeric input: operations, encoder if any, one cast.
func (g *graph) number(c *recipe.Column, input string) (value, missing string, err error) {
	if c.Indicator {
		missing = g.cast(g.node("IsNaN", []string{input}), typeFloat)
	}
	if value, err = g.before(c, input); err != nil {
		return "", "", err
	}
	e := c.Encoder
	if e == nil {
		return g.cast(value, typeFloat), missing, nil
	}
	row := g.doubles([]float64{float64(rowUnseen)}, 1, 1)
	if n := int64(len(e.Numbers)); n > 0 { // one of the comparisons holds, and picks its row
		rows := make([]float64, n)
		for k := range rows {
			rows[k] = float64(rowOf(k))
		}
		equal := g.node("Equal", []string{value, g.doubles(e.Numbers, 1, n)})
		row = g.node("MatMul", []string{g.cast(equal, typeDouble), g.doubles(rows, n, 1)})
	}
	row = g.node("Where", []string{g.node("IsNaN", []string{value}), g.doubles([]float64{float64(rowMissing(e))}, 1, 1), row})
	value, err = g.encode(c, g.cast(row, typeInt64))
	return value, missing, err
}

// Rows of an encoder's table: unseen, the known categories, missing.
const rowUnseen = 0

func rowOf(category int) int64                    { return int64(category) + 1 }
func rowMissing(e *recipe.Encoder) int64          { return int64(len(e.Texts)+len(e.Numbers)) + 1 }
func tableRows(e *recipe.Encoder) int64           { return rowMissing(e) + 1 }
func isMissing(e *recipe.Encoder, row int64) bool { return row == rowMissing(e) }

// codeOf is the encoder's code for a row of its table, -1 for unseen.
func codeOf(e *recipe.Encoder, row int64) int {
	if isMissing(e, row) && !e.Missing {
		return -1
	}
	return int(row) - 1
}

// encode writes the encoder for row, int64 [N, 1], and returns float [N, outputs].
func (g *graph) encode(c *recipe.Column, row string) (string, error) {
	e, outputs := c.Encoder, int64(c.Encoder.Outputs())
	flat := g.node("Reshape", []string{row, g.int64s([]int64{-1}, 1)})
	if e.Op == recipe.EncodeOneHot {
		places := make([]int64, tableRows(e))
		for r := range places {
			places[r] = int64(codeOf(e, int64(r)))
			if places[r] < 0 {
				places[r] = outputs - 1
			}
		}
		place := g.node("Gather", []string{g.int64s(places, tableRows(e)), flat}, intAttribute("axis", 0))
		return g.node("OneHot", []string{place, g.int64s([]int64{outputs}, 1), g.floats([]float32{0, 1}, 2)}, intAttribute("axis", 1)), nil
	}
	values := make([]float64, 0, tableRows(e)*outputs)
	for r := range tableRows(e) {
		for k := range int(outputs) {
			values = append(values, e.Output(codeOf(e, r), k, isMissing(e, r)))
		}
	}
	value := g.node("Gather", []string{g.doubles(values, tableRows(e), outputs), flat}, intAttribute("axis", 0))
	if c.After != nil {
		for step := range c.After[0] {
			ops := make([]recipe.Operation, outputs)
			for k := range ops {
				if len(c.After[k]) != len(c.After[0]) {
					return "", fault.New(fault.NotSupported, "its outputs have different operations")
				}
				ops[k] = c.After[k][step]
			}
			var err error
			if value, err = g.operation(ops, value); err != nil {
				return "", err
			}
		}
	}
	return g.cast(value, typeFloat), nil
}

// operation writes one operation on double [N, columns], with one set of numbers per column.
func (g *graph) operation(ops []recipe.Operation, x string) (string, error) {
	a, b := make([]float64, len(ops)), make([]float64, len(ops))
	for k, o := range ops {
		if o.Op != ops[0].Op {
			return "", fault.New(fault.NotSupported, "its outputs have different operations")
		}
		a[k], b[k] = o.A, o.B
	}
	constant := func(v []float64) string { return g.doubles(v, 1, int64(len(v))) }
	switch ops[0].Op {
	case recipe.OpFill:
		return g.node("Where", []string{g.node("IsNaN", []string{x}), constant(a), x}), nil
	case recipe.OpClip: // Where keeps NaN, which Clip need not
		low, high := constant(a), constant(b)
		x = g.node("Where", []string{g.node("Less", []string{x, low}), low, x})
		return g.node("Where", []string{g.node("Greater", []string{x, high}), high, x}), nil
	case recipe.OpLog:
		log := g.node("Log", []string{g.node("Add", []string{g.node("Abs", []string{x}), g.doubles([]float64{1}, 1, 1)})})
		return g.node("Mul", []string{g.node("Sign", []string{x}), log}), nil
	case recipe.OpScale:
		return g.node("Div", []string{g.node("Sub", []string{x, constant(a)}), constant(b)}), nil
	}
	return "", fault.New(fault.NotSupported, "operation %s has no ONNX form", ops[0].Op)
}
