package filter

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// golden is what the real MLflow answers over a few rows: testdata/golden.py makes it.
type golden struct {
	Rows    []row          `json:"rows"`
	Filters []goldenFilter `json:"filters"`
	Orders  []goldenOrder  `json:"orders"`
}

type row struct {
	ID         string            `json:"id"`
	Attributes map[string]any    `json:"attributes"`
	Metrics    map[string]any    `json:"metrics"`
	Params     map[string]string `json:"params"`
	Tags       map[string]string `json:"tags"`
	Datasets   []map[string]any  `json:"datasets"`
}

// answer is one of found, an error and a crash, which the MLflow server turns into a 500.
type answer struct {
	Found []int  `json:"found"`
	Error string `json:"error"`
	Crash string `json:"crash"`
}

type goldenFilter struct {
	Filter  string         `json:"filter"`
	Clauses []goldenClause `json:"clauses"`
	answer
}

type goldenClause struct {
	Type, Key, Op string
	Value         any
}

type goldenOrder struct {
	OrderBy []any `json:"order_by"`
	answer
}

func readGolden(t testing.TB, n Noun) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/" + string(n) + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

var nouns = []Noun{Runs, Experiments, RegisteredModels, ModelVersions, LoggedModels}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string: // "NaN"
		return math.NaN(), true
	}
	return 0, false
}

// matches evaluates the clauses over a row as a store would.
func (r row) matches(clauses []Clause) bool {
	for _, c := range clauses {
		ok := false
		switch c.Kind {
		case Attribute:
			switch v := r.Attributes[c.Key].(type) {
			case string:
				ok = c.MatchText(v, true)
			case float64:
				ok = c.MatchNumber(v, true)
			default:
				ok = c.MatchText("", false)
			}
		case Metric:
			v, has := number(r.Metrics[c.Key])
			ok = c.MatchNumber(v, has)
		case Param:
			v, has := r.Params[c.Key]
			ok = c.MatchText(v, has)
		case Tag:
			v, has := r.Tags[c.Key]
			ok = c.MatchText(v, has)
		case Dataset:
			for _, d := range r.Datasets {
				ok = ok || c.MatchText(d[c.Key].(string), true)
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

// search is the rows that match, as the store of the noun would find them.
func (g golden) search(n Noun, clauses []Clause) []int {
	prompts := map[any]bool{}
	for _, r := range g.Rows {
		if r.Tags[PromptTag] == "true" {
			prompts[r.Attributes["name"]] = true
		}
	}
	registry := n == RegisteredModels || n == ModelVersions
	exclude := registry && !SearchesPrompts(clauses)
	found := []int{}
	for i, r := range g.Rows {
		mine := clauses
		if exclude {
			mine = slices.DeleteFunc(slices.Clone(clauses), func(c Clause) bool { return c.Kind == Tag && c.Key == PromptTag })
		}
		if r.matches(mine) && !(exclude && prompts[r.Attributes["name"]]) {
			found = append(found, i)
		}
	}
	return found
}

var aSet = regexp.MustCompile(`\{'[^{}]*'\}`)

// normal sorts the sets in a message, whose order is by chance in Python.
func normal(message string) string {
	return aSet.ReplaceAllStringFunc(message, func(s string) string {
		items := strings.Split(strings.Trim(s, "{}"), ", ")
		slices.Sort(items)
		return "{" + strings.Join(items, ", ") + "}"
	})
}

// said is the clause as the golden tables have it.
func (g goldenClause) said(n Noun) string {
	kind := strings.TrimSuffix(strings.Replace(g.Type, "params", "parameter", 1), "s")
	key := g.Key
	if kind == "attribute" {
		if c, ok := canonical[key]; ok {
			key = c
		}
		if c, ok := canonicalLogged[key]; ok && n == LoggedModels {
			key = c
		}
	}
	return fmt.Sprintf("%s|%s|%s|", kind, key, strings.Join(strings.Fields(strings.ToUpper(g.Op)), " "))
}

func sameClause(n Noun, want goldenClause, got Clause) bool {
	if want.said(n) != fmt.Sprintf("%s|%s|%s|", got.Kind, got.Key, got.Op) {
		return false
	}
	switch v := want.Value.(type) {
	case nil:
		return got.Op == IsNull || got.Op == IsNotNull
	case float64:
		return got.Numeric && got.Number == v
	case string:
		if got.Numeric {
			w, err := strconv.ParseFloat(v, 64)
			return err == nil && w == got.Number || isRange(err) && w == got.Number
		}
		return got.Text == v
	case []any:
		var list []string
		for _, item := range v {
			list = append(list, item.(string))
		}
		return slices.Equal(list, got.List)
	}
	return false
}

// difference is a class of inputs that we answer otherwise than MLflow, on purpose.
type difference struct {
	reason string
	is     func(n Noun, input string, want answer, ours error) bool
}

var lowerLike = regexp.MustCompile(`(?i)like`)

var filterDifferences = []difference{
	{"in logged models MLflow leaves double quotes, and single quotes around a key, in the text, so that nothing can match",
		func(n Noun, input string, want answer, ours error) bool {
			return n == LoggedModels && ours == nil && want.Error == "" && regexp.MustCompile(`"|\.'`).MatchString(input)
		}},
	{"in logged models MLflow takes anything for a text or a list and finds nothing: we say what is wrong, as for the other nouns",
		func(n Noun, input string, want answer, ours error) bool {
			return n == LoggedModels && ours != nil && want.Error == "" && regexp.MustCompile(
				"^Expected a quoted string|^While parsing a list|^Expected numeric value").MatchString(ours.Error())
		}},
	{"MLflow's message loses the white space of an IS NULL that it refuses",
		func(n Noun, input string, want answer, ours error) bool {
			bare := strings.NewReplacer(" ", "", "\n", "")
			return n == LoggedModels && ours != nil && bare.Replace(want.Error) == bare.Replace(ours.Error())
		}},
	{"MLflow takes like for LIKE everywhere but in experiments, where nothing speaks against it",
		func(n Noun, input string, want answer, ours error) bool {
			return n == Experiments && lowerLike.MatchString(input) && strings.HasPrefix(want.Error, "Invalid comparator")
		}},
	{"MLflow takes quotes around an attribute in runs and experiments; in the registries they are as clear",
		func(n Noun, input string, want answer, ours error) bool {
			return (n == RegisteredModels || n == ModelVersions) && regexp.MustCompile("^Invalid attribute key '[`\"]").MatchString(want.Error)
		}},
}

func TestFiltersAreThoseOfMLflow(t *testing.T) {
	for _, n := range nouns {
		t.Run(string(n), func(t *testing.T) {
			g := readGolden(t, n)
			wanted := map[string]int{}
			for _, f := range g.Filters {
				clauses, err := Parse(n, f.Filter)
				if err != nil && fault.CodeOf(err) != fault.Invalid {
					t.Fatalf("%q: %v is not the caller's mistake", f.Filter, err)
				}
				problem := compareFilter(n, g, f, clauses, err)
				if problem == "" {
					continue
				}
				if reason := excused(filterDifferences, n, f.Filter, f.answer, err); reason != "" {
					wanted[reason]++
					continue
				}
				t.Errorf("%q: %s", f.Filter, problem)
			}
			t.Logf("%d filters; differences on purpose: %v", len(g.Filters), wanted)
		})
	}
}

func excused(list []difference, n Noun, input string, want answer, ours error) string {
	for _, d := range list {
		if d.is(n, input, want, ours) {
			return d.reason
		}
	}
	return ""
}

func compareFilter(n Noun, g golden, f goldenFilter, clauses []Clause, err error) string {
	switch {
	case f.Crash != "" && err == nil:
		return fmt.Sprintf("MLflow crashes (%s), we read %s", f.Crash, Format(clauses))
	case f.Crash != "":
		return "" // a 500 there, the caller's mistake here
	case f.Error != "" && err == nil:
		return fmt.Sprintf("MLflow says %q, we read %s", f.Error, Format(clauses))
	case f.Error != "":
		if normal(f.Error) != normal(err.Error()) {
			return fmt.Sprintf("MLflow says\n\t%q, we say\n\t%q", f.Error, err)
		}
		return ""
	case err != nil:
		return fmt.Sprintf("MLflow reads %v, we say %q", f.Clauses, err)
	case len(f.Clauses) != len(clauses):
		return fmt.Sprintf("MLflow reads %v, we read %s", f.Clauses, Format(clauses))
	}
	for i, c := range clauses {
		if !sameClause(n, f.Clauses[i], c) {
			return fmt.Sprintf("MLflow reads %v, we read %+v", f.Clauses[i], c)
		}
	}
	if found := g.search(n, clauses); !slices.Equal(found, f.Found) {
		return fmt.Sprintf("MLflow finds %v, we find %v", f.Found, found)
	}
	return ""
}

// value is what a row has to sort by.
func (r row) value(o Order) Value {
	var v any
	switch o.Kind {
	case Attribute:
		v = r.Attributes[o.Key]
	case Metric:
		if o.DatasetName == "" { // no metric of the rows has a dataset
			v = r.Metrics[o.Key]
		}
	case Param:
		if text, has := r.Params[o.Key]; has {
			v = text
		}
	case Tag:
		if text, has := r.Tags[o.Key]; has {
			v = text
		}
	}
	if o.Numeric {
		f, has := number(v)
		return Value{Null: !has, Number: f, Numeric: true}
	}
	text, has := v.(string)
	return Value{Null: !has, Text: text}
}

func (g golden) sort(n Noun, orders []Order) []int {
	found := g.search(n, nil)
	slices.SortStableFunc(found, func(a, b int) int {
		for _, o := range orders {
			if c := o.Compare(g.Rows[a].value(o), g.Rows[b].value(o)); c != 0 {
				return c
			}
		}
		return 0
	})
	return found
}

var orderDifferences = []difference{
	{"run name is an attribute like the others, so we sort by its aliases too",
		func(n Noun, input string, want answer, ours error) bool {
			return n == Runs && ours == nil && regexp.MustCompile("(?i)run name").MatchString(input)
		}},
	{"a registered model can be sorted by creation_timestamp in MLflow's file store, and by a quoted name anywhere else",
		func(n Noun, input string, want answer, ours error) bool {
			return n == RegisteredModels && strings.HasPrefix(want.Error, "Invalid order by key") &&
				(ours == nil || strings.Contains(input, "creation_timestamp DESC"))
		}},
	{"a model version can be sorted by a quoted name",
		func(n Noun, input string, want answer, ours error) bool {
			return n == ModelVersions && ours == nil && strings.HasPrefix(want.Error, "Invalid attribute key")
		}},
	{"MLflow takes the tag of that name for the attribute",
		func(n Noun, input string, want answer, ours error) bool {
			return n == ModelVersions && ours != nil && strings.Contains(input, "tag")
		}},
	{"a logged model can be sorted by a quoted name",
		func(n Noun, input string, want answer, ours error) bool {
			return n == LoggedModels && ours == nil && strings.Contains(input, "`name`")
		}},
	{"a field twice is a mistake everywhere",
		func(n Noun, input string, want answer, ours error) bool {
			return ours != nil && strings.Contains(ours.Error(), "duplicate") && want.Error == ""
		}},
}

func TestOrdersAreThoseOfMLflow(t *testing.T) {
	for _, n := range nouns {
		t.Run(string(n), func(t *testing.T) {
			g := readGolden(t, n)
			wanted := map[string]int{}
			for _, o := range g.Orders {
				orders, err := parseGoldenOrder(t, n, o.OrderBy)
				problem := ""
				total := Total(n, orders)
				if len(o.OrderBy) == 0 {
					total = Defaults(n)
				}
				switch found := g.sort(n, total); {
				case o.Crash != "" && err == nil:
					problem = "MLflow crashes, we read it"
				case o.Crash != "":
				case o.Error != "" && (err == nil || normal(err.Error()) != normal(o.Error)):
					problem = fmt.Sprintf("MLflow says\n\t%q, we say\n\t%v", o.Error, err)
				case o.Error != "":
				case err != nil:
					problem = fmt.Sprintf("we say %v", err)
				case !slices.Equal(found, o.Found):
					problem = fmt.Sprintf("%v: MLflow finds\n\t%v, we find\n\t%v", total, o.Found, found)
				}
				if problem == "" {
					continue
				}
				if reason := excused(orderDifferences, n, fmt.Sprint(o.OrderBy), o.answer, err); reason != "" {
					wanted[reason]++
					continue
				}
				t.Errorf("%q: %s", o.OrderBy, problem)
			}
			t.Logf("%d orders; differences on purpose: %v", len(g.Orders), wanted)
		})
	}
}

func parseGoldenOrder(t *testing.T, n Noun, asked []any) ([]Order, error) {
	t.Helper()
	if n == LoggedModels {
		b, err := json.Marshal(asked)
		if err != nil {
			t.Fatal(err)
		}
		var list []LoggedModelOrder
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		return ParseLoggedModelOrder(list)
	}
	var list []string
	for _, s := range asked {
		list = append(list, s.(string))
	}
	return ParseOrder(n, list)
}
