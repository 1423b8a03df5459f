package metric

import (
	"math"
)

// Counts is what a table of decisions has in each class, weighted: rows decided right, rows decided to be of the class
// and rows that are of the class.
type Counts struct {
	Right, Decided, Actual []float64
}

// Count counts the decisions p about rows of classes y, both from 0 to k-1.
func Count(y, p []int, k int, w []float64) *Counts {
	same(len(y), len(p), w)
	right, decided, actual := make([]Sum, k), make([]Sum, k), make([]Sum, k)
	for i := range y {
		v := weight(w, i)
		actual[y[i]].Add(v)
		decided[p[i]].Add(v)
		if y[i] == p[i] {
			right[y[i]].Add(v)
		}
	}
	values := func(sums []Sum) []float64 {
		out := make([]float64, k)
		for j := range sums {
			out[j] = sums[j].Value()
		}
		return out
	}
	return &Counts{Right: values(right), Decided: values(decided), Actual: values(actual)}
}

// Present is the classes that occur, as label or as decision.
func (c *Counts) Present() []int {
	out := []int{}
	for j := range c.Actual {
		if c.Actual[j] > 0 || c.Decided[j] > 0 {
			out = append(out, j)
		}
	}
	return out
}

// Average says how a measure of one class becomes a measure of several.
type Average string

// The averages. Micro pools the rows of all classes before dividing; Macro is the plain mean over classes; Weighted is
// the mean weighted by the rows that are of the class. One class alone is Micro over that class.
const (
	Micro    Average = "micro"
	Macro    Average = "macro"
	Weighted Average = "weighted"
)

// Averaging is how to average: over which classes (nil: all), and what 0/0 of a class is: 0, 1, or NaN, which leaves
// the class out of the mean.
type Averaging struct {
	By      Average
	Classes []int
	Zero    float64
}

// Precision is the share of decisions for a class that were right.
func (c *Counts) Precision(a Averaging) Score {
	return c.average(a, "no row was decided to be of the class", func(right, decided, actual float64) (float64, float64) { return right, decided })
}

// Recall is the share of a class's rows that were decided right.
func (c *Counts) Recall(a Averaging) Score {
	return c.average(a, "no row is of the class", func(right, decided, actual float64) (float64, float64) { return right, actual })
}

// F is the weighted harmonic mean of precision and recall, recall counting beta times as much (van Rijsbergen 1979):
// (1+b²)·right / (b²·actual + decided), so that it is 0/0 only where the class occurs neither as label nor as decision.
func (c *Counts) F(beta float64, a Averaging) Score {
	switch {
	case beta == 0:
		return c.Precision(a)
	case math.IsInf(beta, 1):
		return c.Recall(a)
	}
	b := beta * beta
	return c.average(a, "the class occurs neither as label nor as decision", func(right, decided, actual float64) (float64, float64) {
		return (1 + b) * right, float64(b*actual) + decided
	})
}

// Jaccard is the rows that are of a class and decided so, over the rows that are either.
func (c *Counts) Jaccard(a Averaging) Score {
	return c.average(a, "the class occurs neither as label nor as decision", func(right, decided, actual float64) (float64, float64) {
		return right, actual + decided - right
	})
}

// average divides each class's parts, or those of all together, and takes the mean.
func (c *Counts) average(a Averaging, why string, parts func(right, decided, actual float64) (over, under float64)) Score {
	classes := a.Classes
	if classes == nil {
		classes = make([]int, len(c.Actual))
		for j := range classes {
			classes[j] = j
		}
	}
	if a.By == Micro {
		var right, decided, actual Sum
		for _, j := range classes {
			right.Add(c.Right[j])
			decided.Add(c.Decided[j])
			actual.Add(c.Actual[j])
		}
		over, under := parts(right.Value(), decided.Value(), actual.Value())
		if under == 0 && math.IsNaN(a.Zero) {
			return undefined("%s", why)
		}
		return scored(ratio(over, under, a.Zero))
	}
	var sum, plain, weights Sum
	n := 0.0
	for _, j := range classes {
		over, under := parts(c.Right[j], c.Decided[j], c.Actual[j])
		v := ratio(over, under, a.Zero)
		if math.IsNaN(v) && under == 0 {
			continue
		}
		n++
		plain.Add(v)
		sum.Add(float64(v * c.Actual[j]))
		weights.Add(c.Actual[j])
	}
	switch {
	case n == 0:
		return undefined("%s", why)
	case a.By == Weighted && weights.Value() > 0:
		return scored(sum.Value() / weights.Value())
	}
	return scored(plain.Value() / n)
}

// Accuracy is the share of rows decided right.
func (c *Counts) Accuracy() Score {
	var right, all Sum
	for j := range c.Actual {
		right.Add(c.Right[j])
		all.Add(c.Actual[j])
	}
	if len(c.Actual) == 0 {
		return undefined(noRows)
	}
	if all.Value() == 0 {
		return undefined(noWeight)
	}
	return scored(right.Value() / all.Value())
}

// BalancedAccuracy is the mean recall over the classes that have rows. adjusted moves it so that guessing gives 0 and
// perfect decisions 1; with a single class that is 0/0.
func (c *Counts) BalancedAccuracy(adjusted bool) Score {
	var sum Sum
	n := 0.0
	for j, actual := range c.Actual {
		if actual > 0 {
			sum.Add(c.Right[j] / actual)
			n++
		}
	}
	switch {
	case n == 0 && len(c.Actual) == 0:
		return undefined(noRows)
	case n == 0:
		return undefined(noWeight)
	}
	v := sum.Value() / n
	if !adjusted {
		return scored(v)
	}
	if n == 1 {
		if v == 1 {
			return undefined(oneClass)
		}
		return Score{Value: math.Inf(-1)}
	}
	return scored((v - 1/n) / (1 - 1/n))
}

// Matthews is the correlation of labels and decisions for any number of classes (Gorodkin 2004): 0 where all labels or
// all decisions are of one class.
func (c *Counts) Matthews() Score {
	var right, n Sum
	for j := range c.Actual {
		right.Add(c.Right[j])
		n.Add(c.Decided[j])
	}
	if len(c.Actual) == 0 {
		return undefined(noRows)
	}
	all := n.Value()
	var both, decided, actual Sum
	for j := range c.Actual {
		both.Add(float64(c.Actual[j] * c.Decided[j]))
		decided.Add(float64(c.Decided[j] * c.Decided[j]))
		actual.Add(float64(c.Actual[j] * c.Actual[j]))
	}
	if lone(c.Decided) || lone(c.Actual) {
		return Score{}
	}
	covariance := float64(right.Value()*all) - both.Value()
	spread := (float64(all*all) - decided.Value()) * (float64(all*all) - actual.Value())
	if spread == 0 {
		return Score{}
	}
	return scored(covariance / math.Sqrt(spread))
}

// lone reports whether at most one number is not 0.
func lone(v []float64) bool {
	n := 0
	for _, x := range v {
		if x != 0 {
			n++
		}
	}
	return n <= 1
}

// Table is the weighted rows by class (first index) and decision (second).
func Table(y, p []int, k int, w []float64) [][]float64 {
	same(len(y), len(p), w)
	sums := make([]Sum, k*k)
	for i := range y {
		sums[y[i]*k+p[i]].Add(weight(w, i))
	}
	out := make([][]float64, k)
	for j := range out {
		out[j] = make([]float64, k)
		for l := range out[j] {
			out[j][l] = sums[j*k+l].Value()
		}
	}
	return out
}

// Norm says what the cells of a table are divided by.
type Norm string

// The norms: nothing, the rows of the class, the rows of the decision, all rows. 0/0 is 0.
const (
	NormNone    Norm = "none"
	NormTrue    Norm = "true"
	NormDecided Norm = "pred"
	NormAll     Norm = "all"
)

// Normalize divides the cells of a table in place and returns it.
func Normalize(t [][]float64, by Norm) [][]float64 {
	k := len(t)
	rows, columns := make([]Sum, k), make([]Sum, k)
	var all Sum
	for i := range t {
		for j, v := range t[i] {
			rows[i].Add(v)
			columns[j].Add(v)
			all.Add(v)
		}
	}
	for i := range t {
		for j := range t[i] {
			switch by {
			case NormTrue:
				t[i][j] = ratio(t[i][j], rows[i].Value(), 0)
			case NormDecided:
				t[i][j] = ratio(t[i][j], columns[j].Value(), 0)
			case NormAll:
				t[i][j] = ratio(t[i][j], all.Value(), 0)
			}
		}
	}
	return t
}

// Disagreement is how much it counts to decide for class j where class i is right.
type Disagreement string

// The disagreements: all alike, by distance |i-j|, by its square.
const (
	AllAlike  Disagreement = "none"
	Linear    Disagreement = "linear"
	Quadratic Disagreement = "quadratic"
)

// Kappa is Cohen's chance-corrected agreement (1960, 1968): one minus the observed over the expected disagreement.
// It is not defined where no disagreement is expected.
func Kappa(t [][]float64, by Disagreement) Score {
	k := len(t)
	rows, columns := make([]Sum, k), make([]Sum, k)
	var all Sum
	for i := range t {
		for j, v := range t[i] {
			rows[i].Add(v)
			columns[j].Add(v)
			all.Add(v)
		}
	}
	if k == 0 || all.Value() == 0 {
		return undefined(noRows)
	}
	var observed, expected Sum
	for i := range t {
		for j, v := range t[i] {
			d := math.Abs(float64(i - j))
			switch {
			case by == Quadratic:
				d *= d
			case by != Linear && d != 0:
				d = 1
			}
			observed.Add(float64(d * v))
			expected.Add(d * (rows[i].Value() * columns[j].Value() / all.Value()))
		}
	}
	if expected.Value() == 0 {
		return undefined("labels and decisions are all of one class: no disagreement is expected")
	}
	return scored(1 - observed.Value()/expected.Value())
}
