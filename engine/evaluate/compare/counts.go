package compare

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// McNemarMethod is how McNemar finds its p-value.
type McNemarMethod string

// The methods. Auto is Exact below 25 discordant rows and Corrected from there on. MidP is the exact test without its
// conservatism (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13:91, 2013).
const (
	Auto      McNemarMethod = "auto"
	Exact     McNemarMethod = "exact"
	MidP      McNemarMethod = "mid_p"
	Corrected McNemarMethod = "corrected"
	Plain     McNemarMethod = "plain"
)

// McNemar tests whether two classifiers are wrong equally often on the same rows. b rows only the first has right, c
// only the second. Exact and MidP: statistic min(b, c), binomial p. Corrected: (|b-c|-1)²/(b+c), Plain: (b-c)²/(b+c),
// both chi-squared with 1 degree of freedom and NaN when b+c is 0; the exact p is then 1.
func McNemar(b, c int, method McNemarMethod) (Result, error) {
	if b < 0 || c < 0 {
		return Result{}, fault.New(fault.Invalid, "McNemar: counts %d and %d must not be negative", b, c)
	}
	n, low := b+c, min(b, c)
	if method == "" || method == Auto {
		method = Corrected
		if n < 25 {
			method = Exact
		}
	}
	gap := math.Abs(float64(b - c))
	square := func(d float64) (Result, error) {
		if n == 0 {
			return Result{Statistic: math.NaN(), DF: 1, P: math.NaN()}, nil
		}
		s := d * d / float64(n)
		return Result{Statistic: s, DF: 1, P: tail.ChiSquared(s, 1)}, nil
	}
	switch method {
	case Corrected:
		return square(gap - 1)
	case Plain:
		return square(gap)
	case Exact, MidP:
		atMost, point := tail.BinomialHalf(low, n)
		p := min(2*atMost, 1)
		switch {
		case b == c:
			p = 1
			if method == MidP && n > 0 {
				p = 1 - point/2
			}
		case method == MidP:
			p -= point
		}
		return Result{Statistic: float64(low), P: p}, nil
	}
	return Result{}, fault.New(fault.Invalid, "McNemar: unknown method %q", method).
		WithHint("methods are auto, exact, mid_p, corrected and plain")
}

// Discordant counts the rows that only one of two models has right: b the first, c the second.
func Discordant(first, second []bool) (b, c int, err error) {
	if len(first) != len(second) {
		return 0, 0, fault.New(fault.Invalid, "McNemar: %d rows of the first model and %d of the second", len(first), len(second))
	}
	for i, right := range first {
		switch {
		case right && !second[i]:
			b++
		case !right && second[i]:
			c++
		}
	}
	return b, c, nil
}

// CochranQ tests whether k classifiers are right equally often on the same items (Cochran, Biometrika 37, 1950). x has
// one row per item and one column per model, 1 where the model is right and 0 where it is wrong:
// Q = (k-1)(k sum C² - N²)/(k N - sum R²), chi-squared with k-1 degrees of freedom; NaN when no item tells the models apart.
func CochranQ(x [][]float64) (Result, error) {
	k, err := rectangle("Cochran's Q", x)
	if err != nil {
		return Result{}, err
	}
	columns := make([]float64, k)
	var all, rows float64
	for i, row := range x {
		sum := 0.0
		for j, v := range row {
			if v != 0 && v != 1 {
				return Result{}, fault.New(fault.Invalid, "Cochran's Q: row %d holds %v; values are 0 and 1", i+1, v)
			}
			columns[j] += v
			sum += v
		}
		all += sum
		rows += sum * sum
	}
	squares := 0.0
	for _, c := range columns {
		squares += c * c
	}
	m := float64(k)
	q := (m - 1) * (m*squares - all*all) / (m*all - rows)
	return Result{Statistic: q, DF: m - 1, P: tail.ChiSquared(q, m-1)}, nil
}
