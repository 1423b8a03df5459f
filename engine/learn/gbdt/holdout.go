package gbdt

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/learn/bins"
	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// refitFactor is how many more rounds all rows take than the rows without the holdout did.
const refitFactor = 1.1

// holdOut trains on a part of the rows until the rest says to stop, and then, with Refit, on all of them. Only the first
// of the two runs is told to Curve and Prune; Progress counts anew in the second.
func (p *plan) holdOut(ctx context.Context) (learner.Model, error) {
	held, err := p.held()
	if err != nil {
		return nil, err
	}
	var rest []int
	for i, h := 0, 0; i < p.train.X.Rows; i++ {
		if h < len(held) && held[h] == i {
			h++
			continue
		}
		rest = append(rest, i)
	}
	search := *p
	search.train, search.weights = take(p.train, rest), pick(p.weights, rest)
	valid := take(p.train, held)
	if err := weighs(search.weights, "trained on"); err != nil {
		return nil, err
	}
	// The holdout is measured with the rows' own weights, without those of the classes.
	validWeights := pick(p.opt.Weights, held)
	if err := weighs(validWeights, "held out"); err != nil {
		return nil, err
	}
	b, err := newBooster(&search, &valid, validWeights)
	if err != nil {
		return nil, err
	}
	m, err := b.run(ctx)
	if err != nil {
		return nil, err
	}
	if !p.Refit || b.spent || b.best == 0 {
		return m, nil
	}
	all := *p
	all.Rounds, all.Patience = int(math.Ceil(refitFactor*float64(b.best))), 0
	all.opt.Curve, all.opt.Prune, all.opt.Ready = nil, nil, nil
	// The search's memory goes before the second run takes its own.
	b, search.train, valid = nil, learner.Set{}, learner.Set{}
	refit, err := newBooster(&all, nil, nil)
	if err != nil {
		return nil, err
	}
	whole, err := refit.run(ctx)
	if err != nil {
		return nil, err
	}
	if refit.spent && len(whole.Trees) < len(m.Trees) {
		return m, nil
	}
	return whole, nil
}

// held is the rows to hold out, in ascending order: Validation of the rows of each class, of all rows where there are
// none, or of the queries in ranking. A part with two or more gives one at least, and keeps one.
func (p *plan) held() ([]int, error) {
	parts := map[int][]int{}
	for i, y := range p.train.Y {
		part := 0
		switch p.task {
		case learner.Binary, learner.Multiclass:
			part = int(y)
		case learner.Ranking:
			if i > 0 && p.train.Query[i] == p.train.Query[i-1] {
				continue // a query stands for its first row
			}
		}
		parts[part] = append(parts[part], i)
	}
	key := bins.Mix(p.Seed, 0x686f6c64, 0)
	var held []int
	for _, rows := range parts {
		n := len(rows)
		if n < 2 {
			continue
		}
		n = min(max(int(math.Round(p.Validation*float64(n))), 1), n-1)
		slices.SortFunc(rows, func(a, b int) int { return cmp.Compare(bins.Mix(key, uint64(a), 0), bins.Mix(key, uint64(b), 0)) })
		held = append(held, rows[:n]...)
	}
	if len(held) == 0 {
		return nil, fault.New(fault.Invalid, "gbdt: early_stopping_rounds needs rows to hold out, and there are too few").
			WithHint("give validation rows, or set early_stopping_rounds to 0")
	}
	slices.Sort(held)
	if p.task != learner.Ranking {
		return held, nil
	}
	var rows []int
	for _, first := range held {
		for i := first; i < len(p.train.Query) && p.train.Query[i] == p.train.Query[first]; i++ {
			rows = append(rows, i)
		}
	}
	return rows, nil
}

func take(s learner.Set, rows []int) learner.Set {
	out := learner.Set{X: s.X.Take(rows), Y: pick(s.Y, rows)}
	if s.Query != nil {
		out.Query = pick(s.Query, rows)
	}
	return out
}

// pick is the listed entries of v; nil for nil.
func pick[T any](v []T, rows []int) []T {
	if v == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = v[r]
	}
	return out
}

// weighs refuses weights that are all 0.
func weighs(weights []float64, what string) error {
	if weights == nil || slices.Max(weights) > 0 {
		return nil
	}
	return fault.New(fault.Invalid, "gbdt: every row %s has weight 0", what).
		WithHint("give validation rows, or set early_stopping_rounds to 0")
}
