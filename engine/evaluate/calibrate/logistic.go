package calibrate

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

// smoothed is Platt's target of a positive and of a negative row: the posterior mean under a uniform prior, counting
// weights as rows.
func smoothed(y, w []float64) (positive, negative float64) {
	var yes, no metric.Sum
	for i, v := range y {
		if v == 1 {
			yes.Add(weight(w, i))
		} else {
			no.Add(weight(w, i))
		}
	}
	return (yes.Value() + 1) / (yes.Value() + 2), 1 / (no.Value() + 2)
}

// Platt is 1/(1+exp(A f + B)).
type Platt struct{ A, B float64 }

// At is the probability of score f.
func (c Platt) At(f float64) float64 { return 1 / (1 + math.Exp(float64(c.A*f)+c.B)) }

// FitPlatt finds the minimiser of the cross-entropy to Platt's targets. Scores that are all alike have A = 0.
func FitPlatt(scores, y, w []float64) (Platt, error) {
	if err := check(scores, y, w); err != nil {
		return Platt{}, err
	}
	positive, negative := smoothed(y, w)
	beta := logistic([][]float64{scores}, y, w, positive, negative)
	return Platt{A: -beta[0], B: -beta[1]}, nil
}

// Beta is 1/(1+exp(-(A ln p - B ln(1-p) + C))).
type Beta struct{ A, B, C float64 }

// betaLogs is ln p and -ln(1-p), kept finite.
func betaLogs(p float64) (a, b float64) {
	const least = 1e-15
	p = min(max(p, least), 1-least)
	return math.Log(p), -math.Log1p(-p)
}

// At is the probability of p.
func (c Beta) At(p float64) float64 {
	a, b := betaLogs(p)
	return sigmoid(float64(c.A*a) + float64(c.B*b) + c.C)
}

// FitBeta fits probabilities p to Platt's targets. Where A or B would be negative it is 0 and the other is fitted alone,
// so that the order of rows is kept.
func FitBeta(p, y, w []float64) (Beta, error) {
	if err := check(p, y, w); err != nil {
		return Beta{}, err
	}
	x := [2][]float64{make([]float64, len(p)), make([]float64, len(p))}
	for i, v := range p {
		x[0][i], x[1][i] = betaLogs(v)
	}
	positive, negative := smoothed(y, w)
	both := logistic([][]float64{x[0], x[1]}, y, w, positive, negative)
	if both[0] >= 0 && both[1] >= 0 {
		return Beta{both[0], both[1], both[2]}, nil
	}
	var fits []Beta
	if a := logistic([][]float64{x[0]}, y, w, positive, negative); a[0] >= 0 {
		fits = append(fits, Beta{a[0], 0, a[1]})
	}
	if b := logistic([][]float64{x[1]}, y, w, positive, negative); b[0] >= 0 {
		fits = append(fits, Beta{0, b[0], b[1]})
	}
	if fits == nil {
		c := logistic(nil, y, w, positive, negative)
		return Beta{0, 0, c[0]}, nil
	}
	best, least := fits[0], math.Inf(1)
	for _, f := range fits {
		var loss metric.Sum
		for i, v := range y {
			t := negative
			if v == 1 {
				t = positive
			}
			z := f.A*x[0][i] + f.B*x[1][i] + f.C
			loss.Add(weight(w, i) * (softplus(z) - t*z))
		}
		if loss.Value() < least {
			best, least = f, loss.Value()
		}
	}
	return best, nil
}

// softplus is ln(1+exp(z)).
func softplus(z float64) float64 {
	if z > 0 {
		return z + math.Log1p(math.Exp(-z))
	}
	return math.Log1p(math.Exp(z))
}

// logistic minimises the weighted cross-entropy of sigmoid(sum of beta·x + last) to the targets of positive and other
// rows, by Newton's method with step halving (Lin, Lin and Weng 2007) on columns of mean 0 and spread 1. Targets inside
// (0, 1) make the loss strictly convex; a column without spread gets 0.
func logistic(columns [][]float64, y, w []float64, positive, negative float64) []float64 {
	d := len(columns)
	n := len(y)
	mean, scale := make([]float64, d), make([]float64, d)
	var used []int
	z := make([][]float64, 0, d)
	for j, column := range columns {
		greatest := 0.0
		for _, v := range column {
			greatest = max(greatest, math.Abs(v))
		}
		if greatest == 0 {
			continue
		}
		// Divided by the greatest first, so that squares do not overflow.
		mean[j] = metric.Mean(n, w, func(i int) float64 { return column[i] / greatest }).Value
		scale[j] = greatest * math.Sqrt(metric.Mean(n, w, func(i int) float64 { return (column[i]/greatest - mean[j]) * (column[i]/greatest - mean[j]) }).Value)
		mean[j] *= greatest
		if !(scale[j] > 1e-14*greatest) {
			continue
		}
		own := make([]float64, n)
		for i, v := range column {
			own[i] = v/scale[j] - mean[j]/scale[j]
		}
		used = append(used, j)
		z = append(z, own)
	}
	k := len(used) + 1
	target := func(i int) float64 {
		if y[i] == 1 {
			return positive
		}
		return negative
	}
	at := func(beta []float64, i int) float64 {
		s := beta[k-1]
		for j := range k - 1 {
			s += float64(beta[j] * z[j][i])
		}
		return s
	}
	loss := func(beta []float64) float64 {
		var sum metric.Sum
		for i := range n {
			if u := weight(w, i); u != 0 {
				s := at(beta, i)
				sum.Add(u * (softplus(s) - float64(target(i)*s)))
			}
		}
		return sum.Value()
	}
	beta := make([]float64, k)
	now := loss(beta)
	for range 200 {
		gradient, hessian := make([]metric.Sum, k), make([]metric.Sum, k*k)
		for i := range n {
			u := weight(w, i)
			if u == 0 {
				continue
			}
			p := sigmoid(at(beta, i))
			row := make([]float64, k)
			for j := range k - 1 {
				row[j] = z[j][i]
			}
			row[k-1] = 1
			for a := range k {
				gradient[a].Add(u * (p - target(i)) * row[a])
				for b := range a + 1 {
					hessian[a*k+b].Add(u * p * (1 - p) * row[a] * row[b])
				}
			}
		}
		g, h := make([]float64, k), make([]float64, k*k)
		trace := 0.0
		for a := range k {
			g[a] = gradient[a].Value()
			for b := range a + 1 {
				h[a*k+b] = hessian[a*k+b].Value()
			}
			trace += h[a*k+a]
		}
		step := solve(h, g, k, trace)
		size, length := 0.0, 0.0
		for j := range step {
			size = max(size, math.Abs(step[j]))
			length = max(length, math.Abs(beta[j]))
		}
		moved := false
		for t := 1.0; t > 1e-12; t /= 2 {
			next := make([]float64, k)
			for j := range next {
				next[j] = beta[j] - float64(t*step[j])
			}
			v := loss(next)
			// Near the minimum the loss no longer tells steps apart: a small Newton step is then good as it is.
			if v <= now || size < 1e-6*(1+length) && v <= now+1e-9*(1+math.Abs(now)) {
				beta, now, moved = next, v, true
				break
			}
		}
		if !moved || size <= 1e-15*(1+length) {
			break
		}
	}
	out := make([]float64, d+1)
	last := beta[k-1]
	for at, j := range used {
		out[j] = beta[at] / scale[j]
		last -= float64(out[j] * mean[j])
	}
	out[d] = last
	return out
}

// solve is the solution x of h x = g for a symmetric h given by its lower half, by Cholesky's decomposition; where h is
// not positive definite a little is added to its diagonal.
func solve(h, g []float64, k int, trace float64) []float64 {
	for ridge := 0.0; ; ridge = max(ridge*100, 1e-14*trace+math.SmallestNonzeroFloat64) {
		l := make([]float64, k*k)
		ok := true
		for a := 0; a < k && ok; a++ {
			for b := 0; b <= a; b++ {
				s := h[a*k+b]
				if a == b {
					s += ridge
				}
				for c := range b {
					s -= float64(l[a*k+c] * l[b*k+c])
				}
				if a != b {
					l[a*k+b] = s / l[b*k+b]
				} else if l[a*k+a] = math.Sqrt(s); !(s > 1e-15*(h[a*k+a]+ridge)) {
					ok = false
					break
				}
			}
		}
		if !ok && ridge < 1e300 && !math.IsNaN(trace) {
			continue
		}
		if !ok {
			return make([]float64, k)
		}
		x := make([]float64, k)
		for a := range k {
			s := g[a]
			for c := range a {
				s -= float64(l[a*k+c] * x[c])
			}
			x[a] = s / l[a*k+a]
		}
		for a := k - 1; a >= 0; a-- {
			s := x[a]
			for c := a + 1; c < k; c++ {
				s -= float64(l[c*k+a] * x[c])
			}
			x[a] = s / l[a*k+a]
		}
		return x
	}
}
