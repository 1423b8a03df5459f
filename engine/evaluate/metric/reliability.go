package metric

import (
	"cmp"
	"math"
	"slices"
)

// Bin is the rows whose probabilities lie together.
type Bin struct {
	Lo, Hi   float64 // range of the bin, for bins by rank of the probabilities in it
	N        int     // rows with weight
	Weight   float64
	Mean     float64 // mean probability
	Observed float64 // weighted share of positive rows
	BandLo   float64 // Wilson's 95 % band of Observed
	BandHi   float64
}

// Gap is how far the mean probability is from what was observed.
func (b Bin) Gap() float64 { return math.Abs(b.Mean - b.Observed) }

// Reliability compares probabilities with what came true, bin by bin. Bins without rows are left out.
type Reliability struct {
	Bins   []Bin
	Weight float64
	ECE    float64 // mean over rows of their bin's gap (Naeini et al. 2015)
	MCE    float64 // greatest gap
	ACE    float64 // plain mean of the gaps: the adaptive error where bins are by rank (Nixon et al. 2019)
	Brier  BrierParts
	Why    string // why the numbers are NaN, if they are
}

// BrierParts are what the Brier score of binary probabilities is made of (Murphy 1973; Stephenson et al. 2008):
// Score = Reliability - Resolution + Uncertainty + Within. Within is what the bins' width hides; it is 0 where every
// bin holds a single value.
type BrierParts struct {
	Score, Reliability, Resolution, Uncertainty, Within float64
}

// EqualWidth compares in bins of equal width on [0, 1]; a probability p is in bin floor(p·bins), 1 in the last.
func EqualWidth(y, p, w []float64, bins int) *Reliability {
	same(len(y), len(p), w)
	return reliability(y, p, w, bins, func(i int) int {
		return int(min(max(math.Floor(p[i]*float64(bins)), 0), float64(bins-1)))
	}, func(b int) (float64, float64) { return float64(b) / float64(bins), float64(b+1) / float64(bins) })
}

// EqualMass compares in bins of about as many rows each, by rank. Rows of equal probability are never parted, so that
// the result does not depend on their order: all of them go to the bin that holds their middle.
func EqualMass(y, p, w []float64, bins int) *Reliability {
	same(len(y), len(p), w)
	order := make([]int32, len(p))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(p[a], p[b]) })
	all := weightSum(len(p), w)
	at := make([]int, len(p))
	var below Sum
	for lo := 0; lo < len(order); {
		hi := lo
		var own Sum
		for hi < len(order) && (hi == lo || p[order[hi]] == p[order[lo]]) {
			own.Add(weight(w, int(order[hi])))
			hi++
		}
		b := 0
		if all > 0 {
			b = min(int((below.Value()+own.Value()/2)/all*float64(bins)), bins-1)
		}
		for _, i := range order[lo:hi] {
			at[i] = b
			below.Add(weight(w, int(i)))
		}
		lo = hi
	}
	return reliability(y, p, w, bins, func(i int) int { return at[i] }, nil)
}

func reliability(y, p, w []float64, bins int, bin func(i int) int, edges func(b int) (float64, float64)) *Reliability {
	nan := math.NaN()
	r := &Reliability{Bins: []Bin{}, ECE: nan, MCE: nan, ACE: nan, Brier: BrierParts{nan, nan, nan, nan, nan}}
	if len(p) == 0 || bins < 1 {
		r.Why = noRows
		return r
	}
	if slices.ContainsFunc(p, math.IsNaN) {
		r.Why = "a probability is not a number"
		return r
	}
	type cell struct {
		p, y, w, square Sum
		n               int
		lo, hi          float64
	}
	cells := map[int]*cell{}
	var all, hits, squared Sum
	for i := range p {
		u := weight(w, i)
		if u == 0 {
			continue
		}
		b := bin(i)
		c := cells[b]
		if c == nil {
			c = &cell{lo: p[i], hi: p[i]}
			cells[b] = c
		}
		v := indicator(y[i] == 1)
		c.n++
		c.p.Add(u * p[i])
		c.y.Add(u * v)
		c.w.Add(u)
		c.square.Add(u * u)
		c.lo, c.hi = min(c.lo, p[i]), max(c.hi, p[i])
		all.Add(u)
		hits.Add(u * v)
		squared.Add(u * square(p[i]-v))
	}
	if r.Weight = all.Value(); r.Weight == 0 {
		r.Why = noWeight
		return r
	}
	base := hits.Value() / r.Weight
	used := make([]int, 0, len(cells))
	for b := range cells {
		used = append(used, b)
	}
	slices.Sort(used)
	var ece, ace, rel, res Sum
	r.MCE = 0
	for _, b := range used {
		c := cells[b]
		u := c.w.Value()
		bin := Bin{Lo: c.lo, Hi: c.hi, N: c.n, Weight: u, Mean: c.p.Value() / u, Observed: c.y.Value() / u}
		if edges != nil {
			bin.Lo, bin.Hi = edges(b)
		}
		effective := u * u / c.square.Value() // Kish's effective number of rows
		bin.BandLo, bin.BandHi = Wilson(bin.Observed*effective, effective, 0.95)
		r.Bins = append(r.Bins, bin)
		ece.Add(u * bin.Gap())
		ace.Add(bin.Gap())
		rel.Add(u * square(bin.Mean-bin.Observed))
		res.Add(u * square(bin.Observed-base))
		r.MCE = max(r.MCE, bin.Gap())
	}
	r.ECE = ece.Value() / r.Weight
	r.ACE = ace.Value() / float64(len(r.Bins))
	q := &r.Brier
	q.Score, q.Reliability, q.Resolution = squared.Value()/r.Weight, rel.Value()/r.Weight, res.Value()/r.Weight
	q.Uncertainty = base * (1 - base)
	q.Within = q.Score - (q.Reliability - q.Resolution + q.Uncertainty)
	return r
}

// Confidence turns probabilities of k classes into those of being right: the greatest of each row and, as label,
// whether the first class that has it is the row's.
func Confidence(y []int, p []float64, k int) (right, confidence []float64) {
	same(len(y)*k, len(p), nil)
	right, confidence = make([]float64, len(y)), make([]float64, len(y))
	for i, j := range Likeliest(p, k) {
		right[i], confidence[i] = indicator(j == y[i]), p[i*k+j]
	}
	return right, confidence
}

// Wilson is the score interval of a share at the level, successes of n (Wilson, JASA 22, 1927). Without trials it is
// [0, 1].
func Wilson(successes, n, level float64) (lo, hi float64) {
	if n == 0 {
		return 0, 1
	}
	z := math.Sqrt2 * math.Erfinv(level)
	p := successes / n
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	return max(middle-half, 0), min(middle+half, 1)
}
