package serve

import (
	"math"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/batching"
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
	// featureInputs is the inputs that are features, in the signature's order.
	featureInputs []int
	outputs       int
	keys          []string
	positive      string
	negative      string
	pool          sync.Pool // of *workspace
	why           explanations
	wide          learn.Wide // not nil: rows go to it in float64
	through       []int      // of wide: which value each column of the model passes through, -1 = none
	breaker       breaker    // nil = its engine cannot break
}

// breaker is an engine that gives up after too many failures.
type breaker interface{ Broken() string }

// workspace is what scoring a row needs beside its values.
type workspace struct {
	features []table.Value
	prepared []float32
	given    []bool
}

func compile(pkg *Package) (*compiled, error) {
	own := *pkg
	pkg = &own
	sig := &pkg.Signature
	c := &compiled{pkg: pkg, sig: sig, place: make(map[string]int, len(sig.Inputs)), outputs: pkg.Outputs(), keys: sig.Key}
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
		if b.feature {
			c.featureInputs = append(c.featureInputs, i)
		}
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
	width := 0
	if pkg.Fitted != nil {
		width = len(pkg.Fitted.FeatureNames())
	}
	if pkg.Wide {
		c.wide, _ = pkg.Learned.(learn.Wide)
		inputs := pkg.Fitted.FeatureInputs()
		c.through = make([]int, width)
		for j := range c.through {
			c.through[j] = -1
			if pkg.Fitted.PassThrough(j) {
				c.through[j] = inputs[j]
			}
		}
	}
	c.breaker, _ = pkg.Predictor.(breaker)
	if reporter, ok := pkg.Predictor.(predictor.Reporter); ok {
		// It lives in other processes: what waits for one of them may share its next answer.
		pkg.Predictor = batching.New(pkg.Predictor, batching.Options{Parallel: max(1, len(reporter.Status().Workers)), Off: pkg.Alone})
	}
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
		if err := c.set(i, number, field.Cell, vals, p, pseudonymise); err != nil {
			return err
		}
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

// prepare makes what the model reads of a bound row: what the recipe reads goes to the workspace, what it makes to dst.
func (c *compiled) prepare(w *workspace, vals []table.Value, dst []float32) {
	for k, from := range c.features {
		if from >= 0 {
			w.features[k] = vals[from]
		} else {
			w.features[k] = c.derived[-1-from].Eval(vals)
		}
	}
	c.pkg.Fitted.Row(w.features, dst)
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
		for i, in := range c.inputs {
			if v := vals[i].F; in.feature && in.kind != table.Datetime && math.Abs(v) > beyond {
				return fault.New(fault.Invalid, "row %d, column %q: %g is too large for the model", number, in.name, v).With("row", number).With("column", in.name).
					With("expected", "a number that a 32-bit floating-point number holds")
			}
		}
		return fault.New(fault.Internal, "%s v%d gives no finite number for row %d", c.pkg.Model, c.pkg.Version, number)
	}
	sort.Strings(missing)
	return fault.New(fault.Invalid, "row %d lacks %s, and this version takes no missing value there", number, strings.Join(missing, ", ")).
		With("row", number).With("columns", missing).WithHint("send a value, or add an impute step to the recipe")
}

// beyond is where numbers are blamed for a score that is none: their squares leave float32.
const beyond = 1e19

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
