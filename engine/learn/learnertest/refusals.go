package learnertest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// cancel: a context that has ended ends the fit with fault.Canceled, at the start and between rounds.
func (s *Subject) cancel(t *testing.T) {
	set := s.sample(500, 1)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := s.attempt(t, ended, s.learner(t), set, learner.Options{})
	if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended, Fit answers %v", err)
	}
	if !s.Rounds {
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	first, last := -1, 0
	_, err = s.attempt(t, ctx, s.learner(t), set, learner.Options{Progress: func(done, _ int, _ float64) {
		if last = done; first < 0 {
			first = done
			stop()
		}
	}})
	if !fault.Is(err, fault.Canceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled after a round, Fit answers %v", err)
	}
	if last > first+1 {
		t.Errorf("cancelled after round %d, it went on to round %d", first, last)
	}
}

// progress: rounds are counted upwards and told with their losses, watching does not change the model, and the fit
// ends with ErrPruned when it is asked to.
func (s *Subject) progress(t *testing.T) {
	set, valid := s.sample(500, 1), s.sample(200, 2)
	last, calls, curves := -1, 0, 0
	opt := learner.Options{Seed: 2,
		Progress: func(done, total int, loss float64) {
			if calls++; done <= last || done > total {
				t.Errorf("round %d of %d after round %d", done, total, last)
			}
			if last = done; loss-loss != 0 {
				t.Errorf("the loss of round %d is %v", done, loss)
			}
		},
		Curve: func(done, _ int, train, held float64) {
			if curves++; !math.IsNaN(held) || train-train != 0 {
				t.Errorf("round %d without validation rows: losses %v and %v", done, train, held)
			}
		},
	}
	watched := s.fit(t, set, opt)
	if calls == 0 || curves == 0 || s.Rounds && calls < 2 {
		t.Errorf("Progress was called %d times, Curve %d times", calls, curves)
	}
	same(t, "a fit that is watched", s.fit(t, set, learner.Options{Seed: 2}), watched)

	seen := false
	opt = learner.Options{Seed: 2, Valid: &valid, Curve: func(done, _ int, train, held float64) {
		if seen = true; held-held != 0 || train-train != 0 {
			t.Errorf("round %d: losses %v and %v", done, train, held)
		}
	}}
	s.fit(t, set, opt)
	if !seen {
		t.Error("Curve was not called")
	}
	if !s.Rounds {
		return
	}
	calls = 0
	_, err := s.attempt(t, t.Context(), s.learner(t), set, learner.Options{Valid: &valid, Prune: func(_, _ int, _, _ float64) bool {
		calls++
		return true
	}})
	if !errors.Is(err, learner.ErrPruned) || calls != 1 {
		t.Errorf("pruned, Fit answers %v after %d calls", err, calls)
	}
}

// refusals: what cannot be learned from is fault.Invalid.
func (s *Subject) refusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*learner.Set, *learner.Options)
		task   learner.Task
	}{
		"no rows":       {change: func(set *learner.Set, _ *learner.Options) { *set = take(*set, nil) }},
		"no columns":    {change: func(set *learner.Set, _ *learner.Options) { set.X = table.NewMatrix(50, nil) }},
		"no matrix":     {change: func(set *learner.Set, _ *learner.Options) { set.X = nil }},
		"short matrix":  {change: func(set *learner.Set, _ *learner.Options) { set.X.Data = set.X.Data[1:] }},
		"few labels":    {change: func(set *learner.Set, _ *learner.Options) { set.Y = set.Y[1:] }},
		"no label":      {change: func(set *learner.Set, _ *learner.Options) { set.Y[3] = math.NaN() }},
		"endless label": {change: func(set *learner.Set, _ *learner.Options) { set.Y[3] = math.Inf(1) }},
		"unknown task":  {task: "sorting"},
		"few weights":   {change: func(_ *learner.Set, o *learner.Options) { o.Weights = []float64{1} }},
		"minus weight":  {change: func(_ *learner.Set, o *learner.Options) { o.Weights = make([]float64, 50); o.Weights[2] = -1 }},
		"no weight":     {change: func(_ *learner.Set, o *learner.Options) { o.Weights = make([]float64, 50) }},
		"other columns": {change: func(_ *learner.Set, o *learner.Options) {
			o.Valid = &learner.Set{X: table.NewMatrix(1, []string{"a"}), Y: []float64{1}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			set, opt := s.sample(50, 1), learner.Options{}
			if c.change != nil {
				c.change(&set, &opt)
			}
			own := *s
			if c.task != "" {
				own.Task = c.task
			}
			if _, err := own.attempt(t, t.Context(), s.learner(t), set, opt); !fault.Is(err, fault.Invalid) {
				t.Errorf("Fit answers %v", err)
			}
		})
	}
}
