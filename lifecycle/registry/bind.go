package registry

import (
	"context"
	"math"
	"slices"
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Described is a predictor that knows more of its model than the tensors that it takes and gives.
type Described interface {
	// Classes are the labels that the model tells apart, in the order of its scores, as texts; nil when it does not say.
	Classes() []string
}

// maxWidth bounds the columns of a matrix whose rows are taken apart.
const maxWidth = maxColumns

// half is the threshold of a binary classifier that somebody else made: at one half the first class wins, as the first of equals does.
var half = math.Nextafter(0.5, 1)

// describe finds out how a predictor answers rows: which of its inputs are columns, which of its outputs are scores and labels. What is
// not a scorer of rows becomes a version of tensors. example is rows that the model takes, in the order of the columns of m; nil when there
// are none.
func (p *Package) describe(ctx context.Context, m *mlflow, c *content, task string, example *exampleRows) error {
	sig := &p.Signature
	if task != TaskTensors && p.inputsOf(m, example) {
		ok, err := p.outputsOf(ctx, c, task, example)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
	}
	if task != "" && task != TaskTensors {
		return fault.New(fault.Invalid, "the model does not answer as a %s task does", task).WithHint("leave the task out, or say tensors")
	}
	*sig = Signature{Task: TaskTensors, TensorInputs: p.Predictor.Inputs(), TensorOutputs: p.Predictor.Outputs()}
	p.Binding = Binding{}
	for _, f := range sig.TensorInputs {
		in := Input{Name: f.Name, Kind: table.String, Role: RoleFeature, Nullable: f.Optional}
		if single(f.Shape) {
			in.Kind = kindOfType(f.Type)
		}
		sig.Inputs = append(sig.Inputs, in)
		sig.Features = append(sig.Features, f.Name)
	}
	return nil
}

// single tells whether a tensor of that shape has one value per row.
func single(shape []int) bool {
	return len(shape) <= 1 && shape != nil || len(shape) == 2 && shape[1] == 1
}

func kindOfType(t tensor.Type) table.Kind {
	switch {
	case t == tensor.String:
		return table.String
	case t == tensor.Bool:
		return table.Boolean
	case t >= tensor.Uint8 && t <= tensor.Int64:
		return table.Long
	}
	return table.Double
}

// inputsOf makes the columns of the signature of the predictor's inputs; false when they are no columns of rows.
func (p *Package) inputsOf(m *mlflow, example *exampleRows) bool {
	fields := p.Predictor.Inputs()
	sig := &p.Signature
	sig.Inputs, sig.Features = nil, nil
	add := func(name string, elem tensor.Type, optional bool) {
		in := Input{Name: name, Kind: kindOfType(elem), Role: RoleFeature, Nullable: optional}
		if m != nil {
			if k := slices.IndexFunc(m.columns, func(c column) bool { return c.name == name }); k >= 0 {
				in.Kind, in.Nullable = m.columns[k].kind, m.columns[k].optional
			}
		}
		if in.Kind == table.String && elem.Numeric() || in.Kind == table.Datetime && elem != tensor.String {
			in.Kind = kindOfType(elem) // the description contradicts what the model takes
		}
		sig.Inputs = append(sig.Inputs, in)
		sig.Features = append(sig.Features, name)
	}
	if len(fields) == 1 && len(fields[0].Shape) == 2 && fields[0].Shape[1] != 1 {
		f := &fields[0]
		width := f.Shape[1]
		names := m.names()
		if width < 0 && len(names) == 0 {
			if example == nil {
				return false
			}
			width = len(example.names)
		}
		if width < 0 {
			width = len(names)
		}
		if width > maxWidth || width == 0 {
			return false
		}
		if names = featureNames(width, exampleNames(example), m); len(names) != width {
			return false
		}
		p.Binding.Matrix = f.Name
		for _, name := range names {
			add(name, f.Type, f.Type >= tensor.FP16)
		}
		return true
	}
	for i := range fields {
		f := &fields[i]
		if f.Type == tensor.None || !single(f.Shape) || f.Name == "" {
			return false
		}
		add(f.Name, f.Type, f.Optional || f.Type == tensor.FP32 || f.Type == tensor.FP64)
	}
	return len(fields) > 0 && !repeated(sig.Features)
}

func exampleNames(e *exampleRows) []string {
	if e == nil {
		return nil
	}
	return e.names
}

// answered is an output as it came for some rows.
type answered struct {
	name  string
	elem  tensor.Type
	width int // values per row
}

// outputsOf binds the outputs: by what the predictor says of them, or, where it does not know or is not to be believed, by asking it.
// false = they are no scores of rows.
func (p *Package) outputsOf(ctx context.Context, c *content, task string, example *exampleRows) (bool, error) {
	var classes []string
	if d, ok := p.Predictor.(Described); ok {
		classes = d.Classes()
	}
	var outs []answered
	_, believed := p.Predictor.(Described)
	for _, f := range p.Predictor.Outputs() {
		o := answered{name: f.Name, elem: f.Type, width: 1}
		if len(f.Shape) == 2 {
			o.width = f.Shape[1]
		}
		believed = believed && f.Type != tensor.None && f.Shape != nil && len(f.Shape) <= 2 && o.width > 0
		outs = append(outs, o)
	}
	if seen, ok := p.Predictor.(interface{ Inferred() bool }); ok && !seen.Inferred() || c.kind == KindONNX {
		believed = false // converters declare shapes that their graphs do not have
	}
	if !believed {
		var err error
		if outs, err = p.try(ctx, example); err != nil || outs == nil {
			return false, err
		}
	}
	var label, scores *answered
	for i := range outs {
		switch o := &outs[i]; {
		case o.elem >= tensor.FP16 && o.elem <= tensor.FP64 && scores == nil:
			scores = o
		case (o.elem == tensor.String || o.elem == tensor.Int64 || o.elem == tensor.Int32 || o.elem == tensor.Bool) && o.width == 1 && label == nil:
			label = o
		}
	}
	sig := &p.Signature
	sig.Label = "prediction"
	classify := func(k int) {
		if len(classes) != k || repeated(classes) {
			classes = numbered(k)
		}
		sig.Classes, sig.Task = classes, string(learn.Multiclass)
		if k == 2 {
			sig.Task, sig.Positive = string(learn.Binary), classes[1]
		}
	}
	switch {
	case task == string(learn.Regression) && scores != nil && scores.width == 1:
		sig.Task, p.Binding.Scores = task, scores.name
	case scores != nil && scores.width >= 2 && (label != nil || len(classes) == scores.width || task == string(learn.Multiclass) || task == string(learn.Binary) && scores.width == 2):
		classify(scores.width)
		p.Binding.Scores = scores.name
		if scores.width == 2 {
			p.Binding.Skip = 1
		}
		if label != nil && p.Engine != EnginePython && p.Engine != EngineR {
			p.Binding.Label = label.name
		}
	case scores != nil && scores.width == 1 && (len(classes) == 2 && label != nil || task == string(learn.Binary)):
		classify(2)
		p.Binding.Scores = scores.name
	case scores != nil && scores.width == 1:
		sig.Task, p.Binding.Scores = string(learn.Regression), scores.name
	case scores == nil && label != nil && len(classes) >= 2:
		classify(len(classes))
		p.Binding.Label = label.name
	case scores == nil && label != nil && label.elem != tensor.String:
		sig.Task, p.Binding.Scores = string(learn.Regression), label.name
	default:
		return false, nil
	}
	if task != "" && task != sig.Task {
		return false, nil
	}
	return true, nil
}

// try asks the predictor for a few rows, and says what each output is; nil when it does not answer one value or list per row.
func (p *Package) try(ctx context.Context, example *exampleRows) ([]answered, error) {
	rows := example.rows(&p.Signature, 2)
	if rows == nil {
		row := make([]table.Value, len(p.Signature.Features))
		for i := range row {
			if p.Signature.Inputs[i].Kind == table.String {
				row[i] = table.Text("a")
			}
		}
		rows = [][]table.Value{row, row}
	}
	n := len(rows)
	inputs, err := p.feed(rows)
	if err != nil {
		return nil, err
	}
	out, err := p.Predictor.Predict(ctx, &predictor.Request{Inputs: inputs})
	if err != nil {
		return nil, fault.Wrap(err, fault.CodeOf(err), "the model does not answer a row").WithHint("give rows that it takes with --input-example FILE")
	}
	var outs []answered
	for _, o := range out {
		if o.Len()%n != 0 || len(o.Shape) > 2 || len(o.Shape) > 0 && o.Shape[0] != n {
			return nil, nil
		}
		outs = append(outs, answered{name: o.Name, elem: o.Type(), width: o.Len() / n})
	}
	return outs, nil
}

// labels is the elements as texts, as classes are written.
func labels(t *tensor.Tensor) []string {
	if d, ok := t.Data.([]string); ok {
		return d
	}
	out := make([]string, t.Len())
	for i := range out {
		switch d := t.Data.(type) {
		case []bool:
			out[i] = strconv.FormatBool(d[i])
		case []int64:
			out[i] = strconv.FormatInt(d[i], 10)
		default:
			v, _ := t.Number(i)
			out[i] = strconv.FormatFloat(v, 'g', -1, 64)
		}
	}
	return out
}
