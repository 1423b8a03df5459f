package recipe

import (
	"fmt"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Fit learns the recipe from training rows and prepares them.
//
// train has a column per input, by name, with derived inputs already evaluated. y is one number per row, needed by target_encode only:
// the class (0, 1, ...) when classes >= 2, the value when classes is 0. The Spec must be expanded (see Spec.Expand) and dedupe steps
// applied before (see KeptRows). Rows of validation and test must not be in train.
//
// The matrix holds the training rows. It equals Transform(train) except in target-encoded features, which are cross-fitted: the rows of each of five
// folds get the means of the other four, so that no row sees its own label.
//
// A text input that no step encodes is a category, the most frequent one with code 0. A missing number that no step imputes stays NaN. Infinite
// values do not count in what is learned.
func Fit(spec Spec, train *table.Table, y []float64, classes int) (*Fitted, *table.Matrix, error) {
	return fit(spec, train, y, classes, false)
}

// fit is Fit, or for an outline only what can be known without the rows' values.
func fit(spec Spec, train *table.Table, y []float64, classes int, outline bool) (*Fitted, *table.Matrix, error) {
	if train.Rows == 0 {
		return nil, nil, fault.New(fault.Invalid, "there are no training rows to fit the recipe on")
	}
	f := &fitting{spec: spec, y: y, classes: classes, rows: train.Rows, outline: outline}
	for _, in := range spec.Inputs {
		source, err := inputColumn(train, in)
		if err != nil {
			return nil, nil, err
		}
		if err := f.start(in, source); err != nil {
			return nil, nil, err
		}
	}
	for _, step := range spec.Steps {
		if err := step.check(); err != nil {
			return nil, nil, err
		}
		if err := f.apply(step); err != nil {
			return nil, nil, fmt.Errorf("step %s: %w", step.Op, err)
		}
	}
	fitted := &Fitted{spec: spec, classes: classes}
	for i := range f.columns {
		c := &f.columns[i]
		if c.Text && c.Encoder == nil {
			c.ordinal(EncodeCategory)
		}
		fitted.columns = append(fitted.columns, c.Column)
	}
	fitted.link()
	return fitted, f.matrix(fitted), nil
}

// fitting is the work of one Fit: the columns with their training values as of the steps so far.
type fitting struct {
	spec    Spec
	y       []float64
	classes int
	rows    int
	outline bool // the rows stand for others
	columns []fittingColumn
}

type fittingColumn struct {
	Column
	name    string
	kind    table.Kind
	missing []bool      // of the raw input; what an indicator shows
	texts   []string    // current values of a text; "" is missing
	numbers [][]float64 // current values per output; one output before encoding; nil after one-hot
	codes   []int       // after one-hot: the category of each row, -1 other
}

func (f *fitting) start(in Input, source *table.Column) error {
	if in.Kind == table.Datetime {
		return fault.New(fault.Invalid, "input %s is a datetime, which a model cannot read", in.Name).
			WithHint("derive numbers from it, e.g. hour(%s), or add {date_parts: %s} to prepare", in.Name, in.Name)
	}
	c := fittingColumn{name: in.Name, kind: in.Kind, missing: make([]bool, f.rows)}
	c.Text = in.Kind == table.String
	if c.Text {
		c.texts = make([]string, f.rows)
	} else {
		c.numbers = [][]float64{make([]float64, f.rows)}
	}
	for i := range f.rows {
		v := source.Value(i)
		c.missing[i] = v.Null || v.F != v.F || c.Text && v.S == ""
		switch {
		case c.Text && !c.missing[i]:
			c.texts[i] = v.S
		case !c.Text && c.missing[i]:
			c.numbers[0][i] = math.NaN()
		case !c.Text:
			c.numbers[0][i] = v.F
		}
	}
	f.columns = append(f.columns, c)
	return nil
}

// find resolves a step's column: the name of an input, or the expression that it is derived by.
func (f *fitting) find(name string) (*fittingColumn, error) {
	i := slices.IndexFunc(f.spec.Inputs, func(in Input) bool { return in.Name == name })
	if i < 0 {
		if e, err := ParseExpr(name); err == nil {
			i = slices.IndexFunc(f.spec.Inputs, func(in Input) bool { return in.Name == e.Slug() })
		}
	}
	if i < 0 {
		names := make([]string, len(f.columns))
		for j := range f.columns {
			names[j] = f.columns[j].name
		}
		return nil, suggest(fault.New(fault.Invalid, "there is no input %s", name), name, names)
	}
	return &f.columns[i], nil
}

func (f *fitting) apply(step Step) error {
	switch step.Op {
	case "dedupe":
		return nil
	case "date_parts":
		return fault.New(fault.Invalid, "date_parts must be expanded to derived inputs before fitting")
	}
	var targets []*fittingColumn
	for _, name := range step.Columns {
		c, err := f.find(name)
		if err != nil {
			return err
		}
		targets = append(targets, c)
	}
	if step.Columns == nil {
		for i := range f.columns {
			if c := &f.columns[i]; c.byDefault(step) {
				targets = append(targets, c)
			}
		}
	}
	if step.Op == "pca" || step.Op == "truncated_svd" {
		return f.project(step, targets)
	}
	for _, c := range targets {
		if err := f.applyTo(step, c); err != nil {
			return err
		}
	}
	return nil
}

// byDefault reports whether a step without columns applies to c: to what is not encoded yet, of the kind the step is about.
func (c *fittingColumn) byDefault(step Step) bool {
	if c.Encoder != nil || c.Projected != nil || c.Hidden {
		return false
	}
	if step.Op != "impute" {
		return c.kind == table.Double || c.kind == table.Long
	}
	switch step.Params["strategy"] {
	case "most_frequent":
		return true
	case "constant":
		_, text := step.Params["value"].(string)
		return text == c.Text
	}
	return !c.Text
}

func (f *fitting) applyTo(step Step, c *fittingColumn) error {
	if c.Projected != nil || c.Hidden {
		return fault.New(fault.Invalid, "%s is combined with others already", c.name).WithHint("put %s before pca and truncated_svd", step.Op)
	}
	switch step.Op {
	case "impute":
		return c.impute(step)
	case "one_hot", "ordinal", "category", "target_encode":
		return f.encode(step, c)
	}
	if c.Text && c.Encoder == nil {
		return fault.New(fault.Invalid, "%s is text", c.name).WithHint("encode it first: category, one_hot, ordinal or target_encode")
	}
	if c.numbers == nil {
		return fault.New(fault.Invalid, "%s is one-hot encoded already", c.name).WithHint("put %s before one_hot", step.Op)
	}
	for k, values := range c.numbers {
		o, err := numberOperation(step, values)
		if err != nil {
			return err
		}
		c.add(k, o)
	}
	return nil
}

// add appends an operation on output k and applies it to the training values.
func (c *fittingColumn) add(k int, o Operation) {
	if c.Encoder == nil {
		c.Before = append(c.Before, o)
	} else {
		if c.After == nil {
			c.After = make([][]Operation, len(c.numbers))
		}
		c.After[k] = append(c.After[k], o)
	}
	for i, x := range c.numbers[k] {
		c.numbers[k][i] = o.apply(x)
	}
}

func numberOperation(step Step, values []float64) (Operation, error) {
	switch step.Op {
	case "log":
		return Operation{Op: OpLog}, nil
	case "scale":
		s := sortedFinite(values)
		o := Operation{Op: OpScale, B: 1}
		if len(s) == 0 {
			return o, nil
		}
		switch step.Params["method"] {
		case "standard":
			o.A, o.B = meanDeviation(s)
		case "min_max":
			o.A, o.B = s[0], s[len(s)-1]-s[0]
		case "robust":
			o.A, o.B = quantile(s, 0.5), quantile(s, 0.75)-quantile(s, 0.25)
		}
		if o.B == 0 {
			o.B = 1
		}
		o.B = min(o.B, math.MaxFloat64)
		return o, nil
	}
	o := Operation{Op: OpClip, A: -math.MaxFloat64, B: math.MaxFloat64}
	if q, ok := step.Params["quantiles"]; ok {
		low, high, err := quantilePair(q)
		if s := sortedFinite(values); err == nil && len(s) > 0 {
			o.A, o.B = quantile(s, low), quantile(s, high)
		}
		return o, err
	}
	var err error
	if o.A, err = step.number("low", o.A, o.A, o.B); err == nil {
		o.B, err = step.number("high", o.B, -math.MaxFloat64, math.MaxFloat64)
	}
	return o, err
}

func (c *fittingColumn) impute(step Step) error {
	if c.Encoder != nil {
		return fault.New(fault.Invalid, "%s is encoded already", c.name).WithHint("put impute before the encoder")
	}
	if on, _ := step.Params["indicator"].(bool); on {
		c.Indicator = true
	}
	strategy := step.Params["strategy"].(string) // checked by Step.check
	if c.Text {
		return c.imputeText(step, strategy)
	}
	if strategy != "constant" && c.kind == table.Boolean { // the mean of a boolean is no boolean
		strategy = "most_frequent"
	}
	values, fill := sortedFinite(c.numbers[0]), 0.0
	switch {
	case strategy == "constant":
		f, ok := toNumber(step.Params["value"])
		if !ok {
			return fault.New(fault.Invalid, "%s holds numbers, and the value to impute is the text %q", c.name, step.Params["value"])
		}
		fill = f
	case len(values) == 0: // nothing known: zero
	case strategy == "median":
		fill = quantile(values, 0.5)
	case strategy == "mean":
		fill, _ = meanDeviation(values)
	default:
		best := 0
		for i := 0; i < len(values); {
			j := i
			for j < len(values) && values[j] == values[i] {
				j++
			}
			if j-i > best {
				best, fill = j-i, values[i]
			}
			i = j
		}
	}
	c.add(0, Operation{Op: OpFill, A: fill})
	return nil
}

func (c *fittingColumn) imputeText(step Step, strategy string) error {
	fill := ""
	switch strategy {
	case "constant":
		text, ok := step.Params["value"].(string)
		if !ok {
			return fault.New(fault.Invalid, "%s holds text, and the value to impute is the number %v", c.name, step.Params["value"])
		}
		fill = text
	case "most_frequent":
		if ranked := rank(c.texts, ""); len(ranked) > 0 {
			fill = ranked[0].key
		}
	default:
		return fault.New(fault.Invalid, "%s holds text, which has no %s", c.name, strategy).WithHint("use most_frequent or constant")
	}
	if c.Fill == "" {
		c.Fill = fill
	}
	for i, s := range c.texts {
		if s == "" {
			c.texts[i] = fill
		}
	}
	return nil
}

// sortedFinite is the finite values in ascending order.
func sortedFinite(values []float64) []float64 {
	out := make([]float64, 0, len(values))
	for _, x := range values {
		if x-x == 0 {
			out = append(out, x)
		}
	}
	slices.Sort(out)
	return out
}

// quantile of sorted values, linear between neighbours (Hyndman and Fan's type 7, NumPy's default).
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	part := at - float64(i)
	return float64(sorted[i]*(1-part)) + float64(sorted[i+1]*part)
}

// meanDeviation is the mean and the population standard deviation, at most the largest float64.
func meanDeviation(values []float64) (mean, deviation float64) {
	n := float64(len(values))
	for _, x := range values {
		mean += x / n
	}
	square := 0.0
	for _, x := range values {
		d := x - mean
		square += float64(d*d) / n
	}
	return mean, min(math.Sqrt(square), math.MaxFloat64)
}

// category is a value and how often it occurs.
type category[K comparable] struct {
	key   K
	count int
}

// rank lists the distinct values that are not missing, most frequent first, equals in ascending order.
func rank[K interface {
	comparable
	string | float64
}](values []K, missing K) []category[K] {
	counts := map[K]int{}
	for _, v := range values {
		if v == v && (v != missing || missing != missing) {
			counts[v]++
		}
	}
	ranked := make([]category[K], 0, len(counts))
	for k, n := range counts {
		ranked = append(ranked, category[K]{k, n})
	}
	slices.SortFunc(ranked, func(a, b category[K]) int {
		if a.count != b.count {
			return b.count - a.count
		}
		if a.key < b.key {
			return -1
		}
		return 1
	})
	return ranked
}

// matrix is the training rows with all steps applied, cast once.
func (f *fitting) matrix(fitted *Fitted) *table.Matrix {
	m := table.NewMatrix(f.rows, fitted.names)
	m.Levels = fitted.Levels()
	for from := 0; from < f.rows; from += rowBlock {
		for i := range f.columns {
			for row := from; row < min(from+rowBlock, f.rows); row++ {
				f.columns[i].training(&fitted.columns[i], row, m.Row(row))
			}
		}
	}
	return m
}

// training writes the features of one training row to its row of the matrix, which is zero.
func (c *fittingColumn) training(at *Column, row int, dst []float32) {
	dst = dst[at.offset : at.offset+at.width]
	for k, values := range c.numbers {
		dst[k] = float32(values[row])
	}
	if c.codes != nil {
		code := c.codes[row]
		if code < 0 {
			code = at.Encoder.Categories()
		}
		dst[code] = 1
	}
	if at.Indicator && c.missing[row] {
		dst[at.width-1] = 1
	}
}
