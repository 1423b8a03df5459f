package gbdt

import (
	"sync"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// core is what training asks of a bound objective. Its methods are called for stretches of rows at a time.
type core interface {
	// prepare reads the margins once a round. With one output it writes the weighted gradients to l.grads and returns
	// the largest. With l.measured it returns the weighted loss of the margins.
	prepare(l *loss, lo, hi int) (total float64, most [2]float64)
	// output writes the weighted gradients of output k of several, at the margins that prepare saw.
	output(l *loss, k, lo, hi int) (most [2]float64)
	// dithers says that gradients differ so much in size that small ones must be rounded by chance to count.
	dithers() bool
}

// general is the core of any Bound.
type general struct {
	Bound
	all    []float32 // gradients of all outputs, when there are several
	losses []float64 // of each row, when they are asked for

	mu  sync.Mutex
	bad int // the first row whose gradients are no numbers; -1 when there is none
}

func newGeneral(b Bound) *general { return &general{Bound: b, bad: -1} }

func (c *general) dithers() bool { return true }

// reserve makes what prepare writes to, which happens on many goroutines.
func (c *general) reserve(l *loss) {
	if n := 2 * len(l.margins); l.outputs > 1 && len(c.all) != n {
		c.all = make([]float32, n)
	}
	if l.measured && c.losses == nil {
		c.losses = make([]float64, l.rows)
	}
}

func (c *general) prepare(l *loss, lo, hi int) (total float64, most [2]float64) {
	k := l.outputs
	margins := l.margins[lo*k : hi*k]
	if k == 1 {
		c.Gradients(lo, hi, margins, l.grads[2*lo:2*hi])
		most = c.weigh(l, lo, hi)
	} else {
		c.Gradients(lo, hi, margins, c.all[2*lo*k:2*hi*k])
	}
	if l.measured {
		c.Losses(lo, hi, margins, c.losses[lo:hi])
		for i := lo; i < hi; i++ {
			total += float64(l.weight(i) * c.losses[i])
		}
	}
	return total, most
}

func (c *general) output(l *loss, k, lo, hi int) (most [2]float64) {
	for i := lo; i < hi; i++ {
		at := 2 * (i*l.outputs + k)
		l.grads[2*i], l.grads[2*i+1] = c.all[at], c.all[at+1]
	}
	return c.weigh(l, lo, hi)
}

// maxGradient keeps gradients and hessians within float32.
const maxGradient = 1e37

// weigh multiplies the gradients in l.grads by the rows' weights and returns the largest.
func (c *general) weigh(l *loss, lo, hi int) (most [2]float64) {
	for i := lo; i < hi; i++ {
		g, h := float64(l.grads[2*i]), float64(l.grads[2*i+1])
		if g != g || !(h >= 0) {
			c.spoil(i)
			return most
		}
		if l.Weights != nil {
			g, h = float64(g*l.Weights[i]), float64(h*l.Weights[i])
		}
		g, h = min(max(g, -maxGradient), maxGradient), min(h, maxGradient)
		l.grads[2*i], l.grads[2*i+1] = float32(g), float32(h)
		most = larger(most, g, h)
	}
	return most
}

func (c *general) spoil(row int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bad < 0 || row < c.bad {
		c.bad = row
	}
}

// err is the fault of an objective whose gradients were no numbers.
func (c *general) err(name string) error {
	if c.bad < 0 {
		return nil
	}
	return fault.New(fault.Invalid, "gbdt: objective %s gives row %d a gradient that is no number, or a hessian below 0", name, c.bad).
		WithHint("return numbers for every margin, and hessians of at least 0")
}
