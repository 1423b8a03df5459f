package graph

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/gemm"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var linears = map[string]operator{
	"ai.onnx.ml.LinearRegressor":  {prepare: newLinear, run: linearRegressor},
	"ai.onnx.ml.LinearClassifier": {prepare: newLinear, run: linearClassifier},
}

// linearModel is coefficients per target, and what comes after.
type linearModel struct {
	coefficients, intercepts []float32
	targets                  int
	post                     string
	classes                  classes
}

func newLinear(n *node) any {
	m := &linearModel{coefficients: n.attr.Floats("coefficients"), intercepts: n.attr.Floats("intercepts"), post: n.attr.Text("post_transform"), classes: newClasses(n.attr)}
	m.targets = len(m.intercepts)
	if n.op == "ai.onnx.ml.LinearRegressor" {
		m.targets = int(n.attr.Int("targets", 1))
	}
	if m.targets < 0 || m.targets > 1<<20 {
		throw(fault.Corrupt, "%d targets", m.targets)
	}
	return m
}

// scores multiplies rows with the coefficients and adds the intercepts, into dst or new memory.
func (m *linearModel) scores(c *call, targets int, dst []float32) {
	t := c.arg(0)
	n, width := rows(t), cols(t)
	c.work(n, width, targets)
	x := as[float32](t)
	multiply(dst, gemm.Dense(n, width, x), gemm.Dense(targets, width, m.coefficients).T())
	for i := range dst {
		if k := i % targets; k < len(m.intercepts) {
			dst[i] += m.intercepts[k]
		}
	}
}

func (m *linearModel) check(t *Tensor, targets int) {
	if width := cols(t); targets == 0 || len(m.coefficients) != targets*width {
		throw(fault.Invalid, "it has %d coefficients for %d targets of %d columns", len(m.coefficients), targets, width)
	}
}

func linearRegressor(c *call) {
	m := c.prepared.(*linearModel)
	m.check(c.arg(0), m.targets)
	out := alloc[float32](c, 0, rows(c.arg(0)), m.targets)
	m.scores(c, m.targets, out)
	transformRows(m.post, out, m.targets)
}

func linearClassifier(c *call) {
	m := c.prepared.(*linearModel)
	t := c.arg(0)
	targets := m.targets
	if targets == 0 && cols(t) > 0 {
		targets = len(m.coefficients) / cols(t)
	}
	m.check(t, targets)
	n := rows(t)
	if targets == 1 && m.classes.count() == 2 {
		// One score stands for both classes.
		values := make([]float32, n)
		m.scores(c, 1, values)
		out := alloc[float32](c, 1, n, 2)
		label := m.classes.into(c, 0, n)
		for i, v := range values {
			best := 0
			if v > 0 {
				best = 1
			}
			label(i, best)
			bothClasses(m.post, v, false, out[2*i:2*i+2])
		}
		return
	}
	out := alloc[float32](c, 1, n, targets)
	m.scores(c, targets, out)
	label := m.classes.into(c, 0, n)
	for i := range n {
		label(i, highest(out[i*targets:(i+1)*targets]))
	}
	transformRows(m.post, out, targets)
}

// bothClasses makes two scores of one: of a probability when no weight is negative, else of a margin.
func bothClasses(post string, v float32, positive bool, out []float32) {
	switch {
	case post == "LOGISTIC":
		out[0], out[1] = sigmoid(-v), sigmoid(v)
	case post == "PROBIT":
		out[0], out[1] = probit(1-v), probit(v)
	case positive:
		out[0], out[1] = 1-v, v
	default:
		out[0], out[1] = -v, v
	}
}

func highest(row []float32) int {
	best := 0
	for i, v := range row {
		if v > row[best] {
			best = i
		}
	}
	return best
}

func transformRows(name string, scores []float32, width int) {
	if name == "" || name == "NONE" || width == 0 {
		return
	}
	for ; len(scores) > 0; scores = scores[width:] {
		transform(name, scores[:width])
	}
}

// transform applies a post-transformation to the scores of one row, in place.
func transform(name string, row []float32) {
	switch name {
	case "", "NONE":
	case "LOGISTIC":
		for i, v := range row {
			row[i] = sigmoid(v)
		}
	case "SOFTMAX", "SOFTMAX_ZERO":
		top := float32(math.Inf(-1))
		for _, v := range row {
			top = max(top, v)
		}
		var sum float32
		for i, v := range row {
			if name == "SOFTMAX_ZERO" && math.Abs(float64(v)) <= 1e-7 {
				row[i] = 0
				continue
			}
			row[i] = float32(math.Exp(float64(v - top)))
			sum += row[i]
		}
		if sum == 0 {
			return
		}
		for i := range row {
			row[i] /= sum
		}
	case "PROBIT":
		for i, v := range row {
			row[i] = probit(v)
		}
	default:
		throw(fault.FormatNotServed, "it transforms scores by %q", name)
	}
}

func probit(v float32) float32 { return float32(math.Sqrt2 * math.Erfinv(2*float64(v)-1)) }

// classes are the labels of a classifier: texts or numbers.
type classes struct {
	texts   []string
	numbers []int64
}

func newClasses(a attributes) classes {
	for _, name := range []string{"classlabels_strings", "classlabels_int64s", "classlabels_ints"} {
		if v := a.Texts(name); v != nil {
			return classes{texts: v}
		}
		if v := a.Ints(name); v != nil {
			return classes{numbers: v}
		}
	}
	return classes{}
}

func (k *classes) count() int { return max(len(k.texts), len(k.numbers)) }

// into makes output i the labels of n rows and gives what sets one.
func (k *classes) into(c *call, i, n int) func(row, class int) {
	if k.texts != nil {
		out := alloc[string](c, i, n)
		return func(row, class int) { out[row] = k.texts[class] }
	}
	out := alloc[int64](c, i, n)
	return func(row, class int) {
		if class < len(k.numbers) {
			out[row] = k.numbers[class]
		} else {
			out[row] = int64(class)
		}
	}
}
