package graph_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// file is an ONNX file in the making: just enough of onnx.proto3 for a test to write a graph down.
type file struct {
	nodes, inputs, outputs, constants, functions [][]byte
	opsets                                       map[string]int64
}

func message(fields ...any) []byte {
	var b []byte
	for i := 0; i < len(fields); i += 2 {
		n := protowire.Number(fields[i].(int))
		switch v := fields[i+1].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case int:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v))
		case float32:
			b = protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), math.Float32bits(v))
		case [][]byte:
			for _, part := range v {
				b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), part)
			}
		}
	}
	return b
}

// node writes an operator; attributes are names and values in turn.
func node(op, in, out string, attributes ...any) []byte {
	domain, name := "", op
	if at := strings.LastIndexByte(op, '.'); at >= 0 {
		domain, name = op[:at], op[at+1:]
	}
	b := message(4, name, 7, domain)
	for _, v := range strings.Fields(in) {
		b = append(b, message(1, strings.Trim(v, "_"))...)
	}
	for _, v := range strings.Fields(out) {
		b = append(b, message(2, v)...)
	}
	for i := 0; i < len(attributes); i += 2 {
		a := message(1, attributes[i].(string))
		switch v := attributes[i+1].(type) {
		case int:
			a = append(a, message(3, v, 20, 2)...)
		case float64:
			a = append(a, message(2, float32(v), 20, 1)...)
		case string:
			a = append(a, message(4, v, 20, 3)...)
		case []int:
			for _, n := range v {
				a = append(a, message(8, n)...)
			}
			a = append(a, message(20, 7)...)
		case []float64:
			for _, n := range v {
				a = append(a, message(7, float32(n))...)
			}
			a = append(a, message(20, 6)...)
		case []string:
			for _, s := range v {
				a = append(a, message(9, s)...)
			}
			a = append(a, message(20, 8)...)
		case []byte: // a graph
			a = append(a, message(6, v, 20, 5)...)
		}
		b = append(b, message(5, a)...)
	}
	return b
}

// value declares an input or output; a dimension of -1 has neither size nor name.
func value(name string, elem int, dims ...int) []byte {
	shape := []byte{}
	for _, d := range dims {
		if d < 0 {
			shape = append(shape, message(1, []byte{})...)
		} else {
			shape = append(shape, message(1, message(1, d))...)
		}
	}
	if len(dims) == 0 { // it says nothing of the shape
		return message(1, name, 2, message(1, message(1, elem)))
	}
	return message(1, name, 2, message(1, message(1, elem, 2, shape)))
}

func (f *file) graph() []byte {
	return message(1, f.nodes, 5, f.constants, 11, f.inputs, 12, f.outputs)
}

func (f *file) bytes() []byte {
	b := message(1, 8, 7, f.graph(), 25, f.functions)
	if f.opsets == nil {
		f.opsets = map[string]int64{"": 18, "ai.onnx.ml": 3}
	}
	for domain, version := range f.opsets {
		b = append(b, message(8, message(1, domain, 2, int(version)))...)
	}
	return b
}

const (
	float  = 1
	int64s = 7
	texts  = 8
	flags  = 9
)

func (f *file) run(t *testing.T, in map[string]*graph.Tensor) map[string]*graph.Tensor {
	t.Helper()
	g, err := graph.Load(f.bytes())
	if err != nil {
		t.Fatal(err)
	}
	out, err := g.Run(in, g.Outputs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// stump is a tree of one branch at 0 on column 0 with weights of both leaves: pairs of class and weight.
func stump(left, right [][2]float64, more ...any) []byte {
	ids, classes, weights := []int{}, []int{}, []float64{}
	for leaf, list := range [][][2]float64{left, right} {
		for _, w := range list {
			ids, classes, weights = append(ids, leaf+1), append(classes, int(w[0])), append(weights, w[1])
		}
	}
	return node("ai.onnx.ml.TreeEnsembleClassifier", "x", "label scores", append([]any{
		"nodes_treeids", []int{0, 0, 0}, "nodes_nodeids", []int{0, 1, 2}, "nodes_featureids", []int{0, 0, 0}, "nodes_values", []float64{0, 0, 0},
		"nodes_modes", []string{"BRANCH_LEQ", "LEAF", "LEAF"}, "nodes_truenodeids", []int{1, 0, 0}, "nodes_falsenodeids", []int{2, 0, 0},
		"class_treeids", make([]int, len(ids)), "class_nodeids", ids, "class_ids", classes, "class_weights", weights}, more...)...)
}

// TestTwoClasses holds labels and scores of two classes to what onnxruntime 1.31.1 answers for x = -1 and x = 1.
func TestTwoClasses(t *testing.T) {
	one := func(class, a, b float64) [2][][2]float64 { return [2][][2]float64{{{class, a}}, {{class, b}}} }
	both := func(a, b, c, d float64) [2][][2]float64 { return [2][][2]float64{{{0, a}, {1, b}}, {{0, c}, {1, d}}} }
	for name, c := range map[string]struct {
		weights [2][][2]float64
		more    []any
		labels  []int64
		scores  []float32
	}{
		"one score, a probability":  {one(0, .3, .7), nil, []int64{3, 7}, []float32{.7, .3, .3, .7}},
		"one score, a margin":       {one(0, -.3, .7), nil, []int64{3, 7}, []float32{.3, -.3, -.7, .7}},
		"one score of the second":   {one(1, -.3, .3), nil, []int64{3, 7}, []float32{0, -.3, 0, .3}},
		"one probability, logistic": {one(0, .3, .7), []any{"post_transform", "LOGISTIC"}, []int64{3, 7}, []float32{.4255575, .5744425, .33181226, .66818774}},
		"one margin and a base":     {one(0, -.3, .2), []any{"base_values", []float64{.25}}, []int64{3, 7}, []float32{.05, -.05, -.45, .45}},
		"two scores, no argmax":     {both(.3, .7, .6, .4), nil, []int64{1, 1}, []float32{.3, .7, .6, .4}},
		"two scores, one negative":  {both(2, 1, -3, -.1), nil, []int64{1, 0}, []float32{2, 1, -3, -.1}},
		"two scores, softmax":       {both(.3, .7, .6, .4), []any{"post_transform", "SOFTMAX"}, []int64{1, 1}, []float32{.40131232, .59868765, .549834, .45016597}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{inputs: [][]byte{value("x", float, -1, 1)}, outputs: [][]byte{value("label", int64s, 1), value("scores", float, -1, 2)}}
			f.nodes = [][]byte{stump(c.weights[0], c.weights[1], append(c.more, "classlabels_int64s", []int{3, 7})...)}
			out := f.run(t, map[string]*graph.Tensor{"x": graph.New([]float32{-1, 1}, 2, 1)})
			// The label is declared with the shape [1] and has as many as there are rows.
			labels, scores := out["label"].Data.([]int64), out["scores"].Data.([]float32)
			if c.labels[0] == 3 && !slices.Equal(labels, c.labels) || c.labels[0] != 3 && labels[1] == labels[0] != (c.labels[1] == c.labels[0]) {
				t.Errorf("labels %v, want %v", labels, c.labels)
			}
			for i, v := range scores {
				if math.Abs(float64(v-c.scores[i])) > 1e-6 {
					t.Fatalf("scores %v, want %v", scores, c.scores)
				}
			}
		})
	}
}

func TestWithoutTheDefaultDomain(t *testing.T) {
	// XGBoost's converter imports ai.onnx.ml alone.
	f := &file{inputs: [][]byte{value("x", float, -1, 1)}, outputs: [][]byte{value("y", float)}, opsets: map[string]int64{"ai.onnx.ml": 3}}
	f.nodes = [][]byte{node("ai.onnx.ml.Scaler", "x", "s", "offset", []float64{1}, "scale", []float64{2}), node("Identity", "s", "y")}
	if y := f.run(t, map[string]*graph.Tensor{"x": graph.New([]float32{3}, 1, 1)})["y"].Data.([]float32); y[0] != 4 {
		t.Errorf("%v, want 4", y)
	}
}

func TestOldForms(t *testing.T) {
	x := graph.New([]float32{1, 2, 3, 4}, 2, 1, 2)
	for name, c := range map[string]struct {
		opset int64
		node  []byte
		shape []int
		want  []float32
	}{
		// Before 13, softmax is over everything from its axis on.
		"softmax 8":    {8, node("Softmax", "x", "y", "axis", 0), []int{2, 1, 2}, []float32{.0320586, .08714432, .23688282, .6439143}},
		"softmax 13":   {13, node("Softmax", "x", "y", "axis", 0), []int{2, 1, 2}, []float32{.11920292, .11920292, .88079708, .88079708}},
		"squeeze 8":    {8, node("Squeeze", "x", "y", "axes", []int{1}), []int{2, 2}, []float32{1, 2, 3, 4}},
		"unsqueeze 8":  {8, node("Unsqueeze", "x", "y", "axes", []int{0}), []int{1, 2, 1, 2}, []float32{1, 2, 3, 4}},
		"reduce 8":     {8, node("ReduceSum", "x", "y", "axes", []int{2}, "keepdims", 0), []int{2, 1}, []float32{3, 7}},
		"reshape 1":    {1, node("Reshape", "x", "y", "shape", []int{4}), []int{4}, []float32{1, 2, 3, 4}},
		"slice 9":      {9, node("Slice", "x", "y", "starts", []int{1}, "ends", []int{9}), []int{1, 1, 2}, []float32{3, 4}},
		"clip 6":       {6, node("Clip", "x", "y", "min", 2.0, "max", 3.0), []int{2, 1, 2}, []float32{2, 2, 3, 3}},
		"cast 1":       {1, node("Cast", "x", "y", "to", "FLOAT"), []int{2, 1, 2}, []float32{1, 2, 3, 4}},
		"dropout 7":    {7, node("Dropout", "x", "y", "ratio", 0.5), []int{2, 1, 2}, []float32{1, 2, 3, 4}},
		"split 2":      {2, node("Split", "x", "y z", "axis", 0, "split", []int{1, 1}), []int{1, 1, 2}, []float32{1, 2}},
		"broadcast 6":  {6, node("Add", "x b", "y", "broadcast", 1, "axis", 0), []int{2, 1, 2}, []float32{11, 12, 23, 24}},
		"max of three": {8, node("Max", "x x x", "y"), []int{2, 1, 2}, []float32{1, 2, 3, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{inputs: [][]byte{value("x", float), value("b", float)}, outputs: [][]byte{value("y", float)}, nodes: [][]byte{c.node}, opsets: map[string]int64{"": c.opset}}
			y := f.run(t, map[string]*graph.Tensor{"x": x, "b": graph.New([]float32{10, 20}, 2)})["y"]
			if !slices.Equal(y.Shape, c.shape) {
				t.Fatalf("shape %v, want %v", y.Shape, c.shape)
			}
			for i, v := range y.Data.([]float32) {
				if math.Abs(float64(v-c.want[i])) > 1e-6 {
					t.Fatalf("%v, want %v", y.Data, c.want)
				}
			}
		})
	}
}

// TestFunctions calls a function of the file's own, with an attribute of the call and a default.
func TestFunctions(t *testing.T) {
	body := node("LeakyRelu", "a", "l")
	body = append(body, message(5, message(1, "alpha", 21, "slope", 20, 1))...)
	fn := message(1, "Twice", 4, "a", 5, "r", 7, body, 7, node("Add", "l l", "r"), 9, message(1, "", 2, 18), 10, "own", 11, message(1, "slope", 2, float32(0.5), 20, 1))
	f := &file{inputs: [][]byte{value("x", float, -1)}, outputs: [][]byte{value("y", float), value("z", float)}, functions: [][]byte{fn}}
	f.nodes = [][]byte{node("own.Twice", "x", "y"), node("own.Twice", "x", "z", "slope", 0.25)}
	out := f.run(t, map[string]*graph.Tensor{"x": graph.New([]float32{-4, 3}, 2)})
	if y, z := out["y"].Data.([]float32), out["z"].Data.([]float32); !slices.Equal(y, []float32{-4, 6}) || !slices.Equal(z, []float32{-2, 6}) {
		t.Errorf("%v and %v", y, z)
	}
}

// TestLocaleAndNorm: words change their case without a locale, and MAX is the greatest value.
func TestLocaleAndNorm(t *testing.T) {
	f := &file{inputs: [][]byte{value("w", texts, 1, -1), value("x", float, -1, 2)}, outputs: [][]byte{value("v", texts), value("y", float)}}
	f.nodes = [][]byte{node("StringNormalizer", "w", "v", "case_change_action", "LOWER", "locale", "en_US", "stopwords", []string{"the"}), node("ai.onnx.ml.Normalizer", "x", "y", "norm", "MAX")}
	out := f.run(t, map[string]*graph.Tensor{"w": graph.New([]string{"The", "SHIP", "Tromsø"}, 1, 3), "x": graph.New([]float32{-4, 2}, 1, 2)})
	if v := out["v"].Data.([]string); !slices.Equal(v, []string{"ship", "tromsø"}) {
		t.Errorf("%q", v)
	}
	if y := out["y"].Data.([]float32); !slices.Equal(y, []float32{-2, 1}) {
		t.Errorf("%v", y)
	}
}

// TestSolve solves equations, which onnxruntime does not, and sums a forest of doubles.
func TestSolve(t *testing.T) {
	f := &file{inputs: [][]byte{value("a", float, 2, 2), value("b", float, 2, 1)}, outputs: [][]byte{value("x", float)}, nodes: [][]byte{node("com.microsoft.Solve", "a b", "x")},
		opsets: map[string]int64{"": 18, "com.microsoft": 1}}
	// 2x + y = 5 and x + 3y = 10 have the solution 1, 3.
	x := f.run(t, map[string]*graph.Tensor{"a": graph.New([]float32{2, 1, 1, 3}, 2, 2), "b": graph.New([]float32{5, 10}, 2, 1)})["x"].Data.([]float32)
	if math.Abs(float64(x[0]-1)) > 1e-6 || math.Abs(float64(x[1]-3)) > 1e-6 {
		t.Errorf("%v, want 1 and 3", x)
	}
}

// TestDoublesAtAThreshold: a row of doubles is compared as doubles, and one of floats as floats.
func TestDoublesAtAThreshold(t *testing.T) {
	for _, elem := range []int{float, 11} {
		f := &file{inputs: [][]byte{value("x", elem, -1, 1)}, outputs: [][]byte{value("label", int64s), value("scores", float)}}
		f.nodes = [][]byte{stump([][2]float64{{0, .1}}, [][2]float64{{0, .9}}, "classlabels_int64s", []int{0, 1})}
		x := 1e-60 // above the threshold of 0, and 0 as a float32
		in := graph.New([]float64{x}, 1, 1)
		want := int64(1)
		if elem == float {
			in, want = graph.New([]float32{float32(x)}, 1, 1), 0
		}
		if got := f.run(t, map[string]*graph.Tensor{"x": in})["label"].Data.([]int64)[0]; got != want {
			t.Errorf("element type %d: %d, want %d", elem, got, want)
		}
	}
}

// TestHostileFiles: what a file asks for is bounded, and refused in words.
func TestHostileFiles(t *testing.T) {
	forever := (&file{inputs: [][]byte{value("i", int64s), value("c", flags), value("s", float)}, outputs: [][]byte{value("d", flags), value("t", float)},
		nodes: [][]byte{node("Identity", "c", "d"), node("Add", "s s", "t")}}).graph()
	double := [][]byte{}
	for i, name := 0, "x"; i < 40; i++ {
		next := name + "x"
		double = append(double, node("Concat", name+" "+name, next, "axis", 0))
		name = next
	}
	double = append(double, node("Identity", strings.Repeat("x", 41), "y"))
	for name, c := range map[string]struct {
		nodes  [][]byte
		limits graph.Limits
		code   fault.Code
	}{
		"a loop without end":      {[][]byte{node("Loop", "_ _ x", "y", "body", forever)}, graph.Limits{Steps: 10_000}, fault.TooLarge},
		"doubling forty times":    {double, graph.Limits{Bytes: 1 << 20}, fault.TooLarge},
		"a huge constant":         {[][]byte{node("Cast", "x", "n", "to", 7), node("ConstantOfShape", "n", "y")}, graph.Limits{}, fault.TooLarge},
		"a matrix of no end":      {[][]byte{node("Cast", "x", "n", "to", 7), node("Slice", "x zero one", "e"), node("Expand", "e n", "y")}, graph.Limits{}, fault.TooLarge},
		"shapes that do not fit":  {[][]byte{node("Unsqueeze", "x one", "m"), node("MatMul", "m m", "y")}, graph.Limits{}, fault.Invalid},
		"a place that is not":     {[][]byte{node("Cast", "x", "n", "to", 7), node("Gather", "x n", "y")}, graph.Limits{}, fault.Invalid},
		"a division by nothing":   {[][]byte{node("Cast", "x", "n", "to", 7), node("Sub", "n n", "z"), node("Div", "n z", "q"), node("Cast", "q", "y", "to", 1)}, graph.Limits{}, fault.Invalid},
		"an input that is absent": {[][]byte{node("Add", "x _", "y")}, graph.Limits{}, fault.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			f := &file{inputs: [][]byte{value("x", float, -1)}, outputs: [][]byte{value("y", float)}, nodes: c.nodes, constants: [][]byte{
				message(1, 1, 2, int64s, 7, 0, 8, "zero"), message(1, 1, 2, int64s, 7, 1, 8, "one")}}
			g, err := graph.Load(f.bytes())
			if err != nil {
				t.Fatal(err)
			}
			g.Limits = c.limits
			_, err = g.Run(map[string]*graph.Tensor{"x": graph.New([]float32{1e9, 1e9, 1e9}, 3)}, "y")
			if fault.CodeOf(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
	t.Run("deadline", func(t *testing.T) {
		f := &file{inputs: [][]byte{value("x", float, -1)}, outputs: [][]byte{value("y", float)}, nodes: [][]byte{node("Loop", "_ _ x", "y", "body", forever)}}
		g, err := graph.Load(f.bytes())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithDeadline(context.Background(), time.Unix(0, 0))
		defer cancel()
		if _, err := g.Eval(ctx, []*graph.Tensor{graph.New([]float32{1}, 1)}, []int{0}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
	})
	t.Run("functions without end", func(t *testing.T) {
		fn := message(1, "F", 4, "a", 5, "r", 7, node("own.F", "a", "r"), 9, message(1, "own", 2, 1), 10, "own")
		f := &file{inputs: [][]byte{value("x", float)}, outputs: [][]byte{value("y", float)}, functions: [][]byte{fn}, nodes: [][]byte{node("own.F", "x", "y")}}
		if _, err := graph.Load(f.bytes()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%v, want corrupt", err)
		}
	})
	t.Run("unknown operators are all named", func(t *testing.T) {
		f := &file{inputs: [][]byte{value("x", float)}, outputs: [][]byte{value("y", float)}, nodes: [][]byte{node("Conv", "x", "a"), node("own.Magic", "a", "y")}}
		_, err := graph.Load(f.bytes())
		if !fault.Is(err, fault.FormatNotServed) || !strings.Contains(err.Error(), "Conv") || !strings.Contains(err.Error(), "own.Magic") {
			t.Errorf("%v", err)
		}
	})
}

// TestQuickStartGraphs runs what the graphs of Triton's quick start are made of, in their types.
func TestQuickStartGraphs(t *testing.T) {
	run := func(elem int, in0, in1 *graph.Tensor) map[string]*graph.Tensor {
		f := &file{inputs: [][]byte{value("INPUT0", elem, -1, 2), value("INPUT1", elem, -1, 2)}, outputs: [][]byte{value("OUTPUT0", elem), value("OUTPUT1", elem)}}
		if elem == texts {
			f.nodes = [][]byte{node("Cast", "INPUT0", "a", "to", 6), node("Cast", "INPUT1", "b", "to", 6), node("Add", "a b", "s"), node("Sub", "a b", "d"),
				node("Cast", "s", "OUTPUT0", "to", 8), node("Cast", "d", "OUTPUT1", "to", 8)}
		} else {
			f.nodes = [][]byte{node("Add", "INPUT0 INPUT1", "s"), node("Identity", "s", "OUTPUT0"), node("Sub", "INPUT0 INPUT1", "OUTPUT1")}
		}
		return f.run(t, map[string]*graph.Tensor{"INPUT0": in0, "INPUT1": in1})
	}
	out := run(6, graph.New([]int32{1, 2}, 1, 2), graph.New([]int32{10, -20}, 1, 2))
	if s, d := out["OUTPUT0"].Data.([]int32), out["OUTPUT1"].Data.([]int32); !slices.Equal(s, []int32{11, -18}) || !slices.Equal(d, []int32{-9, 22}) {
		t.Errorf("int32: %v %v", s, d)
	}
	out = run(3, graph.New([]int8{100, 2}, 1, 2), graph.New([]int8{100, 3}, 1, 2))
	if s := out["OUTPUT0"].Data.([]int8); !slices.Equal(s, []int8{-56, 5}) {
		t.Errorf("int8: %v", s)
	}
	out = run(texts, graph.New([]string{"1", "-5"}, 1, 2), graph.New([]string{"2", "7"}, 1, 2))
	if s, d := out["OUTPUT0"].Data.([]string), out["OUTPUT1"].Data.([]string); !slices.Equal(s, []string{"3", "2"}) || !slices.Equal(d, []string{"-1", "-12"}) {
		t.Errorf("texts: %q %q", s, d)
	}
}
