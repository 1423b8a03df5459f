package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/tree"
)

// rare is the least share of a class: one without rows, or without weight, must not start from minus infinity.
const rare = 1e-9

// logisticLoss is log loss of two classes, -log of the probability of the row's own, where class 1 has 1/(1+e^-m).
type logisticLoss struct{}

func (logisticLoss) Name() string    { return logistic }
func (logisticLoss) Link() tree.Link { return tree.Logistic }
func (logisticLoss) Outputs(task learner.Task, _ int) (int, error) {
	return ofTask(logistic, task, 1, learner.Binary)
}
func (logisticLoss) Bind(rows Rows) (Bound, error) { return &logisticBound{rows}, nil }

type logisticBound struct{ Rows }

func (b *logisticBound) core() core {
	c := &logisticCore{towards: make([]float32, len(b.Y))}
	for i, y := range b.Y {
		c.towards[i] = float32(2*y - 1)
	}
	return c
}

func (b *logisticBound) Base() []float64 {
	p := min(max(b.mean(), rare), 1-rare)
	return []float64{math.Log(p / (1 - p))}
}

func (b *logisticBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	for i, y := range b.Y[lo:hi] {
		p := 1 / (1 + expNeg(clamp(margins[i])))
		grads[2*i], grads[2*i+1] = float32(p-y), float32(p*(1-p))
	}
}

func (b *logisticBound) Losses(lo, hi int, margins, losses []float64) {
	for i, y := range b.Y[lo:hi] {
		losses[i] = logLoss(margins[i] * (2*y - 1))
	}
}

// logisticCore does all that a round needs in one pass.
type logisticCore struct {
	towards []float32 // per row +1 or -1, the sign of its class
}

func (*logisticCore) dithers() bool { return false }

func (*logisticCore) output(*loss, int, int, int) [2]float64 { panic("gbdt: log loss has one output") }

// prepare writes the gradients p-y and p(1-p). What needs logarithms or weights follows, 64 rows at a time.
func (c *logisticCore) prepare(l *loss, lo, hi int) (total float64, most [2]float64) {
	var own [64]float64
	for ; lo < hi; lo += len(own) {
		n := min(len(own), hi-lo)
		unweighted := most
		logisticBlock(l.margins[lo:lo+n], own[:n], c.towards[lo:lo+n], l.grads[2*lo:2*(lo+n)], &unweighted)
		switch {
		case l.Weights != nil:
			total += l.weigh(lo, own[:n], &most)
			continue
		case l.measured:
			total += logProducts(own[:n])
		}
		most = unweighted
	}
	return total, most
}

// logisticRows writes the gradients of rows of log loss, and to own the probability of each row's own class, and keeps
// the largest gradient and hessian in most. towards is +1 for rows of class 1 and -1 for the others. The loop calls
// nothing, so that its numbers stay in registers.
func logisticRows(margins, own []float64, towards, grads []float32, most *[2]float64) {
	own, towards, grads = own[:len(margins)], towards[:len(margins)], grads[:2*len(margins)]
	mostG, mostH := most[0], most[1]
	for i, m := range margins {
		// With z the margin towards the row's own class, its probability is 1/(1+e^-z), and what is missing to one is
		// e^-z times that, without cancellation.
		t := float64(towards[i])
		z := clamp(m * t)
		e := expNeg(z)
		p := 1 / (1 + e)
		miss := e * p
		h := miss * p
		own[i] = p
		grads[2*i], grads[2*i+1] = float32(-t*miss), float32(h)
		if miss > mostG {
			mostG = miss
		}
		if h > mostH {
			mostH = h
		}
	}
	most[0], most[1] = mostG, mostH
}

// weigh multiplies the gradients of the rows from lo by their weights, keeps the largest in most and returns their loss.
func (l *loss) weigh(lo int, own []float64, most *[2]float64) (total float64) {
	for i, p := range own {
		w := l.Weights[lo+i]
		g, h := &l.grads[2*(lo+i)], &l.grads[2*(lo+i)+1]
		*g, *h = float32(float64(*g)*w), float32(float64(*h)*w)
		*most = larger(*most, float64(*g), float64(*h))
		if l.measured {
			total -= float64(w * math.Log(p))
		}
	}
	return total
}

// logProducts is minus the sum of the logarithms of probabilities above e^-41, taken of eight at a time.
func logProducts(p []float64) (total float64) {
	for len(p) > 0 {
		product := 1.0
		n := min(8, len(p))
		for _, v := range p[:n] {
			product *= v
		}
		total -= math.Log(product)
		p = p[n:]
	}
	return total
}

// softmaxLoss is log loss of K classes, -log of the share e^m_k / sum e^m of the row's own. The diagonal of the hessian
// is scaled by K/(K-1), as in Friedman's K-class LogitBoost (Annals of Statistics 29, 2001, algorithm 6).
type softmaxLoss struct{}

func (softmaxLoss) Name() string    { return softmax }
func (softmaxLoss) Link() tree.Link { return tree.Softmax }
func (softmaxLoss) Outputs(task learner.Task, classes int) (int, error) {
	return ofTask(softmax, task, classes, learner.Multiclass)
}
func (softmaxLoss) Bind(rows Rows) (Bound, error) { return &softmaxBound{rows}, nil }

type softmaxBound struct{ Rows }

func (b *softmaxBound) core() core {
	return &softmaxCore{shares: make([]float32, len(b.Y)*b.Outputs)}
}

func (b *softmaxBound) Base() []float64 {
	share := make([]float64, b.Outputs)
	var total float64
	for i, y := range b.Y {
		w := b.weight(i)
		share[int(y)] += w
		total += w
	}
	for k, s := range share {
		share[k] = math.Log(max(s/total, rare))
	}
	return share
}

func (b *softmaxBound) Gradients(lo, hi int, margins []float64, grads []float32) {
	k := b.Outputs
	factor := float64(k) / float64(k-1)
	p := make([]float64, k)
	for i, y := range b.Y[lo:hi] {
		copy(p, margins[i*k:(i+1)*k])
		link(tree.Softmax, p)
		for j, s := range p {
			g := s
			if j == int(y) {
				g--
			}
			at := 2 * (i*k + j)
			grads[at], grads[at+1] = float32(g), float32(factor*s*(1-s))
		}
	}
}

func (b *softmaxBound) Losses(lo, hi int, margins, losses []float64) {
	k := b.Outputs
	for i, y := range b.Y[lo:hi] {
		m := margins[i*k : (i+1)*k]
		top := m[0]
		for _, v := range m[1:] {
			top = max(top, v)
		}
		var sum float64
		for _, v := range m {
			sum += math.Exp(v - top)
		}
		losses[i] = math.Log(sum) - (m[int(y)] - top)
	}
}

// softmaxCore keeps the classes' shares from one pass over the margins for the gradients of every class.
type softmaxCore struct {
	shares []float32 // rows x outputs
}

func (*softmaxCore) dithers() bool { return false }

// prepare writes the shares.
func (c *softmaxCore) prepare(l *loss, lo, hi int) (total float64, _ [2]float64) {
	k := l.outputs
	for i := lo; i < hi; i++ {
		m := l.margins[i*k : (i+1)*k]
		s := c.shares[i*k : (i+1)*k]
		top := m[0]
		for _, v := range m[1:] {
			top = max(top, v)
		}
		var sum, own float64
		for j, v := range m {
			e := expNeg(min(top-v, 40))
			s[j] = float32(e)
			sum += e
			if j == int(l.Y[i]) {
				own = e
			}
		}
		for j := range s {
			s[j] = float32(float64(s[j]) / sum)
		}
		if l.measured {
			total -= float64(l.weight(i) * math.Log(own/sum))
		}
	}
	return total, [2]float64{}
}

func (c *softmaxCore) output(l *loss, k, lo, hi int) (most [2]float64) {
	factor := float64(l.outputs) / float64(l.outputs-1)
	for i := lo; i < hi; i++ {
		p := float64(c.shares[i*l.outputs+k])
		w := l.weight(i)
		g, h := p*w, factor*p*(1-p)*w
		if int(l.Y[i]) == k {
			g = (p - 1) * w
		}
		l.grads[2*i], l.grads[2*i+1] = float32(g), float32(h)
		most = larger(most, g, h)
	}
	return most
}
