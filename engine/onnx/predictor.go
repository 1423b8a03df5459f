package onnx

import (
	"context"
	"slices"
	"sync"
	"time"

	evaluate "github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	array "github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Evaluator answers tensors with a graph that is evaluated in this process. It is a predictor.Predictor and a predictor.Reporter.
type Evaluator struct {
	graph    *evaluate.Graph
	inputs   []predictor.Field
	outputs  []predictor.Field
	size     int64
	since    time.Time
	inferred bool

	mu     sync.RWMutex
	closed bool
}

// maxFile bounds a file that is evaluated in the server.
const maxFile = 1 << 30

// Open prepares an ONNX file. Bytes that are not one are fault.Corrupt; what cannot be evaluated here is fault.FormatNotServed, which
// names the operators. A ZipMap output is one FP32 tensor of rows x classes, whose classes are Classes.
func Open(data []byte) (predictor.Predictor, error) {
	if len(data) > maxFile {
		return nil, fault.New(fault.FormatNotServed, "the file has %d bytes, more than the %d that are evaluated here", len(data), maxFile)
	}
	g, err := evaluate.Load(data)
	if err != nil {
		return nil, err
	}
	e := &Evaluator{graph: g, size: int64(len(data)), since: time.Now()}
	for _, in := range g.Inputs {
		shape := slices.Clone(in.Shape)
		if !in.Known {
			shape = []int{-1}
		}
		e.inputs = append(e.inputs, predictor.Field{Name: in.Name, Type: in.Type, Shape: shape})
	}
	e.outputs = e.infer()
	return e, nil
}

// Inputs are what the file declares.
func (e *Evaluator) Inputs() []predictor.Field { return slices.Clone(e.inputs) }

// Outputs are what evaluating the graph showed, or what the file declares where zeros are no input that it can be evaluated on.
func (e *Evaluator) Outputs() []predictor.Field { return slices.Clone(e.outputs) }

// Inferred tells whether Outputs were seen, not only declared.
func (e *Evaluator) Inferred() bool { return e.inferred }

// Classes are the labels of the graph's classifier in the order of its probabilities; nil when it names none.
func (e *Evaluator) Classes() []string { return e.graph.Classes() }

// Operators are those that the graph uses, each once.
func (e *Evaluator) Operators() []string { return e.graph.Used() }

// Nodes is the number of nodes that a prediction computes, after what is constant was computed once.
func (e *Evaluator) Nodes() int { return e.graph.Nodes() }

// Predict evaluates the wanted outputs.
func (e *Evaluator) Predict(ctx context.Context, q *predictor.Request) ([]array.Named, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, fault.New(fault.Unavailable, "the model is closed")
	}
	in := make([]*array.Tensor, len(e.inputs))
	for i, want := range e.inputs {
		for k := range q.Inputs {
			if q.Inputs[k].Name == want.Name {
				in[i] = q.Inputs[k].Tensor
			}
		}
		if in[i] == nil {
			return nil, fault.New(fault.Invalid, "the input %q is missing", want.Name).With("input", want.Name)
		}
	}
	places := make([]int, 0, len(e.outputs))
	for _, name := range q.Wanted {
		at := slices.Index(e.graph.Outputs, name)
		if at < 0 {
			return nil, fault.New(fault.Invalid, "the model has no output %q", name).With("output", name)
		}
		places = append(places, at)
	}
	if len(q.Wanted) == 0 {
		for i := range e.graph.Outputs {
			places = append(places, i)
		}
	}
	results, err := e.graph.Eval(ctx, in, places)
	if err != nil {
		return nil, err
	}
	out := make([]array.Named, len(results))
	for i, t := range results {
		out[i] = array.Named{Name: e.graph.Outputs[places[i]], Tensor: t}
	}
	return out, nil
}

// Close ends it once the requests under way are answered.
func (e *Evaluator) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}

// Status says that there is nothing but this process.
func (e *Evaluator) Status() predictor.Status {
	return predictor.Status{Engine: "onnx", Since: e.since, Memory: 2 * e.size}
}

// infer finds the types and shapes of the outputs by evaluating the graph on two rows of zeros and on three: what grows with the rows
// is free. What the file declares is not to be trusted: converters write shapes that their graphs do not have.
func (e *Evaluator) infer() []predictor.Field {
	declared := make([]predictor.Field, len(e.graph.Declared))
	for i, d := range e.graph.Declared {
		declared[i] = predictor.Field{Name: d.Name, Type: d.Type, Shape: d.Shape}
		if d.Type == array.None { // a sequence of maps of probabilities
			declared[i].Type, declared[i].Shape = array.FP32, []int{-1, -1}
			if k := len(e.Classes()); k > 0 {
				declared[i].Shape[1] = k
			}
		}
	}
	probe := *e.graph
	probe.Limits = evaluate.Limits{Bytes: 256 << 20, Steps: 1 << 18, Work: 1 << 32, Timeout: 2 * time.Second}
	two, ok := e.probe(&probe, 2)
	if !ok {
		return declared
	}
	three, ok := e.probe(&probe, 3)
	if !ok {
		return declared
	}
	e.inferred = true
	for i := range declared {
		a, b := two[i], three[i]
		if a.Type() == array.None || a.Type() != b.Type() || len(a.Shape) != len(b.Shape) {
			continue
		}
		declared[i].Type, declared[i].Shape = a.Type(), slices.Clone(a.Shape)
		for d := range a.Shape {
			if a.Shape[d] != b.Shape[d] {
				declared[i].Shape[d] = -1
			}
		}
	}
	return declared
}

// probe evaluates the graph on rows of zeros and of empty texts.
func (e *Evaluator) probe(g *evaluate.Graph, rows int) ([]*array.Tensor, bool) {
	in := make([]*array.Tensor, len(e.inputs))
	for i, f := range e.inputs {
		shape := slices.Clone(f.Shape)
		for d := range shape {
			switch {
			case d == 0 && shape[d] < 0:
				shape[d] = rows
			case shape[d] < 0:
				return nil, false
			}
		}
		if n, ok := array.Volume(shape); !ok || n > 1<<20 {
			return nil, false
		}
		in[i] = array.Make(f.Type, shape...)
	}
	places := make([]int, len(g.Outputs))
	for i := range places {
		places[i] = i
	}
	out, err := g.Eval(context.Background(), in, places)
	return out, err == nil
}
