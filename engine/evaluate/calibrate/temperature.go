package calibrate

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The least and the greatest temperature. Where every row's class has the greatest logit the loss falls for ever as T
// goes to 0; where logits tell nothing it falls as T grows.
const (
	LeastTemperature    = 1e-6
	GreatestTemperature = 1e6
)

// FitTemperature finds the T that minimises the log loss of softmax(logits/T) for classes y from 0 to k-1, and that log
// loss, by Newton's method for 1/T, in which the loss is convex.
func FitTemperature(logits []float64, y []int, k int, w []float64) (t, loss float64, err error) {
	if k < 1 || len(logits) != len(y)*k || w != nil && len(w) != len(y) {
		return 0, 0, fault.New(fault.Invalid, "calibration: %d logits for %d rows of %d classes, %d weights", len(logits), len(y), k, len(w))
	}
	for i, v := range logits {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, 0, fault.New(fault.Invalid, "calibration: a logit of row %d is %v", i/k+1, v)
		}
	}
	for i, c := range y {
		if c < 0 || c >= k {
			return 0, 0, fault.New(fault.Invalid, "calibration: the class of row %d is %d, not from 0 to %d", i+1, c, k-1)
		}
	}
	if err := checkWeights(len(y), w); err != nil {
		return 0, 0, err
	}
	e := make([]float64, k)
	// at is the loss, its slope and its curvature at b = 1/T.
	at := func(b float64) (loss, slope, curve float64) {
		var sumL, sumS, sumC metric.Sum
		for i, c := range y {
			u := weight(w, i)
			if u == 0 {
				continue
			}
			z := logits[i*k : (i+1)*k]
			top := z[0]
			for _, v := range z {
				top = max(top, v)
			}
			var total, mean float64
			for j, v := range z {
				e[j] = math.Exp(b * (v - top))
				total += e[j]
				if e[j] > 0 {
					mean += e[j] * (v - top)
				}
			}
			mean /= total
			spread := 0.0
			for j, v := range z {
				if e[j] > 0 {
					d := v - top - mean
					spread += e[j] / total * d * d
				}
			}
			sumL.Add(u * (math.Log(total) - b*(z[c]-top)))
			sumS.Add(u * (mean - (z[c] - top)))
			sumC.Add(u * spread)
		}
		return sumL.Value(), sumS.Value(), sumC.Value()
	}
	// The slope rises with b; its root is kept between lo and hi, and a step that leaves them is replaced by the
	// geometric middle.
	lo, hi := 1/GreatestTemperature, 1/LeastTemperature
	b := 1.0
	switch {
	case slopeOf(at(lo)) >= 0:
		b, hi = lo, lo
	case slopeOf(at(hi)) <= 0:
		b, lo = hi, hi
	}
	for range 200 {
		if lo == hi {
			break
		}
		_, slope, curve := at(b)
		if slope > 0 {
			hi = b
		} else {
			lo = b
		}
		next := b - slope/curve
		if !(next > lo && next < hi) {
			if slope == 0 || next == b {
				break
			}
			next = math.Sqrt(lo) * math.Sqrt(hi)
		}
		if math.Abs(next-b) <= 1e-16*b || next <= lo || next >= hi {
			b = next
			break
		}
		b = next
	}
	total, _, _ := at(b)
	var all metric.Sum
	for i := range y {
		all.Add(weight(w, i))
	}
	return 1 / b, total / all.Value(), nil
}

func slopeOf(_, slope, _ float64) float64 { return slope }
