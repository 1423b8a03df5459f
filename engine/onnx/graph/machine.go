package graph

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var machines = map[string]operator{
	"ai.onnx.ml.SVMRegressor":  {prepare: newMachine, run: machineRegressor},
	"ai.onnx.ml.SVMClassifier": {prepare: newMachine, run: machineClassifier},
}

// machine is a support vector machine (Chang and Lin, "LIBSVM: a library for support vector machines", 2011).
type machine struct {
	kernel              string
	gamma, coef, degree float64
	vectors             []float32 // one after the other
	coefficients        []float32
	rho                 []float32
	probA, probB        []float32
	perClass            []int64
	starts              []int // of each class among the vectors
	count               int   // of vectors; 0 = linear weights per class
	post                string
	classes             classes
	one                 bool
	positive            bool
}

func newMachine(n *node) any {
	a := n.attr
	m := &machine{kernel: a.Text("kernel_type"), vectors: a.Floats("support_vectors"), coefficients: a.Floats("coefficients"), rho: a.Floats("rho"),
		probA: a.Floats("prob_a"), probB: a.Floats("prob_b"), perClass: a.Ints("vectors_per_class"), post: a.Text("post_transform"),
		classes: newClasses(a), one: a.Int("one_class", 0) != 0, positive: true}
	if p := a.Floats("kernel_params"); len(p) >= 3 {
		m.gamma, m.coef, m.degree = float64(p[0]), float64(p[1]), float64(p[2])
	}
	switch m.kernel {
	case "":
		m.kernel = "LINEAR"
	case "LINEAR", "POLY", "RBF", "SIGMOID":
	default:
		throw(fault.Corrupt, "the kernel %q", m.kernel)
	}
	if len(m.rho) == 0 || len(m.probA) != len(m.probB) {
		throw(fault.Corrupt, "it has %d offsets, %d and %d settings of probabilities", len(m.rho), len(m.probA), len(m.probB))
	}
	for _, v := range m.coefficients {
		m.positive = m.positive && v >= 0
	}
	m.count = int(a.Int("n_supports", 0))
	if n.op == "ai.onnx.ml.SVMClassifier" {
		m.count = 0
		for _, v := range m.perClass {
			if v < 0 || v > 1<<30 {
				throw(fault.Corrupt, "%d vectors of a class", v)
			}
			m.starts = append(m.starts, m.count)
			m.count += int(v)
		}
		k := len(m.perClass)
		if m.count > 0 && (len(m.rho) != k*(k-1)/2 || len(m.coefficients) < m.count*(k-1) || len(m.probA) != 0 && len(m.probA) != len(m.rho)) {
			throw(fault.Corrupt, "%d coefficients and %d offsets for %d vectors of %d classes", len(m.coefficients), len(m.rho), m.count, k)
		}
	}
	if m.count < 0 || m.count > 0 && len(m.vectors)%m.count != 0 {
		throw(fault.Corrupt, "%d numbers of %d vectors", len(m.vectors), m.count)
	}
	return m
}

// like is the kernel of two vectors.
func (m *machine) like(a, b []float32) float64 {
	sum := 0.0
	if m.kernel == "RBF" {
		for i, v := range a {
			d := float64(v) - float64(b[i])
			sum += d * d
		}
		return math.Exp(-m.gamma * sum)
	}
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	switch m.kernel {
	case "POLY":
		return math.Pow(m.gamma*sum+m.coef, m.degree)
	case "SIGMOID":
		return math.Tanh(m.gamma*sum + m.coef)
	}
	return sum
}

// each calls f with every row and its kernels with the vectors, or with the linear weights.
func (m *machine) each(c *call, f func(i int, kernels []float64)) {
	t := c.arg(0)
	x, n, width := as[float32](t), rows(t), cols(t)
	vectors, count := m.vectors, m.count
	if count == 0 {
		if width == 0 || len(m.coefficients)%width != 0 {
			throw(fault.Invalid, "it has %d weights for %d columns", len(m.coefficients), width)
		}
		vectors, count = m.coefficients, len(m.coefficients)/width
	}
	if len(vectors) != count*width {
		throw(fault.Invalid, "its vectors have %d columns and the rows %d", len(vectors)/max(count, 1), width)
	}
	c.work(n, count, width)
	kernels := make([]float64, count)
	for i := range n {
		row := x[i*width : (i+1)*width]
		for k := range kernels {
			kernels[k] = m.like(row, vectors[k*width:(k+1)*width])
		}
		f(i, kernels)
	}
}

func machineRegressor(c *call) {
	m := c.prepared.(*machine)
	if len(m.coefficients) < m.count {
		throw(fault.Corrupt, "%d coefficients for %d vectors", len(m.coefficients), m.count)
	}
	out := alloc[float32](c, 0, rows(c.arg(0)), 1)
	m.each(c, func(i int, kernels []float64) {
		sum := float64(m.rho[0])
		for k, v := range kernels {
			if m.count > 0 {
				v *= float64(m.coefficients[k])
			}
			sum += v
		}
		if m.one {
			sum = math.Copysign(1, sum)
			if sum == 0 {
				sum = -1
			}
		}
		out[i] = float32(sum)
	})
	transformRows(m.post, out, 1)
}

func machineClassifier(c *call) {
	m := c.prepared.(*machine)
	n := rows(c.arg(0))
	label := m.classes.into(c, 0, n)
	var out []float32
	m.each(c, func(i int, kernels []float64) {
		scores, best, top := m.judge(kernels)
		// Two classes with one score have it with both signs.
		pair := false
		if len(m.rho) == 1 {
			if m.classes.count() == 2 {
				pair = len(scores) == 1
				if len(m.probA) == 0 && (m.positive && top >= 0.5 || !m.positive && top > 0) {
					best = 1
				}
			} else if best = 0; top > 0 {
				best = 1
			}
		}
		width := len(scores)
		if pair {
			width = 2
		}
		if out == nil {
			out = alloc[float32](c, 1, n, width)
		}
		row := out[i*width : (i+1)*width]
		if pair {
			bothClasses(m.post, float32(scores[0]), false, row)
		} else {
			for k, v := range scores {
				row[k] = float32(v)
			}
			transform(m.post, row)
		}
		label(i, best)
	})
	if out == nil {
		alloc[float32](c, 1, 0, max(m.classes.count(), 1))
	}
}

// judge gives the scores of a row, the class of most votes or of the highest score, and that score.
func (m *machine) judge(kernels []float64) (scores []float64, best int, top float64) {
	if m.count == 0 {
		for _, v := range kernels {
			scores = append(scores, v+float64(m.rho[0]))
		}
		for k, v := range scores {
			if v > scores[best] {
				best = k
			}
		}
		return scores, best, scores[best]
	}
	k := len(m.perClass)
	votes := make([]int, k)
	for i := range k {
		for j := i + 1; j < k; j++ {
			sum := 0.0
			for v := m.starts[i]; v < m.starts[i]+int(m.perClass[i]); v++ {
				sum += float64(m.coefficients[m.count*(j-1)+v]) * kernels[v]
			}
			for v := m.starts[j]; v < m.starts[j]+int(m.perClass[j]); v++ {
				sum += float64(m.coefficients[m.count*i+v]) * kernels[v]
			}
			sum += float64(m.rho[len(scores)])
			scores = append(scores, sum)
			if sum > 0 {
				votes[i]++
			} else {
				votes[j]++
			}
		}
	}
	for i, v := range votes {
		if v > votes[best] {
			best = i
		}
	}
	if len(m.probA) > 0 { // the label is still that of the votes
		scores = m.probabilities(scores, k)
	}
	return scores, best, 0
}

// probabilities joins those of pairs (Wu, Lin and Weng, "Probability estimates for multi-class classification by pairwise coupling",
// 2004, algorithm 2, as LIBSVM computes it).
func (m *machine) probabilities(scores []float64, k int) []float64 {
	pair := make([]float64, k*k)
	at := 0
	for i := range k {
		for j := i + 1; j < k; j++ {
			v := 1 - logistic(scores[at]*float64(m.probA[at])+float64(m.probB[at]))
			v = max(1e-7, min(v, 1-1e-7))
			pair[i*k+j], pair[j*k+i] = v, 1-v
			at++
		}
	}
	q, p, qp := make([]float64, k*k), make([]float64, k), make([]float64, k)
	for t := range k {
		p[t] = 1 / float64(k)
		for j := range k {
			if j == t {
				continue
			}
			q[t*k+t] += pair[j*k+t] * pair[j*k+t]
			q[t*k+j] = -pair[j*k+t] * pair[t*k+j]
		}
	}
	for range max(100, k) {
		pqp := 0.0
		for t := range k {
			qp[t] = 0
			for j := range k {
				qp[t] += q[t*k+j] * p[j]
			}
			pqp += p[t] * qp[t]
		}
		worst := 0.0
		for t := range k {
			worst = max(worst, math.Abs(qp[t]-pqp))
		}
		if worst < 0.005/float64(k) {
			break
		}
		for t := range k {
			d := (-qp[t] + pqp) / q[t*k+t]
			p[t] += d
			pqp = (pqp + d*(d*q[t*k+t]+2*qp[t])) / (1 + d) / (1 + d)
			for j := range k {
				qp[j] = (qp[j] + d*q[t*k+j]) / (1 + d)
				p[j] /= 1 + d
			}
		}
	}
	return slices.Clip(p)
}
