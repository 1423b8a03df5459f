package cases_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/evaluate/cases"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// golden is testdata/golden.json.gz, written by testdata/golden.py with scikit-learn 1.9.1, scipy 1.17.1, statsmodels
// 0.15.0 and mlxtend 0.25.0.
type golden struct {
	Cases []struct {
		ID     string
		Metric string
	}
	Expected map[string]any
	raw      []byte
}

func load(t testing.TB) (g golden) {
	t.Helper()
	f, err := os.Open("testdata/golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		g.raw, err = io.ReadAll(z)
	}
	if err == nil {
		err = json.Unmarshal(g.raw, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// tolerances are relative; the rest is held to 1e-12. A p-value is held to 1e-10 whatever the metric.
var tolerances = map[string]float64{"platt": 1e-9, "beta": 1e-9, "temperature": 1e-9, "ks_2samp": 1e-8}

func TestAgainstReferences(t *testing.T) {
	g := load(t)
	if len(g.Cases) < 400 {
		t.Fatalf("only %d cases", len(g.Cases))
	}
	var out, warn bytes.Buffer
	if err := cases.Run(bytes.NewReader(g.raw), &out, &warn); err != nil {
		t.Errorf("%v:\n%s", err, warn.String())
	}
	var got struct{ Answers map[string]any }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.Cases {
		tolerance, ok := tolerances[c.Metric]
		if !ok {
			tolerance = 1e-12
		}
		if why := differs(got.Answers[c.ID], g.Expected[c.ID], tolerance); why != "" {
			t.Errorf("%s: %s", c.ID, why)
		}
	}
}

// differs says how an answer is not what was expected, or is empty. Fields that are not expected are welcome.
func differs(got, want any, tolerance float64) string {
	switch want := want.(type) {
	case float64:
		v, ok := got.(float64)
		if !ok || math.Abs(v-want) > tolerance*math.Max(math.Abs(v), math.Abs(want)) {
			return fmt.Sprintf("%v, not %v", got, want)
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%v, not %v", got, want)
		}
		for i := range want {
			if why := differs(list[i], want[i], tolerance); why != "" {
				return fmt.Sprintf("[%d] %s", i, why)
			}
		}
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%v, not %v", got, want)
		}
		for name := range want {
			own := tolerance
			if name == "p" {
				own = max(own, 1e-10)
			}
			if why := differs(fields[name], want[name], own); why != "" {
				return name + " " + why
			}
		}
	default:
		if got != want {
			return fmt.Sprintf("%v, not %v", got, want)
		}
	}
	return ""
}

func TestEveryMetricHasAReference(t *testing.T) {
	asked := map[string]bool{}
	for _, c := range load(t).Cases {
		asked[c.Metric] = true
	}
	// These have no peer, or are one of the others under another name: they are tested where they are made.
	for _, name := range []string{"bias", "benjamini_hochberg", "cost", "gain_table", "gain_curve"} {
		asked[name] = true
	}
	for _, name := range cases.Names() {
		if !asked[name] {
			t.Errorf("no case asks for %s", name)
		}
	}
}

// ask answers one case.
func ask(t *testing.T, metric, input, params string) (answer any, warned string) {
	t.Helper()
	var out, warn bytes.Buffer
	in := fmt.Sprintf(`{"note": 1, "cases": [{"id": "x", "metric": %q, "input": %s, "params": %s}]}`, metric, input, params)
	err := cases.Run(strings.NewReader(in), &out, &warn)
	if (err != nil) != (warn.Len() > 0) || err != nil && !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v with %q", err, warn.String())
	}
	var got struct{ Answers map[string]any }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got.Answers["x"], warn.String()
}

func TestFaultsAreToldAndOthersAnswered(t *testing.T) {
	in := `{"cases": [
		{"id": "good", "metric": "mae", "input": {"y_true": [1, 2], "y_pred": [1, 4]}},
		{"id": "unknown", "metric": "recal", "input": {}},
		{"metric": "mae"},
		5,
		{"id": "short", "metric": "mae", "input": {"y_true": [1, 2], "y_pred": [1]}},
		{"id": "null", "metric": "mae", "input": {"y_true": [1, null], "y_pred": [1, 2]}},
		{"id": "weights", "metric": "mae", "input": {"y_true": [1, 2], "y_pred": [1, 2], "w": [1, -1]}},
		{"id": "nan", "metric": "roc_auc", "input": {"y_true": [1, 1], "y_score": [1, 2]}}
	]}`
	var out, warn bytes.Buffer
	err := cases.Run(strings.NewReader(in), &out, &warn)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "6 of 8") {
		t.Errorf("%v", err)
	}
	if got, want := out.String(), `{"answers":{"good":1,"nan":"nan"}}`+"\n"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	for _, want := range []string{`unknown: there is no metric "recal"; did you mean "recall"?`, "#3: the case has no id", "#4: ",
		"short: mae: y_pred has 1 values for 2 rows", "null: mae: y_true: value 2 is not a number", "weights: mae: w: weight 2 is -1"} {
		if !strings.Contains(warn.String(), want) {
			t.Errorf("%q is not in %q", want, warn.String())
		}
	}
	if err := cases.Run(strings.NewReader("{"), io.Discard, io.Discard); !fault.Is(err, fault.Invalid) {
		t.Errorf("half a file: %v", err)
	}
}

func TestPythonsNumbersAndNumberedCases(t *testing.T) {
	in := `{"cases": [{"id": 7, "metric": "max_error", "input": {"y_true": [1, -Infinity], "y_pred": [1, 2]}},
		{"id": "NaN \" Infinity", "metric": "mae", "input": {"y_true": [NaN], "y_pred": [2]}}]}`
	var out, warn bytes.Buffer
	if err := cases.Run(strings.NewReader(in), &out, &warn); err != nil {
		t.Errorf("%v: %s", err, warn.String())
	}
	if got, want := out.String(), `{"answers":{"7":"inf","NaN \" Infinity":"nan"}}`+"\n"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

func TestInputs(t *testing.T) {
	for _, c := range []struct {
		name, metric, input, params string
		want                        any
		warned                      string
	}{
		{"truth values are 0 and 1", "accuracy", `{"y_true": [true, false], "y_pred": [1, 1]}`, `{}`, 0.5, ""},
		{"texts of numbers are texts", "accuracy", `{"y_true": ["1", "2"], "y_pred": [1, 2]}`, `{}`, 0.0, ""},
		{"the larger class is the positive one", "average_precision", `{"y_true": [2, 1, 2], "y_score": [3, 2, 1]}`, `{}`, 0.8333333333333333, ""},
		{"or the one asked for", "average_precision", `{"y_true": [2, 1, 2], "y_score": [3, 2, 1]}`, `{"pos_label": 1}`, 0.5, ""},
		{"no rows", "f1", `{"y_true": [], "y_pred": []}`, `{}`, nil, "there are no rows"},
		{"weights of 0", "mae", `{"y_true": [1], "y_pred": [2], "w": [0]}`, `{}`, "nan", ""},
		{"infinite values", "mae", `{"y_true": ["-inf"], "y_pred": [2]}`, `{}`, "inf", ""},
		{"too large numbers", "mae", `{"y_true": [1e999], "y_pred": [2]}`, `{}`, "inf", ""},
		{"an unknown word", "f1", `{"y_true": [1], "y_pred": [1]}`, `{"average": "mean"}`, nil, "average is mean; it is one of"},
		{"three classes", "roc_auc", `{"y_true": [1, 2, 3], "y_score": [1, 2, 3]}`, `{}`, nil, "3 classes"},
		{"warn is 0", "precision", `{"y_true": [0, 0], "y_pred": [0, 0]}`, `{"zero_division": "warn"}`, 0.0, ""},
		{"a cell that is missing is empty", "psi", `{"ref_counts": {"a": 1}, "cur_counts": {"a": 1}}`, `{}`, 0.0, ""},
		{"texts are counted", "psi", `{"ref": ["a", "b"], "cur": ["b", "a"]}`, `{}`, 0.0, ""},
		{"costs", "cost", `{"y_true": ["a", "b", "b"], "y_pred": ["b", "b", "a"]}`, `{"costs": [[0, 2], [5, 0]]}`, 7.0, ""},
		{"bias", "bias", `{"y_true": [1, 2], "y_pred": [2, 4], "w": [1, 3]}`, `{}`, 1.75, ""},
		{"ragged", "friedman", `{"x": [[1, 2], [1]]}`, `{}`, nil, "row 2 has 1 values"},
	} {
		got, warned := ask(t, c.metric, c.input, c.params)
		if got != c.want || !strings.Contains(warned, c.warned) || (warned != "") != (c.warned != "") {
			t.Errorf("%s: %v, not %v; %q", c.name, got, c.want, warned)
		}
	}
}

// FuzzRun wants an answer or a fault for any bytes, and an answer for every case it does not complain of.
func FuzzRun(f *testing.F) {
	g := load(f)
	var file struct{ Cases []json.RawMessage }
	if err := json.Unmarshal(g.raw, &file); err != nil {
		f.Fatal(err)
	}
	for i, c := range file.Cases {
		if i%9 == 0 && len(c) < 600 {
			f.Add([]byte(`{"cases":[` + string(c) + `]}`))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		var out, warn bytes.Buffer
		err := cases.Run(bytes.NewReader(b), &out, &warn)
		if err == nil && warn.Len() > 0 {
			t.Errorf("no error, but %q", warn.String())
		}
		if out.Len() > 0 && !json.Valid(out.Bytes()) {
			t.Errorf("not JSON: %q", out.String())
		}
	})
}
