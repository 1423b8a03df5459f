package registry

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/compare"
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
)

// against tests whether challenger and champion differ on the same rows: DeLong of AUC, McNemar of accuracy, Wilcoxon
// and a bootstrap interval (BCa) of the loss. A test that these rows do not allow is left out.
func against(h *Held, champion []float64, threshold, championThreshold float64, seed uint64) []Test {
	n := len(h.Y)
	if n == 0 {
		return nil
	}
	var out []Test
	add := func(name, of string, difference, lo, hi, p float64) {
		t := Test{Name: name, Of: of}
		for at, v := range map[**float64]float64{&t.Difference: difference, &t.Lo: lo, &t.Hi: hi, &t.P: p} {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				*at = &v
			}
		}
		out = append(out, t)
	}
	none := math.NaN()
	if h.Task == learn.Binary {
		if d := evaluate.DeLong(h.Y, h.P, champion); d.Defined {
			add("DeLong", "auc", d.Diff, d.Lo, d.Hi, d.P)
		}
	}
	k := len(h.P) / n
	if h.Task != learn.Regression {
		right, theirs := make([]bool, n), make([]bool, n)
		var difference float64
		for i, y := range h.Y {
			right[i] = decided(h.P[i*k:(i+1)*k], threshold) == y
			theirs[i] = decided(champion[i*k:(i+1)*k], championThreshold) == y
			if right[i] {
				difference++
			}
			if theirs[i] {
				difference--
			}
		}
		if b, c, err := compare.Discordant(right, theirs); err == nil {
			if r, err := compare.McNemar(b, c, compare.Auto); err == nil {
				add("McNemar", "accuracy", difference/float64(n), none, none, r.P)
			}
		}
	}
	of := "log_loss"
	if h.Task == learn.Regression {
		of = "squared_error"
	}
	d := make([]float64, n)
	for i, y := range h.Y {
		d[i] = lossOf(h.Task, y, h.P[i*k:(i+1)*k]) - lossOf(h.Task, y, champion[i*k:(i+1)*k])
	}
	e, err := compare.Bootstrap(n, func(rows []int32) float64 {
		var sum float64
		for _, i := range rows {
			sum += d[i]
		}
		return sum / float64(len(rows))
	}, compare.Plan{Reps: 5 * bootstrapReps, Seed: seed})
	if err == nil {
		add("bootstrap", of, e.Value, e.Lo, e.Hi, none)
	}
	if w, err := compare.Wilcoxon(d, compare.Drop, compare.Approx); err == nil {
		add("Wilcoxon", of, none, none, none, w.P)
	}
	return out
}

// decided is the class of a prediction.
func decided(p []float64, threshold float64) float64 {
	if len(p) == 1 {
		if p[0] >= threshold {
			return 1
		}
		return 0
	}
	best := 0
	for k, v := range p {
		if v > p[best] {
			best = k
		}
	}
	return float64(best)
}

// lossOf is the log loss, or the squared error, of one row.
func lossOf(task learn.Task, y float64, p []float64) float64 {
	if task == learn.Regression {
		return (p[0] - y) * (p[0] - y)
	}
	return learner.MeanLoss(task, []float64{y}, p)
}
