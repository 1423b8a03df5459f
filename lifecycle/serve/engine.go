package serve

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// score answers the bound rows of a version: scores and labels go into preds, what could not be answered into errs.
func (x *call) score(r *resident, w *workspace, rows []int, preds []Prediction) {
	c := r.compiled
	good := 0
	last := -1
	for _, i := range rows {
		if x.errs[i] == nil {
			good++
			last = i
		}
	}
	switch {
	case good == 0:
	case c.pkg.Learned == nil:
		x.ask(r, rows, preds)
	case good == 1:
		p := &preds[last]
		x.errs[last] = c.scoreRow(w, p.Inputs, last, p.Scores)
		if x.errs[last] == nil {
			p.Label = c.decide(p.Scores)
		}
	default:
		out := x.matrixOf(c, w, rows, preds, good)
		k := 0
		for _, i := range rows {
			if x.errs[i] != nil {
				continue
			}
			p := &preds[i]
			copy(p.Scores, out[k*c.outputs:(k+1)*c.outputs])
			k++
			if !finite(p.Scores) {
				x.errs[i] = c.unanswerable(p.Inputs, i)
				continue
			}
			p.Label = c.decide(p.Scores)
		}
	}
	if x.first.compiled == c {
		x.scored = time.Now()
	}
}

// matrixOf scores many rows at once.
func (x *call) matrixOf(c *compiled, w *workspace, rows []int, preds []Prediction, good int) []float64 {
	m := &x.matrix
	width := len(w.prepared)
	if cap(m.Data) < good*width {
		m.Data = make([]float32, good*width)
	}
	m.Data = m.Data[:good*width]
	m.Rows, m.Cols, m.Names, m.Levels = good, width, c.pkg.Fitted.FeatureNames(), c.pkg.Fitted.Levels()
	k := 0
	var wide []float64
	if c.wide != nil {
		wide = make([]float64, good*width)
	}
	for _, i := range rows {
		if x.errs[i] != nil {
			continue
		}
		dst := m.Data[k*width : (k+1)*width]
		c.prepare(w, preds[i].Inputs, dst)
		if wide != nil {
			c.widen(w, dst, wide[k*width:(k+1)*width])
		}
		k++
	}
	out := make([]float64, good*c.outputs)
	if wide != nil {
		c.wide.PredictWide(wide, good, out)
	} else {
		c.pkg.Learned.Predict(m, out)
	}
	return out
}

// widen gives the values of a prepared row as they were before they became float32, where the recipe passes them through.
func (c *compiled) widen(w *workspace, prepared []float32, dst []float64) {
	for j, from := range c.through {
		if from >= 0 && !w.features[from].Null {
			dst[j] = w.features[from].F
		} else {
			dst[j] = float64(prepared[j])
		}
	}
}

// scoreRow answers a bound row into out.
func (c *compiled) scoreRow(w *workspace, vals []table.Value, number int, out []float64) error {
	if c.pkg.Learned == nil {
		scores, _, err := c.predict(context.Background(), c.pkg.Predictor, [][]table.Value{vals}, nil)
		if err != nil {
			return err
		}
		copy(out, scores)
	} else {
		c.prepare(w, vals, w.prepared)
		if c.wide != nil {
			var buf [64]float64
			wide := append(buf[:0], make([]float64, len(w.prepared))...)
			c.widen(w, w.prepared, wide)
			c.wide.PredictWide(wide, 1, out)
		} else {
			c.pkg.Learned.PredictRow(w.prepared, out)
		}
	}
	if !finite(out) {
		return c.unanswerable(vals, number)
	}
	return nil
}

// ask has a predictor answer rows.
func (x *call) ask(r *resident, rows []int, preds []Prediction) {
	c := r.compiled
	vals := make([][]table.Value, 0, len(rows))
	for _, i := range rows {
		if x.errs[i] == nil {
			vals = append(vals, preds[i].Inputs)
		}
	}
	scores, labels, err := c.predict(x.ctx, r.engine, vals, x.batch.Params)
	if err != nil && len(vals) > 1 && fault.Is(err, fault.Invalid) && x.ctx.Err() == nil {
		// One row may spoil the others: find it, so that the error names it.
		for _, i := range rows {
			if x.errs[i] == nil {
				_, _, x.errs[i] = c.predict(x.ctx, r.engine, [][]table.Value{preds[i].Inputs}, x.batch.Params)
				if x.errs[i] != nil {
					x.errs[i] = fault.Wrap(x.errs[i], fault.CodeOf(x.errs[i]), "row %d", i)
				}
			}
		}
	}
	k := 0
	for _, i := range rows {
		if x.errs[i] != nil {
			continue
		}
		p := &preds[i]
		if err != nil {
			x.errs[i] = err
			continue
		}
		copy(p.Scores, scores[k*c.outputs:(k+1)*c.outputs])
		switch {
		case !finite(p.Scores):
			x.errs[i] = c.unanswerable(p.Inputs, i)
		case labels != nil:
			p.Label = labels[k]
		default:
			p.Label = c.decide(p.Scores)
		}
		k++
	}
}

// predict asks a predictor for the scores of rows, and for labels where it gives them.
func (c *compiled) predict(ctx context.Context, engine predictor.Predictor, rows [][]table.Value, params map[string]any) (scores []float64, labels []string, err error) {
	fields := engine.Inputs()
	if batch := fixedBatch(fields); batch > 0 && len(rows) != batch {
		return c.predictInPieces(ctx, engine, rows, params, batch)
	}
	q := &predictor.Request{Params: params}
	binding := &c.pkg.Binding
	for f := range fields {
		field := &fields[f]
		var columns []int
		if binding.Matrix != "" {
			if field.Name != binding.Matrix {
				continue
			}
			columns = c.features
		} else if k := slices.Index(c.sig.Features, field.Name); k >= 0 {
			columns = c.features[k : k+1]
		} else {
			continue // optional, or the engine says what it misses
		}
		t, err := c.feed(field, columns, rows)
		if err != nil {
			return nil, nil, err
		}
		q.Inputs = append(q.Inputs, tensor.Named{Name: field.Name, Tensor: t})
	}
	if binding.Scores != "" {
		q.Wanted = append(q.Wanted, binding.Scores)
	}
	if binding.Label != "" {
		q.Wanted = append(q.Wanted, binding.Label)
	}
	out, err := engine.Predict(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	return c.read(out, len(rows))
}

// fixedBatch is the number of rows that an engine takes at once; 0 = any.
func fixedBatch(fields []predictor.Field) int {
	for i := range fields {
		if s := fields[i].Shape; len(s) > 0 && s[0] > 0 {
			return s[0]
		}
	}
	return 0
}

func (c *compiled) predictInPieces(ctx context.Context, engine predictor.Predictor, rows [][]table.Value, params map[string]any, batch int) (scores []float64, labels []string, err error) {
	for from := 0; from < len(rows); from += batch {
		piece := slices.Clone(rows[from:min(from+batch, len(rows))])
		n := len(piece)
		for len(piece) < batch {
			piece = append(piece, piece[0])
		}
		s, l, err := c.predict(ctx, engine, piece, params)
		if err != nil {
			return nil, nil, err
		}
		scores = append(scores, s[:n*c.outputs]...)
		if l != nil {
			labels = append(labels, l[:n]...)
		}
	}
	return scores, labels, nil
}

// feed makes the tensor of an input from the columns of rows. A missing number is NaN, a missing text "".
func (c *compiled) feed(field *predictor.Field, columns []int, rows [][]table.Value) (*tensor.Tensor, error) {
	n, k := len(rows), len(columns)
	shape := []int{n}
	if len(field.Shape) > 1 || k > 1 {
		shape = []int{n, k}
	}
	at := func(i, j int) table.Value {
		if from := columns[j]; from >= 0 {
			return rows[i][from]
		} else {
			return c.derived[-1-from].Eval(rows[i])
		}
	}
	switch field.Type {
	case tensor.String:
		texts := make([]string, n*k)
		for i := range n {
			for j := range k {
				v := at(i, j)
				switch kind := c.kindOf(columns[j]); {
				case v.Null:
				case kind == table.String:
					texts[i*k+j] = v.S
				case kind == table.Datetime:
					texts[i*k+j] = time.UnixMicro(int64(v.F)).UTC().Format("2006-01-02T15:04:05.999999Z")
				default:
					texts[i*k+j] = strconv.FormatFloat(v.F, 'g', -1, 64)
				}
			}
		}
		return tensor.New(texts, shape...), nil
	case tensor.FP32:
		numbers := make([]float32, n*k)
		for i := range n {
			for j := range k {
				if v := at(i, j); v.Null {
					numbers[i*k+j] = float32(nan)
				} else {
					numbers[i*k+j] = float32(v.F)
				}
			}
		}
		return tensor.New(numbers, shape...), nil
	}
	numbers := make([]float64, n*k)
	for i := range n {
		for j := range k {
			if v := at(i, j); !v.Null {
				numbers[i*k+j] = v.F
			} else if field.Type == tensor.FP64 || field.Type == tensor.FP16 || field.Type == tensor.BF16 {
				numbers[i*k+j] = nan
			} else {
				name := c.sig.Features[min(slices.Index(c.features, columns[j]), len(c.sig.Features)-1)]
				return nil, fault.New(fault.Invalid, "row %d lacks %s, and this version takes no missing value there", i, name).With("row", i).With("column", name).WithHint("send a value")
			}
		}
	}
	t, err := tensor.New(numbers, shape...).Convert(field.Type)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the input %q", field.Name)
	}
	return t, nil
}

// kindOf is the kind of a value that the recipe reads: of an input, or, from -1 downwards, of a derived one.
func (c *compiled) kindOf(from int) table.Kind {
	if from >= 0 {
		return c.inputs[from].kind
	}
	return c.sig.Derived[-1-from].Kind
}

// read takes scores and labels of n rows out of what a predictor answered.
func (c *compiled) read(out []tensor.Named, n int) (scores []float64, labels []string, err error) {
	b := &c.pkg.Binding
	broken := func(t *tensor.Tensor, name string) error {
		return fault.New(fault.Internal, "%s v%d answers %q with the shape %v for %d rows", c.pkg.Model, c.pkg.Version, name, t.Shape, n)
	}
	for _, o := range out {
		if o.Name == b.Label && b.Label != "" {
			if o.Len() != n {
				return nil, nil, broken(o.Tensor, o.Name)
			}
			labels = texts(o.Tensor)
		}
		if o.Name == b.Scores && b.Scores != "" {
			numbers, err := o.Float64s()
			if err != nil {
				return nil, nil, fault.Wrap(err, fault.Internal, "%s v%d answers %q", c.pkg.Model, c.pkg.Version, o.Name)
			}
			wide := c.outputs + b.Skip
			if len(numbers) != n*wide {
				return nil, nil, broken(o.Tensor, o.Name)
			}
			if b.Skip == 0 {
				scores = numbers
				continue
			}
			scores = make([]float64, 0, n*c.outputs)
			for i := range n {
				scores = append(scores, numbers[i*wide+b.Skip:(i+1)*wide]...)
			}
		}
	}
	switch {
	case b.Scores != "" && scores == nil || b.Label != "" && labels == nil:
		return nil, nil, fault.New(fault.Internal, "%s v%d leaves out an output that was asked for", c.pkg.Model, c.pkg.Version)
	case b.Scores == "":
		scores = c.certain(labels)
	}
	if c.sig.Task == string(learn.Regression) {
		labels = nil
	}
	return scores, labels, nil
}

// certain is the scores of a classifier that answers labels alone: all on the one.
func (c *compiled) certain(labels []string) []float64 {
	scores := make([]float64, len(labels)*c.outputs)
	for i, label := range labels {
		if c.sig.Task == taskBinary {
			if label == c.positive {
				scores[i] = 1
			}
		} else if k := slices.Index(c.sig.Classes, label); k >= 0 {
			scores[i*c.outputs+k] = 1
		}
	}
	return scores
}

// texts is the elements as texts.
func texts(t *tensor.Tensor) []string {
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
