package cases

import (
	"math"

	"github.com/trimtab-ml/trimtab/engine/evaluate/calibrate"
	"github.com/trimtab-ml/trimtab/engine/evaluate/metric"
)

func init() {
	register(map[string]func(r *reader) any{
		"isotonic": func(r *reader) any {
			return r.fitted(func(score, y, w, query []float64) any {
				c, err := calibrate.FitIsotonic(score, y, w)
				r.fail(err)
				if err != nil {
					return nil
				}
				return each(query, c.At)
			})
		},
		"platt": func(r *reader) any {
			return r.fitted(func(score, y, w, query []float64) any {
				c, err := calibrate.FitPlatt(score, y, w)
				r.fail(err)
				return object{"A": c.A, "B": c.B, "p": each(query, c.At)}
			})
		},
		"beta": func(r *reader) any {
			return r.fitted(func(score, y, w, query []float64) any {
				c, err := calibrate.FitBeta(score, y, w)
				r.fail(err)
				return object{"a": c.A, "b": c.B, "c": c.C, "p": each(query, c.At)}
			})
		},
		"temperature": func(r *reader) any {
			y, logits, k := r.multi("logits")
			w := r.weights("w", len(y))
			if r.err != nil {
				return nil
			}
			t, loss, err := calibrate.FitTemperature(logits, y, k, w)
			r.fail(err)
			return object{"T": t, "log_loss": loss}
		},
	})
}

// fitted reads the rows that a calibration is fitted to and the scores that it is asked about.
func (r *reader) fitted(of func(score, y, w, query []float64) any) any {
	y := r.shares()
	score := r.floats("score")
	r.same(len(y), "score", len(score))
	w := r.weights("w", len(y))
	query := score
	if r.has("query") {
		query = r.floats("query")
	}
	for _, v := range query {
		if math.IsNaN(v) {
			r.refuse("a score of query is not a number")
		}
	}
	if r.err != nil {
		return nil
	}
	return of(score, y, w, query)
}

// shares is y_true as 1 and 0 or, for an isotonic calibration of more than two values, the numbers themselves.
func (r *reader) shares() []float64 {
	if r.metric == "isotonic" && !r.has("pos_label") && len(metric.Classes(r.labels("y_true"))) > 2 {
		return r.floats("y_true")
	}
	return r.binary()
}

func each(v []float64, at func(float64) float64) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = at(v[i])
	}
	return out
}
