package tail

import "math"

// BinomialPoint is P(X = k) for n trials that succeed with probability p and fail with q = 1-p, which is given too
// because one of them may be too small to be had from the other. k is a whole number from 0 to n. Loader's form, see
// halfPoint.
func BinomialPoint(k, n, p, q float64) float64 {
	switch {
	case !(p >= 0 && q >= 0):
		return math.NaN()
	case p == 0 || q == 0:
		if p == 0 && k == 0 || q == 0 && k == n {
			return 1
		}
		return 0
	case k == 0:
		return math.Exp(n * logOf(q, p))
	case k == n:
		return math.Exp(n * logOf(p, q))
	}
	log := stirling(n) - stirling(k) - stirling(n-k) - deviance(k, n*p) - deviance(n-k, n*q)
	return math.Exp(log) * math.Sqrt(n/(2*math.Pi*k*(n-k)))
}

// logOf is log(p) for p = 1-q.
func logOf(p, q float64) float64 {
	if q < 0.5 {
		return math.Log1p(-q)
	}
	return math.Log(p)
}
