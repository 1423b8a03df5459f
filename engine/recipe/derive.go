package recipe

import (
	"slices"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// NewInput is the input that src means over columns of the given kinds: a raw column, or a derived value named by its slug. A wrong
// expression is fault.Invalid with the column in the text.
func NewInput(src string, schema map[string]table.Kind) (Input, error) {
	e, err := ParseExpr(src)
	if err != nil {
		return Input{}, err
	}
	kind, err := e.Kind(schema)
	if err != nil {
		return Input{}, err
	}
	in := Input{Name: e.Slug(), Kind: kind}
	if _, raw := e.IsColumn(); !raw {
		in.Expr = e.String()
	}
	return in, nil
}

// Check finds what Fit would refuse without any data: steps about inputs that are not there or of the wrong kind. The Spec is
// expanded first.
func (s Spec) Check() error {
	s, err := s.Expand()
	if err != nil {
		return err
	}
	one := table.New()
	for _, in := range s.Inputs {
		c := &table.Column{Name: in.Name, Kind: in.Kind}
		c.Append(table.Null)
		one.Add(c)
	}
	one.Rows = 1
	_, _, err = fit(s, one, []float64{0}, 2, true)
	return err
}

// Derivation computes the inputs of a recipe from raw columns. It is immutable and safe for concurrent use.
type Derivation struct {
	inputs []Input
	bound  []*Bound
	reads  [][]int  // per input the places of the raw columns it reads
	raw    []string // per input the bare column it is, or ""
}

// Derive binds inputs to raw columns in the order of a row. zones gives the zones of datetime columns, as in Expr.Bind. A column that is not
// there is fault.Invalid.
func Derive(inputs []Input, columns []string, zones map[string]*time.Location) (*Derivation, error) {
	d := &Derivation{inputs: inputs}
	for _, in := range inputs {
		e := &Expr{root: &node{op: opColumn, text: in.Name}}
		if in.Expr != "" {
			var err error
			if e, err = ParseExpr(in.Expr); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "input %s", in.Name).WithHint("%s", fault.HintOf(err))
			}
		}
		b, err := e.Bind(columns, zones)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "input %s", in.Name).WithHint("%s", fault.HintOf(err))
		}
		raw, _ := e.IsColumn()
		var reads []int
		for _, name := range e.Columns() {
			reads = append(reads, slices.Index(columns, name))
		}
		d.bound, d.raw, d.reads = append(d.bound, b), append(d.raw, raw), append(d.reads, reads)
	}
	return d, nil
}

// Row computes the inputs of one row. raw is in the order of the columns that Derive was given, dst in that of the inputs. It does not allocate, except for
// lower and upper.
func (d *Derivation) Row(raw, dst []table.Value) {
	for i, b := range d.bound {
		dst[i] = b.Eval(raw)
	}
}

// Table computes the inputs of a whole table, whose columns are those that Derive was given, in the same order. Bare columns of the same name are shared with
// t, not copied.
func (d *Derivation) Table(t *table.Table) *table.Table {
	out := &table.Table{Rows: t.Rows}
	row := make([]table.Value, len(t.Columns))
	for i, in := range d.inputs {
		if c := t.Column(d.raw[i]); c != nil && c.Name == in.Name {
			out.Add(c)
			continue
		}
		c := &table.Column{Name: in.Name, Kind: in.Kind}
		for k := range t.Rows {
			for _, j := range d.reads[i] {
				row[j] = t.Columns[j].Value(k)
			}
			c.Append(d.bound[i].Eval(row))
		}
		out.Add(c)
	}
	return out
}
