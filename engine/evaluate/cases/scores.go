package cases

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

const mostBins = 1 << 20

func init() {
	register(map[string]func(r *reader) any{
		"roc_auc": func(r *reader) any {
			most := r.number("max_fpr", 1)
			if !(most > 0 && most <= 1) {
				r.refuse("max_fpr is %v; it is above 0 and at most 1", most)
			}
			return r.swept(func(s *metric.Sweep) any { return s.PartialAUC(most) })
		},
		"roc_curve": func(r *reader) any {
			drop := r.flag("drop_intermediate", true)
			return r.swept(func(s *metric.Sweep) any {
				fpr, tpr, at := s.ROC(drop)
				return object{"fpr": fpr, "tpr": tpr, "thresholds": at}
			})
		},
		"pr_curve": func(r *reader) any {
			drop := r.flag("drop_intermediate", false)
			return r.swept(func(s *metric.Sweep) any {
				precision, recall, at := s.PR(drop)
				return object{"precision": precision, "recall": recall, "thresholds": at}
			})
		},
		"det_curve": func(r *reader) any {
			return r.swept(func(s *metric.Sweep) any {
				fpr, fnr, at := s.DET()
				return object{"fpr": fpr, "fnr": fnr, "thresholds": at}
			})
		},
		"average_precision": func(r *reader) any {
			return r.swept(func(s *metric.Sweep) any { return s.AveragePrecision() })
		},
		"ks_binary": func(r *reader) any {
			return r.swept(func(s *metric.Sweep) any { return s.KolmogorovSmirnov() })
		},
		"gain_table": func(r *reader) any {
			bins := r.integer("bins", 10, 1, mostBins)
			return r.swept(func(s *metric.Sweep) any {
				out := []object{}
				for _, g := range s.Gains(bins) {
					out = append(out, object{"hi": g.Hi, "lo": g.Lo, "weight": g.Weight, "positive": g.Positive, "rate": g.Rate,
						"lift": g.Lift, "share": g.Share, "gain": g.Gain, "cumulative_lift": g.CumulativeLift})
				}
				return out
			})
		},
		"gain_curve": func(r *reader) any {
			return r.swept(func(s *metric.Sweep) any {
				share, gain, lift := s.GainCurve()
				return object{"share": share, "gain": gain, "lift": lift}
			})
		},
		"threshold": func(r *reader) any {
			objective := r.choice("maximise", append(metric.Objectives, "none")...)
			return r.swept(func(s *metric.Sweep) any {
				return tuned(s.Maximise(func(o metric.Outcomes) float64 { return o.Measure(objective) }))
			})
		},
		"threshold_cost": func(r *reader) any {
			c := metric.Costs{TP: r.number("tp", 0), FP: r.number("fp", 1), FN: r.number("fn", 1), TN: r.number("tn", 0)}
			return r.swept(func(s *metric.Sweep) any { return tuned(s.Minimise(c)) })
		},
		"roc_auc_multi": func(r *reader) any {
			mode, by := r.choice("mode", "ovr", "ovo"), r.choice("average", "macro", "weighted", "micro")
			if mode == "ovo" && by == "micro" {
				r.refuse("one against one (ovo) has no micro average")
			}
			y, p, k := r.multi("y_prob")
			w := r.weights("w", len(y))
			if r.err != nil {
				return nil
			}
			return metric.AUCMulti(y, p, k, w, metric.MultiAUC(mode), metric.Average(by))
		},
		"log_loss": func(r *reader) any {
			return r.probabilities(metric.BinaryLogLoss, metric.LogLoss)
		},
		"brier": func(r *reader) any {
			auto := r.raw("scale_by_half") == nil || r.raw("scale_by_half") == "auto"
			half := !auto && r.flag("scale_by_half", false)
			return r.probabilities(func(y, p, w []float64) metric.Score {
				s := metric.BinaryBrier(y, p, w)
				if !auto && !half {
					s.Value *= 2
				}
				return s
			}, func(y []int, p []float64, k int, w []float64) metric.Score {
				s := metric.Brier(y, p, k, w)
				if half || auto && k < 3 {
					s.Value /= 2
				}
				return s
			})
		},
		"d2_log_loss": func(r *reader) any { return r.probabilities(doubled(metric.D2LogLoss), metric.D2LogLoss) },
		"d2_brier":    func(r *reader) any { return r.probabilities(doubled(metric.D2Brier), metric.D2Brier) },
		"hinge":       func(r *reader) any { return r.probabilities(metric.BinaryHinge, metric.Hinge) },
		"top_k": func(r *reader) any {
			most := r.integer("k", 2, 1, math.MaxInt32)
			if !r.has("y_prob") {
				return r.scores(func(y, s, w []float64) any { return topOfTwo(y, s, w, most) })
			}
			y, p, k := r.multi("y_prob")
			w := r.weights("w", len(y))
			if r.err != nil {
				return nil
			}
			return metric.TopK(y, p, k, most, w)
		},
		"ece": func(r *reader) any {
			bins := r.integer("bins", 15, 1, mostBins)
			compare := metric.EqualWidth
			if r.choice("strategy", "uniform", "quantile") == "quantile" {
				compare = metric.EqualMass
			}
			if !r.has("y_prob") {
				return r.scores(func(y, p, w []float64) any { return reliability(compare(y, p, w, bins)) })
			}
			y, p, k := r.multi("y_prob")
			w := r.weights("w", len(y))
			if r.err != nil {
				return nil
			}
			right, confidence := metric.Confidence(y, p, k)
			return reliability(compare(right, confidence, w, bins))
		},
	})
}

// scores reads y_true of two classes, y_score and w.
func (r *reader) scores(of func(y, score, w []float64) any) any {
	y := r.binary()
	score := r.floats("y_score")
	r.same(len(y), "y_score", len(score))
	w := r.weights("w", len(y))
	if r.err != nil {
		return nil
	}
	return of(y, score, w)
}

func (r *reader) swept(of func(s *metric.Sweep) any) any {
	return r.scores(func(y, score, w []float64) any { return of(metric.NewSweep(y, score, w)) })
}

// probabilities measures y_prob, or y_score of two classes.
func (r *reader) probabilities(binary func(y, p, w []float64) metric.Score, multi func(y []int, p []float64, k int, w []float64) metric.Score) any {
	if !r.has("y_prob") {
		return r.scores(func(y, p, w []float64) any { return binary(y, p, w) })
	}
	y, p, k := r.multi("y_prob")
	w := r.weights("w", len(y))
	if r.err != nil {
		return nil
	}
	return multi(y, p, k, w)
}

// doubled gives a measure of two classes the probability of the positive one alone.
func doubled(of func(y []int, p []float64, k int, w []float64) metric.Score) func(y, p, w []float64) metric.Score {
	return func(y, p, w []float64) metric.Score {
		class, both := make([]int, len(y)), make([]float64, 2*len(p))
		for i := range y {
			class[i] = int(y[i])
			both[2*i], both[2*i+1] = 1-p[i], p[i]
		}
		return of(class, both, 2, w)
	}
}

// topOfTwo decides by scikit-learn's rule for one score a row: above 0.5 where all scores are probabilities, else above 0.
func topOfTwo(y, s, w []float64, most int) metric.Score {
	cut := 0.5
	for _, v := range s {
		if v < 0 || v > 1 {
			cut = 0
		}
	}
	return metric.Mean(len(y), w, func(i int) float64 {
		if most > 1 || (s[i] > cut) == (y[i] == 1) {
			return 1
		}
		return 0
	})
}

func reliability(v *metric.Reliability) object {
	bins := []object{}
	for _, b := range v.Bins {
		bins = append(bins, object{"lo": b.Lo, "hi": b.Hi, "n": b.N, "weight": b.Weight, "mean": b.Mean, "observed": b.Observed,
			"band": []float64{b.BandLo, b.BandHi}})
	}
	return object{"ece": v.ECE, "mce": v.MCE, "ace": v.ACE, "bins": bins, "brier": object{
		"score": v.Brier.Score, "reliability": v.Brier.Reliability, "resolution": v.Brier.Resolution,
		"uncertainty": v.Brier.Uncertainty, "within": v.Brier.Within,
	}}
}

func tuned(t metric.Tuned) object {
	o := t.Outcomes
	return object{"threshold": t.Threshold, "value": t.Value, "tp": o.TP, "fp": o.FP, "fn": o.FN, "tn": o.TN}
}
