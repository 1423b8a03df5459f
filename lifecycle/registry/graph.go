package registry

import (
	"context"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/onnx/graph"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// maxGraph bounds an ONNX file that is evaluated in the server.
const maxGraph = 512 << 20

// openGraph opens an ONNX graph in this process.
func openGraph(data []byte) (predictor.Predictor, error) {
	g, err := graph.Load(data)
	if err != nil {
		return nil, err
	}
	p := &graphPredictor{g: g}
	for _, in := range g.Inputs {
		elem, ok := map[string]tensor.Type{"float": tensor.FP32, "double": tensor.FP64, "int64": tensor.Int64}[in.Elem]
		if !ok {
			return nil, fault.New(fault.FormatNotServed, "the input %q of the graph is a tensor of %s", in.Name, in.Elem)
		}
		p.inputs = append(p.inputs, predictor.Field{Name: in.Name, Type: elem, Shape: in.Shape})
	}
	for _, name := range g.Outputs {
		p.outputs = append(p.outputs, predictor.Field{Name: name})
	}
	return p, nil
}

type graphPredictor struct {
	g               *graph.Graph
	inputs, outputs []predictor.Field
}

func (p *graphPredictor) Inputs() []predictor.Field  { return p.inputs }
func (p *graphPredictor) Outputs() []predictor.Field { return p.outputs }
func (p *graphPredictor) Close() error               { return nil }
func (p *graphPredictor) Classes() []string          { return p.g.Classes() }

func (p *graphPredictor) Predict(_ context.Context, q *predictor.Request) ([]tensor.Named, error) {
	feeds := map[string]*graph.Tensor{}
	for _, in := range q.Inputs {
		switch d := in.Data.(type) {
		case []float32:
			feeds[in.Name] = graph.New(d, in.Shape...)
		case []float64:
			feeds[in.Name] = graph.New(d, in.Shape...)
		case []int64:
			feeds[in.Name] = graph.New(d, in.Shape...)
		default:
			return nil, fault.New(fault.Invalid, "the input %q is %s", in.Name, strconv.Quote(in.Type().String()))
		}
	}
	wanted := q.Wanted
	if wanted == nil {
		wanted = p.g.Outputs
	}
	out, err := p.g.Run(feeds, wanted...)
	if err != nil {
		return nil, err
	}
	var named []tensor.Named
	for _, name := range wanted {
		named = append(named, tensor.Named{Name: name, Tensor: &tensor.Tensor{Shape: out[name].Shape, Data: out[name].Data}})
	}
	return named, nil
}
