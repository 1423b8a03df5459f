package registry

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// askRows is how many rows go to a predictor at once.
const askRows = 1000

// Ask answers rows, each with its values in the order of Signature.Features. The answer has Outputs numbers per row, and the label of each
// row where the task has labels. It is how files are scored and engines compared; what serves requests has its own, faster way. A version of
// the task TaskTensors is fault.Invalid: its answers are no scores.
func (p *Package) Ask(ctx context.Context, rows [][]table.Value) (scores []float64, decided []string, err error) {
	if p.Signature.Task == TaskTensors {
		return nil, nil, fault.New(fault.Invalid, "%s v%d answers tensors, and not rows with scores", p.Model, p.Version).WithHint("ask it over HTTP: POST /v2/models/%s/infer", p.Model)
	}
	if p.Learned != nil {
		scores = p.learned(rows)
		return scores, p.decide(scores, len(rows)), nil
	}
	batch := askRows
	if fields := p.Predictor.Inputs(); len(fields) > 0 && len(fields[0].Shape) > 0 && fields[0].Shape[0] > 0 {
		batch = fields[0].Shape[0]
	}
	for from := 0; from < len(rows); from += batch {
		piece := rows[from:min(from+batch, len(rows))]
		n := len(piece)
		if batch != askRows && n < batch {
			piece = slices.Concat(piece, slices.Repeat(piece[:1], batch-n))
		}
		s, l, err := p.predict(ctx, piece)
		if err != nil {
			return nil, nil, err
		}
		scores = append(scores, s[:n*p.Outputs()]...)
		if l == nil {
			l = p.decide(s, n)
		}
		decided = append(decided, l[:min(n, len(l))]...)
	}
	return scores, decided, nil
}

// learned scores rows with a model of the engine's own kind. Trees of others may have been trained on float64: they read what the recipe
// passes through as it came.
func (p *Package) learned(rows [][]table.Value) []float64 {
	width, k := len(p.Fitted.FeatureNames()), p.Learned.Outputs()
	out := make([]float64, len(rows)*k)
	wide, foreign := p.Learned.(learn.Wide)
	foreign = foreign && p.Wide
	prepared, values := make([]float32, width), make([]float64, width)
	inputs := p.Fitted.FeatureInputs()
	for i, row := range rows {
		p.Fitted.Row(row, prepared)
		if !foreign {
			p.Learned.PredictRow(prepared, out[i*k:(i+1)*k])
			continue
		}
		for j, x := range prepared {
			values[j] = float64(x)
			if p.Fitted.PassThrough(j) && !row[inputs[j]].Null {
				values[j] = row[inputs[j]].F
			}
		}
		wide.PredictWide(values, 1, out[i*k:(i+1)*k])
	}
	return out
}

// predict asks the predictor once.
func (p *Package) predict(ctx context.Context, rows [][]table.Value) (scores []float64, decided []string, err error) {
	inputs, err := p.feed(rows)
	if err != nil {
		return nil, nil, err
	}
	q := &predictor.Request{Inputs: inputs}
	for _, name := range []string{p.Binding.Scores, p.Binding.Label} {
		if name != "" {
			q.Wanted = append(q.Wanted, name)
		}
	}
	out, err := p.Predictor.Predict(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	n, k := len(rows), p.Outputs()
	for _, o := range out {
		switch o.Name {
		case "":
		case p.Binding.Label:
			if o.Len() != n {
				return nil, nil, p.oddly(o, n)
			}
			decided = labels(o.Tensor)
		case p.Binding.Scores:
			numbers, err := o.Float64s()
			if err != nil {
				return nil, nil, fault.Wrap(err, fault.Internal, "%s v%d answers %q", p.Model, p.Version, o.Name)
			}
			wide := k + p.Binding.Skip
			if len(numbers) != n*wide {
				return nil, nil, p.oddly(o, n)
			}
			scores = make([]float64, 0, n*k)
			for i := range n {
				scores = append(scores, numbers[i*wide+p.Binding.Skip:(i+1)*wide]...)
			}
		}
	}
	if scores == nil && decided == nil {
		return nil, nil, fault.New(fault.Internal, "%s v%d leaves out an output that was asked for", p.Model, p.Version)
	}
	if scores == nil { // a classifier without probabilities is sure of what it says
		scores = make([]float64, n*k)
		for i, label := range decided {
			at := slices.Index(p.Signature.Classes, label)
			if p.Signature.Task == string(learn.Binary) {
				if label == p.Signature.Positive {
					scores[i] = 1
				}
			} else if at >= 0 {
				scores[i*k+at] = 1
			}
		}
	}
	return scores, decided, nil
}

func (p *Package) oddly(o tensor.Named, n int) error {
	return fault.New(fault.Internal, "%s v%d answers %q with the shape %v for %d rows", p.Model, p.Version, o.Name, o.Shape, n)
}

// feed makes the predictor's inputs of rows.
func (p *Package) feed(rows [][]table.Value) ([]tensor.Named, error) {
	var out []tensor.Named
	for _, f := range p.Predictor.Inputs() {
		var columns []int
		switch {
		case p.Binding.Matrix == f.Name:
			for j := range p.Signature.Features {
				columns = append(columns, j)
			}
		case p.Binding.Matrix != "":
			continue
		default:
			j := slices.Index(p.Signature.Features, f.Name)
			if j < 0 {
				continue // optional, or the engine says what it misses
			}
			columns = []int{j}
		}
		t, err := p.tensorOf(&f, columns, rows)
		if err != nil {
			return nil, err
		}
		out = append(out, tensor.Named{Name: f.Name, Tensor: t})
	}
	return out, nil
}

// tensorOf makes an input of some columns: a missing number is NaN, a missing text "", a time the text of it.
func (p *Package) tensorOf(f *predictor.Field, columns []int, rows [][]table.Value) (*tensor.Tensor, error) {
	n, k := len(rows), len(columns)
	shape := []int{n}
	if len(f.Shape) > 1 || k > 1 {
		shape = []int{n, k}
	}
	if f.Type == tensor.String {
		texts := make([]string, n*k)
		for i, row := range rows {
			for j, c := range columns {
				texts[i*k+j] = p.text(row[c], c)
			}
		}
		return tensor.New(texts, shape...), nil
	}
	numbers := make([]float64, n*k)
	for i, row := range rows {
		for j, c := range columns {
			switch v := row[c]; {
			case !v.Null:
				numbers[i*k+j] = v.F
			case f.Type >= tensor.FP16 && f.Type <= tensor.FP64:
				numbers[i*k+j] = math.NaN()
			default:
				name := p.Signature.Features[c]
				return nil, fault.New(fault.Invalid, "row %d lacks %s, and this version takes no missing value there", i, name).With("row", i).With("column", name).WithHint("send a value")
			}
		}
	}
	t, err := tensor.New(numbers, shape...).Convert(f.Type)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the input %q", f.Name)
	}
	return t, nil
}

// text is a value of feature c as a text.
func (p *Package) text(v table.Value, c int) string {
	kind := table.String
	if in, _ := p.Signature.Input(p.Signature.Features[c]); in != nil {
		kind = in.Kind
	}
	switch {
	case v.Null:
		return ""
	case kind == table.String:
		return v.S
	case kind == table.Datetime:
		return time.UnixMicro(int64(v.F)).UTC().Format("2006-01-02T15:04:05.999999Z")
	}
	return strconv.FormatFloat(v.F, 'g', -1, 64)
}

// decide is the label of each row by its scores; nil for a task without labels.
func (p *Package) decide(scores []float64, n int) []string {
	sig := &p.Signature
	if len(sig.Classes) < 2 {
		return nil
	}
	k := p.Outputs()
	out := make([]string, n)
	for i := range out {
		row := scores[i*k : (i+1)*k]
		best := 0
		if k == 1 {
			positive := max(slices.Index(sig.Classes, sig.Positive), 0)
			if best = 1 - positive; row[0] >= p.Threshold {
				best = positive
			}
		} else {
			for j, s := range row {
				if s > row[best] {
					best = j
				}
			}
		}
		out[i] = sig.Classes[best]
	}
	return out
}
