package gbdt

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The objectives of regression, with the gradients, hessians, starting points and leaf values of LightGBM 4
// (src/objective/regression_objective.hpp), so that results can be compared. y is the label, m the margin.

// squaredLoss is (m-y)²/2.
type squaredLoss struct{}

func (squaredLoss) Name() string    { return l2 }
func (squaredLoss) Link() tree.Link { return tree.Identity }
func (squaredLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(l2, task, 1, learner.Regression, learner.Ranking)
}
func (squaredLoss) Bind(rows Rows) (Bound, error) { return &squaredBound{rows}, nil }

type squaredBound struct{ Rows }

func (b *squaredBound) core() core      { return squaredCore{} }
func (b *squaredBound) Base() []float64 { return []float64{b.mean()} }

func (b *squaredBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i, y := range b.Y[lo:hi] {
		grads[2*i], grads[2*i+1] = float32(margins[i]-y), 1
	}
}

func (b *squaredBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		d := margins[i] - y
		losses[i] = float64(d*d) / 2
	}
}

// squaredCore does all that a round needs in one pass.
type squaredCore struct{}

func (squaredCore) dithers() bool { return true }

func (squaredCore) prepare(l *loss, lo, hi int) (total float64, most [2]float64) {
	for i := lo; i < hi; i++ {
		w := l.weight(i)
		d := l.margins[i] - l.Y[i]
		g := d * w
		total += float64(g*d) / 2
		l.grads[2*i], l.grads[2*i+1] = float32(g), float32(w)
		most = larger(most, g, w)
	}
	return total, most
}

func (squaredCore) output(*loss, int, int, int) [2]float64 {
	panic("gbdt: squared error has one output")
}

// pinball is factor * alpha * (y-m) where the label is above the margin and factor * (1-alpha) * (m-y) where it is not:
// the quantile loss, and with alpha 1/2 and factor 2 the absolute error. The hessian stands at 1, and leaves take the
// quantile of their residuals.
type pinball struct {
	name          string
	alpha, factor float64
}

func (p pinball) Name() string    { return p.name }
func (p pinball) Link() tree.Link { return tree.Identity }
func (p pinball) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(p.name, task, 1, learner.Regression, learner.Ranking)
}
func (p pinball) Bind(rows Rows) (Bound, error) { return &pinballBound{rows, p}, nil }

type pinballBound struct {
	Rows
	pinball
}

func (b *pinballBound) Base() []float64 {
	if b.Weights == nil {
		return []float64{quantileOf(slices.Clone(b.Y), b.alpha)}
	}
	return []float64{weightedQuantile(b.Y, b.Weights, b.alpha)}
}

func (b *pinballBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	above, below := float32(b.factor*(1-b.alpha)), float32(-b.factor*b.alpha)
	at := above // of a label met exactly
	if b.name == l1 {
		at = 0
	}
	for i, y := range b.Y[lo:hi] {
		g := above
		if m := margins[i]; m < y {
			g = below
		} else if m == y {
			g = at
		}
		grads[2*i], grads[2*i+1] = g, 1
	}
}

func (b *pinballBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		d := y - margins[i]
		losses[i] = max(b.factor*b.alpha*d, b.factor*(b.alpha-1)*d)
	}
}

func (b *pinballBound) Renew(rows []uint32, margins []float64) float64 {
	v := make([]float64, len(rows))
	for i, row := range rows {
		v[i] = b.Y[row] - margins[row]
	}
	if b.Weights == nil {
		return quantileOf(v, b.alpha)
	}
	w := make([]float64, len(rows))
	for i, row := range rows {
		w[i] = b.Weights[row]
	}
	return weightedQuantile(v, w, b.alpha)
}

// huberLoss is (m-y)²/2 up to an error of delta, and delta * (|m-y| - delta/2) above. The hessian stands at 1.
type huberLoss struct{ delta float64 }

func (h huberLoss) Name() string    { return huber }
func (h huberLoss) Link() tree.Link { return tree.Identity }
func (h huberLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(huber, task, 1, learner.Regression, learner.Ranking)
}
func (h huberLoss) Bind(rows Rows) (Bound, error) { return &huberBound{rows, h.delta}, nil }

type huberBound struct {
	Rows
	delta float64
}

func (b *huberBound) Base() []float64 { return []float64{b.mean()} }

func (b *huberBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i, y := range b.Y[lo:hi] {
		grads[2*i], grads[2*i+1] = float32(min(max(margins[i]-y, -b.delta), b.delta)), 1
	}
}

func (b *huberBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		if d := math.Abs(margins[i] - y); d <= b.delta {
			losses[i] = float64(d*d) / 2
		} else {
			losses[i] = b.delta * (d - b.delta/2)
		}
	}
}

// logStep bounds leaf values on a logarithmic scale, where rows that carry next to no hessian could otherwise ask for a
// step beyond all numbers.
const logStep = 50

// logRows are rows whose predictions are e^m.
type logRows struct{ Rows }

func (*logRows) step() float64 { return logStep }

// Base is the logarithm of the mean label.
func (b *logRows) Base() []float64 { return []float64{math.Log(max(b.mean(), 1e-300))} }

// labels refuses labels below 0, or not above 0, and labels that are all 0.
func (b *logRows) labels(name string, positive bool) error {
	need := "at least 0"
	if positive {
		need = "above 0"
	}
	some := false
	for i, y := range b.Y {
		if y < 0 || positive && y == 0 {
			return fault.New(fault.Invalid, "gbdt: the label of row %d is %v; objective %s needs labels %s", i, y, name, need).
				WithHint("use objective l2 for labels of any sign")
		}
		some = some || y > 0
	}
	if !some {
		return fault.New(fault.Invalid, "gbdt: every label is 0; objective %s has nothing to learn", name)
	}
	return nil
}

// poissonLoss is e^m - y*m. The hessian e^m is taken e^0.7 times as large (LightGBM's poisson_max_delta_step), for
// careful steps.
type poissonLoss struct{}

var poissonCare = math.Exp(0.7)

func (poissonLoss) Name() string    { return poisson }
func (poissonLoss) Link() tree.Link { return tree.Exp }
func (poissonLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(poisson, task, 1, learner.Regression)
}

func (poissonLoss) Bind(rows Rows) (Bound, error) {
	b := &poissonBound{logRows{rows}}
	return b, b.labels(poisson, false)
}

type poissonBound struct{ logRows }

func (b *poissonBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i, y := range b.Y[lo:hi] {
		e := exp(margins[i])
		grads[2*i], grads[2*i+1] = single(e-y), single(e*poissonCare)
	}
}

func (b *poissonBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		losses[i] = math.Exp(margins[i]) - float64(y*margins[i])
	}
}

// gammaLoss is y*e^-m + m.
type gammaLoss struct{}

func (gammaLoss) Name() string    { return gamma }
func (gammaLoss) Link() tree.Link { return tree.Exp }
func (gammaLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(gamma, task, 1, learner.Regression)
}

func (gammaLoss) Bind(rows Rows) (Bound, error) {
	b := &gammaBound{logRows{rows}}
	return b, b.labels(gamma, true)
}

type gammaBound struct{ logRows }

func (b *gammaBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i, y := range b.Y[lo:hi] {
		e := y * exp(-margins[i])
		grads[2*i], grads[2*i+1] = single(1-e), single(e)
	}
}

func (b *gammaBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		losses[i] = float64(y*math.Exp(-margins[i])) + margins[i]
	}
}

// tweedieLoss is -y*e^((1-p)m)/(1-p) + e^((2-p)m)/(2-p) for a variance that grows with power p of the mean, 1 < p < 2.
type tweedieLoss struct{ power float64 }

func (t tweedieLoss) Name() string    { return tweedie }
func (t tweedieLoss) Link() tree.Link { return tree.Exp }
func (t tweedieLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(tweedie, task, 1, learner.Regression)
}

func (t tweedieLoss) Bind(rows Rows) (Bound, error) {
	b := &tweedieBound{logRows{rows}, t.power}
	return b, b.labels(tweedie, false)
}

type tweedieBound struct {
	logRows
	power float64
}

func (b *tweedieBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	p := b.power
	for i, y := range b.Y[lo:hi] {
		e1, e2 := y*exp((1-p)*margins[i]), exp((2-p)*margins[i])
		grads[2*i], grads[2*i+1] = single(e2-e1), single(float64((p-1)*e1)+float64((2-p)*e2))
	}
}

func (b *tweedieBound) Losses(lo, hi int, margins, losses []float64) {
	p := b.power
	for i, y := range b.Y[lo:hi] {
		losses[i] = float64(y*math.Exp((1-p)*margins[i]))/(p-1) + math.Exp((2-p)*margins[i])/(2-p)
	}
}

// single is v as float32, kept finite.
func single(v float64) float32 { return float32(min(max(v, -maxGradient), maxGradient)) }
