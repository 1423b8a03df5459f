package onnx

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var testInputs = []recipe.Input{
	{Name: "x", Kind: table.Double}, {Name: "y", Kind: table.Double}, {Name: "n", Kind: table.Long}, {Name: "b", Kind: table.Boolean},
	{Name: "s", Kind: table.String}, {Name: "#u", Kind: table.String}, {Name: "weekday_t", Kind: table.Long, Expr: "weekday(t)"},
}

// trainingTable has a signal in every input, so that trees split on all of them.
func trainingTable(r *rand.Rand, rows int) (*table.Table, []float64) {
	columns := make([]*table.Column, len(testInputs))
	for i, in := range testInputs {
		columns[i] = &table.Column{Name: in.Name, Kind: in.Kind}
	}
	airports := []string{"JFK", "EWR", "LGA", "Ürgüp", "O'Hare", "BOS", "SFO"}
	y := make([]float64, rows)
	for k := range y {
		f := []float64{r.NormFloat64() * 10, math.Exp(r.NormFloat64() * 4), float64(r.IntN(9) - 4), float64(r.IntN(2)), float64(r.IntN(len(airports))), float64(r.IntN(40)), float64(r.IntN(7))}
		for i, c := range columns {
			switch {
			case r.IntN(9) == 0:
				c.Append(table.Null)
			case i == 4:
				c.Append(table.Text(airports[int(f[i])]))
			case c.Kind == table.String:
				c.Append(table.Text(fmt.Sprintf("N%d", int(f[i]))))
			default:
				c.Append(table.Value{F: f[i]})
			}
		}
		y[k] = math.Sin(f[0]/5) + math.Log(f[1])/6 + f[2]/6 + f[3]/2 + math.Mod(f[4]*3, 7)/6 + math.Mod(f[5]*7, 40)/40 + f[6]/7 + r.NormFloat64()/3
	}
	return table.New(columns...), y
}

type modelCase struct {
	name    string
	learner string
	params  learn.Params
	task    learn.Task
	classes int
	steps   []map[string]any
}

type m = map[string]any

var modelCases = []modelCase{
	{"trees on raw inputs", "gbdt", learn.Params{"rounds": 120, "leaves": 31}, learn.Binary, 2, nil},
	{"trees on encoded inputs", "gbdt", learn.Params{"rounds": 60, "leaves": 15}, learn.Binary, 2, []m{{"impute": m{"strategy": "median", "indicator": true}},
		{"one_hot": m{"columns": []any{"s", "weekday_t"}, "min_count": 3, "max": 5}}, {"target_encode": "#u"}}},
	{"trees on everything at once", "gbdt", learn.Params{"rounds": 40}, learn.Regression, 0, []m{{"impute": m{"strategy": "constant", "value": "JFK", "columns": "s", "indicator": true}},
		{"impute": m{"strategy": "mean", "columns": "x"}}, {"clip": m{"columns": []any{"x", "y"}, "quantiles": []any{0.02, 0.98}}}, {"log": []any{"y", "x"}}, {"scale": "robust"},
		{"one_hot": m{"columns": []any{"b", "n"}, "min_count": 1}}, {"target_encode": []any{"weekday_t", "#u"}}, {"scale": m{"method": "standard", "columns": "#u"}}, {"clip": m{"columns": "#u", "low": -1.5, "high": 1.5}}}},
	{"multiclass trees", "gbdt", learn.Params{"rounds": 30}, learn.Multiclass, 3, []m{{"target_encode": m{"columns": []any{"s", "#u"}}}, {"scale": m{"method": "min_max", "columns": "s"}}}},
	{"logistic", "logistic", nil, learn.Binary, 2, []m{{"impute": m{"strategy": "median", "indicator": true}}, {"impute": "most_frequent"}, {"scale": "standard"}, {"one_hot": []any{"s", "#u"}}}},
	{"multiclass logistic with missing features", "logistic", nil, learn.Multiclass, 3, []m{{"scale": "standard"}, {"log": "y"}, {"one_hot": "s"}}},
	{"logistic on components", "logistic", nil, learn.Binary, 2, []m{{"impute": m{"strategy": "median", "indicator": true}}, {"clip": m{"quantiles": []any{0.01, 0.99}}}, {"log": "y"}, {"scale": "standard"}, {"pca": m{"columns": []any{"x", "y", "n"}, "components": 2}}}},
	{"calibrated by Platt", "calibrated", learn.Params{"rounds": 30, "method": "platt"}, learn.Binary, 2, nil},
	{"calibrated by beta, classes", "calibrated", learn.Params{"rounds": 15, "method": "beta"}, learn.Multiclass, 3, nil},
	{"calibrated by temperature", "calibrated", learn.Params{"learner": "logistic", "method": "temperature"}, learn.Binary, 2, []m{{"impute": "median"}, {"impute": "most_frequent"}, {"scale": "standard"}, {"one_hot": []any{"s", "#u"}}}},
	{"calibrated by temperature, classes", "calibrated", learn.Params{"rounds": 15, "method": "temperature"}, learn.Multiclass, 3, nil},
	{"naive Bayes", "naive_bayes", nil, learn.Binary, 2, nil},
	{"naive Bayes of classes", "naive_bayes", learn.Params{"alpha": 0.5}, learn.Multiclass, 3, []m{{"log": "y"}}},
	{"network", "mlp", learn.Params{"epochs": 4, "seed": 1}, learn.Binary, 2, nil},
	{"network of classes, selu", "mlp", learn.Params{"epochs": 4, "seed": 1, "activation": "selu"}, learn.Multiclass, 3, []m{{"log": "y"}}},
	{"network for numbers, relu", "mlp", learn.Params{"epochs": 4, "seed": 1, "activation": "relu"}, learn.Regression, 0, []m{{"impute": m{"strategy": "median", "indicator": true}}}},
	{"calibrated network", "calibrated", learn.Params{"learner": "mlp", "epochs": 3, "calibration_folds": 2, "seed": 1}, learn.Binary, 2, nil},
	{"ridge", "linear", nil, learn.Regression, 0, []m{{"impute": m{"strategy": "mean"}}, {"log": "y"}, {"ordinal": "s"}, {"target_encode": "#u"}}},
}

// train fits the case on random rows.
func (c modelCase) train(t testing.TB, rows int) (*recipe.Fitted, learn.Model, *table.Table) {
	t.Helper()
	data, score := trainingTable(rand.New(rand.NewPCG(11, uint64(len(c.name)))), rows)
	y := slices.Clone(score)
	sorted := slices.Sorted(slices.Values(score))
	for i, v := range score {
		if c.classes > 0 {
			at, _ := slices.BinarySearch(sorted, v)
			y[i] = float64(at * c.classes / rows)
		}
	}
	steps, err := recipe.ParseSteps(c.steps)
	if err != nil {
		t.Fatal(err)
	}
	f, x, err := recipe.Fit(recipe.Spec{Inputs: testInputs, Steps: steps, Seed: 1}, data, y, c.classes)
	if err != nil {
		t.Fatal(err)
	}
	l, err := learn.New(c.learner, c.params)
	if err != nil {
		t.Fatal(err)
	}
	model, err := l.Fit(context.Background(), learn.Set{X: x, Y: y}, c.task, c.classes, learn.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return f, model, data
}

// onnxruntime scores rows with the real one, or skips the test.
func onnxruntime(t *testing.T, file []byte, rows *table.Table) map[string][][]float64 {
	t.Helper()
	python := os.Getenv("TRIMTAB_PYTHON")
	if python == "" {
		t.Skip("TRIMTAB_PYTHON is not set: it names a python with engine/onnx/testdata/requirements.txt installed")
	}
	type column struct {
		Type   string `json:"type"`
		Values []any  `json:"values"`
	}
	columns := map[string]column{}
	for _, c := range rows.Columns {
		col := column{Type: "double"}
		if c.Kind == table.String {
			col.Type = "string"
		}
		for i := range rows.Rows {
			switch v := c.Value(i); {
			case c.Kind == table.String:
				col.Values = append(col.Values, v.S)
			case v.Null:
				col.Values = append(col.Values, nil)
			case math.IsInf(v.F, 0):
				col.Values = append(col.Values, strings.ToLower(strings.TrimPrefix(fmt.Sprint(v.F), "+")))
			default:
				col.Values = append(col.Values, v.F)
			}
		}
		columns[c.Name] = col
	}
	dir := t.TempDir()
	b, err := json.Marshal(columns)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"rows.json": b, "model.onnx": file} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(python, "testdata/score.py", filepath.Join(dir, "model.onnx"), filepath.Join(dir, "rows.json"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var printed map[string][][]string
	if err := json.Unmarshal(out, &printed); err != nil {
		t.Fatal(err)
	}
	answers := map[string][][]float64{}
	for name, lines := range printed {
		for _, line := range lines {
			numbers := make([]float64, len(line))
			for j, text := range line {
				if numbers[j], err = strconv.ParseFloat(text, 64); err != nil {
					t.Fatal(err)
				}
			}
			answers[name] = append(answers[name], numbers)
		}
	}
	return answers
}

func TestOnnxruntimeAgreesOnGoldenRows(t *testing.T) {
	for _, c := range modelCases {
		t.Run(c.name, func(t *testing.T) {
			f, model, data := c.train(t, 3000)
			rows, err := GoldenRows(f, model, data, 1500, 5)
			if err != nil {
				t.Fatal(err)
			}
			threshold := 0.5
			meta := map[string]string{"model": c.name}
			if c.name == "logistic" {
				threshold, meta[Threshold] = 0.3, "0.3"
			}
			file, err := Export(testInputs, f, model, meta)
			if err != nil {
				t.Fatal(err)
			}
			answers := onnxruntime(t, file, rows)

			x, err := f.Transform(rows)
			if err != nil {
				t.Fatal(err)
			}
			want := make([]float64, model.Outputs())
			worst := 0.0
			for i := range rows.Rows {
				model.PredictRow(x.Row(i), want)
				if c.task == learn.Regression {
					d := math.Abs(answers[Variable][i][0]-want[0]) / max(1, math.Abs(want[0]))
					worst = max(worst, d)
					continue
				}
				got, label := answers[Probabilities][i], 0
				if c.task == learn.Binary {
					if len(got) != 2 || math.Abs(got[0]+got[1]-1) > 1e-6 {
						t.Fatalf("row %d: probabilities %v", i, got)
					}
					got = got[1:]
					if want[0] >= threshold {
						label = 1
					}
				} else {
					for k := range want {
						if want[k] > want[label] {
							label = k
						}
					}
				}
				for k := range want {
					worst = max(worst, math.Abs(got[k]-want[k]))
				}
				if answers[Label][i][0] != float64(label) {
					t.Errorf("row %d: class %v, want %d (probabilities %v, %v)", i, answers[Label][i][0], label, got, want)
				}
			}
			if worst > 1e-5 || worst != worst {
				t.Errorf("predictions differ by %v, more than 1e-5", worst)
			}
			t.Logf("%d rows, largest difference %.2g, %d kB", rows.Rows, worst, len(file)/1000)
		})
	}
}

// TestOnnxruntimeMakesTheSameFeatures replaces the model by one whose margin is a single feature, so that every feature is compared
// bit by bit, over extremes as well.
func TestOnnxruntimeMakesTheSameFeatures(t *testing.T) {
	c := modelCases[2]
	f, model, data := c.train(t, 1000)
	rows, err := GoldenRows(f, model, data, 1000, 6)
	if err != nil {
		t.Fatal(err)
	}
	extremes := []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 1e39, -1e39, 5e-324, 0}
	for i, v := range extremes {
		rows.Columns[0].Floats[10+i], rows.Columns[1].Floats[30+i], rows.Columns[2].Floats[50+i] = v, v, v
		for _, k := range []int{0, 1, 2} {
			if rows.Columns[k].Nulls != nil {
				rows.Columns[k].Nulls[10+20*k+i] = false
			}
		}
	}
	x, err := f.Transform(rows)
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(testInputs)
	features, err := g.features(f)
	if err != nil {
		t.Fatal(err)
	}
	g.output("features", features, typeFloat, int64(x.Cols))
	answers := onnxruntime(t, g.model("features", nil), rows)["features"]
	for i := range rows.Rows {
		for j, want := range x.Row(i) {
			got := float32(answers[i][j])
			same := got == want || got != got && want != want
			// logarithms come from different libraries: the last bit may differ
			if !same && !(strings.HasPrefix("xy", x.Names[j][:1]) && math.Nextafter32(got, want) == want) {
				t.Fatalf("row %d, %s: onnxruntime %v, Go %v", i, x.Names[j], got, want)
			}
		}
	}
}

func TestExportOutline(t *testing.T) {
	c := modelCases[0]
	f, model, _ := c.train(t, 500)
	file, err := Export(testInputs, f, model, map[string]string{"version": "3"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := Export(testInputs, f, model, map[string]string{"version": "3"})
	if err != nil || !bytes.Equal(file, again) {
		t.Errorf("the same model gave other bytes (%v)", err)
	}
	o, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if o.IR != 8 || o.Opsets[""] != 15 || o.Opsets["ai.onnx.ml"] != 3 || o.Metadata["version"] != "3" {
		t.Errorf("got IR %d, opsets %v, metadata %v", o.IR, o.Opsets, o.Metadata)
	}
	for i, in := range testInputs {
		want := Tensor{Name: in.Name, Type: "double", Shape: []int64{-1, 1}, Doc: in.Expr}
		if in.Kind == table.String {
			want.Type = "string"
		}
		if fmt.Sprint(o.Inputs[i]) != fmt.Sprint(want) {
			t.Errorf("input %d is %v, want %v", i, o.Inputs[i], want)
		}
	}
	if got, want := fmt.Sprint(o.Outputs), "[{probabilities float [-1 2] } {label int64 [-1] }]"; got != want {
		t.Errorf("outputs %s, want %s", got, want)
	}
	if o.Operators["ai.onnx.ml.TreeEnsembleRegressor"] != 1 || o.Operators["ai.onnx.ml.LabelEncoder"] != 2 {
		t.Errorf("operators %v", o.Operators)
	}
}

func TestExportFaults(t *testing.T) {
	f, model, _ := modelCases[0].train(t, 300)
	for _, c := range []struct {
		inputs []recipe.Input
		meta   map[string]string
		text   string
	}{
		{testInputs[1:], nil, "the recipe has 7 inputs, not 6"},
		{append([]recipe.Input{{Name: "z", Kind: table.Double}}, testInputs[1:]...), nil, "input 0 of the recipe is x, a double; not z, a double"},
		{testInputs, map[string]string{Threshold: "half"}, `the threshold in the metadata: strconv.ParseFloat: parsing "half": invalid syntax`},
	} {
		if _, err := Export(c.inputs, f, model, c.meta); fault.CodeOf(err) != fault.Invalid || err.Error() != c.text {
			t.Errorf("got %v, want %s", err, c.text)
		}
	}
}

func TestGoldenRowsCoverTheEdges(t *testing.T) {
	f, model, data := modelCases[0].train(t, 1000)
	rows, err := GoldenRows(f, model, data, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	if rows.Rows != MinGoldenRows {
		t.Errorf("%d rows, want %d", rows.Rows, MinGoldenRows)
	}
	cuts := Thresholds(model)[0] // of x, which passes through
	at, beside, between := 0, 0, 0
	missing, unseen := 0, 0
	for i := range rows.Rows {
		if rows.Columns[0].IsNull(i) {
			missing++
		}
		if strings.HasPrefix(rows.Columns[4].Value(i).S, "never seen") {
			unseen++
		}
		v := rows.Columns[0].Value(i)
		narrow := float32(v.F)
		if v.Null {
			continue
		}
		if _, ok := slices.BinarySearch(cuts, narrow); ok && float64(narrow) == v.F {
			at++
		} else if float64(narrow) != v.F && ok {
			between++
		}
		for _, to := range []float32{float32(math.Inf(1)), float32(math.Inf(-1))} {
			if _, ok := slices.BinarySearch(cuts, math.Nextafter32(narrow, to)); ok && float64(narrow) == v.F {
				beside++
			}
		}
	}
	if at < 5 || beside < 5 || between < 5 || missing < 50 || unseen < 30 {
		t.Errorf("%d values at a threshold, %d an ulp beside, %d that rounding decides, %d missing, %d unseen", at, beside, between, missing, unseen)
	}
}

func FuzzRead(f *testing.F) {
	g := newGraph(nil)
	g.inputs = append(g.inputs, valueInfo("x", typeDouble, 1, ""))
	g.output("y", g.cast("x", typeFloat), typeFloat, 1)
	f.Add(g.model("m", map[string]string{"a": "b"}))
	f.Add([]byte{8, 8, 58, 3, 10, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Read(b); err != nil && fault.CodeOf(err) != fault.Corrupt {
			t.Fatal(err)
		}
	})
}
