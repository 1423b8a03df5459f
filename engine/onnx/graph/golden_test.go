package graph_test

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// packed is a case of a pack (testdata/pack.py).
type packed struct {
	Name       string
	Model      int
	RTol, ATol float64
	Tensors    []struct {
		Role, Name string
		Datatype   tensor.Type
		Shape      []int
		Bytes      int
	}

	model    []byte
	in, want map[string]*tensor.Tensor
}

// eachPacked calls f with every case of a pack.
func eachPacked(t testing.TB, path string, f func(c *packed)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(plain)
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		c := &packed{in: map[string]*tensor.Tensor{}, want: map[string]*tensor.Tensor{}}
		if err == nil {
			err = json.Unmarshal(line, c)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.model = make([]byte, c.Model)
		if _, err := io.ReadFull(r, c.model); err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Tensors {
			b := make([]byte, d.Bytes)
			if _, err := io.ReadFull(r, b); err != nil {
				t.Fatal(err)
			}
			value, err := tensor.FromRaw(d.Datatype, d.Shape, b)
			if err != nil {
				t.Fatal(c.Name, d.Name, err)
			}
			if d.Role == "in" {
				c.in[d.Name] = value
			} else {
				c.want[d.Name] = value
			}
		}
		f(c)
	}
}

// run evaluates the case twice, the second time in the memory of the first, and gives the greatest difference.
func (c *packed) run() (worst float64, err error) {
	g, err := graph.Load(c.model)
	if err != nil {
		return 0, err
	}
	names := []string{}
	for name := range c.want {
		names = append(names, name)
	}
	slices.Sort(names)
	for range 2 {
		out, err := g.Run(c.in, names...)
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			d, err := c.differ(out[name], c.want[name])
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			worst = max(worst, d)
		}
	}
	return worst, nil
}

// differ holds texts, whole numbers and flags to equality and numbers to the case's tolerance. The difference that it gives is relative
// to numbers above 1.
func (c *packed) differ(got, want *tensor.Tensor) (float64, error) {
	if got.Type() != want.Type() || !slices.Equal(got.Shape, want.Shape) {
		return 0, fmt.Errorf("it is %s %v, and is to be %s %v", got.Type(), got.Shape, want.Type(), want.Shape)
	}
	worst := 0.0
	for i := range want.Len() {
		if texts, ok := want.Data.([]string); ok {
			if g := got.Data.([]string)[i]; g != texts[i] {
				return 0, fmt.Errorf("element %d is %q, and is to be %q", i, g, texts[i])
			}
			continue
		}
		g, _ := got.Number(i)
		w, _ := want.Number(i)
		if g == w || g != g && w != w {
			continue
		}
		d := math.Abs(g - w)
		bar := max(c.ATol, c.RTol*math.Abs(w))
		switch want.Type() {
		case tensor.FP16:
			bar = max(bar, 2e-3*max(1, math.Abs(w)))
		case tensor.BF16:
			bar = max(bar, 1.6e-2*max(1, math.Abs(w)))
		case tensor.FP32, tensor.FP64:
		default:
			bar = 0
		}
		if !(d <= bar) {
			return 0, fmt.Errorf("element %d is %v, and is to be %v", i, g, w)
		}
		worst = max(worst, d/max(1, math.Abs(w)))
	}
	return worst, nil
}

// runPack runs all cases of a pack.
func runPack(t *testing.T, path string, least int) {
	total, passed, worst, at := 0, 0, 0.0, ""
	eachPacked(t, path, func(c *packed) {
		total++
		t.Run(c.Name, func(t *testing.T) {
			d, err := c.run()
			if err != nil {
				t.Fatal(err)
			}
			passed++
			if d > worst {
				worst, at = d, c.Name
			}
		})
	})
	t.Logf("%d of %d cases; the greatest difference is %.2g, of %s", passed, total, worst, at)
	if total < least {
		t.Errorf("%d cases, and there are to be %d", total, least)
	}
}

// TestNodes runs the backend node tests of onnx 1.23.2 for the operators that are evaluated here (testdata/nodes.py).
func TestNodes(t *testing.T) { runPack(t, "testdata/nodes.pack.gz", 1171) }

// TestZoo runs converted pipelines of scikit-learn 1.9.1, LightGBM 4.7.0 and XGBoost 3.2.0 beside the answers of onnxruntime 1.31.1
// (testdata/zoo.py).
func TestZoo(t *testing.T) { runPack(t, "testdata/zoo.pack.gz", 288) }

// TestSweep makes the zoo anew, with other rows and other models, and holds it to onnxruntime. It needs the environment of
// test/oracle: TRIMTAB_ORACLE names its Python, TRIMTAB_SEED another seed.
func TestSweep(t *testing.T) {
	python := os.Getenv("TRIMTAB_ORACLE")
	if python == "" {
		t.Skip("TRIMTAB_ORACLE names no Python")
	}
	path := filepath.Join(t.TempDir(), "zoo.pack.gz")
	cmd := exec.CommandContext(t.Context(), python, "testdata/zoo.py", path, cmp.Or(os.Getenv("TRIMTAB_SEED"), "1"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	runPack(t, path, 250)
}

// TestFewAllocations: a run uses the memory of the one before. What is left is the answer's own, and what operators need besides.
func TestFewAllocations(t *testing.T) {
	for name, most := range map[string]float64{"mlp.onnx": 60, "forest.onnx": 20, "logistic_binary.onnx": 20} {
		g := load(t, name)
		x := graph.New(make([]float32, 4), 1, 4)
		run := func() {
			if _, err := g.Eval(t.Context(), []*graph.Tensor{x}, []int{0, 1}); err != nil {
				t.Fatal(err)
			}
		}
		run()
		if n := testing.AllocsPerRun(100, run); n > most {
			t.Errorf("%s allocates %.0f times, and at most %.0f are allowed", name, n, most)
		} else {
			t.Logf("%s: %.0f allocations", name, n)
		}
	}
}
