package exchange

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/learn/combine"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestExplainsCombinationsAsCatBoost holds contributions against ShapValues of CatBoost.
func TestExplainsCombinationsAsCatBoost(t *testing.T) {
	worst, compared := 0.0, 0
	for _, c := range casesOf(t, "testdata/combinations.json.gz") {
		m, info, err := Read(c.file())
		if err != nil {
			t.Fatal(err)
		}
		e, err := explain.New(m)
		if err != nil {
			t.Fatal(err)
		}
		x, k, p := c.rows(info), m.Outputs(), m.Features()
		got := make([]float64, len(c.X)*k*p)
		e.RowsWide(x, len(c.X), got, 2)
		for i, row := range c.Shap {
			for o, want := range row {
				for j, w := range want {
					v := e.Expected()[o]
					if j < p {
						v = got[(i*k+o)*p+j]
					}
					compared++
					if worst = max(worst, math.Abs(v-w)); !(math.Abs(v-w) <= 1e-9) {
						t.Fatalf("%s: row %d, output %d, feature %d: %v, want %v", c.Name, i, o, j, v, w)
					}
				}
			}
		}
	}
	t.Logf("largest difference %.2g of %d numbers", worst, compared)
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

// TestListsCategoriesOfCombinations takes hashes of combinations apart: each feature lists its own categories, also when
// no statistic is of it alone.
func TestListsCategoriesOfCombinations(t *testing.T) {
	alone := 0
	for _, c := range casesOf(t, "testdata/combinations.json.gz") {
		m, info, err := Read(c.file())
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind() != "catboost_combined" || len(info.Names) != 5 || !slices.Equal(info.Categorical, []bool{false, true, true, true, false}) {
			t.Errorf("%s: a model of kind %s with the features %v, categories %v", c.Name, m.Kind(), info.Names, info.Categorical)
		}
		for _, of := range m.(*combine.Model).Columns.Categories {
			texts := slices.Clone(c.Texts[string(rune('0'+of.Column))])
			if of.Column == 1 && !strings.HasSuffix(c.Name, "whole numbers") {
				texts = append(texts, "nan")
			}
			for _, text := range info.Categories[of.Column] {
				if text != "" && text != "-7" && !slices.Contains(texts, text) {
					t.Errorf("%s: column %d lists %q", c.Name, of.Column, text)
				}
			}
			alone++
		}
	}
	if alone == 0 {
		t.Error("no combination has categories")
	}
}

// TestRefusesTextsThatAreNotThere leaves a category out of the list of texts, as a file has it that was saved with other rows.
func TestRefusesTextsThatAreNotThere(t *testing.T) {
	for _, c := range casesOf(t, "testdata/combinations.json.gz") {
		text := "town 3"
		if strings.HasSuffix(c.Name, "whole numbers") {
			text = "7"
		}
		from := strings.Index(c.Model, `,"value":"`+text+`"`)
		from = strings.LastIndex(c.Model[:from], `"hash":`) + len(`"hash":`)
		digit := "1"
		if c.Model[from] == '1' {
			digit = "2"
		}
		_, _, err := Read([]byte(c.Model[:from] + digit + c.Model[from+1:]))
		if fault.CodeOf(err) != fault.NotSupported {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// TestWidensAnyRow gives rows of any values to models with combinations, alone and together.
func TestWidensAnyRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -0.5, 0, 0.5, 1, 7, 31, 1e9, math.MaxFloat64}
	for _, c := range casesOf(t, "testdata/combinations.json.gz") {
		m, _, err := Read(c.file())
		if err != nil {
			t.Fatal(err)
		}
		x := make([]float64, 5*600)
		for i := range x {
			x[i] = odd[r.IntN(len(odd))]
		}
		rows, k := narrow(x, 600, 5), m.Outputs()
		all, one := make([]float64, 600*k), make([]float64, k)
		m.Predict(rows, all)
		for i := range 600 {
			m.PredictRow(rows.Row(i), one)
			if !slices.Equal(one, all[i*k:(i+1)*k]) {
				t.Fatalf("%s: row %d alone gives %v, among others %v", c.Name, i, one, all[i*k:(i+1)*k])
			}
		}
		if allocated := testing.AllocsPerRun(100, func() { m.PredictRow(rows.Row(0), one) }); allocated > 0 && !racing {
			t.Errorf("%s: a row allocates %v times", c.Name, allocated)
		}
		sum := 0.0
		for _, share := range m.Importance() {
			sum += share
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("%s: importances add up to %v", c.Name, sum)
		}
	}
}
