package data

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// readingFormat changes when this code reads a file differently than before, so that parts of the old way are not taken for the new.
const readingFormat = 2

// reading is how the files of a dataset are read: everything of the request that decides what a row becomes.
type reading struct {
	spec  project.Dataset
	keys  pseudonymKeys
	kinds map[string]table.Kind // pinned by the file, by the version before, or by the first look
	order []string              // columns in the order in which they were met
}

// newReading starts from what is pinned: by the request first, then by the version before.
func newReading(spec project.Dataset, keys pseudonymKeys, before *Version) (*reading, error) {
	r := &reading{spec: spec, keys: keys, kinds: map[string]table.Kind{}}
	if before != nil {
		for _, f := range before.Schema {
			if f.Personal == "" && ingested(before, f.Name) {
				r.kinds[f.Name] = f.Kind
				r.order = append(r.order, f.Name)
			}
		}
	}
	pin := func(column, kind string) error {
		switch k := table.Kind(kind); k {
		case table.Double, table.Long, table.Boolean, table.Datetime, table.String:
			r.kinds[column] = k
			return nil
		}
		return fault.New(fault.Invalid, "the type %q of the column %q is not known", kind, column).
			WithHint("types are double, long, boolean, datetime and string")
	}
	for _, check := range spec.Contract {
		if check.Column != "" && check.Type != "" {
			if err := pin(check.Column, check.Type); err != nil {
				return nil, err
			}
		}
	}
	for column, kind := range spec.Types {
		if err := pin(column, kind); err != nil {
			return nil, err
		}
	}
	for column, what := range spec.Personal {
		if what != Pseudonymise && what != Drop {
			return nil, fault.New(fault.Invalid, "personal: %q of the column %q is not known", what, column).WithHint("it is pseudonymise or drop")
		}
		// The token of 007 must not depend on whether a file's other values look like numbers.
		if _, pinned := r.kinds[column]; what == Pseudonymise && !pinned {
			r.kinds[column] = table.String
		}
	}
	return r, nil
}

func ingested(v *Version, column string) bool {
	for _, p := range v.Parts {
		if p.Kind == Ingested && slices.ContainsFunc(p.Schema, func(f Field) bool { return f.Name == column }) {
			return true
		}
	}
	return false
}

// meet takes in the columns of a file: a column that is not pinned gets the kind that holds it in every file met in this round.
func (r *reading) meet(columns []sniffedColumn, pinned map[string]bool) {
	for _, c := range columns {
		if !slices.Contains(r.order, c.name) {
			r.order = append(r.order, c.name)
		}
		known, ok := r.kinds[c.name]
		switch {
		case !ok:
			r.kinds[c.name] = c.kind
		case pinned[c.name] || known == c.kind:
		case known == table.Long && c.kind == table.Double, known == table.Double && c.kind == table.Long:
			r.kinds[c.name] = table.Double
		default:
			r.kinds[c.name] = table.String
		}
	}
}

// hash names what decides the reading of a file, except the kinds, which a staged file carries itself.
func (r *reading) hash(format string) (string, error) {
	row := make([]project.Check, 0, len(r.spec.Contract))
	for _, c := range r.spec.Contract {
		c.Rows, c.Fresh, c.Unique, c.Mostly = nil, nil, nil, 0
		if c.Column != "" {
			row = append(row, c)
		}
	}
	secret := ""
	if len(r.spec.Personal) > 0 {
		secret = r.keys.fingerprint()
	}
	timeColumn := ""
	if r.spec.Time != nil {
		timeColumn = r.spec.Time.Column
	}
	b, err := json.Marshal(map[string]any{"format": readingFormat, "file": format, "key": r.spec.Key, "time": timeColumn, "types": r.spec.Types,
		"checks": row, "personal": r.spec.Personal, "secret": secret})
	if err != nil {
		return "", err
	}
	sum := blake3.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// usable tells whether a file staged before has the kinds that are wanted now.
func (r *reading) usable(st *staged) bool {
	for _, p := range st.Parts {
		for _, f := range p.Schema {
			if k, ok := r.kinds[f.Name]; f.Personal == "" && (!ok || k != f.Kind) {
				return false
			}
		}
	}
	return true
}

// recall takes over the kinds of columns that only their file knows: those that were dropped from the parts.
func (r *reading) recall(st *staged) {
	for name, kind := range st.Kinds {
		if _, ok := r.kinds[name]; !ok {
			r.kinds[name] = kind
		}
	}
}

// complete refuses a request that names a column which no file has: a personal column with a slip in its name would be stored as it is.
func (r *reading) complete(files []*staged) error {
	has := map[string]bool{}
	for _, st := range files {
		for name := range st.Kinds {
			has[name] = true
		}
	}
	for _, named := range []struct {
		where   string
		columns []string
	}{{"personal", sortedKeys(r.spec.Personal)}, {"types", sortedKeys(r.spec.Types)}, {"units", sortedKeys(r.spec.Units)}} {
		for _, column := range named.columns {
			if !has[column] {
				return unknownColumn(named.where, column)
			}
		}
	}
	return nil
}

// field describes a column of the version.
func (r *reading) field(name string) Field {
	f := Field{Name: name, Kind: r.kinds[name], Unit: r.spec.Units[name], Personal: r.spec.Personal[name]}
	if f.Personal == Pseudonymise {
		f.Kind = table.String
	}
	if r.spec.Time != nil && r.spec.Time.Column == name {
		f.Zone = cmp.Or(r.spec.Time.Zone, "UTC")
	}
	f.SQLType = duck.SQLType(f.Kind)
	return f
}

// plan is the SQL that turns one file into staged rows.
type plan struct {
	types   map[string]string // what the reader shall give
	selects []string          // the columns of the staging file: fields, then columns of "__" names that only rules read
	fields  []Field
	rules   []rule
	masked  bool // the staging file has "__" columns
}

// care is how a file is read. The quick way takes for granted that the file is to the end what it seems at the start, and fails when it is not.
type care int

const (
	quick   care = iota // whole is known: numbers that look whole are whole
	checked             // each number that looks whole is checked to be so
	careful             // numbers are read as text, so that each that is not one is found with its row
)

// plan makes the SQL for one file with these columns.
func (r *reading) plan(f *sniffed, how care, tokens map[string]known) (*plan, error) {
	p := &plan{types: map[string]string{}}
	has := map[string]bool{}
	values := map[string]string{}
	for _, c := range f.columns {
		has[c.name] = true
		want := r.kinds[c.name]
		value, bad := conversion(c, want, f.text, how, p.types)
		if bad != "" {
			mask := fmt.Sprintf("__bad_%d", len(p.rules))
			text := c.raw + "::VARCHAR"
			reason := duck.Literal(c.name+" is '") + " || left(" + duck.Quote(mask) + ", 64) || " + duck.Literal("', which is not a "+string(want))
			if r.spec.Personal[c.name] != "" {
				text = "'x'"
				reason = duck.Literal(c.name + " (not shown, it is personal) is not a " + string(want))
			}
			p.selects = append(p.selects, "CASE WHEN "+bad+" THEN "+text+" END AS "+duck.Quote(mask))
			p.rules = append(p.rules, rule{name: c.name + " is a " + string(want), fails: duck.Quote(mask) + " IS NOT NULL", reason: reason, mostly: mostlyDefault})
			p.masked = true
		}
		values[c.name] = value
	}
	if f.lines {
		p.selects = append(p.selects, "__unread")
		p.rules = append(p.rules, rule{name: unreadableRule, fails: "__unread IS NOT NULL", reason: "'the line is not JSON'", mostly: mostlyDefault})
		p.masked = true
	}
	made, err := rules(r.spec, func(name string) (table.Kind, bool) { return r.kinds[name], has[name] })
	if err != nil {
		return nil, err
	}
	for i, rule := range made {
		for column := range r.spec.Personal {
			// A check of a personal column looks at the value before it is replaced, so it is computed while the file is read.
			if strings.HasPrefix(rule.name, column+" ") && has[column] {
				mask := duck.Quote(fmt.Sprintf("__check_%d", i))
				test := strings.ReplaceAll(rule.fails, duck.Quote(column), "("+values[column]+")")
				p.selects = append(p.selects, test+" AS "+mask)
				rule.fails = mask
				p.masked = true
			}
		}
		p.rules = append(p.rules, rule)
	}
	var plain []string
	for _, c := range f.columns {
		value := values[c.name]
		switch r.spec.Personal[c.name] {
		case Drop:
			continue
		case Pseudonymise:
			text := "(" + value + ")::VARCHAR"
			value = r.keys.sql(text)
			if k, ok := tokens[c.name]; ok {
				value = k.sql(r.keys, text)
			}
		}
		p.fields = append(p.fields, r.field(c.name))
		plain = append(plain, value+" AS "+duck.Quote(c.name))
	}
	p.selects = append(plain, p.selects...)
	if len(p.fields) == 0 {
		return nil, fault.New(fault.Invalid, "no column is left: all are personal and dropped")
	}
	return p, nil
}

const unreadableRule = "the row can be read"

// names lists the columns of the fields, quoted.
func (p *plan) names() string {
	quoted := make([]string, len(p.fields))
	for i, f := range p.fields {
		quoted[i] = duck.Quote(f.Name)
	}
	return strings.Join(quoted, ", ")
}

// fails is a predicate over staged rows: some rule fails.
func (p *plan) fails() string {
	if len(p.rules) == 0 {
		return "false"
	}
	tests := make([]string, len(p.rules))
	for i, r := range p.rules {
		tests[i] = "(" + r.fails + ")"
	}
	return strings.Join(tests, " OR ")
}

// reasons is an expression over staged rows: why the row fails.
func (p *plan) reasons() string {
	cases := make([]string, len(p.rules))
	for i, r := range p.rules {
		cases[i] = "CASE WHEN " + r.fails + " THEN " + r.reason + " END"
	}
	return "concat_ws('; ', " + strings.Join(cases, ", ") + ")"
}

// conversion is the expression that gives a column its wanted kind. When values can be unfit for it, bad is a predicate that finds them.
// For a text reader it sets the type that the reader shall give.
func conversion(c sniffedColumn, want table.Kind, text bool, how care, types map[string]string) (value, bad string) {
	given := c.sqlType
	if text {
		switch {
		case how == careful && want != table.Datetime:
			given = "VARCHAR"
		case how == checked && want == table.Long && c.kind == want && !c.words:
			// DuckDB would round 1.5 to 2 in a column of whole numbers. Beyond 2^53 a double does not tell whole numbers apart.
			types[c.name] = "DOUBLE"
			whole := c.raw + "::BIGINT"
			return "CASE WHEN " + c.raw + " IS NULL OR " + c.raw + " = trunc(" + c.raw + ") AND abs(" + c.raw + ") <= 9007199254740991 THEN " + whole + " ELSE error('a fraction') END", ""
		case c.kind == want && !c.words:
		case want == table.Double && c.kind == table.Long && !c.words:
			given = "DOUBLE"
		default:
			given = "VARCHAR"
		}
		types[c.name] = given
	}
	base, _, _ := strings.Cut(given, "(")
	nested := strings.HasSuffix(given, "]") || base == "STRUCT" || base == "MAP" || base == "UNION"
	switch {
	case want == table.String && nested:
		return "to_json(" + c.raw + ")::VARCHAR", ""
	case want == table.String && given == "VARCHAR":
		return c.raw, ""
	case want == table.String:
		return c.raw + "::VARCHAR", ""
	case kindOf(given) != want && !(want == table.Double && kindOf(given) == table.Long):
		return fromText(c.raw+"::VARCHAR", want)
	case want == table.Double && (base == "FLOAT" || base == "DOUBLE"):
		return "CASE WHEN isnan(" + c.raw + ") THEN NULL ELSE " + c.raw + "::DOUBLE END", ""
	case want == table.Datetime && given == "TIMESTAMP WITH TIME ZONE":
		return utc(c.raw), ""
	case given == duck.SQLType(want):
		return c.raw, ""
	}
	return c.raw + "::" + duck.SQLType(want), ""
}

// utc is a time with zone as one without, in UTC. AT TIME ZONE would ask the calendar, at ten times the cost. Infinite times become null.
func utc(instant string) string {
	return "CASE WHEN isfinite(" + instant + ") THEN make_timestamp(epoch_us(" + instant + ")) END"
}

// fromText reads a kind from text; words for a missing value give null. A whole number may be written 5.0, but never loses a fraction.
func fromText(text string, want table.Kind) (value, bad string) {
	words := make([]string, 0, len(missingWords)+1)
	for _, w := range append([]string{""}, missingWords...) {
		words = append(words, duck.Literal(w))
	}
	given := "CASE WHEN trim(" + text + ") NOT IN (" + strings.Join(words, ", ") + ") THEN trim(" + text + ") END"
	switch want {
	case table.Long:
		asDouble := "TRY_CAST(" + given + " AS DOUBLE)"
		value = "CASE WHEN " + asDouble + " = trunc(" + asDouble + ") THEN TRY_CAST(" + given + " AS BIGINT) END"
	case table.Double:
		value = "TRY_CAST(" + given + " AS DOUBLE)"
	case table.Boolean:
		value = "TRY_CAST(" + given + " AS BOOLEAN)"
	default:
		value = utc("TRY_CAST(" + given + " AS TIMESTAMPTZ)")
	}
	return value, "(" + given + ") IS NOT NULL AND (" + value + ") IS NULL"
}
