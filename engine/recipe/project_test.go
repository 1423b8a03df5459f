package recipe

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func numbersTable(columns [][]float64) (*table.Table, []Input) {
	var list []*table.Column
	var inputs []Input
	for j, v := range columns {
		list = append(list, &table.Column{Name: fmt.Sprint("x", j), Kind: table.Double, Floats: v})
		inputs = append(inputs, Input{Name: fmt.Sprint("x", j), Kind: table.Double})
	}
	return table.New(list...), inputs
}

// Components, shares and scores equal scikit-learn's (testdata/project.py, scikit-learn 1.9.1).
func TestProjectionAgainstScikitLearn(t *testing.T) {
	var golden struct {
		Cases []struct {
			Op                 string
			Components         float64
			X, Weights, Scores [][]float64
			Explained          []float64
		}
	}
	b, err := os.ReadFile("testdata/project.json")
	if err == nil {
		err = json.Unmarshal(b, &golden)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range golden.Cases {
		t.Run(fmt.Sprint(i, c.Op, c.Components), func(t *testing.T) {
			data, inputs := numbersTable(c.X)
			f, m, err := Fit(Spec{Inputs: inputs, Steps: []Step{{Op: c.Op, Params: map[string]any{"components": c.Components}}}}, data, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			p := f.Columns()[0].Projected
			if len(p.Weights) != len(c.Weights) || m.Cols != len(c.Weights) {
				t.Fatalf("%d components, scikit-learn makes %d", len(p.Weights), len(c.Weights))
			}
			for k := range c.Weights {
				for j, want := range c.Weights[k] {
					if math.Abs(p.Weights[k][j]-want) > 1e-9 {
						t.Errorf("weight %d of component %d is %v, scikit-learn says %v", j, k, p.Weights[k][j], want)
					}
				}
				if math.Abs(p.Explained[k]-c.Explained[k]) > 1e-10 {
					t.Errorf("component %d explains %v, scikit-learn says %v", k, p.Explained[k], c.Explained[k])
				}
				for r := range c.Scores {
					if want := c.Scores[r][k]; math.Abs(float64(m.Row(r)[k])-want) > 1e-6*max(1, math.Abs(want)) {
						t.Errorf("row %d component %d: %v, scikit-learn says %v", r, k, m.Row(r)[k], want)
					}
				}
			}
		})
	}
}

// The range that random projection finds is that of the exact components, for a matrix whose values fall off.
func TestRandomisedComponents(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	const rows, w, n = 120, 60, 4
	x := mat.NewDense(rows, w, nil)
	for k := range 8 {
		a, b := make([]float64, rows), make([]float64, w)
		for i := range a {
			a[i] = r.NormFloat64() * math.Exp2(float64(-2*k))
		}
		for j := range b {
			b[j] = r.NormFloat64()
		}
		for i := range rows {
			for j := range w {
				x.Set(i, j, x.At(i, j)+a[i]*b[j])
			}
		}
	}
	var svd mat.SVD
	svd.Factorize(x, mat.SVDThin)
	exact := new(mat.Dense)
	svd.VTo(exact)
	got := randomised(x, n, 7)
	for k := range n {
		if d := mat.Dot(got.ColView(k), exact.ColView(k)); math.Abs(math.Abs(d)-1) > 1e-9 {
			t.Errorf("component %d has the cosine %v with the exact one", k, d)
		}
	}
	if again := randomised(x, n, 7); !mat.Equal(got, again) {
		t.Error("the same seed gives other components")
	}
}

// The Go forms and the SQL form of a projection after other steps and among other inputs agree, indicators too.
func TestProjectionAmongOtherSteps(t *testing.T) {
	db := openDuck(t)
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		train, test := randomTable(r, 300, false), randomTable(r, 60, seed%2 == 1)
		steps, err := ParseSteps([]map[string]any{{"impute": map[string]any{"strategy": "mean", "indicator": true}}, {"log": "y"}, {"scale": "standard"},
			{"one_hot": "s"}, {"pca": map[string]any{"columns": []any{"x", "y", "n"}, "components": 2}}})
		if err != nil {
			t.Fatal(err)
		}
		fitted, matrix, err := Fit(Spec{Inputs: testInputs(), Steps: steps, Seed: seed}, train, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		f := reload(t, fitted)
		if names := f.FeatureNames()[:6]; !slices.Equal(names, []string{"pca1", "pca2", "x_missing", "y_missing", "n_missing", "b"}) {
			t.Fatalf("features %v", names)
		}
		again, err := f.Transform(train)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range matrix.Data {
			if !equal32(v, again.Data[i], false) {
				t.Fatalf("training row %d: Fit %v, Transform %v", i/matrix.Cols, v, again.Data[i])
			}
		}
		if again, err = f.Transform(test); err != nil {
			t.Fatal(err)
		}
		loadTable(t, db, "test", test)
		query, err := f.SQL("test")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := db.Query(query)
		if err != nil {
			t.Fatalf("%v\n%s", err, query)
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
			f.Row(in, dst)
			for j, got := range dst {
				want := float32(math.NaN())
				if cells[j] != nil {
					want = cells[j].(float32)
				}
				if !equal32(got, again.Row(i)[j], false) || math.Abs(float64(got-want)) > 1e-5*max(1, math.Abs(float64(want))) && got == got || (got != got) != (want != want) {
					t.Fatalf("row %d %+v %s: Row %v, Transform %v, DuckDB %v", i, in, f.FeatureNames()[j], got, again.Row(i)[j], want)
				}
			}
		}
		_ = rows.Close()
		if n := testing.AllocsPerRun(20, func() { f.Row(in, dst) }); n != 0 {
			t.Errorf("Row allocates %v times", n)
		}
	}
}

// A recipe can be checked before there are rows, and then knows neither gaps nor how many rows there will be.
func TestProjectionIsCheckedWithoutRows(t *testing.T) {
	_, inputs := numbersTable([][]float64{{1}, {2}, {3}})
	for components, want := range map[float64]bool{3: true, 0.9: true, 4: false} {
		err := Spec{Inputs: inputs, Steps: []Step{{Op: "pca", Params: map[string]any{"components": components}}}}.Check()
		if (err == nil) != want {
			t.Errorf("%v components of 3: %v", components, err)
		}
	}
}

func TestProjectionFaults(t *testing.T) {
	nan := math.NaN()
	data, inputs := numbersTable([][]float64{{1, 2, 3, 5}, {4, 5, 7, 1}, {nan, 1, 2, 3}})
	for message, steps := range map[string][]Step{
		"needs components":    {{Op: "pca"}},
		"cannot make 3":       {{Op: "pca", Columns: []string{"x0", "x1"}, Params: map[string]any{"components": 3}}},
		"missing or infinite": {{Op: "pca", Params: map[string]any{"components": 1}}},
		"no share":            {{Op: "truncated_svd", Params: map[string]any{"components": 0.5}}},
		"combined with others": {{Op: "pca", Columns: []string{"x0", "x1"}, Params: map[string]any{"components": 1}},
			{Op: "scale", Columns: []string{"x1"}, Params: map[string]any{"method": "standard"}}},
		"another pca": {{Op: "pca", Columns: []string{"x0", "x1"}, Params: map[string]any{"components": 1}},
			{Op: "truncated_svd", Columns: []string{"x1"}, Params: map[string]any{"components": 1}}},
	} {
		_, _, err := Fit(Spec{Inputs: inputs, Steps: steps}, data, nil, 0)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", message, err)
		}
	}
}
