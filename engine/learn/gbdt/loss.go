package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

const (
	lossBlock = 8192  // rows whose floating point sums are added as one piece, whatever the number of workers
	gradMax   = 32767 // of a quantised gradient (either sign) and of a quantised hessian
)

// loss keeps the margins of the training rows and turns them into gradients.
type loss struct {
	task    learner.Task
	outputs int
	y       []float64
	weights []float64 // nil for all ones
	weight  float64   // sum of the weights
	workers int

	margins []float64 // rows x outputs
	towards []float32 // per row +1 or -1, the sign of its class; binary only
	shares  []float32 // rows x outputs: softmax of the margins; multiclass only
	grads   []float32 // gradient and hessian of each row for the tree at hand
	losses  []float64 // weighted loss per block, of the margins that prepare saw
	maxima  [][2]float64

	measured bool // prepare also measures the loss

	quantumG, quantumH float64 // what one unit of the last quantised gradients is worth
}

func newLoss(task learner.Task, outputs int, y, weights []float64, workers int) *loss {
	n := len(y)
	l := &loss{task: task, outputs: outputs, y: y, weights: weights, workers: workers,
		margins: make([]float64, n*outputs),
		grads:   make([]float32, 2*n),
		losses:  make([]float64, shard.Blocks(n, lossBlock)),
		maxima:  make([][2]float64, shard.Blocks(n, lossBlock)),
	}
	if task == learner.Multiclass {
		l.shares = make([]float32, n*outputs)
	}
	if task == learner.Binary {
		l.towards = make([]float32, n)
		for i, v := range y {
			l.towards[i] = float32(2*v - 1)
		}
	}
	for i := range y {
		l.weight += l.weightOf(i)
	}
	return l
}

func (l *loss) weightOf(i int) float64 {
	if l.weights == nil {
		return 1
	}
	return l.weights[i]
}

// base is the margin that boosting starts from: the best constant.
func (l *loss) base() []float64 {
	sum := make([]float64, l.outputs)
	for i, y := range l.y {
		k, v := 0, y
		if l.task == learner.Multiclass {
			k, v = int(y), 1
		}
		sum[k] += l.weightOf(i) * v
	}
	// A class without rows, or without weight, must not start from minus infinity.
	const rare = 1e-9
	for k := range sum {
		p := sum[k] / l.weight
		switch l.task {
		case learner.Binary:
			p = min(max(p, rare), 1-rare)
			sum[k] = math.Log(p / (1 - p))
		case learner.Multiclass:
			sum[k] = math.Log(max(p, rare))
		default:
			sum[k] = p
		}
	}
	return sum
}

func (l *loss) start(base []float64) {
	for i := range l.margins {
		l.margins[i] = base[i%l.outputs]
	}
}

// prepare reads the margins once a round and computes what the gradients of the round need.
func (l *loss) prepare() {
	n := len(l.y)
	shard.Run(l.workers, len(l.losses), func(_, b int) {
		lo, hi := shard.Bounds(b, n, lossBlock)
		switch l.task {
		case learner.Binary:
			l.losses[b], l.maxima[b] = l.binaryBlock(lo, hi)
		case learner.Multiclass:
			l.losses[b] = l.softmaxBlock(lo, hi)
		default:
			l.losses[b], l.maxima[b] = l.squaredBlock(lo, hi)
		}
	})
}

// mean is the weighted mean loss of the margins that prepare saw last.
func (l *loss) mean() float64 {
	var sum float64
	for _, v := range l.losses {
		sum += v
	}
	return sum / l.weight
}

// binaryBlock writes the gradients p-y and p(1-p) of log loss. The inner loop calls nothing, so that its numbers stay in
// registers; what needs logarithms or weights follows it, 64 rows at a time.
func (l *loss) binaryBlock(lo, hi int) (total float64, most [2]float64) {
	var own [64]float64
	for ; lo < hi; lo += len(own) {
		n := min(len(own), hi-lo)
		margins, towards, grads := l.margins[lo:lo+n], l.towards[lo:lo+n], l.grads[2*lo:2*(lo+n)]
		mostG, mostH := most[0], most[1]
		for i, m := range margins {
			// With z the margin towards the row's own class, its probability is 1/(1+e^-z), and what is missing to
			// one is e^-z times that, without cancellation.
			t := float64(towards[i])
			z := clamp(m * t)
			e := expNeg(z)
			p := 1 / (1 + e)
			miss := e * p
			h := miss * p
			own[i&63] = p
			grads[2*i], grads[2*i+1] = float32(-t*miss), float32(h)
			if miss > mostG {
				mostG = miss
			}
			if h > mostH {
				mostH = h
			}
		}
		switch {
		case l.weights != nil:
			total += l.weigh(lo, own[:n], &most)
			continue
		case l.measured:
			total += logProducts(own[:n])
		}
		most[0], most[1] = mostG, mostH
	}
	return total, most
}

// weigh multiplies the gradients of the rows from lo by their weights, keeps the largest in most and returns their loss.
func (l *loss) weigh(lo int, own []float64, most *[2]float64) (total float64) {
	for i, p := range own {
		w := l.weights[lo+i]
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

// squaredBlock writes the gradients of half the squared error.
func (l *loss) squaredBlock(lo, hi int) (total float64, most [2]float64) {
	for i := lo; i < hi; i++ {
		w := l.weightOf(i)
		d := l.margins[i] - l.y[i]
		g := d * w
		total += float64(g*d) / 2
		l.grads[2*i], l.grads[2*i+1] = float32(g), float32(w)
		most = larger(most, g, w)
	}
	return total, most
}

// softmaxBlock writes the class shares.
func (l *loss) softmaxBlock(lo, hi int) (total float64) {
	k := l.outputs
	for i := lo; i < hi; i++ {
		m := l.margins[i*k : (i+1)*k]
		s := l.shares[i*k : (i+1)*k]
		top := m[0]
		for _, v := range m[1:] {
			top = max(top, v)
		}
		var sum, own float64
		for j, v := range m {
			e := expNeg(min(top-v, 40))
			s[j] = float32(e)
			sum += e
			if j == int(l.y[i]) {
				own = e
			}
		}
		for j := range s {
			s[j] = float32(float64(s[j]) / sum)
		}
		if l.measured {
			total -= float64(l.weightOf(i) * math.Log(own/sum))
		}
	}
	return total
}

// classBlock writes the gradients of class k from the shares. The diagonal of softmax's hessian is scaled by K/(K-1), as
// in Friedman's K-class LogitBoost (Annals of Statistics 29, 2001, algorithm 6).
func (l *loss) classBlock(k, lo, hi int) (most [2]float64) {
	factor := float64(l.outputs) / float64(l.outputs-1)
	for i := lo; i < hi; i++ {
		p := float64(l.shares[i*l.outputs+k])
		w := l.weightOf(i)
		g, h := p*w, factor*p*(1-p)*w
		if int(l.y[i]) == k {
			g = (p - 1) * w
		}
		l.grads[2*i], l.grads[2*i+1] = float32(g), float32(h)
		most = larger(most, g, h)
	}
	return most
}

// larger keeps the largest size of a gradient and of a hessian. The builtin max costs more, for it minds NaN and -0.
func larger(most [2]float64, g, h float64) [2]float64 {
	if g = math.Abs(g); g > most[0] {
		most[0] = g
	}
	if h > most[1] {
		most[1] = h
	}
	return most
}

// gradients makes the gradients those of output k.
func (l *loss) gradients(k int) {
	if l.task == learner.Multiclass {
		shard.Run(l.workers, len(l.losses), func(_, b int) {
			lo, hi := shard.Bounds(b, len(l.y), lossBlock)
			l.maxima[b] = l.classBlock(k, lo, hi)
		})
	}
}

// measure takes the maxima anew after gradients were changed.
func (l *loss) measure() {
	shard.Run(l.workers, len(l.losses), func(_, b int) {
		lo, hi := shard.Bounds(b, len(l.y), lossBlock)
		var most [2]float64
		for i := lo; i < hi; i++ {
			most = larger(most, float64(l.grads[2*i]), float64(l.grads[2*i+1]))
		}
		l.maxima[b] = most
	})
}

// quantise gives the grower's rows their gradients. The scale comes from maxima over the rows. Weighted
// rows and regression targets can be far smaller than the largest one, so there each is rounded up or down by a hash
// of its number, which leaves sums unbiased; otherwise rounding is to nearest.
func (l *loss) quantise(g *grower, key uint64) {
	n := len(l.y)
	var most [2]float64
	for _, m := range l.maxima {
		most[0], most[1] = max(most[0], m[0]), max(most[1], m[1])
	}
	// The gradients are kept as float32, so that one may lie just above the float64 maximum.
	scaleG, scaleH := scaleFor(most[0]), scaleFor(most[1])
	l.quantumG, l.quantumH = 1/scaleG, 1/scaleH
	dither := l.weights != nil || l.task == learner.Regression
	shard.Run(l.workers, len(l.losses), func(_, b int) {
		lo, hi := shard.Bounds(b, n, lossBlock)
		up, upH := 0.5, 0.5
		for i := lo; i < hi; i++ {
			if dither {
				r := bins.Mix(key, uint64(i), 0)
				up, upH = float64(r>>40)/(1<<24), float64(r&(1<<24-1))/(1<<24)
			}
			// Truncating a positive number is the floor that rounding needs.
			g.set(i, int64(float64(float64(l.grads[2*i])*scaleG)+(gradMax+1)+up)-(gradMax+1),
				int64(float64(float64(l.grads[2*i+1])*scaleH)+upH))
		}
	})
}

// scaleFor maps [0, most] to [0, gradMax].
func scaleFor(most float64) float64 {
	if !(most > 0) {
		return 1
	}
	return gradMax / float64(math.Nextafter32(float32(most), float32(math.Inf(1))))
}

// update gives the leaves their values, -rate * G/(H+l2) from the gradients before quantisation, and adds them to the
// margins of output k. Sums run over fixed stretches of each leaf's rows, in order.
func (l *loss) update(t *growing, k int, g *grower, l2, rate float64, bagged bool) {
	type piece struct{ leaf, lo, hi int }
	var pieces []piece
	for i := range t.leaves {
		lf := &t.leaves[i]
		for lo := lf.start; lo < lf.start+lf.n; lo += lossBlock {
			pieces = append(pieces, piece{i, lo, min(lo+lossBlock, lf.start+lf.n)})
		}
	}
	type pair struct{ g, h float64 }
	parts := make([]pair, len(pieces))
	shard.Run(l.workers, len(pieces), func(_, p int) {
		var s pair
		for _, row := range g.rows[pieces[p].lo:pieces[p].hi] {
			s.g += float64(l.grads[2*row])
			s.h += float64(l.grads[2*row+1])
		}
		parts[p] = s
	})
	totals := make([]pair, len(t.leaves))
	for p, s := range parts {
		totals[pieces[p].leaf].g += s.g
		totals[pieces[p].leaf].h += s.h
	}
	for i := range t.leaves {
		if h := totals[i].h + l2; h > 0 {
			t.nodes[t.leaves[i].node].value = rate * t.leaves[i].bounds.clip(-totals[i].g/h)
		}
	}
	if bagged {
		l.updateAll(t, k, g.data)
		return
	}
	shard.Run(l.workers, len(pieces), func(_, p int) {
		v := t.nodes[t.leaves[pieces[p].leaf].node].value
		for _, row := range g.rows[pieces[p].lo:pieces[p].hi] {
			l.margins[int(row)*l.outputs+k] += v
		}
	})
}

// updateAll adds the tree to every row's margin by walking down it: rows outside the bag are in no leaf's stretch.
func (l *loss) updateAll(t *growing, k int, d *bins.Set) {
	shard.Run(l.workers, len(l.losses), func(_, b int) {
		lo, hi := shard.Bounds(b, d.Rows, lossBlock)
		for i := lo; i < hi; i++ {
			leaf := t.find(d.Records[i*d.Stride : (i+1)*d.Stride])
			l.margins[i*l.outputs+k] += t.nodes[leaf].value
		}
	})
}

// clamp keeps a margin where expNeg is defined and its result harmless. Comparisons cost less than the builtins min and
// max, which mind NaN and -0.
func clamp(x float64) float64 {
	if x > 40 {
		return 40
	}
	if x < -40 {
		return -40
	}
	return x
}

// expNeg is e^-x for |x| <= 40, with a relative error below 1e-9, several times as fast as math.Exp and, unlike it, with
// the same bits on every processor. It is for gradients only: they are rounded to 15 bits next.
// e^-x = 2^(m/32) * e^r with m the nearest whole number to -32x/ln 2, so that |r| <= ln 2 / 64.
func expNeg(x float64) float64 {
	// Adding 1.5 * 2^52 leaves the nearest whole number in the low bits.
	t := float64(x*(-32/math.Ln2)) + 3<<51
	m := math.Float64bits(t)
	r := -x - float64((t-3<<51)*(math.Ln2/32))
	p := 1 + float64(r*(1+float64(r*(0.5+float64(r*(1.0/6))))))
	return math.Float64frombits(twoTo[m&31]+m>>5<<52) * p
}

// twoTo is the bits of 2^(j/32), built from square roots, which every processor rounds alike.
var twoTo = func() (t [32]uint64) {
	roots := [5]float64{math.Sqrt2}
	for i := 1; i < 5; i++ {
		roots[i] = math.Sqrt(roots[i-1])
	}
	for j := range t {
		v := 1.0
		for b := range 5 {
			if j>>(4-b)&1 == 1 {
				v *= roots[b]
			}
		}
		t[j] = math.Float64bits(v)
	}
	return t
}()
