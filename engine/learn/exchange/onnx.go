package exchange

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/engine/onnx"
	"github.com/trimtab-ml/trimtab/engine/onnx/format"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func isONNX(b []byte) bool { return format.Opens(b) }

// readONNX reads a graph that is one tree ensemble or one linear model on a matrix, and what turns its scores into
// predictions. It follows every value through the graph: what it is of the features or of the scores, as far as such
// models go. A graph that does anything else with them is for the graph evaluator.
func readONNX(b []byte) (learner.Model, *Info, error) {
	file, err := format.Read(b)
	if err != nil {
		return nil, nil, err
	}
	w := &walk{file: file, values: map[string]*symbol{}, constants: map[string]*format.Tensor{}, size: len(b)}
	for name, raw := range file.Graph.Constants {
		if w.constants[name], err = raw.Tensor(); err != nil {
			return nil, nil, err
		}
	}
	if err := w.input(); err != nil {
		return nil, nil, err
	}
	for i := range file.Graph.Nodes {
		if err := w.node(&file.Graph.Nodes[i]); err != nil {
			return nil, nil, fault.Wrap(err, fault.CodeOf(err), "node %s", file.Graph.Nodes[i].Op)
		}
	}
	info := &Info{Version: file.Producer}
	scores, classifier, err := w.output()
	if err != nil {
		return nil, nil, err
	}
	if text := file.Metadata[onnx.Features]; text != "" {
		var names []string
		if json.Unmarshal([]byte(text), &names) == nil && len(names) == w.features {
			info.Names = names
		}
	}
	m, err := w.model(info, scores, classifier)
	return m, info, err
}

// symbol is what is known of a value of the graph.
type symbol struct {
	kind symbolKind
	form string    // of scores: what was done to them that is not a link yet
	data []float64 // of a threshold on the features: its numbers
	op   string    // of other: the operator that made it

	// Of features.
	single bool      // float32
	fill   []float64 // what stands in for missing values
	zero   []bool    // which features' zeros are missing

	scores *scores
}

type symbolKind int

const (
	isOther    symbolKind = iota // anything else
	isFeatures                   // the matrix
	isMissing                    // where the matrix is missing
	isSize                       // the size of the matrix's values
	isNearZero                   // where the matrix is next to 0
	isBeyond                     // where the matrix is beyond the largest float32
	isScores                     // margins or predictions
	isOpposite                   // 1 - a probability, or - a margin
	isPair                       // both of the above, side by side
	isAbove                      // where a margin is above 0
	isLabel                      // the class
)

// scores are the margins of a model and what becomes of them.
type scores struct {
	trees      *onnxTrees
	linear     *onnxLinear
	base       []float64
	factor     []float64 // of what the trees or coefficients add
	link       tree.Link
	classifier bool
	classes    []string
}

func (s *scores) outputs() int { return len(s.base) }

// with is a copy with another link.
func (s *scores) with(link tree.Link) *scores {
	out := *s
	out.link = link
	return &out
}

// affine is a*scores + b per output; each of one number or one for each.
func (s *scores) affine(a, b []float64) *scores {
	out := *s
	out.base, out.factor = make([]float64, len(s.base)), make([]float64, len(s.base))
	for k := range out.base {
		out.factor[k] = s.factor[k] * a[k%len(a)]
		out.base[k] = s.base[k]*a[k%len(a)] + b[k%len(b)]
	}
	return &out
}

// walk goes through a graph once.
type walk struct {
	file      *format.File
	values    map[string]*symbol
	constants map[string]*format.Tensor
	features  int // columns of the input; 0 until known
	size      int
}

// input finds the one input, a matrix of numbers.
func (w *walk) input() error {
	var inputs []format.Value
	for _, in := range w.file.Graph.Inputs {
		if w.constants[in.Name] == nil { // old files list initializers among the inputs
			inputs = append(inputs, in)
		}
	}
	if len(inputs) != 1 || inputs[0].Elem != format.Float && inputs[0].Elem != format.Double {
		return fault.New(fault.NotSupported, "it has %d inputs, and not one matrix of numbers", len(inputs)).WithHint("%s", hintGraph)
	}
	if shape := inputs[0].Shape; len(shape) == 2 && shape[1] > 0 {
		w.features = int(min(shape[1], math.MaxInt32))
		if err := checkFeatures(w.features, w.size); err != nil {
			return err
		}
	}
	w.values[inputs[0].Name] = &symbol{kind: isFeatures, single: inputs[0].Elem == format.Float}
	return nil
}

const hintGraph = "it is a graph of operators: register it as it is, and it is served by the graph evaluator"

// node follows what a node does.
func (w *walk) node(n *format.Node) error {
	out, err := w.step(n)
	if err != nil {
		return err
	}
	for i, name := range n.Out {
		if i < len(out) && out[i] != nil {
			w.values[name] = out[i]
		} else {
			w.values[name] = &symbol{op: n.Op}
		}
	}
	return nil
}

func (w *walk) step(n *format.Node) ([]*symbol, error) {
	var in []*symbol      // of the arguments that are no constants
	var fixed [][]float64 // of those that are
	first := -1           // the place of the first that is none
	for i, name := range n.In {
		if c, ok := w.constants[name]; ok {
			fixed = append(fixed, c.Floats())
			continue
		}
		v := w.values[name]
		if v == nil {
			if name == "" {
				continue
			}
			return nil, fault.New(fault.Corrupt, "it reads %q, which nothing computes", name)
		}
		if first < 0 {
			first = i
		}
		in = append(in, v)
	}
	attr, err := n.Attributes()
	if err != nil {
		return nil, err
	}
	if n.Op == "Constant" {
		if t := attr.Tensor("value"); t != nil && len(n.Out) == 1 {
			w.constants[n.Out[0]] = t
		}
		return nil, nil
	}
	if len(in) == 0 {
		return nil, nil
	}
	x := in[0]
	switch x.kind {
	case isFeatures, isMissing, isSize, isNearZero, isBeyond:
		return w.onFeatures(n, attr, x, in, fixed)
	case isScores, isOpposite, isPair, isAbove:
		return w.onScores(n, attr, x, in, fixed, first)
	case isLabel:
		return []*symbol{x}, nil
	}
	return nil, nil
}

// onFeatures follows what becomes of the matrix before a model reads it.
func (w *walk) onFeatures(n *format.Node, attr format.Attributes, x *symbol, in []*symbol, fixed [][]float64) ([]*symbol, error) {
	last := in[len(in)-1]
	alone := x.kind == isFeatures && len(in) == 1
	switch {
	case n.Op == "Identity" && len(in) == 1:
		return []*symbol{x}, nil
	case n.Op == "Cast" && len(in) == 1:
		to := attr.Int("to", 0)
		if x.kind != isFeatures && x.kind != isMissing || to != format.Float && to != format.Double {
			return nil, nil
		}
		cast := *x
		cast.single = x.single || to == format.Float
		return []*symbol{&cast}, nil
	case n.Op == "IsNaN" && alone:
		return []*symbol{{kind: isMissing}}, nil
	case n.Op == "Abs" && alone:
		return []*symbol{{kind: isSize}}, nil
	case n.Op == "LessOrEqual" && x.kind == isSize && len(fixed) == 1:
		return []*symbol{{kind: isNearZero, data: fixed[0]}}, nil
	case (n.Op == "Greater" || n.Op == "Less") && alone && len(fixed) == 1 && all(fixed[0], func(v float64) bool { return math.Abs(v) >= math.MaxFloat32 }):
		return []*symbol{{kind: isBeyond}}, nil
	case n.Op == "Where" && len(in) == 2 && len(fixed) == 1 && last.kind == isFeatures:
		return w.where(x, last, fixed[0])
	case n.Op == "MatMul" && len(fixed) == 1 && len(in) == 1 && (x.kind == isFeatures || x.kind == isMissing):
		return w.matMul(n, x)
	case n.Op == "Gemm" && alone:
		return w.gemm(n, attr, x)
	case n.Op == "ai.onnx.ml.LinearRegressor" && alone:
		return w.linearRegressor(attr, x)
	case n.Op == "ai.onnx.ml.LinearClassifier" && alone:
		return w.linearClassifier(attr, x)
	case n.Op == "ai.onnx.ml.TreeEnsembleRegressor" && alone:
		return w.treeRegressor(attr, x)
	case n.Op == "ai.onnx.ml.TreeEnsembleClassifier" && alone:
		return w.treeClassifier(attr, x)
	case n.Op == "ai.onnx.ml.TreeEnsemble" && alone:
		return w.treeEnsemble(attr, x)
	}
	return nil, nil
}

func all(v []float64, is func(float64) bool) bool {
	return !slices.ContainsFunc(v, func(v float64) bool { return !is(v) })
}

// where replaces values of the matrix.
func (w *walk) where(mask, x *symbol, by []float64) ([]*symbol, error) {
	out := *x
	switch {
	case mask.kind == isMissing && x.fill == nil && len(by) > 0:
		out.fill = by
	case mask.kind == isBeyond:
	case mask.kind == isNearZero && len(by) == 1 && by[0] != by[0] && len(mask.data) == w.features && w.features > 0:
		out.zero = make([]bool, w.features)
		for j, bar := range mask.data {
			out.zero[j] = bar >= 0
			if bar >= 0 && float32(bar) != float32(1e-35) {
				return nil, nil
			}
		}
	default:
		return nil, nil
	}
	return []*symbol{&out}, nil
}

// onScores follows what becomes of the scores.
func (w *walk) onScores(n *format.Node, attr format.Attributes, x *symbol, in []*symbol, fixed [][]float64, first int) ([]*symbol, error) {
	s := x.scores
	plain := x.kind == isScores && x.form == "" && s.link == tree.Identity // margins
	one := len(in) == 1
	scores := func(s *scores) []*symbol { return []*symbol{{kind: isScores, scores: s}} }
	form := func(f string) []*symbol { return []*symbol{{kind: x.kind, form: f, scores: s}} }
	constant := func(v float64) bool { return len(fixed) == 1 && len(fixed[0]) == 1 && fixed[0][0] == v }
	perOutput := len(fixed) == 1 && (len(fixed[0]) == 1 || len(fixed[0]) == s.outputs())
	zero, unit := []float64{0}, []float64{1}
	switch n.Op {
	case "Cast":
		switch to := attr.Int("to", 0); {
		case x.kind == isAbove && (to == format.Float || to == format.Double):
			return scores(s.with(tree.Step)), nil
		case to != format.Float && to != format.Double:
			return []*symbol{{kind: isLabel}}, nil
		}
		return []*symbol{x}, nil
	case "Identity", "ai.onnx.ml.ZipMap":
		return []*symbol{x}, nil
	case "Reshape", "Flatten", "Squeeze":
		if s.outputs() == 1 && x.kind == isScores {
			return []*symbol{x}, nil
		}
	case "Add":
		switch {
		case plain && len(in) == 2 && in[1].kind == isScores && in[1].form == "":
			return w.sum(s, in[1].scores), nil
		case len(in) == 2 && in[1].scores == s && (x.form == "max0" && in[1].form == "log 1+ exp neg abs" || x.form == "log 1+ exp neg abs" && in[1].form == "max0"):
			return scores(s.with(tree.Softplus)), nil
		case plain && one && perOutput:
			return scores(s.affine(unit, fixed[0])), nil
		case x.form == "exp neg abs" && constant(1):
			return form("1+ " + x.form), nil
		}
	case "Sub":
		switch {
		case one && first == 1 && constant(1) && s.outputs() == 1 && s.link != tree.Exp:
			return []*symbol{{kind: isOpposite, scores: s}}, nil
		case plain && one && first == 0 && perOutput:
			negative := make([]float64, len(fixed[0]))
			for i, v := range fixed[0] {
				negative[i] = -v
			}
			return scores(s.affine(unit, negative)), nil
		}
	case "Mul":
		switch {
		case constant(1):
			return []*symbol{x}, nil
		case plain && one && perOutput:
			return scores(s.affine(fixed[0], zero)), nil
		case len(in) == 2 && in[1].scores == s && (x.form == "" && in[1].form == "abs" || x.form == "abs" && in[1].form == ""):
			return scores(s.with(tree.SignedSquare)), nil
		}
	case "Div":
		switch {
		case plain && one && first == 0 && perOutput && all(fixed[0], func(v float64) bool { return v != 0 }):
			inverse := make([]float64, len(fixed[0]))
			for i, v := range fixed[0] {
				inverse[i] = 1 / v
			}
			return scores(s.affine(inverse, zero)), nil
		case len(in) == 2 && x.form == "" && in[1].form == "sum" && in[1].scores == s:
			return w.normalized(s), nil
		}
	case "Neg":
		switch {
		case x.form == "abs":
			return form("neg abs"), nil
		case plain && s.outputs() == 1:
			return []*symbol{{kind: isOpposite, scores: s}}, nil
		}
	case "Abs":
		if plain {
			return form("abs"), nil
		}
	case "Exp":
		switch {
		case x.form == "neg abs":
			return form("exp neg abs"), nil
		case plain:
			return scores(s.with(tree.Exp)), nil
		}
	case "Log":
		if x.form == "1+ exp neg abs" {
			return form("log " + x.form), nil
		}
	case "Max":
		if plain && constant(0) {
			return form("max0"), nil
		}
	case "ReduceSum":
		if x.kind == isScores && x.form == "" && attr.Int("keepdims", 1) == 1 {
			return form("sum"), nil
		}
	case "Sigmoid":
		if plain {
			return scores(s.with(logisticOf(s.outputs()))), nil
		}
	case "Softmax":
		if axis := attr.Int("axis", -1); plain && (axis == 1 || axis == -1) && s.outputs() >= 2 {
			return scores(s.with(tree.Softmax)), nil
		}
	case "ai.onnx.ml.Normalizer":
		switch {
		case attr.Text("norm") != "L1":
		case x.kind == isPair && s.link != tree.Identity, x.kind == isScores && s.link == tree.Softmax:
			return []*symbol{x}, nil // adds up to 1 already
		case x.kind == isScores:
			return w.normalized(s), nil
		}
	case "Concat":
		if len(in) == 2 && x.kind == isOpposite && in[1].kind == isScores && in[1].scores == s && attr.Int("axis", 0) == 1 {
			return []*symbol{{kind: isPair, scores: s}}, nil
		}
	case "Greater":
		if plain && one && first == 0 && constant(0) && s.outputs() == 1 {
			return []*symbol{{kind: isAbove, scores: s}}, nil
		}
	case "GreaterOrEqual", "ArgMax", "Less", "LessOrEqual":
		return []*symbol{{kind: isLabel}}, nil
	}
	return nil, nil
}

func logisticOf(outputs int) tree.Link {
	if outputs == 1 {
		return tree.Logistic
	}
	return tree.LogisticApart
}

// normalized divides by the sum.
func (w *walk) normalized(s *scores) []*symbol {
	if s.link != tree.LogisticApart {
		return nil
	}
	return []*symbol{{kind: isScores, scores: s.with(tree.LogisticEach)}}
}

// output is the scores that the graph gives, and whether it gives classes too.
func (w *walk) output() (*symbol, bool, error) {
	var found *symbol
	classifier := false
	operator := ""
	for _, out := range w.file.Graph.Outputs {
		switch v := w.values[out.Name]; {
		case v == nil:
			return nil, false, fault.New(fault.Corrupt, "nothing computes the output %q", out.Name)
		case v.kind == isLabel:
			classifier = true
		case (v.kind == isScores || v.kind == isPair) && v.form == "":
			found = v
		default:
			operator = v.op
		}
	}
	if found == nil {
		what := "its outputs are no scores of one tree ensemble or linear model"
		if operator != "" {
			what += " (they come from " + strings.TrimPrefix(operator, "ai.onnx.ml.") + ")"
		}
		return nil, false, fault.New(fault.NotSupported, "%s", what).WithHint("%s", hintGraph)
	}
	return found, classifier || found.kind == isPair || found.scores.classifier, nil
}

// model makes the model of the scores.
func (w *walk) model(info *Info, out *symbol, classifier bool) (learner.Model, error) {
	s := out.scores
	info.Classes = s.classes
	task := learner.Regression
	if classifier {
		task = learner.Multiclass
	}
	switch k := s.outputs(); {
	case classifier && k == 1 && out.kind != isPair:
		return nil, fault.New(fault.NotSupported, "it gives a class and one score").WithHint("%s", hintGraph)
	case classifier && k == 1:
		task = learner.Binary
	case classifier && k == 2 && s.link == tree.Identity: // two columns that add up to 1: the second says all
		task, s = learner.Binary, s.second(0)
	case classifier && k == 2 && s.link == tree.Softmax:
		task, s = learner.Binary, s.second(-1).with(tree.Logistic)
	case classifier && k == 2 && s.opposite():
		task, s = learner.Binary, s.second(0).with(tree.Logistic)
	}
	if s.linear != nil {
		return s.linear.model(s, task)
	}
	e, err := s.trees.ensemble(s)
	if err != nil {
		return nil, err
	}
	e.Names = info.Names
	if e.Features = w.features; e.Features == 0 { // the input does not say how many columns it has: those that are read
		for i := range e.Trees {
			e.Features = max(e.Features, int(slices.Max(e.Trees[i].Feature))+1)
		}
		if err := checkFeatures(e.Features, w.size); err != nil {
			return nil, err
		}
	}
	return tree.NewModel(ONNX, task, *e)
}
