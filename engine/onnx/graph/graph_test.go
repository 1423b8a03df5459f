package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// TestAgreesWithOnnxruntime runs what scikit-learn's converter writes beside the answers of onnxruntime (testdata/make.py).
func TestAgreesWithOnnxruntime(t *testing.T) {
	var golden struct {
		Cases map[string]struct {
			Rows    [][]*float32
			Outputs map[string][][]any
		}
	}
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &golden); err != nil {
		t.Fatal(err)
	}
	for name, c := range golden.Cases {
		t.Run(name, func(t *testing.T) {
			g := load(t, name+".onnx")
			in := []float32{}
			for _, row := range c.Rows {
				for _, v := range row {
					if v == nil {
						in = append(in, float32(math.NaN()))
					} else {
						in = append(in, *v)
					}
				}
			}
			out, err := g.Run(map[string]*graph.Tensor{g.Inputs[0].Name: graph.New(in, len(c.Rows), len(c.Rows[0]))}, g.Outputs...)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range c.Outputs {
				compare(t, name, out[name], want)
			}
		})
	}
}

func load(t *testing.T, name string) *graph.Graph {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// compare holds numbers to 1e-5, the bar for probabilities, and labels to equality.
func compare(t *testing.T, name string, got *graph.Tensor, want [][]any) {
	t.Helper()
	cols := len(want[0])
	texts, isText := got.Data.([]string)
	numbers := []float64{}
	if !isText {
		var err error
		if numbers, err = got.Float64s(); err != nil {
			t.Fatal(err)
		}
	}
	for i, row := range want {
		for j, w := range row {
			at := i*cols + j
			if isText {
				if at >= len(texts) || texts[at] != w {
					t.Fatalf("%s of row %d: %q, want %v", name, i, texts[at], w)
				}
				continue
			}
			if at >= len(numbers) || math.Abs(numbers[at]-w.(float64)) > 1e-5*math.Max(1, math.Abs(w.(float64))) {
				t.Fatalf("%s[%d] of row %d: %v, want %v", name, j, i, numbers[at], w)
			}
		}
	}
}

func TestBadInputIsAnError(t *testing.T) {
	g := load(t, "forest.onnx")
	for name, in := range map[string]*graph.Tensor{
		"too narrow": graph.New([]float32{1}, 1, 1),
		"texts":      graph.New([]string{"a", "b", "c", "d"}, 1, 4),
		"missing":    nil,
	} {
		if _, err := g.Run(map[string]*graph.Tensor{g.Inputs[0].Name: in}, g.Outputs...); err == nil || fault.CodeOf(err) == fault.Internal {
			t.Errorf("%s: %v, want a clear error", name, err)
		}
	}
	if out, err := g.Run(map[string]*graph.Tensor{g.Inputs[0].Name: graph.New([]float32{}, 0, 4)}, g.Outputs...); err != nil || out[g.Outputs[0]].Shape[0] != 0 {
		t.Errorf("no rows: %v, %v", out, err)
	}
	if _, err := graph.Load([]byte("not a graph")); !fault.Is(err, fault.Corrupt) {
		t.Errorf("not a graph: %v", err)
	}
	if !slices.Contains(graph.Operators(), "ai.onnx.ml.TreeEnsembleClassifier") {
		t.Error("the operators are not listed")
	}
}

// FuzzRun reads and evaluates whatever it is given: it must end, without a panic, within its bounds.
func FuzzRun(f *testing.F) {
	eachPacked(f, "testdata/nodes.pack.gz", func(c *packed) {
		if len(c.model) < 2048 {
			f.Add(c.model, uint8(2), int8(1))
		}
	})
	f.Fuzz(func(t *testing.T, b []byte, width uint8, fill int8) {
		g, err := graph.Load(b)
		if err != nil {
			if fault.CodeOf(err) == fault.Internal {
				t.Fatalf("not a fault: %v", err)
			}
			return
		}
		g.Limits = graph.Limits{Bytes: 16 << 20, Steps: 20_000, Work: 1 << 26, Timeout: 5 * time.Second}
		feeds := map[string]*graph.Tensor{}
		for _, in := range g.Inputs {
			shape := slices.Clone(in.Shape)
			for i := range shape {
				if shape[i] < 0 {
					shape[i] = int(width % 5)
				}
			}
			if n, ok := tensor.Volume(shape); !ok || n > 1<<16 {
				return
			}
			x := tensor.Make(in.Type, shape...)
			switch d := x.Data.(type) {
			case []float32:
				for i := range d {
					d[i] = float32(i) + float32(fill)
				}
			case []int64:
				for i := range d {
					d[i] = int64(i) + int64(fill)
				}
			case []string:
				for i := range d {
					d[i] = strconv.Itoa(i + int(fill))
				}
			}
			feeds[in.Name] = x
		}
		if _, err := g.Run(feeds, g.Outputs...); err != nil && fault.CodeOf(err) == fault.Internal && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("not a fault: %v", err)
		}
	})
}
