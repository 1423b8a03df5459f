package exchange

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// written is a model that was written, with what the original predicts.
type written struct {
	name, format string
	file         []byte
	x            []float64
	rows         int
	want         []float64
	near         float64
}

// predictWide predicts float64 rows, rounded to float32 by models that read no others.
func predictWide(m learner.Model, x []float64, rows int) []float64 {
	out := make([]float64, rows*m.Outputs())
	if wide, ok := m.(learner.Wide); ok {
		wide.PredictWide(x, rows, out)
	} else {
		m.Predict(narrow(x, rows, m.Features()), out)
	}
	return out
}

// oracle predicts with the real library, or skips the test.
func oracle(t *testing.T, jobs []written) [][][]float64 {
	t.Helper()
	if testing.Short() {
		t.Skip("the real libraries take their time to start")
	}
	python := os.Getenv("TRIMTAB_ORACLE")
	if python == "" {
		python, _ = filepath.Abs("../../../.cache/oracle/bin/python")
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("the Python of test/oracle is not installed (make oracle)")
	}
	type job struct {
		File   string       `json:"file"`
		Format string       `json:"format"`
		Rows   [][]*float64 `json:"rows"`
	}
	dir := t.TempDir()
	list := make([]job, len(jobs))
	for i, w := range jobs {
		list[i] = job{File: fmt.Sprintf("model%d", i), Format: w.format}
		cols := len(w.x) / w.rows
		for r := range w.rows {
			row := make([]*float64, cols)
			for c := range row {
				if v := &w.x[r*cols+c]; *v == *v {
					row[c] = v
				}
			}
			list[i].Rows = append(list[i].Rows, row)
		}
		if err := os.WriteFile(filepath.Join(dir, list[i].File), w.file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "jobs.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "testdata/predict.py", dir).Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%v\n%s", err, e.Stderr)
		}
		t.Fatal(err)
	}
	var answers [][][]float64
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// hold compares predictions, relative above 1 in size.
func hold(t *testing.T, name string, got, want []float64, near float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d predictions, want %d", name, len(got), len(want))
		return
	}
	bad := 0
	for i := range want {
		if d := math.Abs(got[i]-want[i]) / max(1, math.Abs(want[i])); !(d <= near) {
			if bad++; bad <= 3 {
				t.Errorf("%s: prediction %d is %v, want %v", name, i, got[i], want[i])
			}
		}
	}
}

func flatten(rows [][]float64) (out []float64) {
	for _, row := range rows {
		out = append(out, row...)
	}
	return out
}

// TestWritesWhatTheLibrariesRead writes models in every format, reads them again and evaluates them here; then the real
// libraries predict from the files, all in one run of Python.
func TestWritesWhatTheLibrariesRead(t *testing.T) {
	var jobs []written
	for name, write := range map[string]func(t *testing.T) []written{
		"golden models as LightGBM": goldenAsLightGBM, "golden models as ONNX": goldenAsONNX, "own models": ownModels, "linear models with categories": linearWithCategories,
	} {
		t.Run(name, func(t *testing.T) { jobs = append(jobs, write(t)...) })
	}
	t.Run("libraries", func(t *testing.T) {
		for i, answer := range oracle(t, jobs) {
			hold(t, jobs[i].name+", the library of "+jobs[i].format, flatten(answer), jobs[i].want, jobs[i].near)
		}
	})
}

func goldenAsLightGBM(t *testing.T) (jobs []written) {
	for _, c := range goldenCases(t) {
		m, info, err := Read(c.file())
		if err != nil {
			t.Fatal(err)
		}
		file, err := Write(LightGBM, m, nil)
		if err != nil {
			if fault.CodeOf(err) != fault.NotSupported {
				t.Errorf("%s: %v", c.Name, err)
			}
			t.Logf("%s: %v", c.Name, err)
			continue
		}
		again, _, err := Read(file)
		if err != nil {
			t.Errorf("%s: %v\n%.500s", c.Name, err, file)
			continue
		}
		x := c.rows(info)
		for i, v := range x {
			if math.Abs(v) < 1.1e-35 { // LightGBM reads them as 0
				x[i] = 0
			}
		}
		want := predictWide(m, x, len(c.X))
		hold(t, c.Name+", read again", predictWide(again, x, len(c.X)), want, 1e-12)
		jobs = append(jobs, written{c.Name, LightGBM, file, x, len(c.X), want, 1e-12})
	}
	return jobs
}

func goldenAsONNX(t *testing.T) (jobs []written) {
	for _, c := range goldenCases(t) {
		m, info, err := Read(c.file())
		if err != nil {
			t.Fatal(err)
		}
		file, err := Write(ONNX, m, nil)
		if m.Kind() == CatBoost+learn.CombinedKind { // its tables have no form there
			if fault.CodeOf(err) != fault.NotSupported {
				t.Errorf("%s: %v", c.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		x := c.rows(info)
		for i, v := range x {
			if info.Categorical != nil && info.Categorical[i%m.Features()] {
				v = math.Floor(v) // a comparison with a category knows no fractions
			}
			x[i] = float64(float32(min(max(v, -math.MaxFloat32), math.MaxFloat32))) // NaN stays
		}
		want := predictWide(m, x, len(c.X))
		again, _, err := Read(file)
		if err != nil {
			t.Errorf("%s, read again: %v", c.Name, err)
		} else if hold(t, c.Name+", read again", predictWide(again, x, len(c.X)), want, 1e-5); again.Task() != m.Task() && m.Task() != learner.Ranking {
			t.Errorf("%s: the task is %s, want %s", c.Name, again.Task(), m.Task())
		}
		if m.Task() == learner.Binary {
			both := make([]float64, 0, 2*len(want))
			for _, p := range want {
				both = append(both, 1-p, p)
			}
			want = both
		}
		hold(t, c.Name+", graph evaluator", evaluate(t, file, x, len(c.X)), want, 1e-5)
		jobs = append(jobs, written{c.Name, ONNX, file, x, len(c.X), want, 1e-5})
	}
	return jobs
}

// evaluate runs the graph here.
func evaluate(t *testing.T, file []byte, x []float64, rows int) []float64 {
	t.Helper()
	g, err := graph.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	single := make([]float32, len(x))
	for i, v := range x {
		single[i] = float32(v)
	}
	out, err := g.Run(map[string]*graph.Tensor{g.Inputs[0].Name: graph.New(single, rows, len(x)/rows)}, g.Outputs[0])
	if err != nil {
		t.Fatal(err)
	}
	values, err := out[g.Outputs[0]].Float64s()
	if err != nil {
		t.Fatal(err)
	}
	return values
}
