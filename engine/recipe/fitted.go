package recipe

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Fitted is a recipe with everything it learned from the training rows. It is immutable, safe for concurrent use, and the same for the
// same Spec, rows and labels on every machine. Its canonical JSON is its identity.
type Fitted struct {
	spec    Spec
	classes int
	columns []Column
	names   []string
	inputs  []int
}

// Column is what one input goes through: Fill (text) or Before (numbers), then the Encoder if there is one, then After on each of the encoder's
// outputs. With Indicator a last feature says whether the input was missing.
type Column struct {
	Text      bool          `json:"text,omitempty"`
	Fill      string        `json:"fill,omitempty"` // what a missing text becomes
	Before    []Operation   `json:"before,omitempty"`
	Encoder   *Encoder      `json:"encoder,omitempty"`
	After     [][]Operation `json:"after,omitempty"` // per output of the encoder; nil when there is nothing to do
	Indicator bool          `json:"indicator,omitempty"`
	// Projected stands at the first of the inputs that it combines, after Before; the others are Hidden: they have no
	// feature of their own but the indicator.
	Projected *Projection `json:"projected,omitempty"`
	Hidden    bool        `json:"hidden,omitempty"`

	offset, width int // where its features are in the row
}

// Operations on a number. NaN stays NaN in all but OpFill.
const (
	OpFill  = "fill"  // NaN becomes A
	OpClip  = "clip"  // below A becomes A, above B becomes B
	OpLog   = "log"   // sign(x) * log(1 + |x|)
	OpScale = "scale" // (x - A) / B
)

// Operation is one step of arithmetic in float64, without fused multiply-add.
type Operation struct {
	Op string  `json:"op"`
	A  float64 `json:"a,omitempty"`
	B  float64 `json:"b,omitempty"`
}

func (o Operation) apply(x float64) float64 {
	switch o.Op {
	case OpFill:
		if x != x {
			return o.A
		}
	case OpClip:
		if x < o.A {
			return o.A
		}
		if x > o.B {
			return o.B
		}
	case OpLog:
		return math.Copysign(math.Log(1+math.Abs(x)), x)
	case OpScale:
		return (x - o.A) / o.B
	}
	return x
}

// Encoders. The code of a category is its index; Missing, when set, is one more category after the last.
const (
	EncodeOneHot   = "one_hot"       // one feature per category, then one for rare and unseen categories
	EncodeOrdinal  = "ordinal"       // the code, a number like others; -1 for unseen, NaN for missing
	EncodeCategory = "category"      // the same code, known to the learner as a category
	EncodeTarget   = "target_encode" // Values[code]; Unseen for unseen
)

// Encoder turns a category into features. Texts or Numbers are the known categories, most frequent first; the other is nil.
type Encoder struct {
	Op      string      `json:"op"`
	Texts   []string    `json:"texts,omitempty"`
	Numbers []float64   `json:"numbers,omitempty"`
	Missing bool        `json:"missing,omitempty"`
	Values  [][]float64 `json:"values,omitempty"` // target: categories x outputs
	Unseen  []float64   `json:"unseen,omitempty"` // target: outputs

	texts   map[string]int
	numbers map[float64]int
}

// Categories is the number of codes.
func (e *Encoder) Categories() int {
	n := len(e.Texts) + len(e.Numbers)
	if e.Missing {
		n++
	}
	return n
}

// Outputs is the number of features that the encoder makes.
func (e *Encoder) Outputs() int {
	switch e.Op {
	case EncodeOneHot:
		return e.Categories() + 1
	case EncodeTarget:
		return len(e.Unseen)
	}
	return 1
}

// code is the index of a category, -1 when it is unseen.
func (e *Encoder) code(known int, ok, missing bool) int {
	switch {
	case missing && e.Missing:
		return e.Categories() - 1
	case missing || !ok:
		return -1
	}
	return known
}

// Output is feature j for a code (-1: unseen), before the operations that follow.
func (e *Encoder) Output(code, j int, missing bool) float64 {
	switch e.Op {
	case EncodeOneHot:
		if code == j || code < 0 && j == e.Categories() {
			return 1
		}
		return 0
	case EncodeTarget:
		if code < 0 {
			return e.Unseen[j]
		}
		return e.Values[code][j]
	}
	if missing {
		return math.NaN()
	}
	return float64(code)
}

// Columns are what each input goes through, in the order of the inputs. They are shared: callers must not write to them.
func (f *Fitted) Columns() []Column { return f.columns }

// Inputs are the inputs of the recipe, in the order of Row's cells.
func (f *Fitted) Inputs() []Input { return f.spec.Inputs }

// Spec is what was fitted.
func (f *Fitted) Spec() Spec { return f.spec }

// FeatureNames names the columns of the matrix.
func (f *Fitted) FeatureNames() []string { return f.names }

// Levels is, per feature, the number of categories when the feature holds their codes, else 0, as table.Matrix has it;
// nil when no feature does.
func (f *Fitted) Levels() []int32 {
	var out []int32
	for i := range f.columns {
		c := &f.columns[i]
		if c.Encoder == nil || c.Encoder.Op != EncodeCategory || c.After != nil {
			continue
		}
		if out == nil {
			out = make([]int32, len(f.names))
		}
		out[c.offset] = int32(c.Encoder.Categories())
	}
	return out
}

// FeatureInputs gives for every feature the index of the input it comes from.
func (f *Fitted) FeatureInputs() []int { return f.inputs }

// PassThrough reports whether feature j is its numeric input, cast to float32 and nothing else.
func (f *Fitted) PassThrough(j int) bool {
	c := &f.columns[f.inputs[j]]
	return !c.Text && c.Encoder == nil && c.Projected == nil && !c.Hidden && len(c.Before) == 0 && j == c.offset
}

// Row prepares one row. in holds the inputs in the order of Spec.Inputs; dst has room for every feature. It does not allocate. It panics
// when in or dst are too short.
func (f *Fitted) Row(in []table.Value, dst []float32) {
	for i := range f.columns {
		c := &f.columns[i]
		own := dst[c.offset : c.offset+c.width]
		c.write(in[i], own)
		if c.Projected != nil {
			c.Projected.write(f.columns, func(i int) table.Value { return in[i] }, own)
		}
	}
}

// Transform prepares a table that has the inputs by name. A column that is missing, or is text where the recipe learned numbers, is
// fault.Invalid. The result is equal to Row on every row.
func (f *Fitted) Transform(t *table.Table) (*table.Matrix, error) {
	sources := make([]*table.Column, len(f.columns))
	for i, in := range f.spec.Inputs {
		var err error
		if sources[i], err = inputColumn(t, in); err != nil {
			return nil, err
		}
	}
	m := table.NewMatrix(t.Rows, f.names)
	m.Levels = f.Levels()
	for from := 0; from < t.Rows; from += rowBlock {
		for i, source := range sources {
			c := &f.columns[i]
			for row := from; row < min(from+rowBlock, t.Rows); row++ {
				at := row*m.Cols + c.offset
				c.write(source.Value(row), m.Data[at:at+c.width])
				if c.Projected != nil {
					c.Projected.write(f.columns, func(i int) table.Value { return sources[i].Value(row) }, m.Data[at:at+c.width])
				}
			}
		}
	}
	return m, nil
}

// rowBlock is how many rows of the matrix are filled column by column: few enough to stay in the cache.
const rowBlock = 256

func inputColumn(t *table.Table, in Input) (*table.Column, error) {
	c := t.Column(in.Name)
	if c == nil {
		return nil, suggest(fault.New(fault.Invalid, "there is no column %s, which the recipe reads", in.Name), in.Name, columnNames(t))
	}
	if (c.Kind == table.String) != (in.Kind == table.String) {
		return nil, fault.New(fault.Invalid, "column %s is a %s, and the recipe reads a %s", in.Name, c.Kind, in.Kind)
	}
	return c, nil
}

func (c *Column) write(v table.Value, dst []float32) {
	missing := v.Null || v.F != v.F || c.Text && v.S == ""
	if c.Indicator {
		dst[len(dst)-1] = 0
		if missing {
			dst[len(dst)-1] = 1
		}
		dst = dst[:len(dst)-1]
	}
	if c.Projected != nil || c.Hidden {
		return
	}
	code := 0
	if c.Text {
		s := v.S
		if missing && c.Fill != "" {
			s, missing = c.Fill, false
		}
		known, ok := c.Encoder.texts[s]
		code = c.Encoder.code(known, ok, missing)
	} else {
		x := c.before(v)
		if c.Encoder == nil {
			dst[0] = float32(x)
			return
		}
		missing = x != x
		known, ok := c.Encoder.numbers[x]
		code = c.Encoder.code(known, ok, missing)
	}
	for j := range dst {
		x := c.Encoder.Output(code, j, missing)
		if c.After != nil {
			for _, o := range c.After[j] {
				x = o.apply(x)
			}
		}
		dst[j] = float32(x)
	}
}

// before is the number of a numeric input after its first operations.
func (c *Column) before(v table.Value) float64 {
	x := v.F
	if v.Null {
		x = math.NaN()
	}
	for _, o := range c.Before {
		x = o.apply(x)
	}
	return x
}

// link computes what follows from the stored fields: offsets, names, lookup tables.
func (f *Fitted) link() {
	taken := map[string]bool{}
	add := func(input int, name string) {
		for taken[name] {
			name += "'"
		}
		taken[name] = true
		f.names = append(f.names, name)
		f.inputs = append(f.inputs, input)
	}
	for i := range f.columns {
		c, name := &f.columns[i], f.spec.Inputs[i].Name
		c.offset = len(f.names)
		switch e := c.Encoder; {
		case c.Hidden:
		case c.Projected != nil:
			for k := range c.Projected.Weights {
				add(i, c.Projected.feature(k))
			}
		case e == nil:
			add(i, name)
		case e.Op == EncodeOneHot:
			e.index()
			for _, s := range e.Texts {
				add(i, name+"="+s)
			}
			for _, x := range e.Numbers {
				add(i, name+"="+strconv.FormatFloat(x, 'g', -1, 64))
			}
			if e.Missing {
				add(i, name+"=(missing)")
			}
			add(i, name+"=(other)")
		default:
			e.index()
			for k := range e.Outputs() {
				if e.Outputs() == 1 {
					add(i, name)
				} else {
					add(i, fmt.Sprintf("%s[%d]", name, k))
				}
			}
		}
		if c.Indicator {
			add(i, name+"_missing")
		}
		c.width = len(f.names) - c.offset
	}
}

func (e *Encoder) index() {
	e.texts, e.numbers = make(map[string]int, len(e.Texts)), make(map[float64]int, len(e.Numbers))
	for i, s := range e.Texts {
		e.texts[s] = i
	}
	for i, x := range e.Numbers {
		e.numbers[x] = i
	}
}

// fittedFormat is the version of the JSON form; a form with another number is refused.
const fittedFormat = 1

type fittedJSON struct {
	Format  int      `json:"format"`
	Spec    Spec     `json:"spec"`
	Classes int      `json:"classes"`
	Columns []Column `json:"columns"`
}

// MarshalJSON gives the canonical form: fixed order of keys, shortest exact numbers.
func (f *Fitted) MarshalJSON() ([]byte, error) {
	return json.Marshal(fittedJSON{Format: fittedFormat, Spec: f.spec, Classes: f.classes, Columns: f.columns})
}

// UnmarshalJSON reads what MarshalJSON wrote. A form that does not hold together is fault.Corrupt.
func (f *Fitted) UnmarshalJSON(b []byte) error {
	var j fittedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fault.Wrap(err, fault.Corrupt, "this is not a fitted recipe")
	}
	if j.Format != fittedFormat {
		return fault.New(fault.Corrupt, "the fitted recipe has format %d; this program reads %d", j.Format, fittedFormat)
	}
	if len(j.Columns) != len(j.Spec.Inputs) {
		return fault.New(fault.Corrupt, "the fitted recipe has %d columns for %d inputs", len(j.Columns), len(j.Spec.Inputs))
	}
	for i := range j.Columns {
		if err := j.Columns[i].validate(); err != nil {
			return fault.Wrap(err, fault.Corrupt, "column %s of the fitted recipe", j.Spec.Inputs[i].Name)
		}
	}
	hidden := 0
	for i := range j.Columns {
		if p := j.Columns[i].Projected; p != nil {
			if err := p.check(i, j.Columns); err != nil {
				return fault.Wrap(err, fault.Corrupt, "column %s of the fitted recipe", j.Spec.Inputs[i].Name)
			}
			hidden += len(p.Inputs) - 1
		}
		if j.Columns[i].Hidden {
			hidden--
		}
	}
	if hidden != 0 {
		return fault.New(fault.Corrupt, "the projections of the fitted recipe do not hold together")
	}
	g := Fitted{spec: j.Spec, classes: j.Classes, columns: j.Columns}
	g.link()
	*f = g
	return nil
}

func (c *Column) validate() error {
	e := c.Encoder
	if c.Projected != nil && c.Hidden || (c.Projected != nil || c.Hidden) && (c.Text || e != nil) {
		return fault.New(fault.Corrupt, "a projection stands where it cannot")
	}
	if c.Text && e == nil {
		return fault.New(fault.Corrupt, "a text has no encoder")
	}
	lists := append([][]Operation{c.Before}, c.After...)
	for _, list := range lists {
		for _, o := range list {
			switch o.Op {
			case OpFill, OpClip, OpLog, OpScale:
			default:
				return fault.New(fault.Corrupt, "there is no operation %s", o.Op)
			}
		}
	}
	if e == nil {
		if c.After != nil {
			return fault.New(fault.Corrupt, "operations follow an encoder that is not there")
		}
		return nil
	}
	if c.Text && e.Numbers != nil || !c.Text && e.Texts != nil {
		return fault.New(fault.Corrupt, "the categories are of the wrong kind")
	}
	switch e.Op {
	case EncodeOneHot, EncodeOrdinal, EncodeCategory:
	case EncodeTarget:
		if len(e.Values) != e.Categories() || len(e.Unseen) == 0 {
			return fault.New(fault.Corrupt, "%d categories have %d values", e.Categories(), len(e.Values))
		}
		for _, v := range e.Values {
			if len(v) != len(e.Unseen) {
				return fault.New(fault.Corrupt, "a category has %d values of %d", len(v), len(e.Unseen))
			}
		}
	default:
		return fault.New(fault.Corrupt, "there is no encoder %s", e.Op)
	}
	if c.After != nil && len(c.After) != e.Outputs() {
		return fault.New(fault.Corrupt, "the encoder has %d outputs and operations for %d", e.Outputs(), len(c.After))
	}
	return nil
}

// Digest is the BLAKE3 hash of the canonical JSON, in hex.
func (f *Fitted) Digest() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic("recipe: a fitted recipe cannot be written as JSON: " + err.Error()) // every number in it is finite
	}
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:])
}
