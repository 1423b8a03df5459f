// Package tail gives the tail probabilities that statistical tests turn into p-values, each computed as a tail and not
// as one minus the rest, so that small p-values keep their digits. It knows nothing of models or data.
//
// Every function gives NaN for a NaN argument or for degrees of freedom that are not positive.
package tail

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Normal is P(Z > z) of the standard normal distribution.
func Normal(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// NormalBoth is P(|Z| > |z|).
func NormalBoth(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// ChiSquared is P(X > x) with df degrees of freedom.
func ChiSquared(x, df float64) float64 {
	switch {
	case math.IsNaN(x) || !(df > 0):
		return math.NaN()
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return mathext.GammaIncRegComp(df/2, x/2)
}

// StudentBoth is P(|T| > |t|) with df degrees of freedom.
func StudentBoth(t, df float64) float64 {
	switch {
	case math.IsNaN(t) || !(df > 0):
		return math.NaN()
	case math.IsInf(t, 0):
		return 0
	case math.IsInf(df, 1):
		return NormalBoth(t)
	}
	return beta(df, 1, t*t)
}

// Student is P(T > t) with df degrees of freedom.
func Student(t, df float64) float64 {
	p := StudentBoth(t, df) / 2
	if t < 0 {
		return 1 - p
	}
	return p
}

// F is P(X > x) of the F distribution with a and b degrees of freedom.
func F(x, a, b float64) float64 {
	switch {
	case math.IsNaN(x) || !(a > 0) || !(b > 0):
		return math.NaN()
	case x <= 0:
		return 1
	case math.IsInf(x, 1):
		return 0
	}
	return beta(b, a, a*x)
}

// beta is the regularised incomplete beta function I of b/2 and a/2 at b/(b+y), the form that the tails of Student's
// and the F distribution share. Of a large value its complement carries more digits.
func beta(b, a, y float64) float64 {
	p := mathext.RegIncBeta(b/2, a/2, b/(b+y))
	if p > 0.5 {
		return 1 - mathext.RegIncBeta(a/2, b/2, y/(b+y))
	}
	return p
}

// BinomialHalf is P(X <= k) and P(X = k) for n tosses of a fair coin, 0 <= k <= n.
func BinomialHalf(k, n int) (atMost, exactly float64) {
	if 2*k > n { // P(X <= k) = 1 - P(X <= n-k-1)
		below, _ := BinomialHalf(n-k-1, n)
		_, exactly = BinomialHalf(n-k, n)
		return 1 - below, exactly
	}
	if k < 0 {
		return 0, 0
	}
	exactly = halfPoint(float64(k), float64(n))
	sum, term := 1.0, 1.0
	for i := k; i > 0; i-- {
		term *= float64(i) / float64(n-i+1)
		sum += term
		if term < sum*0x1p-60 {
			break
		}
	}
	return exactly * sum, exactly
}

// halfPoint is the binomial point probability at one half by the saddle point form of Loader ("Fast and accurate
// computation of binomial probabilities", 2000), which keeps all digits for large n.
func halfPoint(k, n float64) float64 {
	if k == 0 || k == n {
		return math.Exp2(-n)
	}
	log := stirling(n) - stirling(k) - stirling(n-k) - deviance(k, n/2) - deviance(n-k, n/2)
	return math.Exp(log) * math.Sqrt(n/(2*math.Pi*k*(n-k)))
}

// stirling is log(n!) minus Stirling's formula, for whole n > 0.
func stirling(n float64) float64 {
	if n <= 15 {
		f := 1.0
		for i := 2.0; i <= n; i++ {
			f *= i
		}
		return math.Log(f) - 0.5*math.Log(2*math.Pi*n) - n*math.Log(n) + n
	}
	s := n * n
	return (1.0/12 - (1.0/360-(1.0/1260-(1.0/1680-(1.0/1188)/s)/s)/s)/s) / n
}

// deviance is x log(x/m) + m - x without cancellation for x near m.
func deviance(x, m float64) float64 {
	if math.Abs(x-m) < 0.1*(x+m) {
		v := (x - m) / (x + m)
		s := (x - m) * v
		e := 2 * x * v
		v *= v
		for j := 1.0; ; j++ {
			e *= v
			next := s + e/(2*j+1)
			if next == s {
				return next
			}
			s = next
		}
	}
	return x*math.Log(x/m) + m - x
}
