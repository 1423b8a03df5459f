package profile

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/stat/distuv"
)

// Floor is the effect of slow drift below which a shift is not worth telling: the PSI that practice calls small.
const Floor = 0.1

// Stat is how far the current rows of a column are from the reference.
type Stat struct {
	PSI   float64 `json:"psi"`         // population stability index on the coarse groups, half a row added to each
	JS    float64 `json:"js"`          // Jensen-Shannon distance, base 2, on the coarse groups: 0 to 1
	KS    float64 `json:"ks"`          // greatest distance of the distribution functions; numbers only
	W1    float64 `json:"w1"`          // Wasserstein distance in standard deviations of the reference; numbers only
	Chi2  float64 `json:"chi2"`        // two-sample statistic on the coarse groups at the effective numbers of rows
	DF    int     `json:"df"`          // its degrees of freedom
	P     float64 `json:"p"`           // its p-value
	Cells int     `json:"cells"`       // coarse groups that hold any row
	Bar   float64 `json:"bar"`         // NullBar at Floor and 5 %
	N     int64   `json:"n"`           // current rows
	NEff  float64 `json:"n_eff"`       // independent current values
	NRef  float64 `json:"n_reference"` // independent reference values
}

// Drift compares current counts of a column with its reference. nEffRef and nEffCur are the independent values behind each side:
// rows that share a value by construction count once. Non-positive numbers stand for all rows.
func Drift(c *RefColumn, cur *Counts, nEffRef, nEffCur float64) Stat {
	r, k := c.Coarse(c.Counts), c.Coarse(cur)
	s := Stat{N: cur.Total(), NEff: nEffCur, NRef: nEffRef, P: 1}
	rows := float64(c.Counts.Total())
	if s.NRef <= 0 || s.NRef > rows {
		s.NRef = rows
	}
	if s.NEff <= 0 || s.NEff > float64(s.N) {
		s.NEff = float64(s.N)
	}
	if rows == 0 || s.N == 0 {
		return s
	}
	for i := range r {
		r[i] *= s.NRef / rows
		k[i] *= s.NEff / float64(s.N)
		if r[i]+k[i] > 0 {
			s.Cells++
		}
	}
	s.PSI = PSI(r, k, 0.5)
	s.JS = JensenShannon(r, k)
	s.Chi2, s.DF, s.P = ChiSquare(r, k)
	s.Bar = NullBar(Floor, 0.05, s.NRef, s.NEff, s.Cells)
	if c.Numeric() {
		s.KS, s.W1 = c.distances(c.Counts, cur)
		if _, sd := c.Moments(c.Counts); sd > 0 {
			s.W1 /= sd
		}
	}
	return s
}

// NullBar is the PSI that a shift must reach: the floor, or the 1-alpha quantile of PSI between two samples of n and m independent
// values of one distribution on that many cells, whichever is greater. PSI is then (1/n+1/m) times chi-square with cells-1 degrees of
// freedom (Yurdakul and Naranjo 2020, "Statistical properties of the population stability index").
func NullBar(floor, alpha, n, m float64, cells int) float64 {
	if cells < 2 || n <= 0 || m <= 0 {
		return floor
	}
	chi := distuv.ChiSquared{K: float64(cells - 1)}
	return math.Max(floor, (1/n+1/m)*chi.Quantile(1-alpha))
}

// PSI is the sum of (p-q)·ln(p/q) over cells with any count, p and q being shares after adding `add` to every such cell of both sides.
// With add = 0 a cell that is empty on one side makes it infinite.
func PSI(ref, cur []float64, add float64) float64 {
	var n, m float64
	for i := range ref {
		if ref[i]+cur[i] > 0 {
			n += ref[i] + add
			m += cur[i] + add
		}
	}
	if n == 0 || m == 0 {
		return 0
	}
	s := 0.0
	for i := range ref {
		if ref[i]+cur[i] > 0 {
			p, q := (ref[i]+add)/n, (cur[i]+add)/m
			s += (p - q) * math.Log(p/q)
		}
	}
	return s
}

// JensenShannon is the distance (the square root of the divergence) in base 2: 0 for equal shares, 1 for disjoint ones.
func JensenShannon(ref, cur []float64) float64 {
	n, m := sum(ref), sum(cur)
	if n == 0 || m == 0 {
		return 0
	}
	part := func(p, mid float64) float64 {
		if p == 0 {
			return 0
		}
		return p * math.Log2(p/mid)
	}
	s := 0.0
	for i := range ref {
		p, q := ref[i]/n, cur[i]/m
		s += part(p, (p+q)/2) + part(q, (p+q)/2)
	}
	return math.Sqrt(math.Max(0, s/2))
}

// KolmogorovSmirnov is the greatest distance of the cumulative shares of ordered cells.
func KolmogorovSmirnov(ref, cur []float64) float64 {
	n, m := sum(ref), sum(cur)
	if n == 0 || m == 0 {
		return 0
	}
	d, a, b := 0.0, 0.0, 0.0
	for i := range ref {
		a += ref[i] / n
		b += cur[i] / m
		d = math.Max(d, math.Abs(a-b))
	}
	return d
}

// ChiSquare is Pearson's test that two rows of counts come from one distribution (a 2 x B contingency table): the statistic, the
// degrees of freedom and the p-value. Cells whose expected count is below 5 on either side are pooled (Cochran 1954); cells empty on
// both sides do not count. With fewer than two cells left there is nothing to test, and p is 1.
func ChiSquare(ref, cur []float64) (stat float64, df int, p float64) {
	n, m := sum(ref), sum(cur)
	if n == 0 || m == 0 {
		return 0, 0, 1
	}
	least := math.Min(n, m) / (n + m)
	type pair struct{ a, b float64 }
	var kept []pair
	var small pair
	for i := range ref {
		switch t := ref[i] + cur[i]; {
		case t == 0:
		case t*least < 5:
			small.a += ref[i]
			small.b += cur[i]
		default:
			kept = append(kept, pair{ref[i], cur[i]})
		}
	}
	if t := small.a + small.b; t > 0 {
		if t*least < 5 && len(kept) > 0 {
			at := 0
			for i, k := range kept {
				if k.a+k.b < kept[at].a+kept[at].b {
					at = i
				}
			}
			kept[at].a += small.a
			kept[at].b += small.b
		} else {
			kept = append(kept, small)
		}
	}
	if len(kept) < 2 {
		return 0, 0, 1
	}
	for _, k := range kept {
		t := k.a + k.b
		ea, eb := t*n/(n+m), t*m/(n+m)
		stat += (k.a-ea)*(k.a-ea)/ea + (k.b-eb)*(k.b-eb)/eb
	}
	df = len(kept) - 1
	return stat, df, distuv.ChiSquared{K: float64(df)}.Survival(stat)
}

// BenjaminiHochberg is the p-values adjusted so that rejecting those at or below q keeps the expected share of false rejections at q
// (Benjamini and Hochberg 1995), in the order given.
func BenjaminiHochberg(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return p[order[i]] < p[order[j]] })
	out := make([]float64, len(p))
	least := 1.0
	for rank := len(p); rank > 0; rank-- {
		i := order[rank-1]
		least = math.Min(least, p[i]*float64(len(p))/float64(rank))
		out[i] = least
	}
	return out
}

// TwoProportion is the two-sided p-value that a of n and b of m come from one rate (pooled z test).
func TwoProportion(a, n, b, m float64) (z, p float64) {
	if n <= 0 || m <= 0 {
		return 0, 1
	}
	rate := (a + b) / (n + m)
	sd := math.Sqrt(rate * (1 - rate) * (1/n + 1/m))
	if sd == 0 {
		return 0, 1
	}
	z = (b/m - a/n) / sd
	return z, 2 * distuv.UnitNormal.Survival(math.Abs(z))
}

// distances is KS on the fine cells and W1 in the unit of the column, with the mass of a cell spread evenly over it.
func (c *RefColumn) distances(base, cur *Counts) (ks, w1 float64) {
	order := c.ordered()
	var n, m float64
	for _, cell := range order {
		n += float64(base.Cells[cell])
		m += float64(cur.Cells[cell])
	}
	if n == 0 || m == 0 {
		return 0, 0
	}
	lo, hi := math.Min(base.Least, cur.Least), math.Max(base.Greatest, cur.Greatest)
	gap, at := 0.0, lo
	for _, cell := range order {
		change := float64(base.Cells[cell])/n - float64(cur.Cells[cell])/m
		from, to := c.span(int(cell), lo, hi)
		from, to = math.Max(math.Max(from, lo), at), math.Max(math.Min(to, hi), at)
		w1 += math.Abs(gap) * (from - at)
		if next := gap + change; gap*next >= 0 {
			w1 += (to - from) * (math.Abs(gap) + math.Abs(next)) / 2
		} else {
			w1 += (to - from) * (gap*gap + next*next) / (2 * (math.Abs(gap) + math.Abs(next)))
		}
		gap += change
		at = to
		ks = math.Max(ks, math.Abs(gap))
	}
	return ks, w1
}

func sum(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s
}
