package explain

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/exchange"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/learn/wire"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// golden is testdata/golden.json.gz, written by golden.py, which says what it holds.
type golden struct {
	Cases  []goldenCase `json:"cases"`
	Linear struct {
		X             [][]float64 `json:"x"`
		Mean          []float64   `json:"mean"`
		Coef          []float64   `json:"coef"`
		Intercept     float64     `json:"intercept"`
		Contributions [][]float64 `json:"contributions"`
		Expected      float64     `json:"expected"`
	} `json:"linear"`
}

type goldenCase struct {
	Name        string    `json:"name"`
	Features    int       `json:"features"`
	Base        []float64 `json:"base"`
	Average     bool      `json:"average"`
	Single      bool      `json:"single"`
	ZeroMissing []bool    `json:"zero_missing"`
	Trees       []struct {
		Output      int              `json:"output"`
		Feature     []int32          `json:"feature"`
		Threshold   []float64        `json:"threshold"`
		Left        []int32          `json:"left"`
		Right       []int32          `json:"right"`
		MissingLeft []bool           `json:"missing_left"`
		Value       []float64        `json:"value"`
		Cover       []float64        `json:"cover"`
		Sets        map[string][]int `json:"sets"`
	} `json:"trees"`
	X             [][]*float64 `json:"x"`
	Contributions [][]float64  `json:"contributions"`
	Expected      []float64    `json:"expected"`
	Tolerance     float64      `json:"tolerance"` // 1e-9 of doubles; XGBoost answers in single precision
	File          string       `json:"file"`      // of the library, in place of Trees
}

func readGolden(t *testing.T) *golden {
	f, err := os.Open("testdata/golden.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{}
	if err := json.NewDecoder(z).Decode(g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (c *goldenCase) model(t *testing.T) *tree.Model {
	if c.File != "" {
		m, _, err := exchange.Read([]byte(c.File))
		if err != nil {
			t.Fatal(err)
		}
		return m.(*tree.Model)
	}
	e := tree.Ensemble{Features: c.Features, Base: c.Base, Average: c.Average, Single: c.Single, ZeroMissing: c.ZeroMissing, Link: tree.Identity, Scale: 1}
	for _, src := range c.Trees {
		own := tree.Tree{Output: src.Output, Feature: src.Feature, Threshold: src.Threshold, Left: src.Left, Right: src.Right,
			MissingLeft: src.MissingLeft, Value: src.Value, Gain: make([]float64, len(src.Feature)), Cover: src.Cover}
		for at, set := range src.Sets {
			n, err := strconv.Atoi(at)
			if err != nil {
				t.Fatal(err)
			}
			own.SetCategories(int32(n), set)
		}
		if err := own.Order(); err != nil {
			t.Fatal(err)
		}
		e.Trees = append(e.Trees, own)
	}
	task := learner.Regression
	if len(c.Base) > 1 {
		task = learner.Multiclass
	}
	m, err := tree.NewModel("golden", task, e)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (c *goldenCase) rows() []float64 {
	var x []float64
	for _, row := range c.X {
		for _, v := range row {
			if v == nil {
				x = append(x, math.NaN())
			} else {
				x = append(x, *v)
			}
		}
	}
	return x
}

// Contributions and expected values are those of LightGBM, XGBoost and shap, and add up to the margin.
func TestAgainstLibraries(t *testing.T) {
	for _, c := range readGolden(t).Cases {
		t.Run(c.Name, func(t *testing.T) {
			m := c.model(t)
			e, err := New(m)
			if err != nil {
				t.Fatal(err)
			}
			k, p, x := m.Outputs(), c.Features, c.rows()
			got, margins := make([]float64, len(c.X)*k*p), make([]float64, len(c.X)*k)
			e.RowsWide(x, len(c.X), got, 1)
			m.MarginsWide(x, len(c.X), margins)
			for o, want := range c.Expected {
				if !near(e.Expected()[o], want, c.Tolerance) {
					t.Errorf("output %d: expected %v, not %v", o, e.Expected()[o], want)
				}
			}
			worst := 0.0
			for i, row := range c.Contributions {
				for j, want := range row {
					worst = max(worst, math.Abs(got[i*k*p+j]-want))
					if !near(got[i*k*p+j], want, c.Tolerance) {
						t.Fatalf("row %d, output %d, feature %d: %v, not %v", i, j/p, j%p, got[i*k*p+j], want)
					}
				}
				for o := range k {
					sum := e.Expected()[o]
					for _, v := range got[(i*k+o)*p : (i*k+o+1)*p] {
						sum += v
					}
					if !near(sum, margins[i*k+o], 1e-9) {
						t.Fatalf("row %d, output %d: contributions add up to %v, the margin is %v", i, o, sum, margins[i*k+o])
					}
				}
			}
			t.Logf("largest difference %.2g", worst)
		})
	}
}

// A linear model is explained like shap.LinearExplainer with the training rows as background, and a missing value
// contributes nothing.
func TestLinear(t *testing.T) {
	g := readGolden(t).Linear
	w := wire.NewWriter(linear.Logistic, 1)
	w.Text(string(learner.Binary))
	w.Floats(g.Mean)
	w.Floats(make([]float64, len(g.Mean)))
	w.Floats([]float64{g.Intercept})
	w.Floats(g.Coef)
	r, version, kind, err := wire.Open(w.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m, err := linear.Load(r, version, kind)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	if !near(e.Expected()[0], g.Expected, 1e-9) {
		t.Errorf("expected %v, not %v", e.Expected()[0], g.Expected)
	}
	p := len(g.Mean)
	x := table.NewMatrix(len(g.X), make([]string, p))
	for i, row := range g.X {
		for j, v := range row {
			x.Data[i*p+j] = float32(v)
		}
	}
	got, margin := make([]float64, len(x.Data)), make([]float64, 1)
	e.Rows(x, got, 2)
	for i, row := range g.Contributions {
		sum := e.Expected()[0]
		for j, want := range row {
			if !near(got[i*p+j], want, 1e-9) {
				t.Errorf("row %d, feature %d: %v, not %v", i, j, got[i*p+j], want)
			}
			sum += got[i*p+j]
		}
		m.Margin(x.Row(i), margin)
		if !near(sum, margin[0], 1e-9) {
			t.Errorf("row %d: contributions add up to %v, the margin is %v", i, sum, margin[0])
		}
	}
	x.Data[2] = float32(math.NaN())
	e.Row(x.Row(0), got)
	if got[2] != 0 || got[1] == 0 {
		t.Errorf("a missing value contributes %v", got[2])
	}
}
