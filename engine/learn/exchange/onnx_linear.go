package exchange

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/linear"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// onnxLinear is coefficients of the matrix: outputs x features. A missing value is filled, or makes the margin NaN when
// fill is nil; missing is what it adds besides.
type onnxLinear struct {
	coef, missing [][]float64
	fill          []float64
}

// startLinear makes scores of coefficients.
func startLinear(l *onnxLinear, intercepts []float64, outputs int) *scores {
	s := &scores{linear: l, base: make([]float64, outputs), factor: make([]float64, outputs), link: tree.Identity}
	for k := range outputs {
		s.factor[k] = 1
		if len(intercepts) > 0 {
			s.base[k] = intercepts[k%len(intercepts)]
		}
	}
	return s
}

// columns notes how many features there are, and refuses a number that does not go with the input.
func (w *walk) columns(n int) error {
	if w.features == 0 {
		w.features = n
	}
	if n < 1 || n != w.features {
		return fault.New(fault.Corrupt, "it has coefficients for %d columns, and the input has %d", n, w.features)
	}
	return nil
}

// matMul multiplies the matrix, or where it is missing, with constant coefficients [features, outputs].
func (w *walk) matMul(n *format.Node, x *symbol) ([]*symbol, error) {
	if len(n.In) != 2 {
		return nil, nil
	}
	t := w.constants[n.In[1]]
	if t == nil || len(t.Shape) == 0 || len(t.Shape) > 2 || t.Floats() == nil || x.zero != nil {
		return nil, nil
	}
	outputs := 1
	if len(t.Shape) == 2 {
		outputs = t.Shape[1]
	}
	coef, err := w.turned(t.Floats(), t.Shape[0], outputs)
	if err != nil {
		return nil, err
	}
	if x.kind == isMissing {
		return scoresOf(startLinear(&onnxLinear{missing: coef}, nil, outputs)), nil
	}
	return scoresOf(startLinear(&onnxLinear{coef: coef, fill: x.fill}, nil, outputs)), nil
}

func scoresOf(s *scores) []*symbol { return []*symbol{{kind: isScores, scores: s}} }

// turned makes outputs x features of features x outputs.
func (w *walk) turned(values []float64, features, outputs int) ([][]float64, error) {
	if err := w.columns(features); err != nil {
		return nil, err
	}
	if outputs < 1 || len(values) != features*outputs {
		return nil, fault.New(fault.Corrupt, "it has %d coefficients for %d columns and %d outputs", len(values), features, outputs)
	}
	out := make([][]float64, outputs)
	for k := range out {
		out[k] = make([]float64, features)
		for j := range out[k] {
			out[k][j] = values[j*outputs+k]
		}
	}
	return out, nil
}

func (w *walk) gemm(n *format.Node, a format.Attributes, x *symbol) ([]*symbol, error) {
	if len(n.In) < 2 || x.zero != nil || a.Float("alpha", 1) != 1 || a.Float("beta", 1) != 1 || a.Int("transA", 0) != 0 {
		return nil, nil
	}
	t := w.constants[n.In[1]]
	if t == nil || len(t.Shape) != 2 || t.Floats() == nil {
		return nil, nil
	}
	var bias []float64
	if len(n.In) > 2 && n.In[2] != "" {
		if bias = w.constants[n.In[2]].Floats(); bias == nil {
			return nil, nil
		}
	}
	var coef [][]float64
	var err error
	outputs := t.Shape[1]
	if a.Int("transB", 0) != 0 {
		outputs = t.Shape[0]
		coef, err = w.rows(t.Floats(), outputs)
	} else {
		coef, err = w.turned(t.Floats(), t.Shape[0], outputs)
	}
	if err != nil || len(bias) > 1 && len(bias) != outputs {
		return nil, err
	}
	return scoresOf(startLinear(&onnxLinear{coef: coef, fill: x.fill}, bias, outputs)), nil
}

// rows cuts outputs x features.
func (w *walk) rows(values []float64, outputs int) ([][]float64, error) {
	if outputs < 1 || len(values) == 0 || len(values)%outputs != 0 {
		return nil, fault.New(fault.Corrupt, "it has %d coefficients for %d outputs", len(values), outputs)
	}
	if err := w.columns(len(values) / outputs); err != nil {
		return nil, err
	}
	return slices.Collect(slices.Chunk(values, len(values)/outputs)), nil
}

func (w *walk) linearRegressor(a format.Attributes, x *symbol) ([]*symbol, error) {
	if post := a.Text("post_transform"); post != "" && post != "NONE" || x.zero != nil {
		return nil, nil
	}
	intercepts := numbersOf(a, "intercepts")
	outputs := int(min(a.Int("targets", 1), math.MaxInt32))
	coef, err := w.rows(numbersOf(a, "coefficients"), outputs)
	if err != nil {
		return nil, err
	}
	if len(intercepts) > 1 && len(intercepts) != outputs {
		return nil, fault.New(fault.Corrupt, "it has %d intercepts for %d outputs", len(intercepts), outputs)
	}
	return scoresOf(startLinear(&onnxLinear{coef: coef, fill: x.fill}, intercepts, outputs)), nil
}

func (w *walk) linearClassifier(a format.Attributes, x *symbol) ([]*symbol, error) {
	label := &symbol{kind: isLabel}
	intercepts, classes := numbersOf(a, "intercepts"), classesOf(a)
	if len(intercepts) == 0 || x.zero != nil {
		return nil, nil
	}
	outputs := len(intercepts)
	coef, err := w.rows(numbersOf(a, "coefficients"), outputs)
	if err != nil {
		return nil, err
	}
	s := startLinear(&onnxLinear{coef: coef, fill: x.fill}, intercepts, outputs)
	s.classifier, s.classes = true, classes
	out := &symbol{kind: isScores, scores: s}
	switch post := a.Text("post_transform"); {
	case outputs == 1 && post == "LOGISTIC" && len(classes) == 2: // one score stands for both classes
		out.kind, s.link = isPair, tree.Logistic
	case outputs == 1:
		return []*symbol{label}, nil
	case post == "LOGISTIC":
		s.link = tree.LogisticApart
	case post == "SOFTMAX":
		s.link = tree.Softmax
	case post != "" && post != "NONE":
		return []*symbol{label}, nil
	}
	return []*symbol{label, out}, nil
}

// sum adds what missing values add to the rest of a linear model.
func (w *walk) sum(a, b *scores) []*symbol {
	if a.linear == nil || b.linear == nil || a.outputs() != b.outputs() || b.link != tree.Identity {
		return nil
	}
	if a.linear.coef == nil {
		a, b = b, a
	}
	if a.linear.coef == nil || a.linear.missing != nil || b.linear.coef != nil || len(b.base) == 0 {
		return nil
	}
	if !all(b.factor, func(v float64) bool { return v == 1 }) || !all(b.base, func(v float64) bool { return v == 0 }) || !all(a.factor, func(v float64) bool { return v == 1 }) {
		return nil
	}
	l := *a.linear
	l.missing = b.linear.missing
	out := *a
	out.linear = &l
	return scoresOf(&out)
}

func (l *onnxLinear) opposite(s *scores) bool {
	if l.missing != nil {
		return false
	}
	for j := range l.coef[0] {
		if l.coef[0][j]*s.factor[0] != -l.coef[1][j]*s.factor[1] {
			return false
		}
	}
	return true
}

// second is the second output, plus sign times the first.
func (l *onnxLinear) second(s *scores, sign float64) *onnxLinear {
	mix := func(rows [][]float64) [][]float64 {
		if rows == nil {
			return nil
		}
		out := make([]float64, len(rows[0]))
		for j := range out {
			out[j] = rows[1][j]*s.factor[1] + sign*rows[0][j]*s.factor[0]
		}
		return [][]float64{out}
	}
	return &onnxLinear{coef: mix(l.coef), missing: mix(l.missing), fill: l.fill}
}

// model makes the linear model. A missing value that nothing fills makes the prediction NaN, as in the graph.
func (l *onnxLinear) model(s *scores, task learner.Task) (*linear.Model, error) {
	k := s.outputs()
	if l.coef == nil || s.link != tree.LinkOf(task) || task == learner.Regression && k > 1 {
		return nil, fault.New(fault.NotSupported, "a linear model of task %s with %d outputs cannot have the link %s", task, k, s.link).WithHint("%s", hintGraph)
	}
	features := len(l.coef[0])
	fill := make([]float64, features)
	if len(l.fill) > 0 {
		if len(l.fill) != 1 && len(l.fill) != features {
			return nil, fault.New(fault.Corrupt, "%d values fill the gaps of %d columns", len(l.fill), features)
		}
		for j := range fill {
			fill[j] = l.fill[j%len(l.fill)]
		}
	}
	gap := make([][]float64, k)
	coef := make([][]float64, k)
	for o := range coef {
		coef[o], gap[o] = make([]float64, features), make([]float64, features)
		for j, v := range l.coef[o] {
			coef[o][j] = v * s.factor[o]
			switch {
			case l.fill == nil || fill[j] != fill[j]:
				gap[o][j] = math.NaN()
			case l.missing != nil:
				gap[o][j] = l.missing[o][j] * s.factor[o]
			}
		}
	}
	for j, v := range fill {
		if v != v {
			fill[j] = 0
		}
	}
	m, err := linear.NewModel(ONNX+learn.LinearKind, task, coef, s.base, fill)
	if err != nil {
		return nil, err
	}
	m.Gap = gap
	return m, nil
}
