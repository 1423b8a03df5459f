package serve_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

func columns(cols ...serve.Column) *serve.Batch { return &serve.Batch{Columns: cols} }

// TestColumnsAnswerLikeRows: the same values as rows and as columns, in any order and with others, give the same scores and the same log.
func TestColumnsAnswerLikeRows(t *testing.T) {
	b := newBench(t)
	b.shop.put(1, sum{offset: 0.1}, nil)
	b.start(t)
	ctx := context.Background()
	_, err := b.Ensure(ctx, serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
	must(t, b.SetRoute(ctx, nil, "delays", serve.Route{Champion: 1}))

	rows := &serve.Batch{}
	degrees, dests, seats := []float64{1, math.NaN(), 3}, []string{"BOS", "", "ZZZ"}, []int64{100, 200, 300}
	for i := range degrees {
		row := serve.Row{{Name: "dest", Cell: text(dests[i])}, {Name: "seats", Cell: number(float64(seats[i]))}}
		if degrees[i] == degrees[i] {
			row = append(row, serve.Field{Name: "temp", Cell: number(degrees[i])})
		}
		rows.Rows = append(rows.Rows, row)
	}
	want, err := b.Infer(ctx, "delays", serve.Choice{}, rows)
	must(t, err)
	got, err := b.Infer(ctx, "delays", serve.Choice{Version: 1}, columns(
		serve.Column{Name: "extra", Tensor: tensor.New([]float32{1, 2, 3, 4, 5, 6}, 3, 2)},
		serve.Column{Name: "seats", Tensor: tensor.New(seats, 3, 1)},
		serve.Column{Name: "dest", Tensor: tensor.New(dests, 3)},
		serve.Column{Name: "temp", Tensor: tensor.New(degrees, 3)}))
	must(t, err)
	for i := range want.Predictions {
		w, g := want.Predictions[i], got.Predictions[i]
		if w.Scores[0] != g.Scores[0] || w.Label != g.Label || w.Missing != g.Missing || w.Unseen != g.Unseen || w.OutOfRange != g.OutOfRange {
			t.Errorf("row %d: %+v, as columns %+v", i, w, g)
		}
		for k := range w.Inputs {
			if w.Inputs[k] != g.Inputs[k] {
				t.Errorf("row %d, input %d: %v, as columns %v", i, k, w.Inputs[k], g.Inputs[k])
			}
		}
	}
	for _, test := range []struct {
		batch *serve.Batch
		want  string
	}{
		{columns(), "no rows"},
		{columns(serve.Column{Name: "temp", Tensor: tensor.New([]float64{1, 2}, 2)}, serve.Column{Name: "seats", Tensor: tensor.New([]int64{1}, 1)}), `"seats" has 1 rows, "temp" has 2`},
		{columns(serve.Column{Name: "temp", Tensor: tensor.New([]float64{1, 2}, 2)}, serve.Column{Name: "temp", Tensor: tensor.New([]float64{1, 2}, 2)}), "twice"},
		{columns(serve.Column{Name: "temp", Tensor: tensor.New([]float64{1, 2}, 1, 2)}), "2 values per row"},
		{columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)}), "2 values per row; the model has 5 features"},
		{columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 2, 1)}), "none of the model's inputs"},
		{columns(serve.Column{Name: "temp", Tensor: tensor.New([]string{"a", "b"}, 2)}), `row 0, column "temp": expected a number, got the text "a"`},
		{columns(serve.Column{Name: "seats", Tensor: tensor.New([]float64{1, 1.5}, 2)}), `row 1, column "seats": expected a whole number, got the number 1.5`},
		{columns(serve.Column{Name: "temp", Tensor: tensor.New([]float64{1, math.Inf(1)}, 2)}), `row 1, column "temp"`},
		{columns(serve.Column{Name: "dest", Tensor: tensor.New([]string{"BOS", "\xff"}, 2)}), `row 1, column "dest": expected a text in UTF-8`},
		{&serve.Batch{Keys: []string{"\xff", ""}, Columns: []serve.Column{{Name: "dest", Tensor: tensor.New([]string{"BOS", "LAX"}, 2)}}}, "texts in UTF-8"},
		{columns(serve.Column{Name: "temp", Cells: []serve.Cell{number(1), text("2")}}), `row 1, column "temp": expected a number, got the text "2"`},
	} {
		if _, err := b.Infer(ctx, "delays", serve.Choice{}, test.batch); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.want, err)
		}
	}
}

// twice is a predictor that doubles: column by column, or a matrix.
type twice struct {
	mu     sync.Mutex
	in     []predictor.Field
	out    []predictor.Field
	err    error
	broken string
	asked  int
	closed bool
}

func (p *twice) Inputs() []predictor.Field  { return p.in }
func (p *twice) Outputs() []predictor.Field { return p.out }
func (p *twice) Broken() string             { return p.broken }
func (p *twice) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *twice) Predict(_ context.Context, q *predictor.Request) ([]tensor.Named, error) {
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	t := q.Inputs[0].Tensor
	numbers, err := t.Float64s()
	if err != nil {
		return nil, err
	}
	n, w := t.Rows(), t.Width()
	out, labels := make([]float64, n), make([]string, n)
	for i := range n {
		for k := range w {
			out[i] += 2 * numbers[i*w+k]
		}
		if labels[i] = "low"; out[i] > 10 {
			labels[i] = "high"
		}
	}
	all := []tensor.Named{{Name: "sum", Tensor: tensor.New(out, n, 1)}, {Name: "label", Tensor: tensor.New(labels, n)}}
	if len(q.Wanted) == 0 {
		return all, nil
	}
	var wanted []tensor.Named
	for _, name := range q.Wanted {
		for _, o := range all {
			if o.Name == name {
				wanted = append(wanted, o)
			}
		}
	}
	return wanted, nil
}

func matrix() *twice {
	return &twice{in: []predictor.Field{{Name: "x", Type: tensor.FP32, Shape: []int{-1, 2}}},
		out: []predictor.Field{{Name: "sum", Type: tensor.FP64, Shape: []int{-1, 1}}, {Name: "label", Type: tensor.String, Shape: []int{-1}}}}
}

func foreign(version int, p predictor.Predictor, change func(*serve.Package)) *serve.Package {
	pkg := &serve.Package{Model: "delays", Version: version, Predictor: p, Threshold: 0.5, Engine: "onnx",
		Binding: registry.Binding{Matrix: "x", Scores: "sum"},
		Signature: registry.Signature{Task: "regression", Label: "y", Features: []string{"a", "b"},
			Inputs: []registry.Input{{Name: "a", Kind: table.Double, Role: registry.RoleFeature}, {Name: "b", Kind: table.Long, Role: registry.RoleFeature}}}}
	if change != nil {
		change(pkg)
	}
	return pkg
}

func tensors(pkg *serve.Package) {
	pkg.Binding = registry.Binding{}
	pkg.Signature = registry.Signature{Task: registry.TaskTensors, TensorInputs: pkg.Predictor.Inputs(), TensorOutputs: pkg.Predictor.Outputs(),
		Inputs: []registry.Input{{Name: "x", Kind: table.String, Role: registry.RoleFeature}}}
}

func foreignBench(t *testing.T, packages ...*serve.Package) *bench {
	b := newBench(t)
	b.shop.versions = map[int]*serve.Package{}
	for _, p := range packages {
		b.shop.versions[p.Version] = p
	}
	b.log.keep = true
	b.start(t)
	_, err := b.Ensure(context.Background(), serve.Deployment{Project: "p", Name: "delays", Model: "delays"})
	must(t, err)
	must(t, b.SetRoute(context.Background(), nil, "delays", serve.Route{Champion: packages[0].Version}))
	return b
}

// TestAPredictorAnswersRows: rows, columns and one matrix give its scores; the log has them by the names of the signature.
func TestAPredictorAnswersRows(t *testing.T) {
	b := foreignBench(t, foreign(1, matrix(), nil))
	ctx := context.Background()
	for name, batch := range map[string]*serve.Batch{
		"rows":    batch(serve.Row{{Name: "b", Cell: number(2)}, {Name: "a", Cell: number(1)}}, serve.Row{{Name: "a", Cell: number(3)}, {Name: "b", Cell: number(4)}}),
		"columns": columns(serve.Column{Name: "b", Tensor: tensor.New([]int32{2, 4}, 2)}, serve.Column{Name: "a", Tensor: tensor.New([]float32{1, 3}, 2)}),
		"matrix":  columns(serve.Column{Name: "anything", Tensor: tensor.New([]float64{1, 2, 3, 4}, 2, 2)}),
	} {
		a, err := b.Infer(ctx, "delays", serve.Choice{}, batch)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p := a.Predictions; p[0].Scores[0] != 6 || p[1].Scores[0] != 14 || p[1].Inputs[1].F != 4 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if len(b.log.recs) != 6 {
		t.Errorf("%d rows in the log", len(b.log.recs))
	}
}

// TestAPredictorsOwnLabels: a classifier's label is what its engine says; one without scores is certain.
func TestAPredictorsOwnLabels(t *testing.T) {
	both := foreign(1, matrix(), func(p *serve.Package) {
		p.Signature.Task, p.Signature.Classes, p.Signature.Positive = "binary", []string{"low", "high"}, "high"
		p.Binding.Label = "label"
	})
	alone := foreign(2, matrix(), func(p *serve.Package) {
		p.Signature.Task, p.Signature.Classes, p.Signature.Positive = "binary", []string{"low", "high"}, "high"
		p.Binding.Label, p.Binding.Scores = "label", ""
	})
	b := foreignBench(t, both, alone)
	q := columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2, 3, 4}, 2, 2)})
	a, err := b.Infer(context.Background(), "delays", serve.Choice{}, q)
	must(t, err)
	if a.Predictions[0].Label != "low" || a.Predictions[1].Label != "high" || a.Predictions[0].Scores[0] != 6 {
		t.Errorf("%+v", a.Predictions)
	}
	must(t, b.SetRoute(context.Background(), nil, "delays", serve.Route{Champion: 2}))
	a, err = b.Infer(context.Background(), "delays", serve.Choice{}, q)
	must(t, err)
	if a.Predictions[0].Scores[0] != 0 || a.Predictions[1].Scores[0] != 1 || a.Predictions[1].Label != "high" {
		t.Errorf("%+v", a.Predictions)
	}
}

// TestTensorsGoThrough: a version of the task tensors answers what its engine gives; the log keeps inputs as texts and numbers as scores.
func TestTensorsGoThrough(t *testing.T) {
	b := foreignBench(t, foreign(1, matrix(), tensors))
	ctx := context.Background()
	a, err := b.Infer(ctx, "delays", serve.Choice{}, columns(serve.Column{Name: "x", Tensor: tensor.New([]int32{1, 2, 3, 4}, 2, 2)}))
	must(t, err)
	if len(a.Outputs) != 2 || a.Outputs[0].Data.([]float64)[1] != 14 || len(a.Predictions) != 2 {
		t.Fatalf("%+v", a)
	}
	if p := a.Predictions[1]; p.Inputs[0].S != "[3,4]" || p.Scores[0] != 14 || p.Label != "high" {
		t.Errorf("%+v", p)
	}
	for _, test := range []struct {
		batch *serve.Batch
		want  string
	}{
		{columns(serve.Column{Name: "y", Tensor: tensor.New([]float32{1}, 1)}, serve.Column{Name: "z", Tensor: tensor.New([]float32{1}, 1)}), `"x" is missing`},
		{columns(serve.Column{Name: "x", Tensor: tensor.New([]float32{1, 2, 3}, 1, 3)}), "shape [1, 3]; the model takes [-1, 2]"},
		{columns(serve.Column{Name: "x", Tensor: tensor.New([]string{"1", "2"}, 1, 2)}), "BYTES is not FP32"},
		{columns(serve.Column{Name: "x", Tensor: tensor.New([]float32{}, 0, 2)}), "no rows"},
		{&serve.Batch{Columns: []serve.Column{{Name: "x", Tensor: tensor.New([]float32{1, 2}, 1, 2)}}, Wanted: []string{"nothing"}}, `no output "nothing"`},
	} {
		if _, err := b.Infer(ctx, "delays", serve.Choice{}, test.batch); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.want, err)
		}
	}
}

// TestABrokenChampionGivesWay: while its engine has given up, the newest healthy version before it answers.
func TestABrokenChampionGivesWay(t *testing.T) {
	sick := matrix()
	b := foreignBench(t, foreign(1, matrix(), nil), foreign(2, sick, nil))
	ctx := context.Background()
	must(t, b.SetRoute(ctx, nil, "delays", serve.Route{Champion: 2}))
	sick.broken = "it died five times"
	a, err := b.Infer(ctx, "delays", serve.Choice{}, columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)}))
	must(t, err)
	if a.Version != 1 {
		t.Errorf("v%d answered", a.Version)
	}
}

// TestACanarysEngineThatFails: the champion answers, and the canary's errors are counted.
func TestACanarysEngineThatFails(t *testing.T) {
	bad := matrix()
	bad.err = fault.New(fault.Unavailable, "the process died")
	for _, kind := range []func(*serve.Package){nil, tensors} {
		b := foreignBench(t, foreign(1, matrix(), kind), foreign(2, bad, kind))
		ctx := context.Background()
		must(t, b.SetRoute(ctx, nil, "delays", serve.Route{Champion: 1, Canary: 2, CanaryShare: 1}))
		a, err := b.Infer(ctx, "delays", serve.Choice{}, columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)}))
		must(t, err)
		if a.Version != 1 || a.Predictions[0].Arm != serve.Champion || b.Stats("delays", 2).Errors != 1 {
			t.Errorf("%+v, %+v", a, b.Stats("delays", 2))
		}
		bad.err = fault.New(fault.Unavailable, "the process died")
		must(t, b.SetRoute(ctx, nil, "delays", serve.Route{Champion: 2}))
		if _, err := b.Infer(ctx, "delays", serve.Choice{}, columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)})); !fault.Is(err, fault.Unavailable) {
			t.Error(err)
		}
	}
}

// TestLoadAndUnload: an unloaded deployment refuses, is listed so, and answers again when it is loaded; its counts go on.
func TestLoadAndUnload(t *testing.T) {
	b := foreignBench(t, foreign(1, matrix(), nil))
	ctx := context.Background()
	q := columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)})
	_, err := b.Infer(ctx, "delays", serve.Choice{}, q)
	must(t, err)
	must(t, b.UnloadModel(ctx, "delays"))
	if _, err := b.Infer(ctx, "delays", serve.Choice{}, q); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	list, err := b.Repository(ctx)
	must(t, err)
	if len(list) != 1 || list[0].State != serve.RepositoryUnavailable {
		t.Errorf("%+v", list)
	}
	must(t, b.LoadModel(ctx, "delays"))
	_, err = b.Infer(ctx, "delays", serve.Choice{}, q)
	must(t, err)
	st, err := b.Statistics("delays", 0)
	must(t, err)
	if st.Success.Count != 2 || st.InferenceCount != 2 || st.ComputeInfer.NS <= 0 {
		t.Errorf("%+v", st)
	}
	if name, err := b.Default(); name != "delays" || err != nil {
		t.Error(name, err)
	}
}

// TestSleepersMakeRoom: when the budget is spent the deployment that was asked longest ago gives up its memory and gets it back when asked.
func TestSleepersMakeRoom(t *testing.T) {
	b := newBench(t)
	b.memory = 250 << 10
	b.shop.versions = map[int]*serve.Package{}
	for v := 1; v <= 3; v++ {
		b.shop.versions[v] = foreign(v, matrix(), func(p *serve.Package) { p.Memory = 100 << 10 })
	}
	b.start(t)
	ctx := context.Background()
	names := []string{"one", "two", "three"}
	q := columns(serve.Column{Name: "x", Tensor: tensor.New([]float64{1, 2}, 1, 2)})
	for i, name := range names {
		_, err := b.Ensure(ctx, serve.Deployment{Project: "p", Name: name, Model: "delays"})
		must(t, err)
		must(t, b.SetRoute(ctx, nil, name, serve.Route{Champion: i + 1}))
		_, err = b.Infer(ctx, name, serve.Choice{}, q)
		must(t, err)
	}
	states := func() (out string) {
		for _, name := range names {
			d, err := b.Get(ctx, name)
			must(t, err)
			out += d.State + " "
		}
		return out
	}
	if got := states(); got != "asleep ready ready " {
		t.Fatal(got)
	}
	_, err := b.Infer(ctx, "one", serve.Choice{}, q)
	must(t, err)
	if got := states(); got != "ready asleep ready " {
		t.Error(got)
	}
	must(t, b.Configure(ctx, "three", func(s *serve.Settings) { s.Pinned = true }))
	_, err = b.Infer(ctx, "two", serve.Choice{}, q)
	must(t, err)
	if got := states(); got != "asleep ready ready " {
		t.Error(got)
	}
	if m := b.Memory(); m > 250<<10 {
		t.Errorf("%d bytes", m)
	}
}
