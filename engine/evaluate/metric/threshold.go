package metric

import "math"

// Outcomes is the weighted rows of a binary decision by what they are and what was decided.
type Outcomes struct {
	TP, FP, FN, TN float64
}

// At is the outcomes of deciding rows positive from threshold i of the sweep on; -1 decides none.
func (s *Sweep) At(i int) Outcomes {
	if i < 0 {
		return Outcomes{FN: s.Positive, TN: s.Negative}
	}
	return Outcomes{TP: s.TP[i], FP: s.FP[i], FN: s.Positive - s.TP[i], TN: s.Negative - s.FP[i]}
}

// Decide is the outcomes of deciding rows positive whose score is at least the threshold.
func Decide(y, score, w []float64, threshold float64) Outcomes {
	same(len(y), len(score), w)
	var tp, fp, fn, tn Sum
	for i := range y {
		u := weight(w, i)
		switch positive := score[i] >= threshold; {
		case y[i] == 1 && positive:
			tp.Add(u)
		case y[i] == 1:
			fn.Add(u)
		case positive:
			fp.Add(u)
		default:
			tn.Add(u)
		}
	}
	return Outcomes{tp.Value(), fp.Value(), fn.Value(), tn.Value()}
}

// counts is the outcomes as the table of two classes, the negative one first.
func (o Outcomes) counts() *Counts {
	return &Counts{Right: []float64{o.TN, o.TP}, Decided: []float64{o.TN + o.FN, o.TP + o.FP}, Actual: []float64{o.TN + o.FP, o.TP + o.FN}}
}

// positive averages over the positive class alone, with 0 for 0/0.
var positive = Averaging{By: Micro, Classes: []int{1}}

// Objectives are the measures of outcomes that a threshold can be tuned for; all are better when greater.
var Objectives = []string{"accuracy", "balanced_accuracy", "f1", "f2", "f0.5", "precision", "recall", "specificity", "jaccard", "mcc", "kappa", "youden", "gmean"}

// Measure is the named objective; NaN for an unknown name. youden is recall + specificity - 1, gmean the geometric mean
// of recall and specificity.
func (o Outcomes) Measure(name string) float64 {
	c := o.counts()
	recall, specificity := ratio(o.TP, o.TP+o.FN, 0), ratio(o.TN, o.TN+o.FP, 0)
	switch name {
	case "accuracy":
		return c.Accuracy().Value
	case "balanced_accuracy":
		return c.BalancedAccuracy(false).Value
	case "f1":
		return c.F(1, positive).Value
	case "f2":
		return c.F(2, positive).Value
	case "f0.5":
		return c.F(0.5, positive).Value
	case "precision":
		return c.Precision(positive).Value
	case "recall":
		return recall
	case "specificity":
		return specificity
	case "jaccard":
		return c.Jaccard(positive).Value
	case "mcc":
		return c.Matthews().Value
	case "kappa":
		return Kappa([][]float64{{o.TN, o.FP}, {o.FN, o.TP}}, AllAlike).Value
	case "youden":
		return recall + specificity - 1
	case "gmean":
		return math.Sqrt(recall * specificity)
	}
	return math.NaN()
}

// Costs is what a row of each outcome costs; a gain is a negative cost.
type Costs struct {
	TP, FP, FN, TN float64
}

// Total is the cost of the outcomes together.
func (c Costs) Total(o Outcomes) float64 {
	var t Sum
	t.Add(c.TP * o.TP)
	t.Add(c.FP * o.FP)
	t.Add(c.FN * o.FN)
	t.Add(c.TN * o.TN)
	return t.Value()
}

// CostOf is the cost of a table of decisions: the sum of its cells times those of costs, which has its shape.
func CostOf(table, costs [][]float64) float64 {
	var t Sum
	for i := range table {
		for j, v := range table[i] {
			if v != 0 {
				t.Add(v * costs[i][j])
			}
		}
	}
	return t.Value()
}

// Cheapest is, for each row of k probabilities, the decision of least expected cost, costs[i][j] being that of deciding
// j about a row of class i; of equals the first.
func Cheapest(p []float64, k int, costs [][]float64) []int {
	out := make([]int, len(p)/k)
	for row := range out {
		least := math.Inf(1)
		for j := range k {
			var t Sum
			for i, v := range p[row*k : (row+1)*k] {
				t.Add(v * costs[i][j])
			}
			if v := t.Value(); v < least {
				least, out[row] = v, j
			}
		}
	}
	return out
}

// Tuned is the best threshold on given rows: rows of at least that score are decided positive. The threshold is one of
// the scores, or +Inf, which decides none.
type Tuned struct {
	Threshold float64
	Value     float64 // of the objective, or the cost
	Outcomes  Outcomes
	Why       string
}

// Maximise finds the threshold where value is greatest; of equals the highest. NaN values do not take part.
func (s *Sweep) Maximise(value func(o Outcomes) float64) Tuned {
	if len(s.Threshold) == 0 {
		return Tuned{Threshold: math.NaN(), Value: math.NaN(), Why: s.lacking()}
	}
	best := Tuned{Threshold: math.NaN(), Value: math.NaN(), Why: "the objective is defined at no threshold"}
	for i := -1; i < len(s.Threshold); i++ {
		o := s.At(i)
		v := value(o)
		if math.IsNaN(v) || v <= best.Value {
			continue
		}
		best = Tuned{Threshold: math.Inf(1), Value: v, Outcomes: o}
		if i >= 0 {
			best.Threshold = s.Threshold[i]
		}
	}
	return best
}

// Minimise finds the threshold of least cost; of equals the highest.
func (s *Sweep) Minimise(c Costs) Tuned {
	t := s.Maximise(func(o Outcomes) float64 { return -c.Total(o) })
	t.Value = -t.Value + 0
	return t
}

// GainBin is a bin of rows by falling score, and what all rows down to it catch.
type GainBin struct {
	Hi, Lo         float64 // scores
	Weight         float64
	Positive       float64
	Rate           float64 // share of positive rows in the bin
	Lift           float64 // Rate over that of all rows
	Share          float64 // of all rows that are in this bin or above
	Gain           float64 // share of all positive rows that are in this bin or above
	CumulativeLift float64 // Gain over Share
}

// Gains cuts the rows by falling score into bins of about equal weight. Rows of equal score are never parted: they go to
// the bin that holds their middle, so that there may be fewer bins. It is nil where no row is positive.
func (s *Sweep) Gains(bins int) []GainBin {
	if len(s.Threshold) == 0 || s.Positive == 0 || bins < 1 {
		return nil
	}
	all := s.Positive + s.Negative
	var out []GainBin
	last := -1
	var tp, fp float64
	for i, score := range s.Threshold {
		below, upTo := tp+fp, s.TP[i]+s.FP[i]
		b := min(int((below+(upTo-below)/2)/all*float64(bins)), bins-1)
		if b != last {
			out = append(out, GainBin{Hi: score})
			last = b
		}
		g := &out[len(out)-1]
		g.Lo = score
		g.Weight += upTo - below
		g.Positive += s.TP[i] - tp
		g.Share, g.Gain = upTo/all, s.TP[i]/s.Positive
		tp, fp = s.TP[i], s.FP[i]
	}
	base := s.Positive / all
	for i := range out {
		g := &out[i]
		g.Rate = ratio(g.Positive, g.Weight, 0)
		g.Lift, g.CumulativeLift = g.Rate/base, g.Gain/g.Share
	}
	return out
}

// GainCurve is the share of rows taken by falling score against the share of positives among them, from (0, 0) to
// (1, 1), and the lift at each point but the first, where it is that of the second.
func (s *Sweep) GainCurve() (share, gain, lift []float64) {
	if len(s.Threshold) == 0 || s.Positive == 0 {
		return nil, nil, nil
	}
	all := s.Positive + s.Negative
	share, gain, lift = append(share, 0), append(gain, 0), append(lift, 0)
	for i := range s.Threshold {
		x, y := (s.TP[i]+s.FP[i])/all, s.TP[i]/s.Positive
		share, gain, lift = append(share, x), append(gain, y), append(lift, y/x)
	}
	lift[0] = lift[1]
	return share, gain, lift
}
