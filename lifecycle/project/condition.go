package project

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxCondition bounds the text of a condition, in bytes.
const maxCondition = 2000

// champion is the name under which a condition reads the metrics of the version in charge.
const champion = "champion"

// Condition is a compiled CEL condition over named numbers: comparison, arithmetic, &&, ||, !, ?:, abs, min, max.
// Every number is a double, so n > 200 and auc >= champion.auc - 0.002 need no casts. It is safe for concurrent use.
type Condition struct {
	text    string
	names   []string
	program cel.Program
}

// functions of a condition beside the operators, with their number of arguments.
var conditionFunctions = map[string]int{"abs": 1, "min": 2, "max": 2}

var conditionOperators = map[string]bool{
	operators.Conditional: true, operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true,
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true,
	operators.Greater: true, operators.GreaterEquals: true, operators.Add: true, operators.Subtract: true,
	operators.Multiply: true, operators.Divide: true, operators.Negate: true,
}

// CompileCondition compiles text over the variables; for each of them champion.NAME is the champion's. Whoever has no
// champion to compare with refuses a condition that NeedsChampion. The fault's Position has the column in text, and file
// and line empty.
func CompileCondition(text string, vars []string) (*Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, fault.New(fault.Invalid, "the condition is empty").WithHint("write one such as auc >= 0.6")
	}
	if len(text) > maxCondition {
		return nil, fault.New(fault.TooLarge, "the condition has %d bytes; at most %d are read", len(text), maxCondition)
	}
	env, err := conditionEnv(vars)
	if err != nil {
		return nil, fmt.Errorf("compiling condition %q: %w", text, err)
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, celFault(text, issues)
	}
	native := parsed.NativeRep()
	w := &conditionWalk{info: native.SourceInfo(), vars: vars, names: map[string]bool{}}
	if err := w.walk(native.Expr()); err != nil {
		return nil, err
	}
	checked, issues := env.Check(parsed)
	if issues.Err() != nil {
		return nil, celFault(text, issues)
	}
	if checked.OutputType() != types.BoolType {
		return nil, fault.New(fault.Invalid, "the condition %q is a number, not true or false", text).
			WithHint("compare it, e.g. %s >= 0.6", text)
	}
	program, err := env.Program(checked)
	if err != nil {
		return nil, fmt.Errorf("compiling condition %q: %w", text, err)
	}
	return &Condition{text: text, names: slices.Sorted(maps.Keys(w.names)), program: program}, nil
}

func conditionEnv(vars []string) (*cel.Env, error) {
	number := func(f func(a, b float64) float64) cel.OverloadOpt {
		return cel.BinaryBinding(func(a, b ref.Val) ref.Val {
			return types.Double(f(float64(a.(types.Double)), float64(b.(types.Double))))
		})
	}
	two := []*cel.Type{cel.DoubleType, cel.DoubleType}
	opts := []cel.EnvOption{
		cel.ClearMacros(),
		cel.Function("abs", cel.Overload("abs_double", two[:1], cel.DoubleType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.Double(math.Abs(float64(v.(types.Double)))) }))),
		cel.Function("min", cel.Overload("min_double", two, cel.DoubleType, number(math.Min))),
		cel.Function("max", cel.Overload("max_double", two, cel.DoubleType, number(math.Max))),
	}
	opts = append(opts, cel.Variable(champion, cel.MapType(cel.StringType, cel.DoubleType)))
	for _, v := range vars {
		opts = append(opts, cel.Variable(v, cel.DoubleType))
	}
	return cel.NewEnv(opts...)
}

// conditionWalk checks what a condition may say, collects its names and makes every whole number a double.
type conditionWalk struct {
	info  *celast.SourceInfo
	vars  []string
	names map[string]bool
}

func (w *conditionWalk) at(e celast.Expr) fault.Position {
	return fault.Position{Column: w.info.GetStartLocation(e.ID()).Column() + 1}
}

func (w *conditionWalk) walk(e celast.Expr) error {
	switch e.Kind() {
	case celast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.Int:
			e.SetKindCase(celast.NewExprFactory().NewLiteral(e.ID(), types.Double(v)))
		case types.Uint:
			e.SetKindCase(celast.NewExprFactory().NewLiteral(e.ID(), types.Double(v)))
		case types.Double, types.Bool:
		default:
			return fault.New(fault.Invalid, "a condition compares numbers, and this is a %s", v.Type().TypeName()).At(w.at(e))
		}
		return nil
	case celast.IdentKind:
		name := e.AsIdent()
		if name == champion {
			return fault.New(fault.Invalid, "champion is a version, not a number").At(w.at(e)).
				WithHint("name one of its metrics, e.g. champion.auc")
		}
		if !slices.Contains(w.vars, name) {
			return fault.New(fault.Invalid, "%q is not a name this condition knows", name).At(w.at(e)).
				WithHint("%s", meantValue(name, w.vars))
		}
		w.names[name] = true
		return nil
	case celast.SelectKind:
		s := e.AsSelect()
		of := s.Operand()
		if of.Kind() != celast.IdentKind || of.AsIdent() != champion {
			return fault.New(fault.Invalid, "nothing here has a part .%s", s.FieldName()).At(w.at(e)).
				WithHint("only champion has, in gates: champion.auc")
		}
		if !slices.Contains(w.vars, s.FieldName()) {
			return fault.New(fault.Invalid, "%q is not a metric of the champion", s.FieldName()).At(w.at(of)).
				WithHint("%s", meant(s.FieldName(), w.vars))
		}
		w.names["champion."+s.FieldName()] = true
		return nil
	case celast.CallKind:
		c := e.AsCall()
		name := c.FunctionName()
		n, isFunction := conditionFunctions[name]
		if !conditionOperators[name] && !isFunction {
			if _, plain := operators.FindReverse(name); plain {
				return fault.New(fault.Invalid, "this operator is not used in conditions").At(w.at(e)).
					WithHint("use < <= > >= == != + - * / && || ! and abs, min, max")
			}
			return fault.New(fault.Invalid, "there is no function %q", name).At(w.at(e)).
				WithHint("%s", meant(name, slices.Sorted(maps.Keys(conditionFunctions))))
		}
		if isFunction && (len(c.Args()) != n || c.IsMemberFunction()) {
			return fault.New(fault.Invalid, "%s takes %d value(s), and here are %d", name, n, len(c.Args())).At(w.at(e))
		}
		for _, a := range c.Args() {
			if err := w.walk(a); err != nil {
				return err
			}
		}
		return nil
	}
	return fault.New(fault.Invalid, "a condition compares numbers; this form is not used here").At(w.at(e))
}

// celFault is the first issue of the compiler as a fault.
func celFault(text string, issues *cel.Issues) error {
	f := fault.New(fault.Invalid, "the condition %q is not understood", text)
	if errs := issues.Errors(); len(errs) > 0 {
		message := strings.TrimPrefix(errs[0].Message, "Syntax error: ")
		switch {
		case strings.Contains(message, "no matching overload"):
			message = "it mixes numbers with true or false"
		case strings.Contains(message, "'<EOF>'"):
			message = "it ends too early"
		default:
			message, _, _ = strings.Cut(message, " expecting ")
		}
		f.Message += ": " + message
		f.Position.Column = errs[0].Location.Column() + 1
	}
	switch {
	case strings.Contains(text, " and ") || strings.Contains(text, " or ") || strings.Contains(text, " not "):
		return f.WithHint("write && for and, || for or, ! for not")
	case strings.Contains(text, "=") && !strings.ContainsAny(strings.ReplaceAll(text, "==", ""), "<>!") && !strings.Contains(text, "=="):
		return f.WithHint("write == to compare")
	case strings.Contains(text, "%"):
		return f.WithHint("write shares as fractions: 0.05 instead of 5%%")
	}
	return f
}

// String is the condition as written.
func (c *Condition) String() string { return c.text }

// Names is the variables it reads, sorted; a metric of the champion is champion.NAME.
func (c *Condition) Names() []string { return slices.Clone(c.names) }

// NeedsChampion reports whether it reads a metric of the champion.
func (c *Condition) NeedsChampion() bool {
	return slices.ContainsFunc(c.names, func(n string) bool { return strings.HasPrefix(n, "champion.") })
}

// Missing is the names it reads that values do not have.
func (c *Condition) Missing(values map[string]float64) []string {
	var out []string
	for _, n := range c.names {
		if _, ok := values[n]; !ok {
			out = append(out, n)
		}
	}
	return out
}

// Eval decides the condition; metrics of the champion are keyed champion.NAME. A name without a value is
// fault.Invalid: no data is neither true nor false. A NaN compares false with everything, as in IEEE 754.
func (c *Condition) Eval(values map[string]float64) (bool, error) {
	if missing := c.Missing(values); len(missing) > 0 {
		return false, fault.New(fault.Invalid, "the condition %q needs %s, which has no value", c.text, strings.Join(missing, ", ")).
			With("missing", missing)
	}
	input := make(map[string]any, len(c.names))
	var of map[string]float64
	for _, n := range c.names {
		if metric, ok := strings.CutPrefix(n, "champion."); ok {
			if of == nil {
				of = map[string]float64{}
				input[champion] = of
			}
			of[metric] = values[n]
			continue
		}
		input[n] = values[n]
	}
	out, _, err := c.program.Eval(input)
	if err != nil {
		return false, fault.Wrap(err, fault.Invalid, "the condition %q cannot be decided", c.text)
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, fault.New(fault.Internal, "the condition %q gave %v", c.text, out.Value())
	}
	return yes, nil
}

// Clauses splits a condition at its outermost && into conditions of their own, in order, so that a gate can skip the
// clauses that name a champion where there is none and say which clause failed. A single clause keeps its text.
func Clauses(text string, vars []string) ([]*Condition, error) {
	whole, err := CompileCondition(text, vars)
	if err != nil {
		return nil, err
	}
	env, err := conditionEnv(vars)
	if err != nil {
		return nil, fmt.Errorf("splitting condition %q: %w", text, err)
	}
	parsed, issues := env.Parse(text)
	if issues.Err() != nil {
		return nil, celFault(text, issues)
	}
	var parts []celast.Expr
	var split func(e celast.Expr)
	split = func(e celast.Expr) {
		if e.Kind() == celast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
			for _, a := range e.AsCall().Args() {
				split(a)
			}
			return
		}
		parts = append(parts, e)
	}
	split(parsed.NativeRep().Expr())
	if len(parts) == 1 {
		return []*Condition{whole}, nil
	}
	out := make([]*Condition, 0, len(parts))
	for _, p := range parts {
		part, err := cel.ExprToString(p, parsed.NativeRep().SourceInfo())
		if err != nil {
			return nil, fmt.Errorf("splitting condition %q: %w", text, err)
		}
		c, err := CompileCondition(part, vars)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
