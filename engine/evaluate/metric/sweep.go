package metric

import (
	"math"
	"slices"
)

// Sweep is what deciding by a falling threshold catches. Rows of equal score are decided together: with Threshold[i],
// rows of at least that score are positive, of which TP[i] rightly and FP[i] wrongly. Positive and Negative are the
// weights of the two classes. Rows of weight 0 have no part in it.
type Sweep struct {
	Threshold, TP, FP  []float64
	Positive, Negative float64
}

// NewSweep sorts the rows; labels are positive where they are 1. A NaN score gives an empty sweep, which defines nothing.
// The weights are added one by one in the order of scikit-learn, so that curves drop the same points.
func NewSweep(y, score, w []float64) *Sweep {
	same(len(y), len(score), w)
	// The order of equal scores is that of the rows, so that weights are added in one order only.
	type entry struct {
		score float64
		row   int
	}
	order := make([]entry, 0, len(y))
	for i, v := range score {
		if math.IsNaN(v) {
			return &Sweep{}
		}
		if weight(w, i) != 0 {
			order = append(order, entry{v, i})
		}
	}
	slices.SortFunc(order, func(a, b entry) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return a.row - b.row
	})
	s := &Sweep{}
	for at, e := range order {
		if y[e.row] == 1 {
			s.Positive += weight(w, e.row)
		} else {
			s.Negative += weight(w, e.row)
		}
		if at+1 == len(order) || order[at+1].score != e.score {
			s.Threshold = append(s.Threshold, e.score)
			s.TP = append(s.TP, s.Positive)
			s.FP = append(s.FP, s.Negative)
		}
	}
	return s
}

// lacking says why rates are not defined, or is empty.
func (s *Sweep) lacking() string {
	switch {
	case len(s.Threshold) == 0:
		return "there are no rows, or a score is not a number"
	case s.Positive == 0:
		return "no row is positive"
	case s.Negative == 0:
		return "no row is negative"
	}
	return ""
}

// AUC is the area under the ROC curve: the probability that a positive outranks a negative, ties counting one half.
func (s *Sweep) AUC() Score {
	if why := s.lacking(); why != "" {
		return undefined("%s", why)
	}
	var area Sum
	var tp, fp float64
	for i := range s.Threshold {
		area.Add((s.FP[i] - fp) * (s.TP[i] + tp))
		tp, fp = s.TP[i], s.FP[i]
	}
	return scored(area.Value() / (2 * s.Positive * s.Negative))
}

// PartialAUC is the area up to a false positive rate of most, which is above 0 and at most 1, standardised so that
// chance gives one half and a perfect order 1 (McClish 1989).
func (s *Sweep) PartialAUC(most float64) Score {
	if !(most > 0 && most <= 1) {
		return undefined("the greatest false positive rate must be above 0 and at most 1")
	}
	if why := s.lacking(); why != "" || most == 1 {
		return s.AUC()
	}
	var area Sum
	var x, y float64
	for i := range s.Threshold {
		nx, ny := s.FP[i]/s.Negative, s.TP[i]/s.Positive
		if nx > most {
			end := y + (ny-y)*((most-x)/(nx-x))
			area.Add((most - x) * (y + end) / 2)
			break
		}
		area.Add((nx - x) * (y + ny) / 2)
		x, y = nx, ny
	}
	least := most * most / 2
	return scored((1 + (area.Value()-least)/(most-least)) / 2)
}

// ROC is the points of the receiver operating characteristic by falling threshold, from (0, 0), whose threshold is
// infinite, to (1, 1). With drop, points between two others on one straight line are left out. A rate whose class is
// missing is NaN.
func (s *Sweep) ROC(drop bool) (fpr, tpr, threshold []float64) {
	n := len(s.Threshold)
	fpr, tpr, threshold = append(fpr, 0), append(tpr, 0), append(threshold, math.Inf(1))
	for i := range n {
		if drop && i > 0 && i+1 < n && bend(s.FP, i) == 0 && bend(s.TP, i) == 0 {
			continue
		}
		fpr, tpr, threshold = append(fpr, s.FP[i]), append(tpr, s.TP[i]), append(threshold, s.Threshold[i])
	}
	for i := range fpr {
		fpr[i], tpr[i] = rate(fpr[i], s.Negative), rate(tpr[i], s.Positive)
	}
	return fpr, tpr, threshold
}

// bend is the second difference of v around i.
func bend(v []float64, i int) float64 { return (v[i+1] - v[i]) - (v[i] - v[i-1]) }

func rate(v, of float64) float64 { return ratio(v, of, math.NaN()) }

// PR is precision and recall by rising threshold, one point for each, and after them the end point of precision 1 and
// recall 0, which has none. With drop, of points with equal recall only the outermost two are kept. Without a positive
// row recall is 1, as in scikit-learn.
func (s *Sweep) PR(drop bool) (precision, recall, threshold []float64) {
	n := len(s.Threshold)
	for i := n - 1; i >= 0; i-- {
		if drop && i > 0 && i+1 < n && s.TP[i] == s.TP[i-1] && s.TP[i] == s.TP[i+1] {
			continue
		}
		precision = append(precision, ratio(s.TP[i], s.TP[i]+s.FP[i], 0))
		recall = append(recall, ratio(s.TP[i], s.Positive, 1))
		threshold = append(threshold, s.Threshold[i])
	}
	return append(precision, 1), append(recall, 0), threshold
}

// AveragePrecision is the sum of precision times the growth of recall, without interpolation. Without a positive row it
// is 0, as in scikit-learn.
func (s *Sweep) AveragePrecision() Score {
	if len(s.Threshold) == 0 {
		return undefined("%s", s.lacking())
	}
	if s.Positive == 0 {
		return Score{Why: "no row is positive"}
	}
	var sum Sum
	tp := 0.0
	for i := range s.Threshold {
		if s.TP[i] != tp {
			sum.Add((s.TP[i] - tp) / s.Positive * (s.TP[i] / (s.TP[i] + s.FP[i])))
		}
		tp = s.TP[i]
	}
	return scored(sum.Value())
}

// KolmogorovSmirnov is the greatest distance between the two classes' distributions of scores: the greatest
// |true positive rate - false positive rate| of any threshold.
func (s *Sweep) KolmogorovSmirnov() Score {
	if why := s.lacking(); why != "" {
		return undefined("%s", why)
	}
	d := 0.0
	for i := range s.Threshold {
		d = max(d, math.Abs(s.TP[i]/s.Positive-s.FP[i]/s.Negative))
	}
	return scored(d)
}

// DET is the detection error trade-off: false positive and false negative rates by rising threshold, between the last
// threshold without a false positive and the first without a false negative.
func (s *Sweep) DET() (fpr, fnr, threshold []float64) {
	if s.lacking() != "" {
		return nil, nil, nil
	}
	tp, fp := append([]float64{0}, s.TP...), append([]float64{0}, s.FP...)
	at := append([]float64{math.Inf(1)}, s.Threshold...)
	first, last := 0, len(tp)-1
	for first+1 < len(fp) && fp[first+1] == 0 {
		first++
	}
	for last > 0 && tp[last-1] == s.Positive {
		last--
	}
	for i := last; i >= first; i-- {
		fpr = append(fpr, fp[i]/s.Negative)
		fnr = append(fnr, (s.Positive-tp[i])/s.Positive)
		threshold = append(threshold, at[i])
	}
	return fpr, fnr, threshold
}

// MultiAUC is how the ROC AUC of several classes is made of those of two.
type MultiAUC string

// One class against the rest, or every pair of classes by itself (Hand and Till 2001).
const (
	OneVsRest MultiAUC = "ovr"
	OneVsOne  MultiAUC = "ovo"
)

// AUCMulti is the ROC AUC of probabilities p, k per row, for classes y from 0 to k-1.
//
// One against the rest: Macro is the plain mean over classes, Weighted by their rows, Micro the AUC of all cells pooled.
// One against one, over the pairs of the classes that occur: the mean of both directions, plain (Macro) or weighted by
// the share of rows that are of the pair; Micro is not defined, and weights change the curves only.
func AUCMulti(y []int, p []float64, k int, w []float64, mode MultiAUC, by Average) Score {
	same(len(y)*k, len(p), nil)
	same(len(y), len(y), w)
	if len(y) == 0 {
		return undefined(noRows)
	}
	if mode == OneVsOne {
		return aucPairs(y, p, k, w, by)
	}
	label, score := make([]float64, len(y)), make([]float64, len(y))
	if by == Micro {
		label = make([]float64, len(p))
		var cells []float64
		for i := range p {
			label[i] = indicator(y[i/k] == i%k)
			if w != nil {
				cells = append(cells, w[i/k])
			}
		}
		return NewSweep(label, p, cells).AUC()
	}
	var sum, plain, rows Sum
	for j := range k {
		var own Sum
		for i := range y {
			label[i], score[i] = indicator(y[i] == j), p[i*k+j]
			own.Add(weight(w, i) * label[i])
		}
		s := NewSweep(label, score, w).AUC()
		if by == Weighted && own.Value() == 0 {
			continue
		}
		if !s.Defined() {
			return undefined("class %d against the rest: %s", j, s.Why)
		}
		plain.Add(s.Value)
		sum.Add(s.Value * own.Value())
		rows.Add(own.Value())
	}
	if by == Weighted {
		if rows.Value() == 0 {
			return undefined(noWeight)
		}
		return scored(sum.Value() / rows.Value())
	}
	return scored(plain.Value() / float64(k))
}

func aucPairs(y []int, p []float64, k int, w []float64, by Average) Score {
	rows := make([][]int, k)
	for i, c := range y {
		rows[c] = append(rows[c], i)
	}
	if by == Micro {
		return undefined("one against one has no micro average")
	}
	var sum, weights Sum
	for a := range k {
		for b := a + 1; b < k; b++ {
			if len(rows[a]) == 0 || len(rows[b]) == 0 {
				continue
			}
			pair := append(slices.Clone(rows[a]), rows[b]...)
			var both float64
			for _, c := range [2]int{a, b} {
				label, score := make([]float64, len(pair)), make([]float64, len(pair))
				var own []float64
				for at, i := range pair {
					label[at], score[at] = indicator(y[i] == c), p[i*k+c]
					if w != nil {
						own = append(own, w[i])
					}
				}
				s := NewSweep(label, score, own).AUC()
				if !s.Defined() {
					return undefined("classes %d and %d: %s", a, b, s.Why)
				}
				both += s.Value
			}
			share := 1.0
			if by == Weighted {
				share = float64(len(pair)) / float64(len(y))
			}
			sum.Add(share * (both / 2))
			weights.Add(share)
		}
	}
	if weights.Value() == 0 {
		return undefined(oneClass)
	}
	return scored(sum.Value() / weights.Value())
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
