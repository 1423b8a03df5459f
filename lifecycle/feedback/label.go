package feedback

import (
	"math"
	"sort"
	"strconv"
	"strings"
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

// labeler turns what an outcome says into the label of a signature.
type labeler struct {
	sig     *registry.Signature
	bound   *recipe.Bound
	columns []string
	kinds   []table.Kind // of the columns; "" where the signature does not say
}

func newLabeler(sig *registry.Signature) (*labeler, error) {
	l := &labeler{sig: sig}
	if sig.Expr == "" {
		return l, nil
	}
	expr, err := recipe.ParseExpr(sig.Expr)
	if err != nil {
		return nil, err
	}
	l.columns = expr.Columns()
	zones := map[string]*time.Location{}
	l.kinds = make([]table.Kind, len(l.columns))
	for i, c := range l.columns {
		if in, _ := sig.Input(c); in != nil {
			l.kinds[i] = in.Kind
		}
		if sig.Zone != "" {
			if zones[c], err = time.LoadLocation(sig.Zone); err != nil {
				return nil, fault.Wrap(err, fault.Invalid, "the signature names the zone %q", sig.Zone)
			}
		}
	}
	l.bound, err = expr.Bind(l.columns, zones)
	return l, err
}

// label is what o says. A fault says why it says nothing.
func (l *labeler) label(o *Outcome) (revision, error) {
	r := revision{state: withoutLabel, label: math.NaN(), known: o.KnownAt.UnixMicro()}
	if o.NoLabel {
		return r, nil
	}
	v, err := l.value(o)
	if err != nil || v.Null {
		return r, err
	}
	r.state = labeled
	r.label, err = l.number(v)
	return r, err
}

// value evaluates the outcome, before it is turned into a number.
func (l *labeler) value(o *Outcome) (table.Value, error) {
	if o.Label != nil {
		return table.Number(*o.Label), nil
	}
	if direct, ok := o.Values[l.sig.Label]; ok && !l.reads(l.sig.Label) {
		return cellOf(direct), nil
	}
	if l.bound == nil {
		return table.Null, fault.New(fault.Invalid, "the outcome carries neither a label nor a value %q", l.sig.Label)
	}
	row := make([]table.Value, len(l.columns))
	for i, c := range l.columns {
		given, ok := o.Values[c]
		if !ok {
			return table.Null, fault.New(fault.Invalid, "the label %s = %s reads %q, which the outcome lacks", l.sig.Label, l.sig.Expr, c).
				WithHint("send null when it is known to have none; the outcome has: %s", namesOf(o.Values))
		}
		row[i] = cellOf(given)
		if text, isText := given.(string); isText && l.kinds[i] != table.String && l.kinds[i] != "" {
			if l.kinds[i] != table.Datetime {
				return table.Null, fault.New(fault.Invalid, "%q should be a %s, not the text %q", c, l.kinds[i], text)
			}
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return table.Null, fault.New(fault.Invalid, "%q should be a time such as 2013-04-01T10:00:00Z, not %q", c, text)
			}
			row[i] = table.Number(float64(at.UnixMicro()))
		}
	}
	return l.bound.Eval(row), nil
}

func (l *labeler) reads(column string) bool {
	for _, c := range l.columns {
		if c == column {
			return true
		}
	}
	return false
}

// number is the label as a number: 0 or 1, the index of a class, or the value.
func (l *labeler) number(v table.Value) (float64, error) {
	text := v.S
	if text == "" {
		text = strconv.FormatFloat(v.F, 'g', -1, 64)
	}
	switch l.sig.Task {
	case taskBinary:
		switch {
		case v.S == "" && (v.F == 0 || v.F == 1):
			return v.F, nil
		case text == l.sig.Positive && text != "":
			return 1, nil
		}
		for _, c := range l.sig.Classes {
			if c == text {
				return 0, nil
			}
		}
		switch strings.ToLower(text) {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
		return 0, fault.New(fault.Invalid, "the label %s is %q; it should be 0 or 1", l.sig.Label, text)
	case taskMulticlass:
		for i, c := range l.sig.Classes {
			if c == text {
				return float64(i), nil
			}
		}
		if v.S == "" && v.F == math.Trunc(v.F) && v.F >= 0 && v.F < float64(len(l.sig.Classes)) {
			return v.F, nil
		}
		return 0, fault.New(fault.Invalid, "the label %s is %q, which is no class of the model", l.sig.Label, text).
			WithHint("classes are %s", strings.Join(l.sig.Classes, ", "))
	default:
		if v.S != "" {
			return 0, fault.New(fault.Invalid, "the label %s is the text %q; it should be a number", l.sig.Label, v.S)
		}
		return v.F, nil
	}
}

// cellOf is a JSON value as a cell. clean has checked the types.
func cellOf(v any) table.Value {
	switch v := v.(type) {
	case string:
		return table.Text(v)
	case float64:
		return table.Number(v)
	}
	return table.Null
}

func namesOf(values map[string]any) string {
	if len(values) == 0 {
		return "nothing"
	}
	names := make([]string, 0, len(values))
	for n := range values {
		names = append(names, n)
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}
