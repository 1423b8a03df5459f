// Package fair asks whether a model treats groups of rows alike: rates of every group with their intervals, and the
// gaps between groups that the literature names (Hardt, Price and Srebro, NIPS 2016; Chouldechova, Big Data 5, 2017;
// Kleinberg, Mullainathan and Raghavan, ITCS 2017). It knows labels, predictions and group numbers, and nothing of
// models or of what a group means; which gap matters, and how large it may be, is a decision of people.
//
// When prevalence differs between groups, no model but a perfect one closes the gaps of predictive parity, of false
// positives and of false negatives at once: do not gate on all of them. Gaps are between the extreme groups, and grow
// by chance alone with the number of groups: P says how surprising such unequal rates are when the groups are alike.
package fair

import (
	"encoding/json"
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Number is a float64 that is null in JSON where it is not defined (NaN).
type Number float64

// MarshalJSON writes the number, or null for NaN and infinities.
func (n Number) MarshalJSON() ([]byte, error) {
	if v := float64(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	return json.Unmarshal(b, (*float64)(n))
}

// Rate is a share: K of N rows, with Wilson's 95 % interval. Without rows it is not defined: Value is NaN and the
// interval [0, 1].
type Rate struct {
	K     int    `json:"k"`
	N     int    `json:"n"`
	Value Number `json:"value"`
	Lo    Number `json:"lo"`
	Hi    Number `json:"hi"`
}

func rate(k, n int) Rate {
	i := evaluate.Wilson(float64(k), float64(n), 0.95)
	return Rate{K: k, N: n, Value: Number(float64(k) / float64(n)), Lo: Number(i.Lo), Hi: Number(i.Hi)}
}

// Gap is how far the extreme groups are apart in a rate. Groups that are small, or have no rows that the rate is of, do
// not count.
type Gap struct {
	Name       string `json:"name"`
	Difference Number `json:"difference"` // greatest minus least; NaN without a group that counts
	Ratio      Number `json:"ratio"`      // least over greatest; NaN when both are 0
	Least      string `json:"least"`      // the group with the least rate
	Greatest   string `json:"greatest"`
	Lo         Number `json:"lo"` // 95 % interval of the difference of these two groups (Newcombe, Statistics in Medicine 17, 1998, method 10)
	Hi         Number `json:"hi"`
	P          Number `json:"p"`      // chi-squared test that the rates of all the groups are equal
	Groups     int    `json:"groups"` // that count
}

// gapOf compares the rates of the groups that count.
func gapOf(name string, groups Groups, rates []Rate) Gap {
	nan := Number(math.NaN())
	g := Gap{Name: name, Difference: nan, Ratio: nan, Lo: nan, Hi: nan, P: nan}
	least, greatest := -1, -1
	var k, n float64
	for i, r := range rates {
		if groups.Small[i] || r.N == 0 {
			continue
		}
		g.Groups++
		k, n = k+float64(r.K), n+float64(r.N)
		if least < 0 || r.Value < rates[least].Value {
			least = i
		}
		if greatest < 0 || r.Value > rates[greatest].Value {
			greatest = i
		}
	}
	if least < 0 {
		return g
	}
	a, b := rates[greatest], rates[least]
	g.Least, g.Greatest = groups.Names[least], groups.Names[greatest]
	g.Difference, g.Ratio = a.Value-b.Value, b.Value/a.Value
	if g.Groups < 2 {
		return g
	}
	g.Lo = g.Difference - Number(math.Hypot(float64(a.Value-a.Lo), float64(b.Hi-b.Value)))
	g.Hi = g.Difference + Number(math.Hypot(float64(a.Hi-a.Value), float64(b.Value-b.Lo)))
	if share := k / n; share > 0 && share < 1 {
		s := 0.0
		for i, r := range rates {
			if !groups.Small[i] && r.N > 0 {
				d := float64(r.K) - float64(r.N)*share
				s += d * d / (float64(r.N) * share * (1 - share))
			}
		}
		g.P = Number(tail.ChiSquared(s, float64(g.Groups-1)))
	}
	return g
}

// check wants as many rows in each slice as the groups have.
func (g Groups) check(lengths ...int) error {
	for _, n := range lengths {
		if n != len(g.Of) {
			return fault.New(fault.Invalid, "%d rows in groups, but %d labels or predictions", len(g.Of), n)
		}
	}
	if len(g.Small) != len(g.Names) {
		return fault.New(fault.Invalid, "groups must come from By, Pool or Intersections")
	}
	return nil
}

// Parity is demographic parity: the rate of positive decisions of each group, in the order of the groups.
type Parity struct {
	Gap
	Rates []Rate `json:"rates"`
}

// DemographicParity compares the rates of positive decisions: difference greatest minus least, ratio least over
// greatest.
func DemographicParity(decisions []bool, groups Groups) (Parity, error) {
	if err := groups.check(len(decisions)); err != nil {
		return Parity{}, err
	}
	rates := groups.rates(func(i int) (counts, hit bool) { return true, decisions[i] })
	return Parity{gapOf("demographic_parity", groups, rates), rates}, nil
}

// Odds is equalised odds: the gaps of true and of false positive rates, and the wider of the two.
type Odds struct {
	Difference                 Number `json:"difference"`                   // the greater difference of the two
	Ratio                      Number `json:"ratio"`                        // the lesser ratio of the two
	EqualOpportunityDifference Number `json:"equal_opportunity_difference"` // of true positive rates alone
	TruePositive               Gap    `json:"true_positive"`
	FalsePositive              Gap    `json:"false_positive"`
}

// EqualisedOdds compares how often the positives of each group, and its negatives, are decided positive. y is 1 for
// positive rows. A group without positives is left out of the one gap, a group without negatives out of the other.
func EqualisedOdds(y []float64, decisions []bool, groups Groups) (Odds, error) {
	if err := groups.check(len(y), len(decisions)); err != nil {
		return Odds{}, err
	}
	tpr := groups.rates(func(i int) (counts, hit bool) { return y[i] == 1, decisions[i] })
	fpr := groups.rates(func(i int) (counts, hit bool) { return y[i] != 1, decisions[i] })
	return oddsOf(groups, tpr, fpr), nil
}

func oddsOf(groups Groups, tpr, fpr []Rate) Odds {
	o := Odds{TruePositive: gapOf("equal_opportunity", groups, tpr), FalsePositive: gapOf("false_positive_balance", groups, fpr)}
	o.EqualOpportunityDifference = o.TruePositive.Difference
	o.Difference = worse(o.TruePositive.Difference, o.FalsePositive.Difference, false)
	o.Ratio = worse(o.TruePositive.Ratio, o.FalsePositive.Ratio, true)
	return o
}

// worse is the greater or, if least, the lesser of the defined numbers.
func worse(a, b Number, least bool) Number {
	if math.IsNaN(float64(a)) || !math.IsNaN(float64(b)) && (b > a) != least && a != b {
		return b
	}
	return a
}

// rates counts, for each group, the rows that count and those of them that hit.
func (g Groups) rates(of func(i int) (counts, hit bool)) []Rate {
	k, n := make([]int, len(g.Names)), make([]int, len(g.Names))
	for i, group := range g.Of {
		if counts, hit := of(i); counts {
			n[group]++
			if hit {
				k[group]++
			}
		}
	}
	out := make([]Rate, len(k))
	for i := range out {
		out[i] = rate(k[i], n[i])
	}
	return out
}
