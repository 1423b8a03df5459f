package linear

import (
	"context"
	"math"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
)

// widestMatrix is the most columns for which coordinate descent keeps the matrix of second derivatives: 128 MiB.
const widestMatrix = 4096

// path is the family of problems of lasso and elastic net on a design: the mean squared error halved, plus alpha times
// (ratio times the sum of absolute coefficients, plus (1-ratio)/2 times that of their squares).
type path struct {
	*design
	*quadratic
	ratio     float64
	intercept float64 // the mean label
	deviation float64 // of the labels
	last      float64 // the alpha solved last; infinite at first
	l1, l2    []float64
	set       []bool
}

// newPath starts from zero coefficients. columns are the design's, or nil to let the path make them when it needs them.
func newPath(d *design, ratio float64, columns [][]float32) *path {
	p, n := d.x.Cols, d.x.Rows
	s := &path{design: d, ratio: ratio, last: math.Inf(1), l1: make([]float64, p), l2: make([]float64, p), set: make([]bool, p)}
	s.intercept, s.deviation = d.meanLabel()
	q := &quadratic{coef: make([]float64, p), curve: make([]float64, p), mean: d.mean, inv: d.inv}
	s.quadratic = q
	if columns == nil && useMatrix(p, n) {
		q.matrix, _, q.stride = d.gram(1, nil, false)
		mirrored(q.matrix, p, q.stride)
		for i := range q.matrix {
			q.matrix[i] /= d.total
		}
		q.negative = d.correlations(func(i int) float64 { return d.y[i] - s.intercept })
		for j := range q.negative {
			q.negative[j] /= d.total
			q.curve[j] = q.matrix[j*q.stride+j]
		}
		return s
	}
	if q.columns = columns; columns == nil {
		q.columns = d.byColumn()
	}
	q.weight, q.residual = make([]float64, n), make([]float64, padded(n))
	for i := range n {
		q.weight[i] = d.weight(i) / d.total
		q.residual[i] = q.weight[i] * (d.y[i] - s.intercept)
		q.total += q.residual[i]
	}
	for j, inv := range d.inv {
		if inv != 0 {
			q.curve[j] = 1 // standardised
		}
	}
	return s
}

func useMatrix(p, n int) bool { return p <= n && p <= widestMatrix }

// most is the least alpha for which every coefficient is zero; without an L1 penalty, a thousand times that of the lasso.
func (s *path) most() float64 {
	var most float64
	for j, a := range s.curve {
		if a > 0 {
			most = max(most, math.Abs(s.gradient(j))/s.factor[j])
		}
	}
	return most / max(s.ratio, 1e-3)
}

// solve goes on to alpha from the coefficients that there are. Those that the sequential strong rule rules out are
// looked at only at the end (Tibshirani and others 2012).
func (s *path) solve(ctx context.Context, alpha float64, sweeps int, tolerance float64) error {
	for j, f := range s.factor {
		s.l1[j], s.l2[j] = alpha*s.ratio*f, alpha*(1-s.ratio)*f*f
		s.set[j] = s.curve[j] > 0 && (s.coef[j] != 0 || s.last >= 2*alpha || math.Abs(s.gradient(j)) >= s.ratio*f*(2*alpha-s.last))
	}
	s.last = alpha
	return s.descend(ctx, s.l1, s.l2, s.set, sweeps, tolerance*s.deviation)
}

// leastAlpha is where a searched path ends, as a share of where it begins.
const leastAlpha = 1e-3

// grid is n penalties from most downwards in equal ratios.
func grid(most float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = most
		if n > 1 {
			out[i] *= math.Pow(leastAlpha, float64(i)/float64(n-1))
		}
	}
	return out
}

// fitPath fits lasso and elastic net at one alpha, or along the path as far as the alpha that is best in cross-validation.
func (l *Learner) fitPath(ctx context.Context, d *design, train learner.Set, opt learner.Options) (learner.Model, error) {
	s := newPath(d, l.L1Ratio, nil)
	build := func(alpha float64) *Model {
		m := d.model(l.Kind, learner.Regression, [][]float64{s.coef}, []float64{s.intercept})
		m.Alpha = alpha
		return m
	}
	if !l.AutoAlpha {
		if err := s.solve(ctx, l.Alpha, l.Iterations, l.Tolerance); err != nil {
			return nil, err
		}
		m := build(l.Alpha)
		report(m, 1, 1, train, opt)
		return m, nil
	}
	alphas := grid(s.most(), l.Alphas)
	best, err := l.choose(ctx, d, s.quadratic.columns, alphas)
	if err != nil {
		return nil, err
	}
	for i, alpha := range alphas[:best+1] {
		if err := canceled(ctx, i); err != nil {
			return nil, err
		}
		if err := s.solve(ctx, alpha, l.Iterations, l.Tolerance); err != nil {
			return nil, err
		}
		if opt.Progress == nil && opt.Curve == nil && opt.Prune == nil {
			continue
		}
		m := build(alpha)
		report(m, i+1, best+1, train, opt)
		if opt.Prune != nil && opt.Prune(i+1, best+1, lossOn(m, &train), lossOn(m, opt.Valid)) {
			return nil, learner.ErrPruned
		}
	}
	return build(alphas[best]), nil
}

// choose is the place of the alpha with the least mean squared error over folds, the largest of equals. Row i is held
// out of fold i modulo the number of folds.
func (l *Learner) choose(ctx context.Context, d *design, columns [][]float32, alphas []float64) (int, error) {
	folds := min(l.Folds, d.x.Rows)
	if folds < 2 {
		return 0, nil
	}
	if columns == nil && !useMatrix(d.x.Cols, d.x.Rows) {
		columns = d.byColumn()
	}
	errors := make([][]float64, folds)
	faults := make([]error, folds)
	shard.Run(d.workers, folds, func(_, fold int) { errors[fold], faults[fold] = l.held(ctx, *d, columns, alphas, fold, folds) })
	sums := make([]float64, len(alphas))
	for f, list := range errors {
		if faults[f] != nil {
			return 0, faults[f]
		}
		for i, e := range list {
			sums[i] += e
		}
	}
	best := 0
	for i, e := range sums {
		if e < sums[best] {
			best = i
		}
	}
	return best, nil
}

// held is the mean squared error, for each alpha, on the rows of a fold of a path fitted without them; nil when either
// side has no weight.
func (l *Learner) held(ctx context.Context, d design, columns [][]float32, alphas []float64, fold, folds int) ([]float64, error) {
	d.workers = 1
	weights := make([]float64, d.x.Rows)
	var inside, outside float64
	for i := range weights {
		if i%folds == fold {
			outside += d.weight(i)
		} else {
			weights[i] = d.weight(i)
			inside += weights[i]
		}
	}
	if inside == 0 || outside == 0 {
		return nil, nil
	}
	weight := d.weights
	d.weigh(weights, l.Standardise)
	s := newPath(&d, l.L1Ratio, columns)
	out := make([]float64, len(alphas))
	slopes := make([]float64, padded(d.x.Cols))
	for i, alpha := range alphas {
		if err := s.solve(ctx, alpha, l.Iterations, l.Tolerance); err != nil {
			return nil, err
		}
		intercept := s.intercept
		for j, c := range s.coef {
			slopes[j] = c * d.inv[j]
			intercept -= float64(slopes[j] * d.mean[j])
		}
		for r := fold; r < d.x.Rows; r += folds {
			e := d.y[r] - intercept - dotRow(slopes, d.x.Row(r))
			if weight != nil {
				e *= math.Sqrt(weight[r])
			}
			out[i] += float64(e * e)
		}
		out[i] /= outside
	}
	return out, nil
}
