package project

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Look is what somebody saw in a file: the ground for a first trimtab.yaml.
type Look struct {
	Path    string       // as files will say it
	Format  string       // csv, tsv, jsonl or parquet
	Rows    int64        // exact
	Columns []LookColumn // in the order of the file
	Sample  *table.Table // some thousand rows with all columns; leaks are looked for in it
}

// LookColumn is one column over all rows of a file.
type LookColumn struct {
	Name     string
	Kind     table.Kind
	Nulls    int64
	Distinct int64    // of the values that are not missing; may be an estimate
	Unique   bool     // exact: no value is missing or there twice
	Min, Max float64  // of numbers
	Values   []string // all distinct texts, the most frequent first, when they are few; else empty
}

// DraftOptions is what the caller knows better than a look tells.
type DraftOptions struct {
	Project string // default: from the file's name
	Label   string // the column to predict; default: a guess
}

// columnRole is what a draft makes of a column.
type columnRole struct {
	LookColumn
	expr    string // as an expression reads it
	exclude string // why it is no input; "" = it is one
}

// draft is the state of writing one file.
type draft struct {
	look    *Look
	columns []*columnRole
	label   *columnRole
	key     *columnRole
	time    *columnRole
	task    string   // binary, multiclass or regression
	target  string   // the label's expression
	name    string   // the label's name
	missing []string // texts of the label that mean nothing, as an expression writes them
	notes   []string
}

// Draft writes a commented trimtab.yaml for a file that was looked at, which ParseFile accepts, and says in notes what it guessed
// and left out. An unknown or unusable label is fault.Invalid.
func Draft(look *Look, o DraftOptions) (text []byte, notes []string, err error) {
	if len(look.Columns) < 2 {
		return nil, nil, fault.New(fault.Invalid, "%s has %d column(s); a model needs a label and something to learn from", look.Path, len(look.Columns))
	}
	if look.Rows < 20 {
		return nil, nil, fault.New(fault.Invalid, "%s has %d rows; too few to learn from", look.Path, look.Rows)
	}
	d := &draft{look: look}
	for _, c := range look.Columns {
		d.columns = append(d.columns, &columnRole{LookColumn: c, expr: columnExpr(c.Name)})
	}
	d.findTime(o.Label)
	d.findKey(o.Label)
	if err := d.findLabel(o.Label); err != nil {
		return nil, nil, err
	}
	if err := d.setTask(); err != nil {
		return nil, nil, err
	}
	d.chooseInputs()
	project := o.Project
	if project == "" {
		project = fileStem(look.Path)
	}
	project = strings.ReplaceAll(slugOr(project, "project"), "_", "-")
	project = strings.Trim(project[:min(len(project), 63)], "-")
	text = d.write(project)
	if _, err := ParseFile("trimtab.yaml", text); err != nil {
		return nil, nil, fault.Wrap(err, fault.Internal, "the drafted file for %s is not valid", look.Path)
	}
	return text, d.notes, nil
}

func (d *draft) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// columnExpr is the name of a column as an expression reads it.
func columnExpr(name string) string {
	if e, err := recipe.ParseExpr(name); err == nil {
		if column, ok := e.IsColumn(); ok && column == name {
			return name
		}
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// fileStem is the name of a file without folders, endings and glob signs.
func fileStem(path string) string {
	path = path[strings.LastIndexAny(path, `/\`)+1:]
	for _, suffix := range []string{".gz", ".zst", ".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet"} {
		path = strings.TrimSuffix(path, suffix)
	}
	return path
}

// words of a column's name, lower-case: customerID -> customer, id.
func nameWords(name string) []string {
	var b strings.Builder
	for i, c := range name {
		if i > 0 && c >= 'A' && c <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z' {
			b.WriteByte(' ')
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else {
			b.WriteByte(' ')
		}
	}
	return strings.Fields(strings.ToLower(b.String()))
}

// named reports whether one of the words of the name is in the list.
func named(name string, list ...string) bool {
	return slices.ContainsFunc(nameWords(name), func(w string) bool { return slices.Contains(list, w) })
}

func (d *draft) findTime(label string) {
	var best *columnRole
	score := 0
	for _, c := range d.columns {
		if c.Kind != table.Datetime || c.Nulls > 0 || c.Distinct < 2 || strings.EqualFold(c.Name, label) {
			continue
		}
		s := 1
		if named(c.Name, "time", "timestamp", "ts", "date", "datetime", "at", "on", "created", "hour", "day") {
			s = 2
		}
		if named(c.Name, "birth", "born", "dob", "birthday") {
			s = 0
		}
		if s > score {
			best, score = c, s
		}
	}
	if best == nil {
		return
	}
	d.time = best
	best.exclude = "it is the time of the row"
	d.note("%s is taken as the time of a row, in UTC; say zone: if its hours are local ones", best.Name)
}

func (d *draft) findKey(label string) {
	score := 0
	for _, c := range d.columns {
		if !c.Unique || c == d.time || c.Kind != table.Long && c.Kind != table.String || strings.EqualFold(c.Name, label) {
			continue
		}
		s := 1
		switch {
		case idLike(c.Name):
			s = 2
		case c.Kind == table.Long && c.Max-c.Min+1 != float64(d.look.Rows):
			s = 0 // an amount that happens to differ from row to row, not a running number
		}
		if s > score {
			d.key, score = c, s
		}
	}
	if d.key != nil {
		d.key.exclude = "it is the key"
	}
}

func idLike(name string) bool {
	return named(name, "id", "ids", "uuid", "guid", "key", "rowid", "index", "idx", "rownum", "no") || strings.HasPrefix(strings.ToLower(name), "unnamed")
}

// labelNames are names that a column to predict often has, the surest first.
var labelNames = []string{"target", "label", "y", "outcome", "class", "churn", "churned", "exited", "attrition", "default", "defaulted", "fraud",
	"fraudulent", "spam", "survived", "converted", "conversion", "clicked", "click", "purchased", "subscribed", "readmitted", "diagnosis",
	"species", "response", "late", "delayed", "income", "quality", "rating", "price", "saleprice", "sales", "demand", "revenue", "amount"}

func (d *draft) findLabel(wanted string) error {
	if wanted != "" {
		names := make([]string, len(d.columns))
		for i, c := range d.columns {
			names[i] = c.Name
			if c.Name == wanted || d.label == nil && strings.EqualFold(c.Name, wanted) {
				d.label = c
			}
		}
		if d.label == nil {
			return fault.New(fault.Invalid, "%s has no column %q", d.look.Path, wanted).WithHint("%s", meant(wanted, names))
		}
		return nil
	}
	usable := func(c *columnRole) bool {
		return c.exclude == "" && c.Distinct >= 2 && c.Kind != table.Datetime && !(c.Kind == table.String && c.Distinct > maxClasses) && !idLike(c.Name)
	}
	best := len(labelNames)
	for _, c := range d.columns {
		if !usable(c) {
			continue
		}
		words := nameWords(c.Name)
		if len(words) > 1 && (words[0] == "is" || words[0] == "has" || words[0] == "was") {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		i := slices.Index(labelNames, strings.Join(words, ""))
		if i < 0 {
			i = slices.Index(labelNames, words[len(words)-1])
		}
		if i >= 0 && i < best {
			d.label, best = c, i
		}
	}
	if d.label != nil {
		d.note("%s is guessed to be what to predict, by its name; --label COLUMN says otherwise", d.label.Name)
		return nil
	}
	for i := len(d.columns) - 1; i >= 0; i-- {
		if usable(d.columns[i]) {
			d.label = d.columns[i]
			d.note("%s is guessed to be what to predict, because it is the last column; --label COLUMN says otherwise", d.label.Name)
			return nil
		}
	}
	return fault.New(fault.Invalid, "no column of %s looks like something to predict", d.look.Path).WithHint("name it: --label COLUMN")
}

// maxClasses is how many values a text may have to be predicted as classes.
const maxClasses = 50

// positives are texts that mean yes.
var positives = []string{"yes", "y", "true", "t", "1", "1.0", "positive", "pos", "churned", "churn", "left", "exited", "default", "fraud", "spam",
	"late", "bad", "fail", "failed", "won", "win", "success", "malignant", "sick", "high", ">50k", ">50k."}

func meansYes(text string) bool {
	return slices.Contains(positives, strings.ToLower(strings.TrimSpace(text)))
}

func (d *draft) setTask() error {
	l := d.label
	l.exclude = "it is the label"
	if d.key == l {
		d.key = nil
	}
	if d.time == l {
		d.time = nil
	}
	d.name = slugOr(l.Name, "target")
	d.name = strings.TrimRight(d.name[:min(len(d.name), 60)], "_")
	d.target = l.expr
	if l.Distinct < 2 {
		return fault.New(fault.Invalid, "the label %s has the same value in every row", l.Name).WithHint("name another column: --label COLUMN")
	}
	switch l.Kind {
	case table.Boolean:
		d.task = "binary"
	case table.Datetime:
		return fault.New(fault.Invalid, "the label %s is a time", l.Name).WithHint("predict a number or a yes or no made of it, e.g. {late: \"%s > '2026-01-01'\"}", l.expr)
	case table.String:
		values, missing := splitMissing(l.Values)
		d.missing = missing
		if missing != nil {
			d.note("%s is taken as a missing label where it is %s", l.Name, strings.Join(missing, ", "))
		}
		if len(values) == 2 {
			d.task = "binary"
			yes, no := values[1], values[0] // yes is the rarer one, unless the other says yes
			if meansYes(no) && !meansYes(yes) {
				yes, no = no, yes
			}
			d.target = unlessMissing(l.expr, missing, fmt.Sprintf("%s = %s", l.expr, sqlText(yes)))
			d.note("the model predicts that %s is %q; the other value is %q", l.Name, yes, no)
			// {female: "sex = 'female'"} says more than {sex: ...}; {churn: "churn = 'yes'"} is right as it is.
			if name := slugOr(yes, d.name); !meansYes(yes) && len(name) > 1 && len(name) <= 60 && !d.hasColumn(name) {
				d.name = name
			}
			break
		}
		if l.Distinct > maxClasses {
			return fault.New(fault.Invalid, "the label %s has %d different texts; at most %d classes are predicted", l.Name, l.Distinct, maxClasses).
				WithHint("name another column: --label COLUMN")
		}
		d.task = "multiclass"
		d.target = unlessMissing(l.expr, missing, l.expr)
	default:
		if l.Distinct == 2 {
			d.task = "binary"
			d.target = fmt.Sprintf("%s = %s", l.expr, strconv.FormatFloat(l.Max, 'f', -1, 64))
			break
		}
		d.task = "regression"
		if l.Kind == table.Long && l.Distinct <= 10 {
			d.note("%s has %d whole numbers and is predicted as a number, not as classes", l.Name, l.Distinct)
		}
	}
	return nil
}

func (d *draft) hasColumn(name string) bool {
	return slices.ContainsFunc(d.columns, func(c *columnRole) bool { return strings.EqualFold(c.Name, name) })
}

// missingTexts are words that people write into a text column where there is nothing.
var missingTexts = []string{"", "na", "n/a", "nan", "null", "none", "-", "?", "#n/a", `\n`, "missing", "unknown"}

// splitMissing takes the words for nothing out of the values of a label.
func splitMissing(values []string) (real, missing []string) {
	for _, v := range values {
		if slices.Contains(missingTexts, strings.ToLower(strings.TrimSpace(v))) {
			missing = append(missing, sqlText(v))
		} else {
			real = append(real, v)
		}
	}
	if len(real) < 2 {
		return values, nil // then they are classes like others
	}
	return real, missing
}

func sqlText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// unlessMissing is the expression value, or null where the label's column says that it is missing.
func unlessMissing(column string, missing []string, value string) string {
	if missing == nil {
		return value
	}
	return fmt.Sprintf("if(%s in (%s), null, %s)", column, strings.Join(missing, ", "), value)
}

// plainNumber is v to six digits without an exponent.
func plainNumber(v float64) string {
	if v == math.Trunc(v) {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 6, 64), 64)
	if err != nil {
		rounded = v
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// personalNames are words of columns that hold data about persons, which no model needs.
var personalNames = []string{"email", "mail", "phone", "telephone", "mobile", "ssn", "surname", "lastname", "firstname", "fullname", "address", "street", "ip", "passport"}

func personal(c *columnRole) bool {
	words := nameWords(c.Name)
	return c.Kind == table.String && (named(c.Name, personalNames...) ||
		len(words) == 2 && words[1] == "name" && slices.Contains([]string{"first", "last", "full", "middle", "user"}, words[0]) || strings.EqualFold(c.Name, "name"))
}

func (d *draft) chooseInputs() {
	leaks := d.leaks()
	taken := map[string]bool{}
	for _, c := range d.columns {
		filled := d.look.Rows - c.Nulls
		switch {
		case c.exclude != "":
		case filled == 0:
			c.exclude = "it is empty"
		case c.Distinct < 2 && c.Nulls == 0:
			c.exclude = "it has the same value in every row"
		case leaks[c.Name] != "":
			c.exclude = leaks[c.Name]
			d.note("%s is left out: %s", c.Name, c.exclude)
		case personal(c):
			c.exclude = "it looks like personal data"
			d.note("%s is left out: %s", c.Name, c.exclude)
		case c.Kind == table.Datetime:
			c.exclude = "it is a time: use an expression such as weekday(" + c.expr + ")"
		case c.Unique && c.Kind == table.Long, idLike(c.Name) && c.Kind != table.Double && c.Distinct*2 > filled:
			c.exclude = "it looks like an id"
		case c.Kind == table.String && c.Distinct*2 > filled:
			c.exclude = "nearly every row has a text of its own"
		default:
			e, err := recipe.ParseExpr(c.expr)
			if err != nil || taken[e.Slug()] {
				c.exclude = "its name cannot be told from another one"
				break
			}
			taken[e.Slug()] = true
		}
	}
}
