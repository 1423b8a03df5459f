package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/folds"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/data"
	"github.com/trimtab-ml/trimtab/lifecycle/feature"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/track"
)

// Columns that the frame adds to those of the data.
const (
	labelColumn  = "__label"  // the label as the inference log knew it; null for rows that come from files
	servedColumn = "__served" // 1 for rows that come from the inference log
)

// frame is the labelled rows of a build, in the order of time and key.
type frame struct {
	signature registry.Signature
	inputs    *table.Table // columns of signature.Inputs
	slices    *table.Table // columns that the evaluation is cut and grouped by
	at        []int64      // µs; nil when the dataset has no time
	y         []float64
	served    int
	unlabeled int
	read      []track.Input
}

func (f *frame) rows() int { return len(f.y) }

func (f *frame) take(rows []int) *frame {
	out := *f
	out.inputs, out.slices = f.inputs.Take(rows), f.slices.Take(rows)
	out.y = make([]float64, len(rows))
	for i, r := range rows {
		out.y[i] = f.y[r]
	}
	if f.at != nil {
		out.at = make([]int64, len(rows))
		for i, r := range rows {
			out.at[i] = f.at[r]
		}
	}
	return &out
}

// span is the time of the first and the last row; zero without a time column.
func (f *frame) span() (from, to time.Time) {
	if len(f.at) == 0 {
		return from, to
	}
	return time.UnixMicro(f.at[0]).UTC(), time.UnixMicro(f.at[len(f.at)-1]).UTC()
}

// sources resolves what a build reads: the newest version of the model's dataset and of each feature view's.
type sources struct {
	base  *data.Version
	views map[string]*data.Version
	read  []track.Input
}

func (s *Service) sources(ctx context.Context, p *project.Project) (*sources, error) {
	m := p.File.Model
	base, err := s.datasets.Latest(ctx, p.Name, m.From)
	if err != nil {
		return nil, err
	}
	out := &sources{base: base, views: map[string]*data.Version{}}
	out.add(base)
	for _, name := range viewNames(p.File) {
		v, err := s.datasets.Latest(ctx, p.Name, p.File.Features[name].From)
		if err != nil {
			return nil, err
		}
		out.views[name] = v
		out.add(v)
	}
	return out, nil
}

func (o *sources) add(v *data.Version) {
	in := track.Input{Dataset: v.Dataset, Number: v.Number, ID: v.ID, Rows: v.Rows}
	if !slices.Contains(o.read, in) {
		o.read = append(o.read, in)
	}
}

// viewNames is the feature views that the model reads, in the order of its inputs.
func viewNames(f *project.File) []string {
	var out []string
	for _, in := range f.Model.Inputs {
		if _, ok := f.Features[in]; ok {
			out = append(out, in)
		}
	}
	return out
}

// load reads the frame as it could be known at asOf: a row enters when its label was known by then, and a joined feature is the
// latest at or before the row's own time.
func (s *Service) load(ctx context.Context, p *project.Project, src *sources, asOf time.Time) (*frame, error) {
	label, err := recipe.ParseExpr(p.File.Model.Label.Expr)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", p.File.Model.Label.Name, err)
	}
	sig, err := s.signature(p, src)
	if err != nil {
		return nil, err
	}
	query, err := s.frameSQL(ctx, p, src, sig, label)
	if err != nil {
		return nil, err
	}
	t, err := s.duck.Table(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read the training frame: %w", err)
	}
	f := &frame{signature: *sig, read: src.read}
	keep, err := f.label(p, t, label, asOf)
	if err != nil {
		return nil, err
	}
	served := t.Column(servedColumn)
	inputs, cut := &table.Table{}, &table.Table{}
	for i := range f.signature.Inputs {
		inputs.Add(t.Column(f.signature.Inputs[i].Name).Take(keep))
	}
	inputs.Rows, cut.Rows = len(keep), len(keep)
	for _, name := range sideColumns(p) {
		if c := t.Column(name); c != nil {
			cut.Add(c.Take(keep))
		}
	}
	f.inputs, f.slices = inputs, cut
	for _, r := range keep {
		if served.Floats[r] == 1 {
			f.served++
		}
	}
	if sig.Time != "" {
		when := t.Column(sig.Time)
		f.at = make([]int64, len(keep))
		for i, r := range keep {
			f.at[i] = int64(when.Floats[r])
		}
	}
	if len(keep) == 0 {
		return nil, fault.New(fault.Invalid, "no row of %s has a label that was known by %s", p.File.Model.From, asOf.Format(time.RFC3339)).
			WithHint("%d rows have none; check label: and known_after:", f.unlabeled)
	}
	return f, nil
}

// label evaluates the label of each row, decides the task, and returns the rows that have one that was known by asOf.
func (f *frame) label(p *project.Project, t *table.Table, expr *recipe.Expr, asOf time.Time) ([]int, error) {
	columns := expr.Columns()
	kinds := map[string]table.Kind{}
	cols := make([]*table.Column, len(columns))
	for i, name := range columns {
		cols[i] = t.Column(name)
		kinds[name] = cols[i].Kind
	}
	kind, err := expr.Kind(kinds)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", f.signature.Label, err)
	}
	zones, err := zonesOf(&f.signature)
	if err != nil {
		return nil, err
	}
	bound, err := expr.Bind(columns, zones)
	if err != nil {
		return nil, fmt.Errorf("label %s: %w", f.signature.Label, err)
	}
	served, logged := t.Column(servedColumn), t.Column(labelColumn)
	when := t.Column(f.signature.Time)
	knownBy := asOf.Add(-p.File.Model.Label.KnownAfter.D()).UnixMicro()
	values := make([]table.Value, 0, t.Rows)
	keep := make([]int, 0, t.Rows)
	row := make([]table.Value, len(columns))
	for i := range t.Rows {
		var v table.Value
		if served.Floats[i] == 1 {
			v = logged.Value(i) // known by asOf: the served parts were made so
		} else {
			if when != nil && (when.IsNull(i) || int64(when.Floats[i]) > knownBy) {
				f.unlabeled++
				continue
			}
			for j, c := range cols {
				row[j] = c.Value(i)
			}
			v = bound.Eval(row)
		}
		if v.Null || kind == table.String && v.S == "" {
			f.unlabeled++
			continue
		}
		keep = append(keep, i)
		values = append(values, v)
	}
	f.y = make([]float64, len(values))
	return keep, f.encode(kind, values)
}

// encode turns label values into numbers: booleans and two values are a binary task, other text a multiclass one, numbers a regression.
func (f *frame) encode(kind table.Kind, values []table.Value) error {
	sig := &f.signature
	if kind == table.String {
		index := map[string]int{}
		for _, v := range values {
			index[v.S] = 0
		}
		for name := range index {
			sig.Classes = append(sig.Classes, name)
		}
		sort.Strings(sig.Classes)
		for i, name := range sig.Classes {
			index[name] = i
		}
		for i, v := range values {
			f.y[i] = float64(index[v.S])
		}
		switch n := len(sig.Classes); {
		case n == 2:
			sig.Task, sig.Positive = string(learn.Binary), sig.Classes[1]
		case n > maxClasses:
			return fault.New(fault.Invalid, "label %s has %d different texts; at most %d are classes", sig.Label, n, maxClasses).WithHint("is it an id or free text?")
		default:
			sig.Task = string(learn.Multiclass)
		}
		return nil
	}
	binary := true
	for i, v := range values {
		f.y[i] = v.F
		binary = binary && (v.F == 0 || v.F == 1)
	}
	sig.Task = string(learn.Regression)
	if kind == table.Boolean || binary && len(values) > 0 {
		sig.Task, sig.Positive, sig.Classes = string(learn.Binary), sig.Label, []string{"not " + sig.Label, sig.Label}
	}
	return nil
}

const maxClasses = 256

// frameSQL reads the rows that came from files, with their features joined as of the row's time, and the rows that were served,
// whose features are taken as they were served.
func (s *Service) frameSQL(ctx context.Context, p *project.Project, src *sources, sig *registry.Signature, label *recipe.Expr) (string, error) {
	m := p.File.Model
	schema := map[string]bool{}
	for _, f := range src.base.Schema {
		schema[f.Name] = true
	}
	var columns []string
	add := func(names ...string) {
		for _, name := range names {
			if name != "" && !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	for i := range sig.Inputs {
		add(sig.Inputs[i].Name)
	}
	add(sig.Time)
	add(sig.Key...)
	add(label.Columns()...)
	for _, name := range sideColumns(p) {
		if schema[name] {
			add(name)
		}
	}
	rel, err := s.datasets.Relation(ctx, src.base, data.Ingested)
	if err != nil {
		return "", err
	}
	own := []string{} // a view may bring a column of a name that the dataset has too; only what is read from the dataset itself stays
	for _, name := range columns {
		if in, _ := sig.Input(name); in == nil || in.View == "" {
			own = append(own, duck.Quote(name))
		}
	}
	base := "(SELECT " + strings.Join(own, ", ") + " FROM " + rel + ")"
	var views []feature.View
	for _, name := range viewNames(p.File) {
		spec := p.File.Features[name]
		rel, err := s.datasets.Relation(ctx, src.views[name], data.Ingested)
		if err != nil {
			return "", err
		}
		v := feature.View{Name: name, From: rel, Entity: spec.Entity, Select: spec.Select, MaxAge: spec.MaxAge.D()}
		if tc := p.File.Data[spec.From].Time; tc != nil && sig.Time != "" {
			v.Time = tc.Column
		}
		v.Unique = isKey(p.File.Data[spec.From].Key, v)
		views = append(views, v)
	}
	list := func(known map[string]bool) string {
		out := make([]string, len(columns))
		for i, name := range columns {
			out[i] = duck.Quote(name)
			if known != nil && !known[name] {
				out[i] = "NULL AS " + duck.Quote(name)
			}
		}
		return strings.Join(out, ", ")
	}
	query := fmt.Sprintf("SELECT %s, NULL AS %s, 0 AS %s FROM (%s)", list(nil), labelColumn, servedColumn, feature.JoinSQL(base, sig.Time, views))
	if known := servedColumns(src.base); len(known) > 0 {
		rel, err := s.datasets.Relation(ctx, src.base, data.Served)
		if err != nil {
			return "", err
		}
		query += fmt.Sprintf(" UNION ALL BY NAME SELECT %s, %s AS %s, 1 AS %s FROM %s", list(known), duck.Quote(m.Label.Name), labelColumn, servedColumn, rel)
	}
	order := "ALL"
	if len(sig.Key) > 0 {
		keys := []string{}
		if sig.Time != "" {
			keys = append(keys, duck.Quote(sig.Time))
		}
		for _, k := range sig.Key {
			keys = append(keys, duck.Quote(k))
		}
		order = strings.Join(append(keys, servedColumn), ", ")
	}
	return "SELECT * FROM (" + query + ") ORDER BY " + order, nil
}

// sideColumns are the columns, beside inputs and label, that judging needs: of slices, of groups, and of cross-validation.
func sideColumns(p *project.Project) []string {
	e := p.File.Evaluate
	out := slices.Clone(e.Slices)
	if e.Fairness != nil {
		out = append(out, e.Fairness.Groups...)
	}
	if spec, err := folds.Parse(e.CV); err == nil {
		out = append(out, spec.Groups, spec.Time, spec.End, spec.Fold)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(name string) bool { return name == "" })
}

// isKey tells whether the dataset's key, which its contract keeps unique, is what the view is looked up by.
func isKey(key []string, v feature.View) bool {
	want := slices.Clone(v.Entity)
	if v.Time != "" && !slices.Contains(want, v.Time) {
		want = append(want, v.Time)
	}
	slices.Sort(want)
	return len(key) > 0 && slices.Equal(want, slices.Sorted(slices.Values(key)))
}

// servedColumns is the columns that rows from the inference log have; empty when a version holds none.
func servedColumns(v *data.Version) map[string]bool {
	out := map[string]bool{}
	for _, part := range v.Parts {
		if part.Kind == data.Served {
			for _, f := range part.Schema {
				out[f.Name] = true
			}
		}
	}
	return out
}

func columnNames(fields []data.Field) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return strings.Join(out, ", ")
}

// describe fills what the training rows show of each input: nulls, range, categories.
func (f *frame) describe() {
	const maxCategories = 1000
	f.signature.Inputs = slices.Clone(f.signature.Inputs) // frames taken from one another share it
	for i := range f.signature.Inputs {
		in := &f.signature.Inputs[i]
		in.Nullable, in.Categories, in.Min, in.Max = false, nil, nil, nil
		c := f.inputs.Columns[i]
		in.Kind = c.Kind
		seen := map[string]bool{}
		lo, hi := math.Inf(1), math.Inf(-1)
		for r := range c.Len() {
			switch {
			case c.IsNull(r) || c.Kind == table.String && c.Strings[r] == "":
				in.Nullable = true
			case c.Kind == table.String:
				if len(seen) <= maxCategories {
					seen[c.Strings[r]] = true
				}
			default:
				lo, hi = math.Min(lo, c.Floats[r]), math.Max(hi, c.Floats[r])
			}
		}
		if c.Kind == table.String && len(seen) <= maxCategories && in.Role == registry.RoleFeature {
			for v := range seen {
				in.Categories = append(in.Categories, v)
			}
			sort.Strings(in.Categories)
		}
		if lo <= hi && c.Kind != table.Boolean && c.Kind != table.Datetime { // time only goes on
			in.Min, in.Max = &lo, &hi
		}
	}
}

// features is the recipe's inputs of a signature, computed from the columns of in. A missing column is an error.
func features(sig *registry.Signature, in *table.Table) (*table.Table, error) {
	zones, err := zonesOf(sig)
	if err != nil {
		return nil, err
	}
	out := &table.Table{Rows: in.Rows}
	for _, name := range sig.Features {
		if c := in.Column(name); c != nil {
			out.Add(c)
			continue
		}
		at := slices.IndexFunc(sig.Derived, func(d registry.Derived) bool { return d.Name == name })
		if at < 0 {
			return nil, fault.New(fault.Invalid, "the data has no column %q", name)
		}
		c, err := derive(sig.Derived[at], in, zones)
		if err != nil {
			return nil, err
		}
		out.Add(c)
	}
	return out, nil
}

func derive(d registry.Derived, in *table.Table, zones map[string]*time.Location) (*table.Column, error) {
	e, err := recipe.ParseExpr(d.Expr)
	if err != nil {
		return nil, err
	}
	columns := e.Columns()
	cols := make([]*table.Column, len(columns))
	for i, name := range columns {
		if cols[i] = in.Column(name); cols[i] == nil {
			return nil, fault.New(fault.Invalid, "%s needs column %q, which the data does not have", d.Expr, name)
		}
	}
	bound, err := e.Bind(columns, zones)
	if err != nil {
		return nil, err
	}
	out := &table.Column{Name: d.Name, Kind: d.Kind}
	row := make([]table.Value, len(columns))
	for i := range in.Rows {
		for j, c := range cols {
			row[j] = c.Value(i)
		}
		out.Append(bound.Eval(row))
	}
	return out, nil
}

// zonesOf is the zone of the signature's time column; other datetimes are in UTC.
func zonesOf(sig *registry.Signature) (map[string]*time.Location, error) {
	if sig.Time == "" || sig.Zone == "" {
		return nil, nil
	}
	loc, err := time.LoadLocation(sig.Zone)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "time zone %q is not known", sig.Zone)
	}
	return map[string]*time.Location{sig.Time: loc}, nil
}
