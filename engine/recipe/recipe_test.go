package recipe

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// randomTable has the columns of testInputs. With wild it holds categories and numbers that a tame table never has.
func randomTable(r *rand.Rand, rows int, wild bool) *table.Table {
	x, y := &table.Column{Name: "x", Kind: table.Double}, &table.Column{Name: "y", Kind: table.Double}
	n, b := &table.Column{Name: "n", Kind: table.Long}, &table.Column{Name: "b", Kind: table.Boolean}
	s, u := &table.Column{Name: "s", Kind: table.String}, &table.Column{Name: "it's", Kind: table.String}
	extremes := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 5e-324, 1e39, -1e39, 3.4028235677973366e38, 0, math.Copysign(0, -1)}
	for range rows {
		number := func(v float64) table.Value {
			switch {
			case r.IntN(7) == 0:
				return table.Null
			case wild && r.IntN(6) == 0:
				return table.Value{F: extremes[r.IntN(len(extremes))]}
			}
			return table.Value{F: v}
		}
		text := func(list ...string) table.Value {
			switch {
			case r.IntN(8) == 0:
				return table.Null
			case r.IntN(8) == 0:
				return table.Text("")
			case wild && r.IntN(5) == 0:
				return table.Text([]string{"never seen", "ΩΩ", "a'b"}[r.IntN(3)])
			}
			return table.Text(list[min(r.IntN(len(list)), r.IntN(len(list)))])
		}
		x.Append(number(r.NormFloat64() * 100))
		y.Append(number(math.Exp(r.NormFloat64() * 5)))
		n.Append(number(float64(r.IntN(8) - 3)))
		b.Append(number(float64(r.IntN(2))))
		s.Append(text("JFK", "EWR", "LGA", "Ürgüp", "O'Hare", "x=y", "z"))
		u.Append(text("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"))
	}
	return table.New(x, y, n, b, s, u)
}

func testInputs() []Input {
	return []Input{{Name: "x", Kind: table.Double}, {Name: "y", Kind: table.Double}, {Name: "n", Kind: table.Long},
		{Name: "b", Kind: table.Boolean}, {Name: "s", Kind: table.String}, {Name: "it's", Kind: table.String}}
}

// randomSteps is a list that fits testInputs.
func randomSteps(r *rand.Rand) []map[string]any {
	pick := func(s ...map[string]any) map[string]any { return s[r.IntN(len(s))] }
	m := func(op string, v any) map[string]any { return map[string]any{op: v} }
	p := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	steps := []map[string]any{pick(m("dedupe", nil), m("impute", "median"), m("impute", "mean"), m("impute", "most_frequent"),
		m("impute", p("strategy", "constant", "value", -1.5, "indicator", true)), m("impute", p("strategy", "constant", "value", "none", "columns", "s", "indicator", true)),
		m("impute", p("strategy", "median", "columns", []any{"x"}, "indicator", true)))}
	steps = append(steps, pick(m("dedupe", nil), m("clip", p("quantiles", []any{0.05, 0.9})), m("clip", p("columns", []any{"x", "y"}, "low", -50, "high", 50.5)), m("log", []any{"x", "y"})))
	steps = append(steps, pick(m("dedupe", nil), m("scale", "standard"), m("scale", "min_max"), m("scale", "robust"), m("log", "y")))
	steps = append(steps, pick(m("dedupe", nil), m("one_hot", p("columns", []any{"s", "n"}, "min_count", 5, "max", 4)), m("one_hot", "b"), m("target_encode", "n")))
	last := pick(m("dedupe", nil), m("one_hot", "it's"), m("ordinal", "it's"), m("target_encode", p("columns", "it's", "smoothing", 3)))
	steps = append(steps, last)
	if _, ok := last["target_encode"]; ok {
		steps = append(steps, m("scale", p("method", "standard", "columns", "it's")), m("clip", p("low", -1, "columns", "it's")))
	}
	return steps
}

func loadTable(t *testing.T, db *sql.DB, name string, data *table.Table) {
	t.Helper()
	types := map[table.Kind]string{table.Double: "DOUBLE", table.Long: "DOUBLE", table.Boolean: "DOUBLE", table.String: "VARCHAR"}
	var columns, marks []string
	for _, c := range data.Columns {
		columns = append(columns, quoteName(c.Name)+" "+types[c.Kind])
		marks = append(marks, "?")
	}
	if _, err := db.Exec("CREATE OR REPLACE TABLE " + name + " (" + strings.Join(columns, ", ") + ")"); err != nil {
		t.Fatal(err)
	}
	for i := range data.Rows {
		args := make([]any, len(data.Columns))
		for j, c := range data.Columns {
			switch v := c.Value(i); {
			case v.Null:
			case c.Kind == table.String:
				args[j] = v.S
			default:
				args[j] = v.F
			}
		}
		if _, err := db.Exec("INSERT INTO "+name+" VALUES ("+strings.Join(marks, ", ")+")", args...); err != nil {
			t.Fatal(err)
		}
	}
}

// equal32 is equality of features: NaN equals NaN; one unit in the last place is allowed where a logarithm took part.
func equal32(a, b float32, logarithm bool) bool {
	if a == b || a != a && b != b {
		return true
	}
	return logarithm && (math.Nextafter32(a, b) == b)
}

func TestRowTransformAndSQLAgree(t *testing.T) {
	db := openDuck(t)
	for seed := range uint64(25) {
		r := rand.New(rand.NewPCG(seed, 7))
		raw := randomSteps(r)
		steps, err := ParseSteps(raw)
		if err != nil {
			t.Fatalf("%v: %v", raw, err)
		}
		train, test := randomTable(r, 300, seed%5 == 0), randomTable(r, 80, true)
		classes := []int{0, 2, 3}[seed%3]
		y := make([]float64, train.Rows)
		for i := range y {
			if y[i] = r.NormFloat64(); classes > 0 {
				y[i] = float64(r.IntN(classes))
			}
		}
		f, matrix, err := Fit(Spec{Inputs: testInputs(), Steps: steps, Seed: seed}, train, y, classes)
		if err != nil {
			t.Fatalf("%v: %v", raw, err)
		}
		again := reload(t, f)
		logarithm := slices.ContainsFunc(steps, func(s Step) bool { return s.Op == "log" })

		transformed, err := f.Transform(train)
		if err != nil {
			t.Fatal(err)
		}
		crossFitted := func(j int) bool {
			e := f.Columns()[f.FeatureInputs()[j]].Encoder
			return e != nil && e.Op == EncodeTarget
		}
		for k := range matrix.Data {
			if j := k % matrix.Cols; !crossFitted(j) && !equal32(matrix.Data[k], transformed.Data[k], false) {
				t.Fatalf("%v: training matrix row %d %s: Fit %v, Transform %v", raw, k/matrix.Cols, matrix.Names[j], matrix.Data[k], transformed.Data[k])
			}
		}

		if transformed, err = f.Transform(test); err != nil {
			t.Fatal(err)
		}
		loadTable(t, db, "test", test)
		query, err := f.SQL("test")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query(query)
		if err != nil {
			t.Fatalf("%v: %v\n%s", raw, err, query)
		}
		if names, _ := rows.Columns(); !slices.Equal(names, f.FeatureNames()) {
			t.Fatalf("SQL columns %v, features %v", names, f.FeatureNames())
		}
		in, dst := make([]table.Value, len(testInputs())), make([]float32, len(f.FeatureNames()))
		for i := 0; rows.Next(); i++ {
			cells, pointers := make([]any, len(dst)), make([]any, len(dst))
			for j := range cells {
				pointers[j] = &cells[j]
			}
			if err := rows.Scan(pointers...); err != nil {
				t.Fatal(err)
			}
			for j, c := range test.Columns {
				in[j] = c.Value(i)
			}
			again.Row(in, dst)
			for j, got := range dst {
				if !equal32(got, transformed.Row(i)[j], false) {
					t.Fatalf("%v: row %d %s: Row %v, Transform %v", raw, i, f.FeatureNames()[j], got, transformed.Row(i)[j])
				}
				want := float32(math.NaN())
				if cells[j] != nil {
					want = cells[j].(float32)
				}
				if !equal32(got, want, logarithm) {
					t.Fatalf("%v: row %d %+v %s: Go %v, DuckDB %v", raw, i, in, f.FeatureNames()[j], got, want)
				}
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatalf("%v: %v\n%s", raw, err, query)
		}
		_ = rows.Close()
	}
}

// reload takes f through its JSON form and checks that nothing changed.
func reload(t *testing.T, f *Fitted) *Fitted {
	t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	again := new(Fitted)
	if err := json.Unmarshal(b, again); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if again.Digest() != f.Digest() || !slices.Equal(again.FeatureNames(), f.FeatureNames()) {
		t.Fatalf("a recipe changed in JSON: %s", b)
	}
	return again
}

func fitOne(t *testing.T, steps []map[string]any, in Input, cells []table.Value, y []float64, classes int) (*Fitted, *table.Matrix, error) {
	t.Helper()
	parsed, err := ParseSteps(steps)
	if err != nil {
		t.Fatal(err)
	}
	c := &table.Column{Name: in.Name, Kind: in.Kind}
	for _, v := range cells {
		c.Append(v)
	}
	return Fit(Spec{Inputs: []Input{in}, Steps: parsed}, table.New(c), y, classes)
}

func numbers(f ...float64) (out []table.Value) {
	for _, x := range f {
		out = append(out, table.Number(x))
	}
	return out
}

func texts(s ...string) (out []table.Value) {
	for _, x := range s {
		out = append(out, table.Text(x))
	}
	return out
}

func TestStepsByHand(t *testing.T) {
	x, s, nan := Input{Name: "x", Kind: table.Double}, Input{Name: "s", Kind: table.String}, math.NaN()
	type m = map[string]any
	for _, c := range []struct {
		name  string
		steps []m
		in    Input
		train []table.Value
		probe table.Value
		want  string
	}{
		{"nothing", nil, x, numbers(1, 2), table.Number(7), "x:7"},
		{"a missing number stays NaN", nil, x, numbers(1, 2), table.Null, "x:NaN"},
		{"median of an even count", []m{{"impute": "median"}}, x, numbers(1, 2, 4, nan, 100), table.Null, "x:3"},
		{"mean with indicator", []m{{"impute": m{"strategy": "mean", "indicator": true}}}, x, numbers(1, 3, nan), table.Null, "x:2 x_missing:1"},
		{"most frequent, smallest of equals", []m{{"impute": "most_frequent"}}, x, numbers(5, 5, 2, 2, 9), table.Null, "x:2"},
		{"constant", []m{{"impute": m{"strategy": "constant", "value": 9}}}, x, numbers(1), table.Null, "x:9"},
		{"all missing", []m{{"impute": "median"}}, x, numbers(nan, nan), table.Null, "x:0"},
		{"standard: mean 2, population deviation sqrt(2/3)", []m{{"scale": "standard"}}, x, numbers(1, 2, 3), table.Number(2 + math.Sqrt(2.0/3)), "x:1"},
		{"min_max", []m{{"scale": "min_max"}}, x, numbers(10, 20), table.Number(15), "x:0.5"},
		{"robust: median 3, quartiles 2 and 4", []m{{"scale": "robust"}}, x, numbers(1, 2, 3, 4, 5), table.Number(5), "x:1"},
		{"scale of a constant", []m{{"scale": "standard"}}, x, numbers(4, 4), table.Number(5), "x:1"},
		{"clip", []m{{"clip": m{"columns": "x", "high": 3}}}, x, numbers(1), table.Number(8), "x:3"},
		{"quantile clip: 0.25 of 0..4 is 1", []m{{"clip": m{"quantiles": []any{0.25, 0.75}}}}, x, numbers(0, 1, 2, 3, 4), table.Number(-9), "x:1"},
		{"log of a negative", []m{{"log": "x"}}, x, numbers(1), table.Number(-math.E + 1), "x:-1"},
		{"ordinal by default, most frequent first", nil, s, texts("b", "a", "a"), table.Text("b"), "s:1"},
		{"ordinal, unseen", nil, s, texts("b", "a"), table.Text("c"), "s:-1"},
		{"ordinal, missing", nil, s, texts("b", "a"), table.Text(""), "s:NaN"},
		{"text filled", []m{{"impute": "most_frequent"}}, s, texts("b", "a", "a", ""), table.Null, "s:0"},
		{"one-hot, rare pool", []m{{"one_hot": m{"columns": "s", "min_count": 2}}}, s, texts("a", "a", "b"), table.Text("b"), "s=a:0 s=(other):1"},
		{"one-hot, unseen", []m{{"one_hot": m{"columns": "s", "min_count": 1}}}, s, texts("a", "b"), table.Text("z"), "s=a:0 s=b:0 s=(other):1"},
		{"one-hot, missing seen in training", []m{{"one_hot": m{"columns": "s", "min_count": 1}}}, s, texts("a", ""), table.Null, "s=a:0 s=(missing):1 s=(other):0"},
		{"one-hot, missing not seen in training", []m{{"one_hot": m{"columns": "s", "min_count": 1}}}, s, texts("a", "b"), table.Null, "s=a:0 s=b:0 s=(other):1"},
		{"one-hot of a number", []m{{"one_hot": m{"columns": "x", "min_count": 1}}}, x, numbers(3, 3, 5), table.Number(3), "x=3:1 x=5:0 x=(other):0"},
		// y is 0, 1, 2, ...: a holds 0 and 1, b holds 2; prior 1; (1 + 10) / 12 and (2 + 10) / 11
		{"target", []m{{"target_encode": "s"}}, s, texts("a", "a", "b"), table.Text("a"), "s:0.9166667"},
		{"target, unseen", []m{{"target_encode": "s"}}, s, texts("a", "a", "b"), table.Text("q"), "s:1"},
		{"target, no smoothing", []m{{"target_encode": m{"columns": "s", "smoothing": 0}}}, s, texts("a", "a", "b"), table.Text("b"), "s:2"},
	} {
		y := make([]float64, len(c.train))
		for i := range y {
			y[i] = float64(i)
		}
		f, _, err := fitOne(t, c.steps, c.in, c.train, y, 0)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		dst := make([]float32, len(f.FeatureNames()))
		f.Row([]table.Value{c.probe}, dst)
		var got []string
		for j, name := range f.FeatureNames() {
			got = append(got, fmt.Sprintf("%s:%v", name, dst[j]))
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: got %s, want %s", c.name, g, c.want)
		}
	}
}

// TestTargetEncodingIsCrossFitted: with a category per row the label of the row itself would be the encoding; cross-fitted it is the prior of
// the other folds.
func TestTargetEncodingIsCrossFitted(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	cells, y := []table.Value{}, []float64{}
	for i := range 2000 {
		cells = append(cells, table.Text(fmt.Sprint("id", i)))
		y = append(y, float64(r.IntN(2)))
	}
	f, m, err := fitOne(t, []map[string]any{{"target_encode": map[string]any{"columns": "s", "smoothing": 0}}}, Input{Name: "s", Kind: table.String}, cells, y, 2)
	if err != nil {
		t.Fatal(err)
	}
	dst := []float32{0}
	for i, v := range cells {
		if f.Row([]table.Value{v}, dst); float64(dst[0]) != y[i] {
			t.Fatalf("serving: row %d got %v, want its label %v", i, dst[0], y[i])
		}
		if m.Data[i] < 0.4 || m.Data[i] > 0.6 {
			t.Fatalf("training: row %d got %v, want a prior near 0.5", i, m.Data[i])
		}
	}
}

func TestMulticlassTargetEncodingSumsToOne(t *testing.T) {
	f, _, err := fitOne(t, []map[string]any{{"target_encode": "s"}}, Input{Name: "s", Kind: table.String}, texts("a", "b", "a", "c"), []float64{0, 1, 2, 1}, 3)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]float32, 3)
	for _, v := range texts("a", "b", "unseen", "") {
		if f.Row([]table.Value{v}, dst); math.Abs(float64(dst[0]+dst[1]+dst[2])-1) > 1e-6 {
			t.Errorf("%q: shares %v do not sum to 1", v.S, dst)
		}
	}
}

func TestRowDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	steps, err := ParseSteps([]map[string]any{{"impute": map[string]any{"strategy": "median", "indicator": true}}, {"clip": map[string]any{"quantiles": []any{0.01, 0.99}}},
		{"log": "y"}, {"scale": "standard"}, {"one_hot": []any{"s", "n"}}, {"target_encode": "it's"}})
	if err != nil {
		t.Fatal(err)
	}
	train := randomTable(r, 300, false)
	f, _, err := Fit(Spec{Inputs: testInputs(), Steps: steps}, train, make([]float64, 300), 2)
	if err != nil {
		t.Fatal(err)
	}
	in, dst := make([]table.Value, len(train.Columns)), make([]float32, len(f.FeatureNames()))
	for j, c := range train.Columns {
		in[j] = c.Value(0)
	}
	if n := testing.AllocsPerRun(100, func() { f.Row(in, dst) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestParseStepsFaults(t *testing.T) {
	type m = map[string]any
	for _, c := range []struct {
		entry     m
		text, tip string
	}{
		{m{"imput": "median"}, "prepare[0]: there is no step imput", "did you mean impute?"},
		{m{"impute": "meidan"}, "prepare[0]: meidan is not a strategy of impute", "did you mean median?"},
		{m{"impute": "constant"}, "prepare[0]: impute takes a value with the strategy constant, and only then", "write {impute: {strategy: constant, value: 0}}"},
		{m{"one_hot": nil}, "prepare[0]: one_hot needs columns", "write {one_hot: [a, b]}"},
		{m{"one_hot": m{"columns": []any{"a"}, "min_cuont": 3}}, "prepare[0]: one_hot has no parameter min_cuont", "did you mean min_count?"},
		{m{"one_hot": m{"columns": []any{"a"}, "max": 0}}, "prepare[0]: max of one_hot is a number from 1 to 10000, not 0", ""},
		{m{"one_hot": []any{"a", "a"}}, "prepare[0]: one_hot names column a twice", ""},
		{m{"one_hot": []any{1}}, "prepare[0]: columns of one_hot: 1 is not a name", ""},
		{m{"scale": 3}, "prepare[0]: scale takes a column, a list of columns or a mapping, not 3", ""},
		{m{"scale": []any{"a"}}, "prepare[0]: scale needs method", "one of [standard min_max robust]"},
		{m{"clip": m{"columns": "a", "low": 3, "high": 1}}, "prepare[0]: low of clip is above high", ""},
		{m{"clip": m{"columns": "a", "quantiles": []any{0.9, 0.1}}}, "prepare[0]: quantiles of clip are two numbers between 0 and 1 in ascending order, not [0.9 0.1]", ""},
		{m{"date_parts": m{"column": "t", "parts": []any{"huor"}}}, "prepare[0]: there is no date part huor", "did you mean hour?"},
		{m{"a": 1, "b": 2}, "prepare[0] has 2 keys; each entry is one step", "write - {impute: median}"},
	} {
		_, err := ParseSteps([]m{c.entry})
		if fault.CodeOf(err) != fault.Invalid || err.Error() != c.text || fault.HintOf(err) != c.tip {
			t.Errorf("%v: got %v (hint %q), want %s (hint %q)", c.entry, err, fault.HintOf(err), c.text, c.tip)
		}
	}
}

func TestFitFaults(t *testing.T) {
	type m = map[string]any
	x, s, when := Input{Name: "distance", Kind: table.Double}, Input{Name: "carrier", Kind: table.String}, Input{Name: "t", Kind: table.Datetime}
	for _, c := range []struct {
		steps []m
		in    Input
		cells []table.Value
		text  string
	}{
		{[]m{{"one_hot": "distnace"}}, x, numbers(1), "step one_hot: there is no input distnace"},
		{[]m{{"scale": m{"method": "standard", "columns": "carrier"}}}, s, texts("a"), "step scale: carrier is text"},
		{[]m{{"one_hot": "carrier"}, {"log": "carrier"}}, s, texts("a"), "step log: carrier is one-hot encoded already"},
		{[]m{{"ordinal": "carrier"}, {"one_hot": "carrier"}}, s, texts("a"), "step one_hot: carrier is encoded already"},
		{[]m{{"impute": m{"strategy": "median", "columns": "carrier"}}}, s, texts("a"), "step impute: carrier holds text, which has no median"},
		{[]m{{"target_encode": "carrier"}}, s, texts("a"), "step target_encode: target_encode needs a label for every row: 0 of 1"},
		{nil, when, numbers(1), "input t is a datetime, which a model cannot read"},
		{nil, x, nil, "there are no training rows to fit the recipe on"},
	} {
		_, _, err := fitOne(t, c.steps, c.in, c.cells, nil, 2)
		if fault.CodeOf(err) != fault.Invalid || err.Error() != c.text {
			t.Errorf("%v: got %v, want %s", c.steps, err, c.text)
		}
	}
}

func TestExpandDateParts(t *testing.T) {
	steps, err := ParseSteps([]map[string]any{{"impute": "median"}, {"date_parts": map[string]any{"column": "t", "parts": []any{"hour", "is_weekend"}}}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Spec{Inputs: []Input{{Name: "a", Kind: table.Double}, {Name: "t", Kind: table.Datetime}, {Name: "b", Kind: table.Double}}, Steps: steps}.Expand()
	if err != nil {
		t.Fatal(err)
	}
	want := "[{a double } {hour_t long hour(t)} {is_weekend_t boolean is_weekend(t)} {b double }] 1"
	if s := fmt.Sprint(got.Inputs, len(got.Steps)); s != want {
		t.Errorf("got %s, want %s", s, want)
	}
}

func TestNewInputAndDerivation(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	var inputs []Input
	for _, src := range []string{"s", "weekday(t)", "x / 2", "x > 1"} {
		in, err := NewInput(src, testSchema)
		if err != nil {
			t.Fatal(err)
		}
		inputs = append(inputs, in)
	}
	if got, want := fmt.Sprint(inputs), "[{s string } {weekday_t long weekday(t)} {x_per_2 double x / 2} {x_above_1 boolean x > 1}]"; got != want {
		t.Errorf("inputs %s, want %s", got, want)
	}
	d, err := Derive(inputs, []string{"t", "x", "s"}, map[string]*time.Location{"t": newYork})
	if err != nil {
		t.Fatal(err)
	}
	sunday := float64(time.Date(2013, 4, 1, 3, 0, 0, 0, time.UTC).UnixMicro()) // still Sunday 23:00 in New York
	raw := []table.Value{table.Number(sunday), table.Number(3), table.Text("a")}
	got := make([]table.Value, len(inputs))
	d.Row(raw, got)
	want := []table.Value{table.Text("a"), table.Number(6), table.Number(1.5), table.Number(1)}
	if !slices.Equal(got, want) {
		t.Errorf("row %v, want %v", got, want)
	}
	whole := table.New(&table.Column{Name: "t", Kind: table.Datetime, Floats: []float64{sunday}}, &table.Column{Name: "x", Kind: table.Double, Floats: []float64{3}},
		&table.Column{Name: "s", Kind: table.String, Strings: []string{"a"}})
	out := d.Table(whole)
	for i, c := range out.Columns {
		if c.Name != inputs[i].Name || c.Kind != inputs[i].Kind || c.Value(0) != want[i] {
			t.Errorf("column %s is %s %v, want %v", c.Name, c.Kind, c.Value(0), want[i])
		}
	}
	_, err = Derive([]Input{{Name: "h", Kind: table.Long, Expr: "hour(tt)"}}, []string{"t"}, nil)
	if fault.CodeOf(err) != fault.Invalid || fault.HintOf(err) != "did you mean t?" {
		t.Errorf("got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestSpecCheck(t *testing.T) {
	for _, c := range []struct {
		step map[string]any
		want string
	}{
		{map[string]any{"one_hot": "s"}, ""},
		{map[string]any{"target_encode": "hour(t)"}, ""},
		{map[string]any{"date_parts": "t"}, ""},
		{map[string]any{"one_hot": "ss"}, "step one_hot: there is no input ss"},
		{map[string]any{"date_parts": "x"}, "date_parts needs a datetime, and x is a double"},
	} {
		steps, err := ParseSteps([]map[string]any{c.step})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := (Spec{Inputs: []Input{{Name: "x", Kind: table.Double}, {Name: "s", Kind: table.String}, {Name: "hour_t", Kind: table.Long, Expr: "hour(t)"}}, Steps: steps}).Check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%v: got %q, want %q", c.step, got, c.want)
		}
	}
}

func TestKeptRows(t *testing.T) {
	a, b := &table.Column{Name: "a", Kind: table.String}, &table.Column{Name: "b", Kind: table.Double}
	for _, v := range []table.Value{table.Text("x"), table.Text("x"), table.Null, table.Text(""), table.Null, table.Text("x")} {
		a.Append(v)
	}
	for _, v := range numbers(1, 2, 3, 3, 3, 1) {
		b.Append(v)
	}
	for _, c := range []struct{ dedupe, want string }{{"", "[0 1 2 3]"}, {"a", "[0 2 3]"}, {"b", "[0 1 2]"}} {
		step := Step{Op: "dedupe"}
		if c.dedupe != "" {
			step.Columns = []string{c.dedupe}
		}
		got, err := KeptRows([]Step{step}, table.New(a, b))
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("dedupe %q: got %v, %v, want %s", c.dedupe, got, err, c.want)
		}
	}
}

func TestUnmarshalRefusesBrokenRecipes(t *testing.T) {
	for _, b := range []string{
		`{"format":2}`, `[]`, `{"format":1,"spec":{"inputs":[{"name":"a","kind":"double"}]}}`,
		`{"format":1,"spec":{"inputs":[{"name":"a","kind":"string"}]},"columns":[{"text":true}]}`,
		`{"format":1,"spec":{"inputs":[{"name":"a","kind":"double"}]},"columns":[{"before":[{"op":"rm"}]}]}`,
		`{"format":1,"spec":{"inputs":[{"name":"a","kind":"string"}]},"columns":[{"text":true,"encoder":{"op":"target_encode","texts":["a"],"unseen":[1]}}]}`,
	} {
		if err := json.Unmarshal([]byte(b), new(Fitted)); fault.CodeOf(err) != fault.Corrupt {
			t.Errorf("%s: got %v, want a corrupt fault", b, err)
		}
	}
}

// FuzzFittedJSON: whatever is read can be run.
func FuzzFittedJSON(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 8 {
		steps, err := ParseSteps(randomSteps(r))
		if err != nil {
			f.Fatal(err)
		}
		fitted, _, err := Fit(Spec{Inputs: testInputs(), Steps: steps}, randomTable(r, 40, false), make([]float64, 40), 3)
		if err != nil {
			f.Fatal(err)
		}
		b, err := json.Marshal(fitted)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fitted Fitted
		if err := json.Unmarshal(b, &fitted); err != nil {
			return
		}
		in, dst := make([]table.Value, len(fitted.Inputs())), make([]float32, len(fitted.FeatureNames()))
		for _, v := range []table.Value{table.Null, table.Number(1), table.Text("a")} {
			for i := range in {
				in[i] = v
			}
			fitted.Row(in, dst)
		}
		_, _ = fitted.SQL("t")
		_ = fitted.Digest()
	})
}

func BenchmarkRow(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	steps, err := ParseSteps([]map[string]any{{"impute": "median"}, {"one_hot": "s"}, {"target_encode": "it's"}})
	if err != nil {
		b.Fatal(err)
	}
	train := randomTable(r, 300, false)
	f, _, err := Fit(Spec{Inputs: testInputs(), Steps: steps}, train, make([]float64, 300), 2)
	if err != nil {
		b.Fatal(err)
	}
	in, dst := make([]table.Value, len(train.Columns)), make([]float32, len(f.FeatureNames()))
	for j, c := range train.Columns {
		in[j] = c.Value(0)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Row(in, dst)
	}
}
