// Package tabular fits learners to tables and asks models about tables: it decides what each column is, turns cells
// into the matrix that learners read, and keeps that decision with the model in one file. It owns the schema and the
// model file; it must never know where a table was read from.
package tabular

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Role is what a column is to a learner.
type Role string

// The roles.
const (
	Number   Role = "number"   // numbers, and truth values as 0 and 1
	Category Role = "category" // texts: codes by falling frequency
	Date     Role = "date"     // parts: days since 1970, year, month, day of the week, hour
	Unused   Role = "unused"   // Note says why
)

// Column is one input column.
type Column struct {
	Name   string     `json:"name"`
	Role   Role       `json:"role"`
	Kind   table.Kind `json:"kind"`
	Levels []string   `json:"levels,omitempty"` // of a category, the most frequent first; the code is the index
	Parts  []string   `json:"parts,omitempty"`  // of a date
	Note   string     `json:"note,omitempty"`

	codes map[string]int
}

// Schema is what a table must hold for a model, and how its cells become numbers.
type Schema struct {
	Label string `json:"label"`
	// LabelKind is what the label's cells were in training.
	LabelKind table.Kind   `json:"label_kind"`
	Task      learner.Task `json:"task"`
	Classes   []string     `json:"classes,omitempty"` // sorted: as numbers when all are, else as texts
	Query     string       `json:"query,omitempty"`
	Columns   []Column     `json:"columns"`

	classes map[string]int
}

// Hints are what the caller knows; empty fields are inferred.
type Hints struct {
	Task  learner.Task
	Query string   // column of the query, ranking only
	Drop  []string // columns that are no inputs: weights, groups, times of the split
}

// parts are what part tells of a time; the hour is left out where times do not differ in it.
var parts = []string{"day", "year", "month", "weekday", "hour"}

// What Infer decides by.
const (
	classLimit = 10  // whole numbers with more distinct values are a regression
	idShare    = .95 // of distinct texts among the rows: an identifier, or free text
	idRows     = 100 // fewer rows say nothing about that
	maxClasses = 10_000
)

// Infer decides what the columns of a table are, given the column to predict.
func Infer(t *table.Table, label string, h Hints) (*Schema, error) {
	y := t.Column(label)
	if y == nil {
		return nil, missingColumn(t, label, "the label")
	}
	s := &Schema{Label: label, LabelKind: y.Kind, Task: h.Task, Query: h.Query}
	if s.Task == "" {
		s.Task = taskOf(y)
		if h.Query != "" {
			s.Task = learner.Ranking
		}
	}
	if s.Task == learner.Binary || s.Task == learner.Multiclass {
		if err := s.nameClasses(y); err != nil {
			return nil, err
		}
	}
	if s.Task == learner.Ranking && s.Query == "" {
		return nil, fault.New(fault.Invalid, "ranking needs a query column").WithHint("name the column that says which rows are compared with each other")
	}
	for _, name := range append([]string{h.Query}, h.Drop...) {
		if name != "" && t.Column(name) == nil {
			return nil, missingColumn(t, name, "the column")
		}
	}
	used := 0
	for _, c := range t.Columns {
		if c.Name == label || c.Name == h.Query || slices.Contains(h.Drop, c.Name) {
			continue
		}
		col := infer(c)
		if col.Role != Unused {
			used++
		}
		s.Columns = append(s.Columns, col)
	}
	if used == 0 {
		return nil, fault.New(fault.Invalid, "no column besides %q can be an input", label).WithHint("each is constant, empty or different in every row")
	}
	s.index()
	return s, nil
}

func missingColumn(t *table.Table, name, what string) error {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	e := fault.New(fault.Invalid, "%s %q is not a column of the data", what, name)
	if near := learner.Nearest(name, names); near != "" {
		return e.WithHint("did you mean %q?", near)
	}
	if len(names) > 20 {
		names = append(names[:20], "…")
	}
	return e.WithHint("columns are %s", strings.Join(names, ", "))
}

// taskOf is the task that a label column suggests.
func taskOf(y *table.Column) learner.Task {
	seen := map[table.Value]bool{}
	whole := true
	for i := range y.Len() {
		if y.IsNull(i) {
			continue
		}
		v := y.Value(i)
		whole = whole && v.F == math.Trunc(v.F)
		if len(seen) <= classLimit {
			seen[v] = true
		}
	}
	switch {
	case len(seen) <= 2 && (y.Kind == table.String || y.Kind == table.Boolean || whole):
		return learner.Binary
	case y.Kind == table.String:
		return learner.Multiclass
	case y.Kind == table.Long && len(seen) <= classLimit:
		return learner.Multiclass
	}
	return learner.Regression
}

func (s *Schema) nameClasses(y *table.Column) error {
	seen := map[string]bool{}
	for i := range y.Len() {
		if !y.IsNull(i) {
			seen[text(y, i)] = true
		}
		if len(seen) > maxClasses {
			return fault.New(fault.Invalid, "the label %q has more than %d classes", s.Label, maxClasses).WithHint("is it a number? then the task is regression")
		}
	}
	for v := range seen {
		s.Classes = append(s.Classes, v)
	}
	sortClasses(s.Classes)
	switch n := len(s.Classes); {
	case n == 0:
		return fault.New(fault.Invalid, "the label %q is empty in every row", s.Label)
	case n == 1:
		return fault.New(fault.Invalid, "the label %q has one class only, %s: there is nothing to tell apart", s.Label, s.Classes[0])
	case s.Task == learner.Binary && n != 2:
		return fault.New(fault.Invalid, "the label %q has %d classes; a binary task has 2", s.Label, n).
			WithHint("use multiclass or regression, or check the column: %s", strings.Join(s.Classes[:min(n, 5)], ", "))
	}
	return nil
}

// sortClasses sorts as numbers when all are numbers, else as texts.
func sortClasses(classes []string) {
	numbers := map[string]float64{}
	for _, c := range classes {
		v, err := strconv.ParseFloat(c, 64)
		if err != nil {
			sort.Strings(classes)
			return
		}
		numbers[c] = v
	}
	sort.Slice(classes, func(i, j int) bool {
		a, b := numbers[classes[i]], numbers[classes[j]]
		return a < b || a == b && classes[i] < classes[j]
	})
}

// text is a cell as a class or category name; whole numbers have no point.
func text(c *table.Column, i int) string {
	switch c.Kind {
	case table.String:
		return c.Strings[i]
	case table.Boolean:
		return strconv.FormatBool(c.Floats[i] != 0)
	case table.Datetime:
		return time.UnixMicro(int64(c.Floats[i])).UTC().Format(time.RFC3339Nano)
	}
	return strconv.FormatFloat(c.Floats[i], 'f', -1, 64)
}

// infer decides what an input column is.
func infer(c *table.Column) Column {
	out := Column{Name: c.Name, Kind: c.Kind, Role: Number}
	known, first, varies, hours := 0, -1, false, false
	for i := range c.Len() {
		if c.IsNull(i) {
			continue
		}
		known++
		if first < 0 {
			first = i
		}
		varies = varies || c.Value(i) != c.Value(first)
		if c.Kind == table.Datetime {
			hours = hours || math.Mod(c.Floats[i], 86400e6) != 0
		}
	}
	switch {
	case known == 0:
		return Column{Name: c.Name, Kind: c.Kind, Role: Unused, Note: "empty"}
	case !varies && known == c.Len():
		return Column{Name: c.Name, Kind: c.Kind, Role: Unused, Note: "constant"}
	case c.Kind == table.Datetime:
		out.Role, out.Parts = Date, slices.Clone(parts[:4])
		if hours {
			out.Parts = slices.Clone(parts)
		}
	case c.Kind == table.String:
		out.Role, out.Levels = Category, levels(c)
		if n := len(out.Levels); known >= idRows && float64(n) >= idShare*float64(known) {
			return Column{Name: c.Name, Kind: c.Kind, Role: Unused, Note: fmt.Sprintf("%d different texts in %d rows: an identifier or free text", n, known)}
		}
	}
	return out
}

// levels are the distinct texts, the most frequent first, of equal frequency in order of their bytes.
func levels(c *table.Column) []string {
	count := map[string]int{}
	for i, v := range c.Strings {
		if !c.IsNull(i) {
			count[v]++
		}
	}
	out := make([]string, 0, len(count))
	for v := range count {
		out = append(out, strings.Clone(v))
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := count[out[i]], count[out[j]]
		return a > b || a == b && out[i] < out[j]
	})
	return out
}

func (s *Schema) index() {
	s.classes = map[string]int{}
	for i, c := range s.Classes {
		s.classes[c] = i
	}
	for i := range s.Columns {
		c := &s.Columns[i]
		c.codes = make(map[string]int, len(c.Levels))
		for k, v := range c.Levels {
			c.codes[v] = k
		}
	}
}

// Features are the names of the matrix's columns, and the input column that each comes from.
func (s *Schema) Features() (names, inputs []string, levels []int32) {
	categories := false
	for _, c := range s.Columns {
		switch c.Role {
		case Number:
			names, inputs, levels = append(names, c.Name), append(inputs, c.Name), append(levels, 0)
		case Category:
			names, inputs, levels = append(names, c.Name), append(inputs, c.Name), append(levels, int32(len(c.Levels)))
			categories = true
		case Date:
			for _, p := range c.Parts {
				names, inputs, levels = append(names, c.Name+"."+p), append(inputs, c.Name), append(levels, 0)
			}
		}
	}
	if !categories {
		levels = nil
	}
	return names, inputs, levels
}

// Matrix turns the cells of a table into numbers. Columns are found by name; others are ignored. A column that is not
// there, or a text where a number is needed, is fault.Invalid. Infinities and numbers beyond float32 become the
// largest float32.
func (s *Schema) Matrix(t *table.Table) (*table.Matrix, error) {
	names, _, levels := s.Features()
	m := table.NewMatrix(t.Rows, names)
	m.Levels = levels
	at := 0
	for i := range s.Columns {
		c := &s.Columns[i]
		if c.Role == Unused {
			continue
		}
		from := t.Column(c.Name)
		if from == nil {
			return nil, missingColumn(t, c.Name, "the input")
		}
		n, err := c.write(from, m.Data[min(at, len(m.Data)):], m.Cols)
		if err != nil {
			return nil, err
		}
		at += n
	}
	return m, nil
}

// write fills the column's features into data, which starts at the first one, and returns how many they are.
func (c *Column) write(from *table.Column, data []float32, stride int) (int, error) {
	nan := float32(math.NaN())
	switch c.Role {
	case Category:
		for i := range from.Len() {
			v := nan
			if !from.IsNull(i) {
				v = float32(len(c.Levels))
				if k, ok := c.codes[text(from, i)]; ok {
					v = float32(k)
				}
			}
			data[i*stride] = v
		}
		return 1, nil
	case Date:
		if from.Kind != table.Datetime && from.Len() > 0 && !empty(from) {
			return 0, fault.New(fault.Invalid, "column %q holds %s values, not dates", c.Name, from.Kind)
		}
		for i := range from.Len() {
			for k, p := range c.Parts {
				data[i*stride+k] = nan
				if !from.IsNull(i) {
					data[i*stride+k] = part(p, from.Floats[i])
				}
			}
		}
		return len(c.Parts), nil
	}
	if from.Kind == table.String && !empty(from) {
		return 0, fault.New(fault.Invalid, "column %q holds texts, such as %q, not numbers", c.Name, firstText(from))
	}
	for i := range from.Len() {
		v := nan
		if !from.IsNull(i) {
			v = single(from.Floats[i])
		}
		data[i*stride] = v
	}
	return 1, nil
}

func empty(c *table.Column) bool {
	for i := range c.Len() {
		if !c.IsNull(i) {
			return false
		}
	}
	return true
}

func firstText(c *table.Column) string {
	for i, v := range c.Strings {
		if !c.IsNull(i) {
			return v
		}
	}
	return ""
}

// single rounds to float32, within its range.
func single(v float64) float32 { return float32(min(max(v, -math.MaxFloat32), math.MaxFloat32)) }

// part is a part of a time in microseconds since 1970, UTC.
func part(name string, micros float64) float32 {
	at := time.UnixMicro(int64(micros)).UTC()
	switch name {
	case "day":
		return float32(math.Floor(micros / 86400e6))
	case "year":
		return float32(at.Year())
	case "month":
		return float32(at.Month())
	case "weekday":
		return float32((at.Weekday() + 6) % 7) // Monday is 0
	}
	return float32(at.Hour())
}

// Labels are the labels of a table as learners read them, and the rows that have one.
func (s *Schema) Labels(t *table.Table) (y []float64, rows []int, err error) {
	return s.LabelsOf(t, s.Label)
}

// LabelsOf is Labels for a column of another name.
func (s *Schema) LabelsOf(t *table.Table, label string) (y []float64, rows []int, err error) {
	c := t.Column(label)
	if c == nil {
		return nil, nil, missingColumn(t, label, "the label")
	}
	if s.classes == nil {
		s.index()
	}
	for i := range c.Len() {
		if c.IsNull(i) {
			continue
		}
		var v float64
		switch {
		case s.Classes != nil:
			k, ok := s.classes[text(c, i)]
			if !ok {
				return nil, nil, fault.New(fault.Invalid, "row %d has the class %q, which the model does not know", i+1, text(c, i)).
					WithHint("classes are %s", strings.Join(s.Classes[:min(len(s.Classes), 20)], ", "))
			}
			v = float64(k)
		case c.Kind == table.String:
			return nil, nil, fault.New(fault.Invalid, "the label %q holds texts, such as %q; task %s needs numbers", label, c.Strings[i], s.Task)
		default:
			v = c.Floats[i]
		}
		y, rows = append(y, v), append(rows, i)
	}
	if len(y) == 0 {
		return nil, nil, fault.New(fault.Invalid, "the label %q is empty in every row", label)
	}
	return y, rows, nil
}

// Queries are the query numbers of the rows of a ranking table.
func (s *Schema) Queries(t *table.Table) ([]int32, error) {
	if s.Task != learner.Ranking {
		return nil, nil
	}
	return Groups(t, s.Query)
}

// Groups numbers the distinct values of a column by first appearance; a missing value is a group of its own.
func Groups(t *table.Table, name string) ([]int32, error) {
	c := t.Column(name)
	if c == nil {
		return nil, missingColumn(t, name, "the group")
	}
	numbers := map[table.Value]int32{}
	out := make([]int32, c.Len())
	for i := range out {
		v := c.Value(i)
		k, ok := numbers[v]
		if !ok {
			k = int32(len(numbers))
			numbers[v] = k
		}
		out[i] = k
	}
	return out, nil
}
