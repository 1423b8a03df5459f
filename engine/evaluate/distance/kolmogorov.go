package distance

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
)

// Method is how KolmogorovSmirnov finds its p-value.
type Method string

// Exact counts the paths of two samples of these sizes without ties; Asymptotic takes the distribution of one sample of
// n·m/(n+m) values, rounded; Auto is Exact up to 10,000 values a side. Exact becomes Asymptotic where the least common
// multiple of the sizes has more than 31 bits.
const (
	Auto       Method = "auto"
	Exact      Method = "exact"
	Asymptotic Method = "asymp"
)

// KolmogorovSmirnov is the greatest distance of the distribution functions of samples x and y, and the two-sided
// p-value that both come from one distribution.
func KolmogorovSmirnov(x, y []float64, method Method) (statistic, p float64) {
	n, m := len(x), len(y)
	if n == 0 || m == 0 || slices.ContainsFunc(x, math.IsNaN) || slices.ContainsFunc(y, math.IsNaN) {
		return math.NaN(), math.NaN()
	}
	a, b := slices.Sorted(slices.Values(x)), slices.Sorted(slices.Values(y))
	for i, j := 0, 0; i < n && j < m; {
		at := min(a[i], b[j])
		for i < n && a[i] == at {
			i++
		}
		for j < m && b[j] == at {
			j++
		}
		statistic = max(statistic, math.Abs(float64(i)/float64(n)-float64(j)/float64(m)))
	}
	g := gcd(n, m)
	steps := float64(n/g) * float64(m)
	if method == Auto {
		method = Exact
		if max(n, m) > 10000 {
			method = Asymptotic
		}
	}
	if method == Exact && steps/float64(g) < math.MaxInt32 {
		h := math.Round(statistic * steps)
		if h == 0 {
			return 0, 1
		}
		return h / steps, min(max(outside(n, m, g, int(h)), 0), 1)
	}
	big, small := float64(max(n, m)), float64(min(n, m))
	return statistic, KolmogorovTail(int(math.RoundToEven(big*small/(big+small))), statistic)
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// outside is the share of the lattice paths from (0, 0) to (n, m), all equally likely, that reach a distance
// |x/n - y/m| of at least h steps, a step being one over the least common multiple (Hodges 1957). The share of the paths
// to (x, y) that have reached it is the mean of those to its two neighbours, weighted by x and y: all terms are
// positive, and no digit is lost.
func outside(n, m, g, h int) float64 {
	if n < m {
		n, m = m, n
	}
	ng, mg := n/g, m/g
	// column[y] is the share for (x, y); everything outside of lo..hi-1 has reached the distance.
	column := make([]float64, m+1)
	for y := range column {
		if y*ng >= h {
			column[y] = 1
		}
	}
	lo, hi := 0, min((h+ng-1)/ng, m+1)
	for x := 1; x <= n; x++ {
		// Inside means |x·mg - y·ng| < h.
		nextLo := 0
		if d := x*mg - h; d >= 0 {
			nextLo = d/ng + 1
		}
		nextHi := min((x*mg+h+ng-1)/ng, m+1)
		for y := lo; y < min(nextLo, m+1); y++ {
			column[y] = 1
		}
		for y := hi; y < nextHi; y++ {
			column[y] = 1 // the left neighbour was outside
		}
		below := 1.0
		if nextLo == 0 {
			below = column[0] // (x, 0) has one path
		}
		for y := nextLo; y < nextHi; y++ {
			if y == 0 {
				continue
			}
			below = (column[y]*float64(x) + below*float64(y)) / float64(x+y)
			column[y] = below
		}
		lo, hi = nextLo, max(nextHi, nextLo)
		if lo >= hi {
			return 1
		}
	}
	return column[m]
}

// KolmogorovTail is the probability that the distribution function of n values is at least d away from the one they are
// drawn from. Which of the exact and approximate forms is used follows Simard and L'Ecuyer (Journal of Statistical
// Software 39(11), 2011).
func KolmogorovTail(n int, d float64) float64 {
	nd := float64(n) * d
	switch {
	case n < 1 || math.IsNaN(d):
		return math.NaN()
	case d >= 1:
		return 0
	case nd <= 0.5:
		return 1
	case nd <= 1: // n!/n^n (2nd-1)^n
		inside := 1.0
		for i := 1; i <= n && inside > 0; i++ {
			inside *= float64(i) / float64(n) * (2*nd - 1)
		}
		return 1 - inside
	case nd >= float64(n-1):
		return clipped(2 * math.Pow(1-d, float64(n)))
	case d >= 0.5:
		return clipped(2 * oneSided(n, d))
	}
	ndd := nd * d
	if n <= 140 {
		switch {
		case ndd <= 0.754693:
			return clipped(1 - durbin(n, d))
		case ndd <= 4:
			return clipped(1 - pomeranz(n, d))
		}
		return clipped(2 * oneSided(n, d))
	}
	switch {
	case ndd >= 370:
		return 0
	case ndd >= 2.2:
		return clipped(2 * oneSided(n, d))
	case n <= 100000 && nd*math.Sqrt(d) <= 1.4:
		return clipped(1 - durbin(n, d))
	}
	return clipped(1 - pelzGood(float64(n), d))
}

func clipped(p float64) float64 { return min(max(p, 0), 1) }

// oneSided is the tail of the one-sided statistic (Birnbaum and Tingey 1951), a sum of binomial points.
func oneSided(n int, d float64) float64 {
	size := float64(n)
	sum, most := 0.0, 0.0
	for v := 0; v <= int(size*(1-d)); v++ {
		k := float64(v)
		p := d + k/size
		q := (size - k - size*d) / size
		if q < 0 {
			break
		}
		term := tail.BinomialPoint(k, size, p, q) / p
		sum += term
		most = max(most, term)
		if term < sum*0x1p-70 && term < most { // past the greatest term they only shrink
			break
		}
	}
	return d * sum
}

// durbin is P(D < d) by a power of a matrix (Durbin 1968; Marsaglia, Tsang and Wang 2003).
func durbin(n int, d float64) float64 {
	nd := float64(n) * d
	k := int(math.Ceil(nd))
	h := float64(k) - nd
	m := 2*k - 1
	a := make([]float64, m*m)
	for i := range m {
		for j := range m {
			if i-j+1 >= 0 {
				a[i*m+j] = 1
			}
		}
	}
	for i := range m {
		a[i*m] -= math.Pow(h, float64(i+1))
		a[(m-1)*m+i] -= math.Pow(h, float64(m-i))
	}
	if 2*h > 1 {
		a[(m-1)*m] += math.Pow(2*h-1, float64(m))
	}
	for i := range m {
		for j := range m {
			for g := 1; g <= i-j+1; g++ {
				a[i*m+j] /= float64(g)
			}
		}
	}
	result, exponent := identity(m), 0
	power, powerExponent := a, 0
	for e := n; e > 0; e /= 2 {
		if e%2 == 1 {
			result = product(result, power, m)
			exponent += powerExponent
		}
		power = product(power, power, m)
		powerExponent *= 2
		if math.Abs(power[(k-1)*m+k-1]) > 0x1p128 {
			for i := range power {
				power[i] *= 0x1p-128
			}
			powerExponent += 128
		}
	}
	p := result[(k-1)*m+k-1]
	for i := 1; i <= n; i++ {
		p = float64(i) * p / float64(n)
		if p != 0 && math.Abs(p) < 0x1p-128 {
			p *= 0x1p128
			exponent -= 128
		}
	}
	return math.Ldexp(p, exponent)
}

func identity(m int) []float64 {
	out := make([]float64, m*m)
	for i := range m {
		out[i*m+i] = 1
	}
	return out
}

func product(a, b []float64, m int) []float64 {
	out := make([]float64, m*m)
	for i := range m {
		row := out[i*m : (i+1)*m]
		for k, v := range a[i*m : (i+1)*m] {
			if v == 0 {
				continue
			}
			for j, u := range b[k*m : (k+1)*m] {
				row[j] += float64(v * u)
			}
		}
	}
	return out
}

// pomeranz is P(D < d) by Pomeranz' recursion (CACM algorithm 487, 1974): n! times the volume of the ordered values
// that keep within the band, carried from one point where a bound steps to the next by Poisson weights. Between a-th
// and b-th steps at t and s, j values fall in (s-t)/n with weight ((s-t)/n)^j / j!.
func pomeranz(n int, d float64) float64 {
	nd := float64(n) * d
	// The bounds: after u = n·x, the count of values below x is above u-nd and below u+nd. Breaks are where either steps.
	breaks := []float64{0, float64(n)}
	for j := range n + 1 {
		for _, u := range [2]float64{float64(j) - nd, float64(j) + nd} {
			if u > 0 && u < float64(n) {
				breaks = append(breaks, u)
			}
		}
	}
	slices.Sort(breaks)
	now := make([]float64, n+1)
	now[0] = 1
	lo, hi := 0, 0 // counts with weight
	exponent := 0
	next := make([]float64, n+1)
	for b := 1; b < len(breaks); b++ {
		from, to := breaks[b-1], breaks[b]
		width := (to - from) / float64(n)
		if width <= 0 {
			continue
		}
		// In the open interval the count c keeps c > u-nd for all u, hence c >= to-nd at its end, and c <= from+nd.
		nextLo := max(int(math.Ceil(to-nd-1e-9)), lo) // counts below it have left the band already
		nextHi := min(int(math.Floor(from+nd+1e-9)), n)
		clear(next)
		biggest := 0.0
		for c := nextLo; c <= nextHi; c++ {
			sum, weight := 0.0, 1.0
			for j := 0; c-j >= nextLo; j++ {
				if j > 0 {
					weight *= width / float64(j)
				}
				if c-j <= hi {
					sum += float64(now[c-j] * weight)
				}
			}
			next[c] = sum
			biggest = max(biggest, sum)
		}
		if biggest == 0 {
			return 0
		}
		if biggest < 0x1p-128 {
			for c := range next {
				next[c] *= 0x1p128
			}
			exponent -= 128
		}
		now, next = next, now
		lo, hi = nextLo, nextHi
	}
	p := now[n]
	for i := 1; i <= n; i++ {
		p *= float64(i)
		if p > 0x1p128 {
			p *= 0x1p-128
			exponent += 128
		}
	}
	return math.Ldexp(p, exponent)
}

// pelzGood is the approximation of P(D < d) for large n by Pelz and Good (JRSS B 38, 1976).
func pelzGood(n, d float64) float64 {
	z := math.Sqrt(n) * d
	z2 := z * z
	z3, z4, z6 := z2*z, z2*z2, z2*z2*z2
	const pi2 = math.Pi * math.Pi
	const pi4, pi6 = pi2 * pi2, pi2 * pi2 * pi2
	if -pi2/8/z2 < -708 {
		return 0
	}
	var k0, k1, k2, k3, k2b, k3b float64
	terms := int(math.Ceil(16 * z / math.Pi))
	for k := terms; k > 0; k-- {
		m := float64(2*k - 1)
		m2 := m * m
		q := math.Exp(-pi2 / 8 / z2 * m2)
		k0 += q
		k1 += (-z2 + pi2/4*m2) * q
		k2 += (6*z6 + 2*z4 + (2*z4-5*z2)*pi2/4*m2 + pi4*(1-2*z2)/16*m2*m2) * q
		k3 += (-30*z6 - 90*z4*z4 + pi2*(135*z4-96*z6)/4*m2 + pi4*(-60*z2+212*z4)/16*m2*m2 + pi6*(5-30*z2)/64*m2*m2*m2) * q
		c2 := float64(k) * float64(k)
		e := math.Exp(-pi2 / 2 / z2 * c2)
		k2b += c2 * e
		k3b += (3*z2 - pi2*c2) * c2 * e
	}
	root := math.Sqrt(2 * math.Pi)
	k0 *= root / z
	k1 *= root / (6 * z4)
	k2 = k2*root/(72*z6*z) - k2b*pi2*root/(36*z3)
	k3 = k3*root/(6480*z6*z4) + k3b*pi2*root/(216*z6)
	return k0 + k1/math.Sqrt(n) + k2/n + k3/(n*math.Sqrt(n))
}
