package recipe

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Step is one preparation step. Ops and their parameters:
//
//	impute         strategy (median | mean | most_frequent | constant), value (of constant), indicator (bool)
//	one_hot        min_count (default 10), max (default 50)
//	ordinal
//	target_encode  smoothing (default 10)
//	scale          method (standard | min_max | robust)
//	clip           low, high, or quantiles [low, high]
//	log            sign(x) * log(1 + |x|), which is defined for every number
//	pca            components (a number, or the share of variance to keep); see Projection
//	truncated_svd  components (a number)
//	date_parts     parts (hour, minute, weekday, is_weekend, day, month, year, day_of_year); see Spec.Expand
//	dedupe         see KeptRows
//
// Empty Columns mean: impute, scale, clip, log, pca and truncated_svd apply to every numeric input (most_frequent to texts too), dedupe
// compares all columns; the others need columns. Steps apply in order.
type Step struct {
	Op      string         `json:"op"`
	Columns []string       `json:"columns,omitempty"`
	Params  map[string]any `json:"params,omitempty"`
}

// Input is one model input: a raw column (Expr is empty or the column), or a value derived by an expression and named by its slug.
type Input struct {
	Name string     `json:"name"`
	Kind table.Kind `json:"kind"`
	Expr string     `json:"expr,omitempty"`
}

// Spec is what is fitted. Its JSON is part of the identity of the result.
type Spec struct {
	Inputs []Input `json:"inputs"`
	Steps  []Step  `json:"steps"`
	Seed   uint64  `json:"seed"`
}

// stepRule says what a step's entry in the file may hold. short is the key that a plain string stands for, columns when it is "".
type stepRule struct {
	short   string
	params  []string
	columns bool // columns are required
}

var stepRules = map[string]stepRule{
	"impute":        {short: "strategy", params: []string{"strategy", "value", "indicator"}},
	"one_hot":       {params: []string{"min_count", "max"}, columns: true},
	"ordinal":       {columns: true},
	"category":      {columns: true},
	"target_encode": {params: []string{"smoothing"}, columns: true},
	"scale":         {short: "method", params: []string{"method"}},
	"clip":          {params: []string{"low", "high", "quantiles"}},
	"log":           {columns: true},
	"pca":           {params: []string{"components"}},
	"truncated_svd": {params: []string{"components"}},
	"date_parts":    {params: []string{"parts"}, columns: true},
	"dedupe":        {},
}

// choices of parameters that name one of a few.
var choices = map[string][]string{
	"strategy": {"median", "mean", "most_frequent", "constant"},
	"method":   {"standard", "min_max", "robust"},
	"parts":    {"hour", "minute", "weekday", "is_weekend", "day", "month", "year", "day_of_year"},
}

// ParseSteps reads the prepare list of the file: every entry has one key, the step, and holds a column, a list of columns, or a
// mapping of parameters. impute and scale also take their strategy and method as a plain string. Faults are fault.Invalid and name the entry.
func ParseSteps(list []map[string]any) ([]Step, error) {
	steps := make([]Step, 0, len(list))
	for i, entry := range list {
		if len(entry) != 1 {
			return nil, fault.New(fault.Invalid, "prepare[%d] has %d keys; each entry is one step", i, len(entry)).WithHint("write - {impute: median}")
		}
		for op, value := range entry {
			step, err := parseStep(op, value)
			if err != nil {
				return nil, fmt.Errorf("prepare[%d]: %w", i, err)
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

func parseStep(op string, value any) (Step, error) {
	rule, ok := stepRules[op]
	if !ok {
		return Step{}, suggest(fault.New(fault.Invalid, "there is no step %s", op), op, slices.Sorted(maps.Keys(stepRules)))
	}
	step := Step{Op: op, Params: map[string]any{}}
	switch v := value.(type) {
	case nil:
	case string:
		if rule.short != "" {
			step.Params[rule.short] = v
		} else {
			step.Columns = []string{v}
		}
	case []any, []string:
		columns, err := stringList(v)
		if err != nil {
			return Step{}, fault.Wrap(err, fault.Invalid, "columns of %s", op)
		}
		step.Columns = columns
	case map[string]any:
		if err := step.mapping(rule, v); err != nil {
			return Step{}, err
		}
	default:
		return Step{}, fault.New(fault.Invalid, "%s takes a column, a list of columns or a mapping, not %v", op, v)
	}
	if err := step.check(); err != nil {
		return Step{}, err
	}
	if len(step.Params) == 0 {
		step.Params = nil
	}
	return step, nil
}

func (s *Step) mapping(rule stepRule, m map[string]any) error {
	for key, v := range m {
		switch {
		case key == "columns" || key == "column":
			columns, err := stringList(v)
			if err != nil {
				return fault.Wrap(err, fault.Invalid, "columns of %s", s.Op)
			}
			s.Columns = append(s.Columns, columns...)
		case slices.Contains(rule.params, key):
			s.Params[key] = v
		default:
			return suggest(fault.New(fault.Invalid, "%s has no parameter %s", s.Op, key), key, append([]string{"columns"}, rule.params...))
		}
	}
	return nil
}

func stringList(v any) ([]string, error) {
	switch v := v.(type) {
	case string:
		return []string{v}, nil
	case []string:
		return slices.Clone(v), nil
	case []any:
		out := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, fault.New(fault.Invalid, "%v is not a name", item)
			}
			out[i] = s
		}
		return out, nil
	}
	return nil, fault.New(fault.Invalid, "%v is not a name or a list of names", v)
}

// check looks at a step by itself, without the inputs, and fills in defaults that are part of its meaning.
func (s *Step) check() error {
	rule, ok := stepRules[s.Op]
	if !ok {
		return suggest(fault.New(fault.Invalid, "there is no step %s", s.Op), s.Op, slices.Sorted(maps.Keys(stepRules)))
	}
	if rule.columns && len(s.Columns) == 0 {
		return fault.New(fault.Invalid, "%s needs columns", s.Op).WithHint("write {%s: [a, b]}", s.Op)
	}
	for i, c := range s.Columns {
		if slices.Contains(s.Columns[:i], c) {
			return fault.New(fault.Invalid, "%s names column %s twice", s.Op, c)
		}
	}
	switch s.Op {
	case "impute":
		return s.checkImpute()
	case "scale":
		_, err := s.choice("method")
		return err
	case "clip":
		return s.checkClip()
	case "one_hot":
		if _, err := s.number("min_count", 10, 0, 1e9); err != nil {
			return err
		}
		_, err := s.number("max", 50, 1, 10_000)
		return err
	case "target_encode":
		_, err := s.number("smoothing", 10, 0, 1e9)
		return err
	case "pca", "truncated_svd":
		_, _, err := s.components()
		return err
	case "date_parts":
		_, err := s.parts()
		return err
	}
	return nil
}

func (s *Step) choice(name string) (string, error) {
	v, ok := s.Params[name]
	if !ok {
		return "", fault.New(fault.Invalid, "%s needs %s", s.Op, name).WithHint("one of %v", choices[name])
	}
	text, _ := v.(string)
	if !slices.Contains(choices[name], text) {
		return "", suggest(fault.New(fault.Invalid, "%v is not a %s of %s", v, name, s.Op), fmt.Sprint(v), choices[name])
	}
	return text, nil
}

// toNumber takes the number types that YAML and JSON readers make.
func toNumber(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, n-n == 0
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	case uint64:
		return float64(n), true
	case bool:
		if n {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func (s *Step) number(name string, missing, low, high float64) (float64, error) {
	v, ok := s.Params[name]
	if !ok {
		return missing, nil
	}
	f, ok := toNumber(v)
	if !ok || f < low || f > high {
		return 0, fault.New(fault.Invalid, "%s of %s is a number from %v to %v, not %v", name, s.Op, low, high, v)
	}
	return f, nil
}

func (s *Step) checkImpute() error {
	strategy, err := s.choice("strategy")
	if err != nil {
		return err
	}
	value, has := s.Params["value"]
	if has != (strategy == "constant") {
		return fault.New(fault.Invalid, "impute takes a value with the strategy constant, and only then").WithHint("write {impute: {strategy: constant, value: 0}}")
	}
	if has {
		_, number := toNumber(value)
		if text, ok := value.(string); !number && (!ok || text == "") {
			return fault.New(fault.Invalid, "the value of impute is a number or a text that is not empty, not %v", value)
		}
	}
	if v, has := s.Params["indicator"]; has {
		if _, ok := v.(bool); !ok {
			return fault.New(fault.Invalid, "indicator of impute is true or false, not %v", v)
		}
	}
	return nil
}

func (s *Step) checkClip() error {
	quantiles, q := s.Params["quantiles"]
	_, low := s.Params["low"]
	_, high := s.Params["high"]
	if q == (low || high) {
		return fault.New(fault.Invalid, "clip takes low and high, or quantiles").WithHint("write {clip: {columns: [a], quantiles: [0.01, 0.99]}}")
	}
	if q {
		_, _, err := quantilePair(quantiles)
		return err
	}
	lowest, err := s.number("low", -math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64)
	if err != nil {
		return err
	}
	highest, err := s.number("high", math.MaxFloat64, -math.MaxFloat64, math.MaxFloat64)
	if err == nil && lowest > highest {
		err = fault.New(fault.Invalid, "low of clip is above high")
	}
	return err
}

func quantilePair(v any) (low, high float64, err error) {
	list, ok := v.([]any)
	if floats, is := v.([]float64); is {
		for _, f := range floats {
			list = append(list, f)
		}
		ok = true
	}
	if ok && len(list) == 2 {
		var a, b bool
		low, a = toNumber(list[0])
		high, b = toNumber(list[1])
		if a && b && 0 <= low && low < high && high <= 1 {
			return low, high, nil
		}
	}
	return 0, 0, fault.New(fault.Invalid, "quantiles of clip are two numbers between 0 and 1 in ascending order, not %v", v)
}

func (s *Step) parts() ([]string, error) {
	v, ok := s.Params["parts"]
	if !ok {
		return []string{"hour", "weekday", "day_of_year"}, nil
	}
	parts, err := stringList(v)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "parts of date_parts")
	}
	for _, p := range parts {
		if !slices.Contains(choices["parts"], p) {
			return nil, suggest(fault.New(fault.Invalid, "there is no date part %s", p), p, choices["parts"])
		}
	}
	return parts, nil
}

// Expand replaces date_parts steps by derived inputs, hour(t) and so on, because the calendar is not part of a model's graph: parts are
// computed before the recipe, by the same expressions in training and serving. The datetime input itself leaves the list;
// parts of a datetime column that is no input are appended. Fit wants an expanded Spec.
func (s Spec) Expand() (Spec, error) {
	out := Spec{Inputs: slices.Clone(s.Inputs), Seed: s.Seed}
	for _, step := range s.Steps {
		if step.Op != "date_parts" {
			out.Steps = append(out.Steps, step)
			continue
		}
		parts, err := step.parts()
		if err != nil {
			return Spec{}, err
		}
		for _, column := range step.Columns {
			at := slices.IndexFunc(out.Inputs, func(in Input) bool { return in.Name == column })
			if at < 0 {
				at = len(out.Inputs)
			} else {
				if k := out.Inputs[at].Kind; k != table.Datetime {
					return Spec{}, fault.New(fault.Invalid, "date_parts needs a datetime, and %s is a %s", column, k)
				}
				out.Inputs = slices.Delete(out.Inputs, at, at+1)
			}
			for _, part := range parts {
				e := &Expr{root: &node{op: opCall, text: part, function: functions[part], args: []*node{{op: opColumn, text: column}}}}
				if slices.ContainsFunc(out.Inputs, func(in Input) bool { return in.Name == e.Slug() }) {
					continue
				}
				out.Inputs = slices.Insert(out.Inputs, at, Input{Name: e.Slug(), Kind: functions[part].kind, Expr: e.String()})
				at++
			}
		}
	}
	return out, nil
}

// KeptRows applies the dedupe steps: the indexes, ascending, of the rows that stay. The first row of equals stays; a missing value equals a
// missing value. Without a dedupe step every row stays. It is for training rows only: call it before Fit, on a table with the columns
// that the steps name.
func KeptRows(steps []Step, t *table.Table) ([]int, error) {
	kept := make([]int, t.Rows)
	for i := range kept {
		kept[i] = i
	}
	for _, step := range steps {
		if step.Op != "dedupe" {
			continue
		}
		columns := t.Columns
		if len(step.Columns) > 0 {
			columns = nil
			for _, name := range step.Columns {
				c := t.Column(name)
				if c == nil {
					return nil, suggest(fault.New(fault.Invalid, "dedupe: there is no column %s", name), name, columnNames(t))
				}
				columns = append(columns, c)
			}
		}
		seen := make(map[string]struct{}, len(kept))
		var key []byte
		kept = slices.DeleteFunc(kept, func(row int) bool {
			key = key[:0]
			for _, c := range columns {
				key = appendCell(key, c.Value(row))
			}
			_, again := seen[string(key)]
			if !again {
				seen[string(key)] = struct{}{}
			}
			return again
		})
	}
	return kept, nil
}

// appendCell writes a form of v that is equal for equal cells only.
func appendCell(key []byte, v table.Value) []byte {
	if v.Null || v.F != v.F {
		return append(key, 0)
	}
	key = append(key, 1)
	bits, length := math.Float64bits(v.F+0), uint64(len(v.S)) // + 0 makes -0 equal to 0
	for shift := 0; shift < 64; shift += 8 {
		key = append(key, byte(bits>>shift), byte(length>>shift))
	}
	return append(key, v.S...)
}

func columnNames(t *table.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}
