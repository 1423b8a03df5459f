package project

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// lookOf makes a look from a sample that is all there is.
func lookOf(path string, columns ...*table.Column) *Look {
	l := &Look{Path: path, Format: "csv", Sample: &table.Table{Columns: columns}}
	l.Rows = int64(columns[0].Len())
	for _, c := range columns {
		lc := LookColumn{Name: c.Name, Kind: c.Kind}
		counts := map[string]int{}
		var order []string
		first := true
		for i := range c.Len() {
			v := c.Value(i)
			if v.Null {
				lc.Nulls++
				continue
			}
			text := fmt.Sprint(v.F, v.S)
			if c.Kind == table.String {
				text = v.S
			}
			if counts[text] == 0 {
				order = append(order, text)
			}
			counts[text]++
			if first || v.F < lc.Min {
				lc.Min = v.F
			}
			if first || v.F > lc.Max {
				lc.Max = v.F
			}
			first = false
		}
		lc.Distinct = int64(len(order))
		lc.Unique = lc.Distinct == l.Rows
		if c.Kind == table.String && len(order) <= maxClasses {
			for len(order) > 0 {
				best := 0
				for i := range order {
					if counts[order[i]] > counts[order[best]] {
						best = i
					}
				}
				lc.Values = append(lc.Values, order[best])
				order = append(order[:best], order[best+1:]...)
			}
		}
		l.Columns = append(l.Columns, lc)
	}
	return l
}

func numbers(name string, kind table.Kind, n int, f func(i int) float64) *table.Column {
	c := &table.Column{Name: name, Kind: kind}
	for i := range n {
		c.Append(table.Number(f(i)))
	}
	return c
}

func labels(name string, n int, f func(i int) string) *table.Column {
	c := &table.Column{Name: name, Kind: table.String}
	for i := range n {
		if s := f(i); s == "" {
			c.Append(table.Null)
		} else {
			c.Append(table.Text(s))
		}
	}
	return c
}

func TestDraftOfAChurnFile(t *testing.T) {
	const n = 1000
	rng := rand.New(rand.NewPCG(1, 2))
	churned := make([]bool, n)
	for i := range churned {
		churned[i] = rng.Float64() < 0.25
	}
	pick := func(yes bool, a, b string) string {
		if yes {
			return a
		}
		return b
	}
	look := lookOf("data/Telco Customers.csv",
		labels("customerID", n, func(i int) string { return fmt.Sprintf("C-%05d", i) }),
		numbers("signed_up", table.Datetime, n, func(i int) float64 { return 1.7e15 + float64(i)*3.6e9 }),
		labels("Email", n, func(i int) string { return fmt.Sprintf("u%d@example.org", i/2) }),
		labels("plan", n, func(i int) string { return []string{"basic", "plus", "pro"}[rng.IntN(3)] }),
		labels("city", n, func(i int) string { return fmt.Sprintf("city %d", rng.IntN(40)) }),
		numbers("Monthly Charges", table.Double, n, func(i int) float64 { return 20 + 100*rng.Float64() }),
		numbers("country_code", table.Long, n, func(int) float64 { return 49 }),
		labels("status", n, func(i int) string { return pick(churned[i], "inactive", "active") }),
		labels("left_on", n, func(i int) string { return pick(churned[i], fmt.Sprintf("2026-01-%02d", 1+i%28), "") }),
		numbers("days_since_exit", table.Long, n, func(i int) float64 {
			if churned[i] {
				return 1 + float64(i%30)
			}
			return 0
		}),
		labels("comment", n, func(i int) string { return fmt.Sprintf("said thing %d", i*7%n) }),
		labels("Churn", n, func(i int) string { return pick(churned[i], "Yes", "No") }),
	)
	text, notes, err := Draft(look, DraftOptions{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/draft-churn.yaml", text)
	for _, want := range []string{"by its name", `"Yes"`, "left_on is left out", "status is left out", "days_since_exit is left out"} {
		if !strings.Contains(strings.Join(notes, "\n"), want) {
			t.Errorf("no note says %q:\n%s", want, strings.Join(notes, "\n"))
		}
	}
}

func TestDraftOfARegressionAndClasses(t *testing.T) {
	const n = 400
	rng := rand.New(rand.NewPCG(3, 4))
	area := numbers("area", table.Double, n, func(int) float64 { return 30 + 200*rng.Float64() })
	price := numbers("price", table.Double, n, func(i int) float64 { return 3000*area.Floats[i] + 50000*rng.NormFloat64() })
	cents := numbers("price_in_cents", table.Double, n, func(i int) float64 { return 100 * price.Floats[i] })
	kind := labels("null", n, func(i int) string { return []string{"flat", "house", "O'Hara: loft"}[rng.IntN(3)] })
	look := lookOf("homes.parquet", area, cents, kind, price)
	look.Format = "parquet"
	text, _, err := Draft(look, DraftOptions{Project: "Homes!"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/draft-homes.yaml", text)
	text, _, err = Draft(look, DraftOptions{Label: "null"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/draft-classes.yaml", text)
}

// TestDraftTakesWordsForNothingAsMissing: text columns keep "NA" as text, and a label must not learn to predict it.
func TestDraftTakesWordsForNothingAsMissing(t *testing.T) {
	const n = 200
	rng := rand.New(rand.NewPCG(7, 8))
	size := numbers("size", table.Double, n, func(int) float64 { return rng.Float64() })
	for name, one := range map[string]struct {
		values []string
		want   string
	}{
		"binary":     {[]string{"male", "female", "male", "NA"}, "label: {female: \"if(sex in ('NA'), null, sex = 'female')\"}"},
		"multiclass": {[]string{"a", "b", "c", "?"}, "label: {sex: \"if(sex in ('?'), null, sex)\"}"},
		"only words": {[]string{"unknown", "x"}, ": \"sex = '"},
	} {
		look := lookOf("f.csv", size, labels("sex", n, func(i int) string { return one.values[i%len(one.values)] }))
		text, _, err := Draft(look, DraftOptions{Label: "sex"})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), one.want) {
			t.Errorf("%s: no %s in\n%s", name, one.want, text)
		}
	}
}

func TestDraftRefusesLabelsThatCannotBe(t *testing.T) {
	const n = 200
	look := lookOf("f.csv",
		numbers("x", table.Double, n, func(i int) float64 { return float64(i % 17) }),
		numbers("same", table.Double, n, func(int) float64 { return 1 }),
		labels("text", n, func(i int) string { return fmt.Sprint("t", i) }),
		numbers("when", table.Datetime, n, func(i int) float64 { return float64(i) * day }),
		numbers("y", table.Long, n, func(i int) float64 { return float64(i % 2) }),
	)
	for label, hint := range map[string]string{"same": "--label", "text": "--label", "when": "made of it", "z": "one of"} {
		_, _, err := Draft(look, DraftOptions{Label: label})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("label %s gives %v (hint %q)", label, err, fault.HintOf(err))
		}
	}
}

func TestDraftOfAWideFile(t *testing.T) {
	const n = 60
	rng := rand.New(rand.NewPCG(9, 10))
	var columns []*table.Column
	for i := range 3000 {
		columns = append(columns, numbers(fmt.Sprintf("column_%04d", i), table.Double, n, func(int) float64 { return rng.Float64() }))
	}
	columns = append(columns, numbers("y", table.Boolean, n, func(i int) float64 { return float64(i % 2) }))
	if _, _, err := Draft(lookOf("wide.csv", columns...), DraftOptions{}); err != nil {
		t.Error(err)
	}
}

// TestDraftOfOddNames: whatever columns and files are called, the draft is a valid file.
func TestDraftOfOddNames(t *testing.T) {
	const n = 100
	rng := rand.New(rand.NewPCG(5, 6))
	for _, name := range []string{"a b", "a:b", "#", "- x", "null", "true", "in", "1st", "it's", `say "hi"`, "größe", "é", "a\tb", "a, b]", "{x}", "&a", "*a", "!t",
		"%", "@", "`x`", `back\slash`, "weekday(x)", "a\u2028b", strings.Repeat("long", 50)} {
		look := lookOf("dir/"+name+".csv",
			labels(name, n, func(int) string { return []string{"p", "q", "r"}[rng.IntN(3)] }),
			numbers(name+"2", table.Double, n, func(int) float64 { return rng.Float64() - 0.5 }),
			labels(name+" label", n, func(int) string { return []string{name, "other 'one'"}[rng.IntN(2)] }),
		)
		if _, _, err := Draft(look, DraftOptions{Label: name + " label"}); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, _, err := Draft(look, DraftOptions{Label: name + "2"}); err != nil {
			t.Errorf("%q as an input: %v", name, err)
		}
	}
}
