package data

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/infra/duck"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/project"
)

// mostlyDefault is the share of rows that must pass a check when the check does not say.
const mostlyDefault = 0.5

// rule is one condition that a row may fail, as SQL over the row's columns.
type rule struct {
	name   string // as people read it, and as failures are counted under
	fails  string // a predicate that is true, never null, for rows that fail
	reason string // a text expression: why this row fails
	mostly float64
}

// rules makes the row rules of a contract. columns gives the SQL expression and the kind of each column; value is what may be shown of it.
func rules(spec project.Dataset, kind func(string) (table.Kind, bool)) ([]rule, error) {
	var out []rule
	for _, key := range spec.Key {
		if _, ok := kind(key); !ok {
			return nil, unknownColumn("the key", key)
		}
		out = append(out, rule{name: key + " not null", fails: duck.Quote(key) + " IS NULL", reason: duck.Literal(key + " is missing, and it is part of the key"), mostly: mostlyDefault})
	}
	if spec.Time != nil {
		k, ok := kind(spec.Time.Column)
		if !ok {
			return nil, unknownColumn("time", spec.Time.Column)
		}
		if k != table.Datetime {
			return nil, fault.New(fault.Invalid, "the time column %q is a %s, it must be a datetime", spec.Time.Column, k).
				WithHint("types: {%s: datetime} reads text such as 2013-04-01 10:00:00", spec.Time.Column)
		}
		if !slices.Contains(spec.Key, spec.Time.Column) {
			out = append(out, rule{name: spec.Time.Column + " not null", fails: duck.Quote(spec.Time.Column) + " IS NULL",
				reason: duck.Literal(spec.Time.Column + " is missing, and it says when the row happened"), mostly: mostlyDefault})
		}
	}
	for i, check := range spec.Contract {
		made, err := columnRules(check, spec, kind)
		if err != nil {
			return nil, fmt.Errorf("contract entry %d: %w", i+1, err)
		}
		out = append(out, made...)
	}
	return out, nil
}

func columnRules(check project.Check, spec project.Dataset, kind func(string) (table.Kind, bool)) ([]rule, error) {
	if check.Column == "" {
		return nil, nil
	}
	k, ok := kind(check.Column)
	if !ok {
		return nil, unknownColumn("the contract", check.Column)
	}
	mostly := check.Mostly
	if mostly == 0 {
		mostly = mostlyDefault
	}
	column := duck.Quote(check.Column)
	shown := duck.Literal(check.Column+" is ") + " || " + column + "::VARCHAR"
	if k == table.String {
		shown = duck.Literal(check.Column+" is '") + " || left(" + column + ", 64) || '''" + "'"
	}
	if spec.Personal[check.Column] != "" {
		shown = duck.Literal(check.Column + " (not shown, it is personal)")
	}
	var out []rule
	add := func(what, fails string, reason string) {
		out = append(out, rule{name: check.Column + " " + what, fails: "coalesce(" + fails + ", false)", reason: reason, mostly: mostly})
	}
	if check.NotNull {
		add("not null", column+" IS NULL", duck.Literal(check.Column+" is missing"))
	}
	if len(check.Between) > 0 {
		if len(check.Between) != 2 || check.Between[0] > check.Between[1] {
			return nil, fault.New(fault.Invalid, "between needs two numbers, the smaller first").WithHint("between: [0, 100]")
		}
		if k != table.Double && k != table.Long {
			return nil, fault.New(fault.Invalid, "between is for numbers, %q is a %s", check.Column, k)
		}
		low, high := number(check.Between[0]), number(check.Between[1])
		add("between "+low+" and "+high, fmt.Sprintf("NOT (%s BETWEEN %s AND %s)", column, duck.Number(check.Between[0]), duck.Number(check.Between[1])),
			shown+" || "+duck.Literal(", not between "+low+" and "+high))
	}
	if check.Matches != "" {
		if _, err := regexp.Compile(check.Matches); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the pattern %q cannot be understood", check.Matches).WithHint("patterns are RE2: no look-around, no back references")
		}
		if k != table.String {
			return nil, fault.New(fault.Invalid, "matches is for text, %q is a %s", check.Column, k)
		}
		add("matches "+check.Matches, fmt.Sprintf("NOT regexp_matches(%s, %s)", column, duck.Literal(check.Matches)),
			shown+" || "+duck.Literal(", which does not match "+check.Matches))
	}
	if len(check.In) > 0 {
		items := make([]string, len(check.In))
		for i, item := range check.In {
			switch k {
			case table.String:
				items[i] = duck.Literal(item)
			case table.Double, table.Long:
				f, err := strconv.ParseFloat(item, 64)
				if err != nil {
					return nil, fault.New(fault.Invalid, "in: %q is not a number, and %q is a %s", item, check.Column, k)
				}
				items[i] = duck.Number(f)
			default:
				return nil, fault.New(fault.Invalid, "in is for text and numbers, %q is a %s", check.Column, k)
			}
		}
		add("in ["+strings.Join(check.In, ", ")+"]", column+" NOT IN ("+strings.Join(items, ", ")+")",
			shown+" || "+duck.Literal(", which is not one of "+strings.Join(check.In, ", ")))
	}
	return out, nil
}

func unknownColumn(where, name string) error {
	return fault.New(fault.Invalid, "%s names the column %q, which the files do not have", where, name).With("column", name).
		WithHint("names must be written as in the header")
}

// number writes a number for people.
func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// refuseMostly refuses a version in which too few rows pass a check. example is one that fails, "" when none can be shown.
func refuseMostly(name string, mostly float64, failed, rows int64, example string) error {
	if rows == 0 || float64(rows-failed) >= mostly*float64(rows) {
		return nil
	}
	if example != "" {
		example = "; the first is " + example
	}
	return fault.New(fault.GateRefused, "the contract is not met: %s of %s rows fail %q, at least %s %% must pass%s",
		count(failed), count(rows), name, number(100*mostly), example).
		WithHint("correct the data, the type, the check, or its mostly:").
		With("clause", name).With("failed", failed).With("rows", rows).With("mostly", mostly)
}

// refuseWhole refuses a version by its number of rows or its age. newest gives the greatest time of a column.
func refuseWhole(contract []project.Check, rows int64, now time.Time, newest func(column string) (time.Time, error)) error {
	for _, check := range contract {
		if r := check.Rows; r != nil {
			if rows < r.AtLeast || r.AtMost > 0 && rows > r.AtMost {
				bound := "at least " + count(r.AtLeast)
				if r.AtMost > 0 && rows > r.AtMost {
					bound = "at most " + count(r.AtMost)
				}
				return fault.New(fault.GateRefused, "the contract is not met: %s rows, there must be %s", count(rows), bound).
					WithHint("is a file missing, or twice there?").With("clause", "rows").With("rows", rows)
			}
		}
		if f := check.Fresh; f != nil {
			at, err := newest(f.Column)
			if err != nil {
				return err
			}
			if age := now.Sub(at); age > time.Duration(f.Within) {
				return fault.New(fault.GateRefused, "the contract is not met: the newest %s is %s, which is %s old; it may be %s",
					f.Column, at.Format("2006-01-02 15:04:05Z"), age.Round(time.Second), time.Duration(f.Within)).
					WithHint("has the export stopped?").With("clause", "fresh").With("newest", at).With("age_seconds", age.Seconds())
			}
		}
	}
	return nil
}

// count writes a whole number with a comma between thousands.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// mostlyOf is the share of rows that must pass, by the names of the rules that say one.
func mostlyOf(spec project.Dataset, kind func(string) (table.Kind, bool)) (map[string]float64, error) {
	made, err := rules(spec, kind)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, r := range made {
		out[r.name] = max(out[r.name], r.mostly)
	}
	return out, nil
}
