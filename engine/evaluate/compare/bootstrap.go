package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/trimtab-ml/trimtab/engine/evaluate/tail"
	"github.com/trimtab-ml/trimtab/engine/learn/shard"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Plan is how to resample rows. The zero Plan draws 2000 resamples of single rows from seed 0 for a 95 % interval.
type Plan struct {
	Reps   int     `json:"reps"`
	Level  float64 `json:"level"`
	Seed   uint64  `json:"seed"`
	Strata []int32 `json:"-"`     // a stratum per row: each keeps its number of rows; nil is one stratum
	Block  int     `json:"block"` // rows are drawn in runs of this many consecutive ones, around the end: for series
}

// Estimate is a statistic with its bootstrap interval.
type Estimate struct {
	Value        float64 `json:"value"`
	Lo           float64 `json:"lo"`
	Hi           float64 `json:"hi"`
	Level        float64 `json:"level"`
	Error        float64 `json:"error"`        // the standard deviation over the resamples
	Bias         float64 `json:"bias"`         // z0, the median bias in standard normal units
	Acceleration float64 `json:"acceleration"` // a, how the error changes with the value
	Reps         int     `json:"reps"`         // resamples whose statistic was a number
	Undefined    int     `json:"undefined"`    // resamples whose statistic was NaN; they are left out
}

// mostDeleted is the number of jackknife values of a stratum: more rows are deleted in that many groups.
const mostDeleted = 200

// Bootstrap is a statistic of n rows and its bias-corrected and accelerated interval (Efron, JASA 82, 1987). statistic
// sees row numbers, each as often as it was drawn; it is called from several goroutines at once and must not keep them.
// The acceleration comes from deleting rows, or blocks, one by one, in at most 200 groups for each stratum; it is 0 when
// that changes nothing. When all resamples lie on one side of the value, half a resample is taken to be on the other.
// Resample r depends on Seed and r alone.
func Bootstrap(n int, statistic func(rows []int32) float64, plan Plan) (Estimate, error) {
	if plan.Reps == 0 {
		plan.Reps = 2000
	}
	if plan.Level == 0 {
		plan.Level = 0.95
	}
	switch {
	case n < 1 || plan.Reps < 1:
		return Estimate{}, fault.New(fault.Invalid, "bootstrap of %d rows with %d resamples: both must be positive", n, plan.Reps)
	case !(plan.Level > 0 && plan.Level < 1):
		return Estimate{}, fault.New(fault.Invalid, "the level of an interval is between 0 and 1, not %v", plan.Level)
	case plan.Strata != nil && len(plan.Strata) != n:
		return Estimate{}, fault.New(fault.Invalid, "bootstrap: %d strata for %d rows", len(plan.Strata), n)
	case plan.Block < 0:
		return Estimate{}, fault.New(fault.Invalid, "bootstrap: blocks of %d rows", plan.Block)
	}
	block := max(plan.Block, 1)
	strata := rowsBy(plan.Strata, n)
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	value := statistic(all)

	values := make([]float64, plan.Reps)
	spaces := make([][]int32, shard.Workers(0))
	shard.Run(len(spaces), plan.Reps, func(w, rep int) {
		if spaces[w] == nil {
			spaces[w] = make([]int32, n)
		}
		r := rand.New(rand.NewPCG(plan.Seed, uint64(rep)))
		to := spaces[w][:0]
		for _, rows := range strata {
			for left := len(rows); left > 0; {
				at := r.IntN(len(rows))
				for range min(block, left) {
					to = append(to, rows[at])
					if at++; at == len(rows) {
						at = 0
					}
				}
				left -= min(block, left)
			}
		}
		values[rep] = statistic(to)
	})
	kept := slices.DeleteFunc(values, math.IsNaN)
	out := Estimate{Value: value, Level: plan.Level, Reps: len(kept), Undefined: plan.Reps - len(kept)}
	jackknife := make([][]float64, len(strata))
	for s, rows := range strata {
		units := shard.Blocks(len(rows), block)
		groups := min(units, mostDeleted)
		if groups < 2 {
			continue // deleting all of a stratum would be another statistic
		}
		jackknife[s] = make([]float64, groups)
		shard.Run(len(spaces), groups, func(w, g int) {
			lo, hi := g*units/groups*block, min((g+1)*units/groups*block, len(rows))
			to := append(spaces[w][:0], all...)
			gone := rows[lo:hi]
			to = slices.DeleteFunc(to, func(row int32) bool {
				if len(gone) > 0 && gone[0] == row {
					gone = gone[1:]
					return true
				}
				return false
			})
			jackknife[s][g] = statistic(to)
		})
	}
	out.interval(kept, jackknife)
	return out, nil
}

// interval fills in what the resamples and the jackknife values of each stratum say.
func (e *Estimate) interval(values []float64, jackknife [][]float64) {
	slices.Sort(values)
	_, variance := moments(values)
	e.Error = math.Sqrt(variance)
	n := float64(len(values))
	if n == 0 || math.IsNaN(e.Value) {
		e.Lo, e.Hi, e.Error = math.NaN(), math.NaN(), math.NaN()
		return
	}
	below, _ := slices.BinarySearch(values, e.Value)
	upTo, _ := slices.BinarySearchFunc(values, e.Value, func(v, value float64) int {
		if v <= value {
			return -1
		}
		return 1
	})
	share := float64(below+upTo) / (2 * n)
	normal := distuv.UnitNormal
	e.Bias = normal.Quantile(min(max(share, 0.5/n), 1-0.5/n))
	var cubes, squares float64
	for _, deleted := range jackknife {
		g := float64(len(deleted))
		if g == 0 {
			continue
		}
		mean, _ := moments(deleted)
		for _, v := range deleted {
			u := (g - 1) * (mean - v) / g
			squares += u * u
			cubes += u * u * u
		}
	}
	if a := cubes / (6 * math.Pow(squares, 1.5)); !math.IsNaN(a) && !math.IsInf(a, 0) {
		e.Acceleration = a
	}
	z := normal.Quantile((1 - e.Level) / 2)
	at := func(z float64) float64 {
		s := e.Bias + z
		return interpolated(values, tail.Normal(-e.Bias-s/(1-e.Acceleration*s)))
	}
	e.Lo, e.Hi = at(z), at(-z)
}

// interpolated is the quantile between the two nearest of ascending values (numpy's default).
func interpolated(values []float64, q float64) float64 {
	at := q * float64(len(values)-1)
	i := int(at)
	if i+1 >= len(values) {
		return values[len(values)-1]
	}
	return values[i] + (at-float64(i))*(values[i+1]-values[i])
}

// rowsBy is the rows of each stratum, in order.
func rowsBy(strata []int32, n int) [][]int32 {
	if strata == nil {
		strata = make([]int32, n)
	}
	at := map[int32]int{}
	var out [][]int32
	for i, s := range strata {
		k, ok := at[s]
		if !ok {
			k = len(out)
			at[s] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], int32(i))
	}
	return out
}

// ByClass is strata that keep the number of rows of each label.
func ByClass(y []float64) []int32 {
	at := map[float64]int32{}
	out := make([]int32, len(y))
	for i, v := range y {
		k, ok := at[v]
		if !ok {
			k = int32(len(at))
			at[v] = k
		}
		out[i] = k
	}
	return out
}

// BootstrapMetric is metric(y, p), p holding len(p)/len(y) numbers a row, with its interval.
func BootstrapMetric(y, p []float64, metric Metric, plan Plan) (Estimate, error) {
	return BootstrapDifference(y, p, nil, metric, plan)
}

// BootstrapDifference is metric(y, a) - metric(y, b) with its interval, both models seeing the same resampled rows.
func BootstrapDifference(y, a, b []float64, metric Metric, plan Plan) (Estimate, error) {
	n := len(y)
	if n == 0 || len(a) == 0 || len(a)%n != 0 || (b != nil && len(b) != len(a)) {
		return Estimate{}, fault.New(fault.Invalid, "bootstrap: %d labels, %d and %d predictions", n, len(a), len(b)).
			WithHint("give predictions for the same rows")
	}
	width := len(a) / n
	return Bootstrap(n, func(rows []int32) float64 {
		ys, ps := make([]float64, len(rows)), make([]float64, len(rows)*width)
		take := func(p []float64) {
			for to, i := range rows {
				copy(ps[to*width:(to+1)*width], p[int(i)*width:])
			}
		}
		for to, i := range rows {
			ys[to] = y[i]
		}
		take(a)
		v := metric(ys, ps)
		if b != nil {
			take(b)
			v -= metric(ys, ps)
		}
		return v
	}, plan)
}
