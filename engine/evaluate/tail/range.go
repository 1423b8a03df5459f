package tail

import (
	"math"
	"sync"

	"gonum.org/v1/gonum/integrate/quad"
)

// StudentizedRange is P(Q > q) for the range of k independent standard normal values: the studentised range
// distribution with infinite degrees of freedom, on which Nemenyi's test rests. It integrates, over the largest value z,
// k phi(z) (Phi(z)^(k-1) - (Phi(z) - Phi(z-q))^(k-1)), whose terms are all positive.
func StudentizedRange(q float64, k int) float64 {
	switch {
	case math.IsNaN(q) || k < 2:
		return math.NaN()
	case q <= 0:
		return 1
	case math.IsInf(q, 1):
		return 0
	}
	n := float64(k - 1)
	density := func(z float64) float64 {
		below := Normal(-z)
		if below == 0 {
			return 0
		}
		share := Normal(q-z) / below // of the values under z, those more than q under it
		return math.Exp(-z*z/2+n*math.Log(below)) * -math.Expm1(n*math.Log1p(-min(share, 1)))
	}
	// Nothing of weight lies outside: the largest of k values is above -9 and, whatever k, below 9 + sqrt(2 log k).
	lo, hi := -9.0, 9+math.Sqrt(2*math.Log(float64(k)))+q/2
	const pieces = 24
	half := (hi - lo) / (2 * pieces)
	at, weight := legendre()
	sum := 0.0
	for i := range pieces {
		middle := lo + half*float64(2*i+1)
		for j, x := range at {
			sum += weight[j] * density(middle+half*x)
		}
	}
	return min(float64(k)*half*sum/math.Sqrt(2*math.Pi), 1)
}

// legendre is the places and weights of Gauss's rule of 20 points on [-1, 1].
var legendre = sync.OnceValues(func() (at, weight []float64) {
	at, weight = make([]float64, 20), make([]float64, 20)
	quad.Legendre{}.FixedLocations(at, weight, -1, 1)
	return at, weight
})

// StudentizedRangeQuantile is the q that k independent standard normal values exceed with their range with probability
// p, 0 < p < 1.
func StudentizedRangeQuantile(p float64, k int) float64 {
	if !(p > 0 && p < 1) || k < 2 {
		return math.NaN()
	}
	lo, hi := 0.0, 1.0
	for StudentizedRange(hi, k) > p {
		lo, hi = hi, 2*hi
	}
	for {
		mid := (lo + hi) / 2
		if mid <= lo || mid >= hi || hi-lo < 1e-14*hi {
			return mid
		}
		if StudentizedRange(mid, k) > p {
			lo = mid
		} else {
			hi = mid
		}
	}
}
