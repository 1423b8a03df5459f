package serve

import (
	"math"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Tasks of a signature.
const (
	taskBinary     = "binary"
	taskMulticlass = "multiclass"
)

// maxCategories is how many known categories a signature holds; a list that is full may lack some, so that nothing counts as unseen.
const maxCategories = 1000

// input is a field of a request as a resident version reads it.
type input struct {
	name       string
	kind       table.Kind
	feature    bool
	personal   bool
	min, max   float64 // of training; the infinities where it does not say
	categories map[string]string
}

// compiled is a version ready to answer. It is immutable and shared by all requests.
type compiled struct {
	pkg     *Package
	sig     *registry.Signature
	inputs  []input
	place   map[string]int
	derived []*recipe.Bound
	// features says where each value that the recipe reads comes from: an input, or, from -1 downwards, a derived value.
	features []int
	outputs  int
	keys     []string
	positive string
	negative string
	pool     sync.Pool // of *workspace
	why      explanations
}

// workspace is what scoring a row needs beside its values.
type workspace struct {
	features []table.Value
	prepared []float32
	given    []bool
}

func compile(pkg *Package) (*compiled, error) {
	sig := &pkg.Signature
	c := &compiled{pkg: pkg, sig: sig, place: make(map[string]int, len(sig.Inputs)), outputs: pkg.Learned.Outputs(), keys: sig.Key}
	names := make([]string, len(sig.Inputs))
	zones := map[string]*time.Location{}
	zone := time.UTC
	if sig.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(sig.Zone); err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "the signature of %s v%d names the zone %q", pkg.Model, pkg.Version, sig.Zone)
		}
	}
	for i, in := range sig.Inputs {
		names[i] = in.Name
		c.place[in.Name] = i
		b := input{name: in.Name, kind: in.Kind, feature: in.Role != registry.RoleContext, personal: in.Personal != "", min: math.Inf(-1), max: math.Inf(1)}
		if in.Min != nil {
			b.min = *in.Min
		}
		if in.Max != nil {
			b.max = *in.Max
		}
		if len(in.Categories) > 0 && len(in.Categories) < maxCategories {
			b.categories = make(map[string]string, len(in.Categories))
			for _, v := range in.Categories {
				b.categories[v] = v
			}
		}
		if in.Kind == table.Datetime {
			zones[in.Name] = zone
		}
		c.inputs = append(c.inputs, b)
	}
	derived := map[string]int{}
	for i, d := range sig.Derived {
		expr, err := recipe.ParseExpr(d.Expr)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "derived input %q of %s v%d", d.Name, pkg.Model, pkg.Version)
		}
		bound, err := expr.Bind(names, zones)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "derived input %q of %s v%d", d.Name, pkg.Model, pkg.Version)
		}
		c.derived = append(c.derived, bound)
		derived[d.Name] = i
	}
	for _, f := range sig.Features {
		if i, ok := derived[f]; ok {
			c.features = append(c.features, -1-i)
		} else if i, ok := c.place[f]; ok {
			c.features = append(c.features, i)
		} else {
			return nil, fault.New(fault.Corrupt, "the signature of %s v%d names the feature %q, which is neither an input nor derived", pkg.Model, pkg.Version, f)
		}
	}
	c.positive, c.negative = "true", "false"
	if len(sig.Classes) == 2 {
		c.negative, c.positive = sig.Classes[0], sig.Classes[1]
		if sig.Positive == sig.Classes[0] {
			c.negative, c.positive = c.positive, c.negative
		}
	}
	width := len(pkg.Fitted.FeatureNames())
	c.pool.New = func() any {
		return &workspace{features: make([]table.Value, len(c.features)), prepared: make([]float32, width), given: make([]bool, len(c.inputs))}
	}
	return c, nil
}

// bind makes the values of a row from its fields, in the order of the inputs, and sets the flags of p. Fields that the signature does
// not know are ignored, inputs that the row does not carry are missing. pseudonymise replaces personal texts before anything sees them.
func (c *compiled) bind(w *workspace, row Row, number int, vals []table.Value, p *Prediction, pseudonymise func(string) string) error {
	for i := range vals {
		vals[i] = table.Null
	}
	clear(w.given)
	p.Missing, p.Unseen, p.OutOfRange = 0, 0, 0
	features := 0
	hint := 0
	for f := range row {
		field := &row[f]
		i := hint
		if i >= len(c.inputs) || c.inputs[i].name != field.Name {
			var ok bool
			if i, ok = c.place[field.Name]; !ok {
				continue
			}
		}
		hint = i + 1
		in := &c.inputs[i]
		if w.given[i] {
			return fault.New(fault.Invalid, "row %d carries the column %q twice", number, in.name).With("row", number).With("column", in.name)
		}
		w.given[i] = true
		if in.feature {
			features++
		}
		cell := field.Cell
		if in.personal && cell.Type == NumberCell && in.kind == table.String && whole(cell.Number) {
			cell = Cell{Type: TextCell, Text: strconv.FormatFloat(cell.Number, 'f', -1, 64)} // as the data layer reads a number that it hashes
		}
		v, ok := value(cell, in.kind)
		if !ok {
			return mismatch(number, in, cell)
		}
		if v.Null {
			continue
		}
		bit := uint64(1) << min(i, 64) // shifts to 0 after the 64th
		if in.kind == table.String {
			if in.personal {
				if v.S = pseudonymise(v.S); v.S == "" {
					continue
				}
			}
			if known, ok := in.categories[v.S]; ok {
				v.S = known
			} else {
				if !in.personal {
					v.S = strings.Clone(v.S)
				}
				if in.categories != nil {
					p.Unseen |= bit
				}
			}
		} else if v.F < in.min || v.F > in.max {
			p.OutOfRange |= bit
		}
		vals[i] = v
	}
	if features == 0 {
		return c.nothing(row, number)
	}
	for i := range vals {
		if vals[i].Null {
			p.Missing |= 1 << min(i, 64)
		}
	}
	return nil
}

// nothing is the fault of a row that carries none of the model's inputs.
func (c *compiled) nothing(row Row, number int) error {
	f := fault.New(fault.Invalid, "row %d has none of the model's inputs", number).With("row", number)
	var want []string
	for _, in := range c.inputs {
		if in.feature {
			want = append(want, in.name)
		}
	}
	more := ""
	if len(want) > 12 {
		want, more = want[:12], ", …"
	}
	for _, field := range row {
		for _, w := range want {
			if strings.EqualFold(field.Name, w) {
				return f.WithHint("names are case-sensitive: %q, not %q", w, clip(field.Name))
			}
		}
	}
	return f.WithHint("inputs are %s%s", strings.Join(want, ", "), more)
}

// prepare fills the workspace from a bound row: what the recipe reads, and what the model does.
func (c *compiled) prepare(w *workspace, vals []table.Value) {
	for k, from := range c.features {
		if from >= 0 {
			w.features[k] = vals[from]
		} else {
			w.features[k] = c.derived[-1-from].Eval(vals)
		}
	}
	c.pkg.Fitted.Row(w.features, w.prepared)
}

// score answers a bound row into out.
func (c *compiled) score(w *workspace, vals []table.Value, number int, out []float64) error {
	c.prepare(w, vals)
	c.pkg.Learned.PredictRow(w.prepared, out)
	for _, v := range out {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return c.unanswerable(vals, number)
		}
	}
	return nil
}

// unanswerable is the fault of a row for which the model gives no number: a missing value that neither recipe nor learner takes.
func (c *compiled) unanswerable(vals []table.Value, number int) error {
	var missing []string
	for i, in := range c.inputs {
		if vals[i].Null && in.feature {
			missing = append(missing, in.name)
		}
	}
	if len(missing) == 0 {
		return fault.New(fault.Internal, "%s v%d gives no finite number for row %d", c.pkg.Model, c.pkg.Version, number)
	}
	sort.Strings(missing)
	return fault.New(fault.Invalid, "row %d lacks %s, and this version takes no missing value there", number, strings.Join(missing, ", ")).
		With("row", number).With("columns", missing).WithHint("send a value, or add an impute step to the recipe")
}

// decide is the decision of scores: for binary by the version's threshold, for multiclass the greatest score, the first of equals.
func (c *compiled) decide(scores []float64) string {
	switch c.sig.Task {
	case taskBinary:
		if scores[0] >= c.pkg.Threshold {
			return c.positive
		}
		return c.negative
	case taskMulticlass:
		best := 0
		for i, s := range scores {
			if s > scores[best] {
				best = i
			}
		}
		if best < len(c.sig.Classes) {
			return c.sig.Classes[best]
		}
	}
	return ""
}

// key makes the key of a row from the signature's key columns; "" when the row does not carry all of them.
func (c *compiled) key(row Row, pseudonymise func(string) string) string {
	if len(c.keys) == 0 {
		return ""
	}
	var buf [128]byte
	b := buf[:0]
	for k, name := range c.keys {
		var cell *Cell
		for f := range row {
			if row[f].Name == name {
				cell = &row[f].Cell
			}
		}
		if cell == nil || cell.Type == NullCell || cell.Type == OtherCell {
			return ""
		}
		part := cell.Text
		switch i, known := c.place[name]; {
		case known && c.inputs[i].kind == table.Datetime:
			v, ok := value(*cell, table.Datetime)
			if !ok {
				return ""
			}
			part = time.UnixMicro(int64(v.F)).UTC().Format(time.RFC3339Nano)
		case cell.Type == NumberCell:
			part = strconv.FormatFloat(cell.Number, 'f', -1, 64)
		case cell.Type == BoolCell:
			part = strconv.FormatBool(cell.Number != 0)
		}
		if i, known := c.place[name]; known && c.inputs[i].personal {
			part = pseudonymise(part)
		}
		if k > 0 {
			b = append(b, '|')
		}
		b = appendKeyPart(b, part)
	}
	return string(b)
}
