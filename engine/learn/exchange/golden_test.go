package exchange

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// goldenCase is a model of another library and what that library predicts (testdata/make.py and combinations.py).
type goldenCase struct {
	Name, Format string
	Model        string
	Bytes        []byte
	X            [][]*float64
	Want         [][]float64
	Near         float64 // relative, and absolute below 1
	Task         learner.Task
	Categories   map[string][]string // by feature: what Info should say
	Texts        map[string][]string // by feature: what the codes in X stand for, when the model has codes of its own
	Classes      []string
	Shap         [][][]float64 // by row and output: a contribution of each feature, and what was expected
}

func (c *goldenCase) file() []byte {
	if c.Model != "" {
		return []byte(c.Model)
	}
	return c.Bytes
}

// rows is X as one array; what is null is NaN. Texts become the codes that info has for them.
func (c *goldenCase) rows(info *Info) []float64 {
	var out []float64
	for _, row := range c.X {
		for j, v := range row {
			texts := c.Texts[strconv.Itoa(j)]
			switch {
			case v == nil:
				out = append(out, math.NaN())
			case texts == nil:
				out = append(out, *v)
			case *v >= 0 && *v < float64(len(texts)) && info.Categories != nil:
				out = append(out, float64(slices.Index(info.Categories[j], texts[int(*v)]))) // -1 for one that is not known
			default:
				out = append(out, -1)
			}
		}
	}
	return out
}

func goldenCases(t testing.TB) []goldenCase {
	t.Helper()
	return append(casesOf(t, "testdata/golden.json.gz"), casesOf(t, "testdata/combinations.json.gz")...)
}

func casesOf(t testing.TB, path string) []goldenCase {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Cases []goldenCase }
	if err := json.NewDecoder(unzipped).Decode(&golden); err != nil {
		t.Fatal(err)
	}
	return golden.Cases
}

// TestPredictsWhatTheLibraryPredicts reads every golden model and compares; then once more through Trimtab's own format.
func TestPredictsWhatTheLibraryPredicts(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			m, info, err := Read(c.file())
			if err != nil {
				t.Fatal(err)
			}
			if got := Detect(c.file()); got != c.Format || info.Format != c.Format {
				t.Errorf("the format is %q and %q, want %q", got, info.Format, c.Format)
			}
			if m.Task() != c.Task {
				t.Errorf("the task is %s, want %s", m.Task(), c.Task)
			}
			if c.Classes != nil && !slices.Equal(info.Classes, c.Classes) {
				t.Errorf("the classes are %v, want %v", info.Classes, c.Classes)
			}
			for f, want := range c.Categories {
				j, _ := strconv.Atoi(f)
				if got := info.Categories; len(got) <= j || !slices.Equal(got[j], want) {
					t.Errorf("categories of feature %s are %v, want %v", f, got, want)
				}
			}
			worst := c.compare(t, m, info)
			t.Logf("largest difference %.2g of %.2g", worst, c.Near)

			own, err := m.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			again, err := learn.Load(own)
			if err != nil {
				t.Fatal(err)
			}
			second, err := again.MarshalBinary()
			if err != nil || !bytes.Equal(own, second) {
				t.Errorf("the model is not the same after Trimtab's own format (%v)", err)
			}
		})
	}
}

// compare holds predictions against the library's and gives the largest difference.
func (c *goldenCase) compare(t *testing.T, m learner.Model, info *Info) float64 {
	t.Helper()
	rows, k := len(c.X), m.Outputs()
	if len(c.Want[0]) != k {
		t.Fatalf("the model has %d outputs, want %d", k, len(c.Want[0]))
	}
	got := make([]float64, rows*k)
	if wide, ok := m.(learner.Wide); ok {
		wide.PredictWide(c.rows(info), rows, got)
	} else {
		m.Predict(narrow(c.rows(info), rows, m.Features()), got)
	}
	worst := 0.0
	for i, want := range c.Want {
		for j, w := range want {
			d := math.Abs(got[i*k+j]-w) / max(1, math.Abs(w))
			worst = max(worst, d)
			if !(d <= c.Near) {
				t.Errorf("row %d, output %d: %v, want %v", i, j, got[i*k+j], w)
				if t.Failed() && i > 10 {
					return worst
				}
			}
		}
	}
	return worst
}

// narrow rounds rows to the matrix that models read.
func narrow(x []float64, rows, cols int) *table.Matrix {
	m := &table.Matrix{Rows: rows, Cols: cols, Data: make([]float32, len(x))}
	for i, v := range x {
		m.Data[i] = float32(v)
	}
	return m
}

// TestCountsTheColumnsOfAFreeInput takes the number of columns out of a graph's input.
func TestCountsTheColumnsOfAFreeInput(t *testing.T) {
	for _, c := range goldenCases(t) {
		if c.Name != "onnx xgboost regression" {
			continue
		}
		// TensorShapeProto: a dimension without a size, then one of 5; that one becomes without too.
		fixed := []byte("\x12\x08\x0a\x00\x0a\x02\x08\x05")
		if !bytes.Contains(c.Bytes, fixed) {
			fixed = []byte("\x0a\x02\x08\x05")
		}
		free := bytes.Replace(c.Bytes, fixed, append(bytes.Clone(fixed[:len(fixed)-2]), "\x18\x05"...), 1)
		m, _, err := Read(free)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(free, c.Bytes) || m.Features() != 5 {
			t.Errorf("the model has %d features", m.Features())
		}
	}
}
