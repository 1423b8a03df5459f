package profile

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Sizes of a sudden shift that is worth telling: what practice calls large, a PSI of 0.25 (Siddiqi 2006, "Credit Risk Scorecards").
// A normal distribution that moves by d standard deviations has a Wasserstein distance of d and a PSI of d squared, hence 0.5; and for
// small shifts JS is sqrt(PSI/8)/sqrt(ln 2), hence 0.21.
const (
	ShiftFloor     = 0.5  // of numbers, in standard deviations of the reference
	ShiftFloorText = 0.21 // of words, Jensen-Shannon distance, base 2
)

// Shift is how far cur moved from base, missing values left out: for numbers the Wasserstein distance in the unit of the column, for
// text the Jensen-Shannon distance (base 2) of the coarse groups. floor is the size worth telling in the same measure, and p the
// p-value that both are samples, of nBase and nCur independent values, of one distribution: Kolmogorov-Smirnov for numbers, chi-square
// for text. Without values on either side it is 0 and p is 1.
func Shift(c *RefColumn, base, cur *Counts, nBase, nCur float64) (shift, floor, p float64) {
	if c.Numeric() {
		ks, w1 := c.distances(base, cur)
		_, sd := c.Moments(c.Counts)
		if !(sd > 0) {
			sd = c.Scale
		}
		return w1, ShiftFloor * sd, KolmogorovP(ks, nBase, nCur)
	}
	b, k := c.Coarse(base), c.Coarse(cur)
	b[c.groups[cellMissing]], k[c.groups[cellMissing]] = 0, 0
	shift = JensenShannon(b, k)
	scale := func(x []float64, n float64) {
		if total := sum(x); total > 0 && n > 0 && n < total {
			for i := range x {
				x[i] *= n / total
			}
		}
	}
	scale(b, nBase)
	scale(k, nCur)
	_, _, p = ChiSquare(b, k)
	return shift, ShiftFloorText, p
}

// KolmogorovP is the p-value of the greatest distance d between the distribution functions of samples of n and m independent values:
// the limit distribution at Stephens' (1970) corrected statistic, good from 30 values on; conservative where values repeat.
func KolmogorovP(d, n, m float64) float64 {
	if d <= 0 || n <= 0 || m <= 0 {
		return 1
	}
	root := math.Sqrt(n * m / (n + m))
	x := d * (root + 0.12 + 0.11/root)
	if x < 0.3 {
		return 1 // the alternating sum is 1 to six digits, and slow
	}
	p, sign := 0.0, 2.0
	for j := 1.0; j <= 50; j++ {
		term := math.Exp(-2 * j * j * x * x)
		if term == 0 {
			break
		}
		p += sign * term
		sign = -sign
	}
	return min(max(p, 0), 1)
}

// Usual is how far a column moves from one window to the next when nothing happened: the noise that a sudden shift is measured against.
//
// Rows of one window resemble each other (an hour's weather, a day's timetable), and so do neighbouring windows, so that the number of
// rows says little about how far two windows may differ. The window is the unit instead: if the level of a window is normal around that
// of those before, its shift is the size of a normal number of some variance, which the mean square of past shifts estimates. Columns
// that are quiet for days and then not (rain, fog) make that estimate poor; its degrees of freedom are then few (Satterthwaite 1946).
type Usual struct {
	Size float64 // root mean square of the past shifts
	DF   float64 // degrees of freedom of that estimate, at most their number
}

// UsualOf estimates it from past shifts.
func UsualOf(past []float64) Usual {
	n := float64(len(past))
	if n == 0 {
		return Usual{}
	}
	mean := 0.0
	for _, x := range past {
		mean += x * x / n
	}
	u := Usual{Size: math.Sqrt(mean), DF: n}
	if n < 2 {
		return u
	}
	variance := 0.0
	for _, x := range past {
		variance += (x*x - mean) * (x*x - mean) / (n - 1)
	}
	if variance > 0 {
		u.DF = min(n, max(1, 2*mean*mean/(variance/n)))
	}
	return u
}

// P is the probability of a shift of that size or more where nothing happened: two-sided Student's t.
func (u Usual) P(shift float64) float64 {
	switch {
	case shift <= 0 || u.DF == 0:
		return 1
	case u.Size == 0:
		return 0
	}
	return 2 * distuv.StudentsT{Sigma: 1, Nu: u.DF}.Survival(shift/u.Size)
}

// Bar is the shift that is exceeded with probability alpha where nothing happened.
func (u Usual) Bar(alpha float64) float64 {
	if u.DF == 0 {
		return math.Inf(1)
	}
	return u.Size * distuv.StudentsT{Sigma: 1, Nu: u.DF}.Quantile(1-alpha/2)
}
