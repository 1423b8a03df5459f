package gbdt

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

const (
	lossBlock = 8192  // rows whose floating point sums are added as one piece, whatever the number of workers
	gradMax   = 32767 // of a quantised gradient (either sign) and of a quantised hessian
)

// loss keeps the margins of the training rows and turns them into gradients.
type loss struct {
	Rows
	objective Objective
	bound     Bound
	core      core
	outputs   int
	rows      int
	total     float64 // sum of the weights
	workers   int
	bounds    []int // the first rows of the blocks that work is cut into, and the end

	margins []float64 // rows x outputs
	grads   []float32 // gradient and hessian of each row for the tree at hand
	losses  []float64 // weighted loss per block, of the margins that prepare saw
	maxima  [][2]float64

	measured bool // prepare also measures the loss

	quantumG, quantumH float64 // what one unit of the last quantised gradients is worth
}

// newLoss binds an objective to the training rows.
func newLoss(o Objective, rows Rows, workers int) (*loss, error) {
	bound, err := o.Bind(rows)
	if err != nil {
		return nil, err
	}
	n := len(rows.Y)
	l := &loss{Rows: rows, objective: o, bound: bound, outputs: rows.Outputs, rows: n, workers: workers,
		bounds:  blocks(n, rows.Query),
		margins: make([]float64, n*rows.Outputs),
		grads:   make([]float32, 2*n),
	}
	l.losses, l.maxima = make([]float64, len(l.bounds)-1), make([][2]float64, len(l.bounds)-1)
	if a, ok := bound.(accelerated); ok {
		l.core = a.core()
	} else {
		l.core = newGeneral(bound)
	}
	for i := range rows.Y {
		l.total += l.weight(i)
	}
	return l, nil
}

// blocks is the first rows of blocks that cut n rows, and the end: lossBlock rows each, or with queries, which no block
// may cut, some more.
func blocks(n int, query []int32) []int {
	out := []int{0}
	for at := lossBlock; at < n; at += lossBlock {
		for query != nil && at < n && query[at] == query[at-1] {
			at++
		}
		if at < n {
			out = append(out, at)
		}
	}
	return append(out, n)
}

// each calls do for every block.
func (l *loss) each(do func(b, lo, hi int)) {
	shard.Run(l.workers, len(l.losses), func(_, b int) { do(b, l.bounds[b], l.bounds[b+1]) })
}

// start sets the margins to those that boosting starts from.
func (l *loss) start(base []float64) {
	for i := range l.margins {
		l.margins[i] = base[i%l.outputs]
	}
}

// prepare reads the margins once a round and computes what the gradients of the round need. It fails when an objective
// of the user's returns what is no number.
func (l *loss) prepare() error {
	g, ok := l.core.(*general)
	if ok {
		g.reserve(l)
	}
	l.each(func(b, lo, hi int) { l.losses[b], l.maxima[b] = l.core.prepare(l, lo, hi) })
	if ok {
		return g.err(l.objective.Name())
	}
	return nil
}

// mean is the weighted mean loss of the margins that prepare saw last.
func (l *loss) mean() float64 {
	var sum float64
	for _, v := range l.losses {
		sum += v
	}
	return sum / l.total
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

// gradients makes the gradients those of output k. It fails as prepare does.
func (l *loss) gradients(k int) error {
	if l.outputs == 1 {
		return nil
	}
	l.each(func(b, lo, hi int) { l.maxima[b] = l.core.output(l, k, lo, hi) })
	if g, ok := l.core.(*general); ok {
		return g.err(l.objective.Name())
	}
	return nil
}

// measure takes the maxima anew after gradients were changed.
func (l *loss) measure() {
	l.each(func(b, lo, hi int) {
		var most [2]float64
		for i := lo; i < hi; i++ {
			most = larger(most, float64(l.grads[2*i]), float64(l.grads[2*i+1]))
		}
		l.maxima[b] = most
	})
}

// quantise gives the grower's rows their gradients. The scale comes from maxima over the rows. Gradients of weighted
// rows and of labels without bounds can be far smaller than the largest one, so there each is rounded up or down by a
// hash of its row's number, which leaves sums unbiased; otherwise rounding is to nearest.
func (l *loss) quantise(g *grower, key uint64) {
	var most [2]float64
	for _, m := range l.maxima {
		most[0], most[1] = max(most[0], m[0]), max(most[1], m[1])
	}
	// The gradients are kept as float32, so that one may lie just above the float64 maximum.
	scaleG, scaleH := scaleFor(most[0]), scaleFor(most[1])
	l.quantumG, l.quantumH = 1/scaleG, 1/scaleH
	scales := [2]float64{scaleG, scaleH}
	dither := l.Weights != nil || l.core.dithers()
	l.each(func(_, lo, hi int) {
		if dither {
			quantiseRows(g, l.grads, lo, hi, &scales, key, true)
		} else {
			quantiseBlock(g, l.grads, lo, hi, &scales)
		}
	})
}

// quantiseRows gives the grower's rows from lo to hi their gradients times the scales, rounded to nearest, or with dither
// up or down by chance, by a hash of key and the row's number.
func quantiseRows(g *grower, grads []float32, lo, hi int, scales *[2]float64, key uint64, dither bool) {
	scaleG, scaleH := scales[0], scales[1]
	up, upH := 0.5, 0.5
	for i := lo; i < hi; i++ {
		if dither {
			r := bins.Mix(key, uint64(i), 0)
			up, upH = float64(r>>40)/(1<<24), float64(r&(1<<24-1))/(1<<24)
		}
		// Truncating a positive number is the floor that rounding needs.
		g.set(i, int64(float64(float64(grads[2*i])*scaleG)+(gradMax+1)+up)-(gradMax+1),
			int64(float64(float64(grads[2*i+1])*scaleH)+upH))
	}
}

// scaleFor maps [0, most], as float32, to [0, gradMax]. A largest number that float32 holds becomes gradMax itself, so that
// gradients and hessians that are all alike stay so, dithered or not.
func scaleFor(most float64) float64 {
	if !(most > 0) {
		return 1
	}
	if float64(float32(most)) == most {
		return gradMax / most
	}
	return gradMax / float64(math.Nextafter32(float32(most), float32(math.Inf(1))))
}

// renew gives the leaves of a grown tree their values: rate times the objective's own, or the Newton step's, kept
// within the leaf's bounds.
func (l *loss) renew(t *growing, g *grower, l2, rate float64) {
	values := make([]float64, len(t.leaves))
	if r, ok := l.bound.(Renewer); ok {
		shard.Run(l.workers, len(t.leaves), func(_, i int) {
			lf := &t.leaves[i]
			values[i] = r.Renew(g.rows[lf.start:lf.start+lf.n], l.margins)
		})
	} else {
		l.newton(values, t, g, l2)
	}
	most := math.Inf(1)
	if s, ok := l.bound.(stepper); ok {
		most = s.step()
	}
	for i, v := range values {
		lf := &t.leaves[i]
		t.nodes[lf.node].value = rate * lf.bounds.clip(min(max(v, -most), most))
	}
}

// newton writes the Newton steps -G/(H+l2) of the leaves, from the gradients before quantisation.
func (l *loss) newton(values []float64, t *growing, g *grower, l2 float64) {
	type pair struct{ g, h float64 }
	pieces := piecesOf(t)
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
	for i, s := range totals {
		if h := s.h + l2; h > 0 {
			values[i] = -s.g / h
		}
	}
}

// piece is a stretch of a leaf's rows. The stretches are fixed by the tree, so that sums over them are too.
type piece struct{ leaf, lo, hi int }

func piecesOf(t *growing) []piece {
	var pieces []piece
	for i := range t.leaves {
		lf := &t.leaves[i]
		for lo := lf.start; lo < lf.start+lf.n; lo += lossBlock {
			pieces = append(pieces, piece{i, lo, min(lo+lossBlock, lf.start+lf.n)})
		}
	}
	return pieces
}

// add adds a tree of output k to margins. The rows in its leaves' stretches show the way; in a bag they are not all
// rows, and then every row walks down the tree.
func (l *loss) add(margins []float64, t *growing, k int, g *grower, bagged bool) {
	if bagged {
		l.each(func(_, lo, hi int) {
			for i := lo; i < hi; i++ {
				leaf := t.find(g.data.Records[i*g.data.Stride : (i+1)*g.data.Stride])
				margins[i*l.outputs+k] += t.nodes[leaf].value
			}
		})
		return
	}
	pieces := piecesOf(t)
	shard.Run(l.workers, len(pieces), func(_, p int) {
		v := t.nodes[t.leaves[pieces[p].leaf].node].value
		for _, row := range g.rows[pieces[p].lo:pieces[p].hi] {
			margins[int(row)*l.outputs+k] += v
		}
	})
}
