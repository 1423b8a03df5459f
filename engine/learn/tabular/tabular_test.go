package tabular

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func numbers(name string, kind table.Kind, v ...float64) *table.Column {
	c := &table.Column{Name: name, Kind: kind, Floats: v, Nulls: make([]bool, len(v))}
	for i := range v {
		c.Nulls[i] = math.IsNaN(v[i])
	}
	return c
}

// texts is a column in which "" is missing.
func texts(name string, v ...string) *table.Column {
	c := &table.Column{Name: name, Kind: table.String, Strings: v, Nulls: make([]bool, len(v))}
	for i := range v {
		c.Nulls[i] = v[i] == ""
	}
	return c
}

func dates(name string, v ...string) *table.Column {
	c := &table.Column{Name: name, Kind: table.Datetime}
	for _, s := range v {
		at, err := time.Parse("2006-01-02 15:04", s)
		if err != nil {
			panic(err)
		}
		c.Floats = append(c.Floats, float64(at.UnixMicro()))
	}
	return c
}

func repeat(n int, v ...string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = v[i%len(v)]
	}
	return out
}

func distinct(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "id" + strconv.Itoa(i)
	}
	return out
}

func label(n int) *table.Column { return texts("y", repeat(n, "no", "yes")...) }

func TestInfersRoles(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name   string
		column *table.Column
		role   Role
		levels []string
		parts  []string
		note   string
	}{
		{"numbers", numbers("c", table.Double, 1.5, 2, nan, 4), Number, nil, nil, ""},
		{"truth values", numbers("c", table.Boolean, 0, 1, 1, 0), Number, nil, nil, ""},
		{"one number and gaps", numbers("c", table.Long, 1, nan, 1, 1), Number, nil, nil, ""},
		{"constant", numbers("c", table.Long, 3, 3, 3, 3), Unused, nil, nil, "constant"},
		{"empty", numbers("c", table.Double, nan, nan, nan, nan), Unused, nil, nil, "empty"},
		{"empty texts", texts("c", "", "", "", ""), Unused, nil, nil, "empty"},
		{"texts by frequency, then bytes", texts("c", "b", "c", "c", "a"), Category, []string{"c", "a", "b"}, nil, ""},
		{"few rows of different texts", texts("c", "d", "c", "b", "a"), Category, []string{"a", "b", "c", "d"}, nil, ""},
		{"identifiers", texts("c", distinct(100)...), Unused, nil, nil, "100 different texts in 100 rows: an identifier or free text"},
		{"days", dates("c", "2024-01-01 00:00", "2024-01-02 00:00"), Date, nil, []string{"day", "year", "month", "weekday"}, ""},
		{"times", dates("c", "2024-01-01 00:00", "2024-01-02 13:00"), Date, nil, []string{"day", "year", "month", "weekday", "hour"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.column.Len()
			other := texts("other", repeat(n, "p", "q")...)
			s, err := Infer(table.New(c.column, other, label(n)), "y", Hints{})
			if err != nil {
				t.Fatal(err)
			}
			got := s.Columns[0]
			if got.Role != c.role || got.Note != c.note || !slices.Equal(got.Levels, c.levels) || !slices.Equal(got.Parts, c.parts) {
				t.Errorf("inferred %s %q of %v, parts %v", got.Role, got.Note, got.Levels, got.Parts)
			}
		})
	}
}

func TestInfersTask(t *testing.T) {
	nan := math.NaN()
	var many []float64
	for i := range 2 * (classLimit + 1) {
		many = append(many, float64(i%(classLimit+1)))
	}
	for _, c := range []struct {
		name    string
		label   *table.Column
		hints   Hints
		task    learner.Task
		classes []string
	}{
		{"two texts", texts("y", "yes", "no", "yes", ""), Hints{}, learner.Binary, []string{"no", "yes"}},
		{"truth", numbers("y", table.Boolean, 1, 0), Hints{}, learner.Binary, []string{"false", "true"}},
		{"0 and 1", numbers("y", table.Long, 1, 0, nan), Hints{}, learner.Binary, []string{"0", "1"}},
		{"-1 and 1", numbers("y", table.Long, 1, -1), Hints{}, learner.Binary, []string{"-1", "1"}},
		{"1.0 and 2.0", numbers("y", table.Double, 2, 1), Hints{}, learner.Binary, []string{"1", "2"}},
		{"two fractions", numbers("y", table.Double, .5, 1.5), Hints{}, learner.Regression, nil},
		{"texts", texts("y", "c", "a", "b"), Hints{}, learner.Multiclass, []string{"a", "b", "c"}},
		{"numbers sort as numbers", numbers("y", table.Long, 10, 9, 2), Hints{}, learner.Multiclass, []string{"2", "9", "10"}},
		{"texts of numbers do too", texts("y", "10", "9", "-2"), Hints{}, learner.Multiclass, []string{"-2", "9", "10"}},
		{"one text among them, not", texts("y", "10", "9", "x"), Hints{}, learner.Multiclass, []string{"10", "9", "x"}},
		{"many whole numbers", numbers("y", table.Long, many...), Hints{}, learner.Regression, nil},
		{"many, told", numbers("y", table.Double, 3, 1.5, 2), Hints{Task: learner.Multiclass}, learner.Multiclass, []string{"1.5", "2", "3"}},
		{"a query", numbers("y", table.Long, 0, 2, 1), Hints{Query: "q"}, learner.Ranking, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := c.label.Len()
			s, err := Infer(table.New(c.label, texts("x", repeat(n, "p", "q")...), texts("q", repeat(n, "1", "2")...)), "y", c.hints)
			if err != nil {
				t.Fatal(err)
			}
			if s.Task != c.task || !slices.Equal(s.Classes, c.classes) {
				t.Errorf("inferred %s of %q", s.Task, s.Classes)
			}
		})
	}
}

func TestRefusesLabels(t *testing.T) {
	x := texts("x", "p", "q", "p")
	for _, c := range []struct {
		name  string
		table *table.Table
		hints Hints
		says  string
	}{
		{"no such column", table.New(x, texts("yy", "a", "b", "a")), Hints{}, `"y" is not a column`},
		{"one class", table.New(x, texts("y", "a", "a", "a")), Hints{}, "one class only, a"},
		{"empty", table.New(x, texts("y", "", "", "")), Hints{}, "empty in every row"},
		{"three of two classes", table.New(x, texts("y", "a", "b", "c")), Hints{Task: learner.Binary}, "has 3 classes"},
		{"no input", table.New(texts("x", "p", "p", "p"), texts("y", "a", "b", "a")), Hints{}, "can be an input"},
		{"all dropped", table.New(x, texts("y", "a", "b", "a")), Hints{Drop: []string{"x"}}, "can be an input"},
		{"drop of nothing", table.New(x, texts("y", "a", "b", "a")), Hints{Drop: []string{"z"}}, `"z" is not a column`},
		{"ranking without a query", table.New(x, numbers("y", table.Long, 1, 2, 3)), Hints{Task: learner.Ranking}, "needs a query"},
	} {
		_, err := Infer(c.table, "y", c.hints)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	s, err := Infer(table.New(x, texts("y", "a", "b", "a")), "y", Hints{Task: learner.Regression})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Labels(table.New(texts("y", "a"))); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("texts as numbers: %v", err)
	}
}

// mixed is a table with a column of every role.
func mixed() *table.Table {
	return table.New(
		numbers("n", table.Double, 1, math.NaN(), 1e300, -1e300),
		texts("c", "b", "a", "b", ""),
		dates("d", "1969-12-31 23:00", "2024-02-29 00:00", "2024-03-01 12:00", "2024-03-03 00:00"),
		numbers("k", table.Long, 7, 7, 7, 7),
		texts("y", "no", "yes", "", "no"))
}

func TestMatrix(t *testing.T) {
	s, err := Infer(mixed(), "y", Hints{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Matrix(mixed())
	if err != nil {
		t.Fatal(err)
	}
	nan, most := float32(math.NaN()), float32(math.MaxFloat32)
	// Days by date(1): 2024-02-29 is day 19782, a Thursday; 2024-03-01 Friday; 2024-03-03 Sunday; 1969-12-31 a Wednesday.
	want := []float32{
		1, 0, -1, 1969, 12, 2, 23,
		nan, 1, 19782, 2024, 2, 3, 0,
		most, 0, 19783, 2024, 3, 4, 12,
		-most, nan, 19785, 2024, 3, 6, 0,
	}
	if !slices.EqualFunc(x.Data, want, same) {
		t.Errorf("the matrix is %v", x.Data)
	}
	if names := []string{"n", "c", "d.day", "d.year", "d.month", "d.weekday", "d.hour"}; !slices.Equal(x.Names, names) {
		t.Errorf("features are %q", x.Names)
	}
	if !slices.Equal(x.Levels, []int32{0, 2, 0, 0, 0, 0, 0}) {
		t.Errorf("levels are %v", x.Levels)
	}
	y, rows, err := s.Labels(mixed())
	if err != nil || !slices.Equal(y, []float64{0, 1, 0}) || !slices.Equal(rows, []int{0, 1, 3}) {
		t.Errorf("labels are %v of rows %v, %v", y, rows, err)
	}

	// The same cells in another order of columns, with one more and without those that are not read.
	in := mixed()
	other := table.New(texts("more", "", "", "", "1"), in.Column("d"), in.Column("n"), in.Column("c"))
	if again, err := s.Matrix(other); err != nil || !slices.EqualFunc(again.Data, want, same) {
		t.Errorf("in another order the matrix is %v, %v", again, err)
	}
	// A schema that was written and read does the same.
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Schema
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	back.index()
	if again, err := back.Matrix(in); err != nil || !slices.EqualFunc(again.Data, want, same) {
		t.Errorf("read back, the matrix is %v, %v", again, err)
	}
}

func same(a, b float32) bool { return a == b || a != a && b != b }

func TestMatrixOfOtherData(t *testing.T) {
	s, err := Infer(mixed(), "y", Hints{})
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *table.Column) *table.Table {
		t := table.New()
		for _, own := range mixed().Columns {
			if own.Name == c.Name {
				own = c
			}
			t.Add(own)
		}
		t.Rows = 4
		return t
	}
	for _, c := range []struct {
		name  string
		table *table.Table
		says  string
	}{
		{"missing column", table.New(texts("c", "a"), dates("d", "2024-01-01 00:00")), `the input "n" is not a column`},
		{"texts for numbers", with(texts("n", "", "many", "1", "2")), `holds texts, such as "many"`},
		{"numbers for dates", with(numbers("d", table.Long, 1, 2, 3, 4)), "not dates"},
	} {
		if _, err := s.Matrix(c.table); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, c := range []struct {
		name   string
		column *table.Column
		at     int
		want   []float32
	}{
		{"unseen categories", texts("c", "z", "a", "", "ü"), 1, []float32{2, 1, float32(math.NaN()), 2}},
		{"numbers for categories", numbers("c", table.Long, 1, 2, 3, 4), 1, []float32{2, 2, 2, 2}},
		{"empty texts for numbers", texts("n", "", "", "", ""), 0, repeatNaN(4)},
		{"empty texts for dates", texts("d", "", "", "", ""), 6, repeatNaN(4)},
	} {
		x, err := s.Matrix(with(c.column))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i, want := range c.want {
			if got := x.Row(i)[c.at]; !same(got, want) {
				t.Errorf("%s: row %d has %v, want %v", c.name, i, got, want)
			}
		}
	}
	if x, err := s.Matrix(mixed().Take(nil)); err != nil || x.Rows != 0 {
		t.Errorf("no rows: %v", err)
	}
	if _, _, err := s.Labels(table.New(texts("y", "maybe"))); err == nil || !strings.Contains(err.Error(), "maybe") {
		t.Errorf("an unknown class: %v", err)
	}
}

func repeatNaN(n int) []float32 { return slices.Repeat([]float32{float32(math.NaN())}, n) }

func TestGroups(t *testing.T) {
	got, err := Groups(table.New(texts("g", "b", "", "a", "b", "")), "g")
	if err != nil || !slices.Equal(got, []int32{0, 1, 2, 0, 1}) {
		t.Errorf("groups are %v, %v", got, err)
	}
}

// fitted is a small model file.
func fitted(t testing.TB) (*Model, *table.Table, []byte) {
	in := table.New(texts("c", repeat(60, "b", "a", "b", "")...), texts("y", repeat(60, "no", "yes", "no")...),
		dates("d", slices.Concat(repeat(30, "2024-01-01 00:00"), repeat(30, "2024-01-02 12:00"))...))
	s, err := Infer(in, "y", Hints{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Matrix(in)
	if err != nil {
		t.Fatal(err)
	}
	y, _, err := s.Labels(in)
	if err != nil {
		t.Fatal(err)
	}
	l, err := learn.New("tree", learn.Params{"min_leaf": 5})
	if err != nil {
		t.Fatal(err)
	}
	fit, err := l.Fit(context.Background(), learn.Set{X: x, Y: y}, s.Task, 2, learn.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{Schema: s, Model: fit, About: map[string]any{"learner": "tree"}}
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return m, in, b
}

func TestModelFile(t *testing.T) {
	m, in, b := fitted(t)
	again, err := Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if !Is(b) || again.About["learner"] != "tree" {
		t.Errorf("is %v, about %v", Is(b), again.About)
	}
	want, err := m.Predict(in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Predict(in)
	if err != nil {
		t.Fatal(err)
	}
	for j, name := range []string{"no", "yes"} {
		if got.Columns[j].Name != name || !slices.Equal(got.Columns[j].Floats, want.Columns[j].Floats) {
			t.Errorf("column %d is %q, %v, want %v", j, got.Columns[j].Name, got.Columns[j].Floats, want.Columns[j].Floats)
		}
	}
	if once, _ := again.MarshalBinary(); string(once) != string(b) {
		t.Error("the file that was read is written otherwise")
	}
	for n := range len(b) {
		if _, err := Load(b[:n]); fault.CodeOf(err) != fault.Corrupt {
			t.Fatalf("the first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestRefusesDamagedFiles(t *testing.T) {
	m, _, _ := fitted(t)
	body, err := m.Model.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	file := func(kind string, version uint32, head string, body []byte) []byte {
		w := wire.NewWriter(kind, version)
		w.Text(head)
		w.Text(string(body))
		return w.Bytes
	}
	b, err := json.Marshal(map[string]any{"schema": m.Schema})
	if err != nil {
		t.Fatal(err)
	}
	sound := string(b)
	if _, err := Load(file(Kind, layout, sound, body)); err != nil {
		t.Fatal(err)
	}
	swap := func(old, with string) string {
		if !strings.Contains(sound, old) {
			t.Fatalf("%s is not in %s", old, sound)
		}
		return strings.Replace(sound, old, with, 1)
	}
	for name, b := range map[string][]byte{
		"another kind":    file("tree", layout, sound, body),
		"no schema":       file(Kind, layout, "{}", body),
		"no JSON":         file(Kind, layout, "{", body),
		"no model":        file(Kind, layout, sound, nil),
		"a model of text": file(Kind, layout, sound, []byte("TTMLxxxx")),
		"more behind":     append(file(Kind, layout, sound, body), 0),
		"another task":    file(Kind, layout, swap(`"task":"binary"`, `"task":"regression"`), body),
		"a class more":    file(Kind, layout, swap(`"classes":["no","yes"]`, `"classes":["a","no","yes"]`), body),
		"no classes":      file(Kind, layout, swap(`"classes":["no","yes"]`, `"classes":null`), body),
		"an unknown role": file(Kind, layout, swap(`"role":"category"`, `"role":"essay"`), body),
		"parts of a text": file(Kind, layout, swap(`"role":"category"`, `"role":"category","parts":["day"]`), body),
		"an unknown part": file(Kind, layout, swap(`"year"`, `"era"`), body),
		"a part less":     file(Kind, layout, swap(`"year",`, ``), body),
	} {
		if _, err := Load(b); fault.CodeOf(err) != fault.Corrupt {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(file(Kind, layout+1, sound, body)); fault.CodeOf(err) != fault.FormatNotServed {
		t.Errorf("a later layout: %v", err)
	}
}

// FuzzLoad reads damaged files; what is read predicts.
func FuzzLoad(f *testing.F) {
	_, in, b := fitted(f)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Load(b)
		if err != nil {
			return
		}
		_, _ = m.Predict(in)
		if _, err := m.MarshalBinary(); err != nil {
			t.Error(err)
		}
	})
}
