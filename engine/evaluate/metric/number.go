package metric

import (
	"cmp"
	"math"
	"slices"
)

// MAE is the mean absolute error of predictions p of numbers y.
func MAE(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return math.Abs(p[i] - y[i]) })
}

// MSE is the mean squared error.
func MSE(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return square(y[i] - p[i]) })
}

// RMSE is the root of the mean squared error.
func RMSE(y, p, w []float64) Score { return root(MSE(y, p, w)) }

func root(s Score) Score {
	s.Value = math.Sqrt(s.Value)
	return s
}

// Bias is the mean of prediction minus value.
func Bias(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return p[i] - y[i] })
}

// MAPE is the mean of the absolute error over the absolute value, which counts as at least machine epsilon: with a value
// of 0 it is astronomical.
func MAPE(y, p, w []float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 { return math.Abs(p[i]-y[i]) / max(math.Abs(y[i]), 0x1p-52) })
}

// MSLE is the mean squared error of ln(1+x). Values and predictions must be above -1.
func MSLE(y, p, w []float64) Score {
	same(len(y), len(p), w)
	for i := range y {
		if weight(w, i) != 0 && (y[i] <= -1 || p[i] <= -1) {
			return undefined("a value or prediction is at most -1, which has no logarithm of one plus it")
		}
	}
	return Mean(len(y), w, func(i int) float64 { return square(math.Log1p(y[i]) - math.Log1p(p[i])) })
}

// RMSLE is its root.
func RMSLE(y, p, w []float64) Score { return root(MSLE(y, p, w)) }

// MaxError is the greatest absolute error of a row with weight.
func MaxError(y, p, w []float64) Score {
	same(len(y), len(p), w)
	worst, seen := 0.0, false
	for i := range y {
		if weight(w, i) != 0 {
			seen = true
			worst = max(worst, math.Abs(y[i]-p[i])) // max of a NaN is NaN
		}
	}
	if !seen {
		return undefined(noRows)
	}
	return scored(worst)
}

// MedianAE is the median absolute error; with weights the weighted median of Percentile.
func MedianAE(y, p, w []float64) Score {
	same(len(y), len(p), w)
	errors := make([]float64, len(y))
	for i := range y {
		errors[i] = math.Abs(p[i] - y[i])
		if math.IsNaN(errors[i]) {
			return scored(math.NaN())
		}
	}
	if w != nil {
		return Percentile(errors, w, 50)
	}
	if len(errors) == 0 {
		return undefined(noRows)
	}
	slices.Sort(errors)
	n := len(errors)
	if n%2 == 1 {
		return scored(errors[n/2])
	}
	return scored((errors[n/2-1] + errors[n/2]) / 2)
}

// Percentile is the least value at which the cumulative weight of the ascending values reaches that percentage of all,
// and where it reaches it exactly the mean of that value and the next (Hyndman and Fan 1996, definition 2). Weights nil
// are all ones.
func Percentile(values, w []float64, percent float64) Score {
	same(len(values), len(values), w)
	type point struct{ v, w float64 }
	points := make([]point, 0, len(values))
	for i, v := range values {
		if u := weight(w, i); u != 0 && !math.IsNaN(v) {
			points = append(points, point{v, u})
		}
	}
	if len(points) == 0 {
		return undefined(noRows)
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.v, b.v) })
	below := make([]float64, len(points))
	sum := 0.0 // plain, as in scikit-learn: whether the share is reached exactly depends on it
	for i, q := range points {
		sum += q.w
		below[i] = sum
	}
	wanted := float64(percent / 100 * sum)
	if wanted == 0 {
		wanted = math.SmallestNonzeroFloat64
	}
	at, _ := slices.BinarySearch(below, wanted)
	at = min(at, len(points)-1)
	if below[at]-wanted > 0x1p-52 {
		return scored(points[at].v)
	}
	return scored((points[at].v + points[min(at+1, len(points)-1)].v) / 2)
}

// R2 is one minus the squared errors over the squared distances of the values from their mean. For equal values it is 1
// where every prediction is right and 0 otherwise; two rows are needed.
func R2(y, p, w []float64) Score {
	same(len(y), len(p), w)
	if len(y) < 2 {
		return undefined(twoNeeded)
	}
	mean := Mean(len(y), w, func(i int) float64 { return y[i] })
	if !mean.Defined() {
		return mean
	}
	errors := sumOf(len(y), w, func(i int) float64 { return square(y[i] - p[i]) })
	spread := 0.0
	if !constant(len(y), w, func(i int) float64 { return y[i] }) {
		spread = sumOf(len(y), w, func(i int) float64 { return square(y[i] - mean.Value) })
	}
	return explained(errors, spread)
}

// explained is 1 - errors/spread with the agreed values where nothing is to be explained.
func explained(errors, spread float64) Score {
	switch {
	case errors == 0:
		return Score{Value: 1}
	case spread == 0:
		return scored(0 * errors)
	}
	return scored(1 - errors/spread)
}

// ExplainedVariance is one minus the variance of the errors over that of the values; unlike R2 it forgives a constant
// error. For equal values it is 1 where the errors are equal too and 0 otherwise.
func ExplainedVariance(y, p, w []float64) Score {
	same(len(y), len(p), w)
	errors := variance(len(y), w, func(i int) float64 { return y[i] - p[i] })
	if !errors.Defined() {
		return errors
	}
	spread := variance(len(y), w, func(i int) float64 { return y[i] })
	if !spread.Defined() {
		return spread
	}
	return explained(errors.Value, spread.Value)
}

// variance is that of the rows themselves, not of a population they are drawn from.
func variance(n int, w []float64, f func(i int) float64) Score {
	mean := Mean(n, w, f)
	if !mean.Defined() || constant(n, w, f) {
		mean.Value *= 0
		return mean
	}
	return Mean(n, w, func(i int) float64 { return square(f(i) - mean.Value) })
}

// Pinball is the mean quantile loss: alpha times the shortfall of the prediction, 1-alpha times its excess.
func Pinball(y, p, w []float64, alpha float64) Score {
	same(len(y), len(p), w)
	return Mean(len(y), w, func(i int) float64 {
		if d := y[i] - p[i]; d < 0 {
			return -(1 - alpha) * d
		} else {
			return alpha * d
		}
	})
}

// D2Pinball is one minus the quantile loss over that of the values' own quantile; two rows are needed.
func D2Pinball(y, p, w []float64, alpha float64) Score {
	same(len(y), len(p), w)
	if len(y) < 2 {
		return undefined(twoNeeded)
	}
	own := Percentile(y, w, alpha*100)
	if !own.Defined() {
		return own
	}
	null := make([]float64, len(y))
	for i := range null {
		null[i] = own.Value
	}
	loss, base := Pinball(y, p, w, alpha), Pinball(y, null, w, alpha)
	if !loss.Defined() {
		return loss
	}
	return explained(loss.Value, base.Value)
}

// D2AbsoluteError is D2Pinball of the median.
func D2AbsoluteError(y, p, w []float64) Score { return D2Pinball(y, p, w, 0.5) }

// Tweedie is the mean unit deviance of the Tweedie family (Jørgensen 1987) of the given power: 0 normal, 1 Poisson,
// 2 gamma, 3 inverse Gaussian; between 0 and 1 there is none. Predictions must be above 0 unless the power is 0, values
// at least 0 from power 1 on and above 0 from power 2 on.
func Tweedie(y, p, w []float64, power float64) Score {
	same(len(y), len(p), w)
	if power > 0 && power < 1 || math.IsNaN(power) {
		return undefined("there is no Tweedie distribution of a power between 0 and 1")
	}
	for i := range y {
		if weight(w, i) == 0 {
			continue
		}
		switch {
		case power != 0 && p[i] <= 0:
			return undefined("a prediction is not above 0")
		case power >= 2 && y[i] <= 0:
			return undefined("a value is not above 0")
		case power >= 1 && y[i] < 0:
			return undefined("a value is below 0")
		}
	}
	return deviance(y, func(i int) float64 { return p[i] }, w, power)
}

func deviance(y []float64, p func(i int) float64, w []float64, power float64) Score {
	a, b := 1-power, 2-power
	return Mean(len(y), w, func(i int) float64 {
		v, mu := y[i], p(i)
		switch power {
		case 0:
			return square(v - mu)
		case 1:
			if v == 0 {
				return 2 * mu
			}
			return 2 * (float64(v*math.Log(v/mu)) - v + mu)
		case 2:
			return 2 * (math.Log(mu/v) + v/mu - 1)
		}
		top := v
		if power < 0 {
			top = max(v, 0)
		}
		return 2 * (math.Pow(top, b)/(a*b) - float64(v*math.Pow(mu, a))/a + math.Pow(mu, b)/b)
	})
}

// D2Tweedie is one minus the deviance over that of the values' mean; two rows are needed.
func D2Tweedie(y, p, w []float64, power float64) Score {
	same(len(y), len(p), w)
	if len(y) < 2 {
		return undefined(twoNeeded)
	}
	loss := Tweedie(y, p, w, power)
	if !loss.Defined() {
		return loss
	}
	mean := Mean(len(y), w, func(i int) float64 { return y[i] })
	base := deviance(y, func(int) float64 { return mean.Value }, w, power)
	switch {
	case !base.Defined():
		return base
	case base.Value == 0 || constant(len(y), w, func(i int) float64 { return y[i] }):
		return undefined("all values are equal")
	}
	return scored(1 - loss.Value/base.Value)
}
