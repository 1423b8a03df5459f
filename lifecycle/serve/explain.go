package serve

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Explanation is why a row scored what it scored, in margin space (see explain.Explainer). Numbers come one per output:
// one, or one per class.
type Explanation struct {
	Unit          string      // of all numbers: log_odds, score, log, probability or value
	Features      []string    // the signature's Features, which the recipe reads; shared
	Expected      []float64   // the margin when nothing is known of the row; shared
	Contributions [][]float64 // features x outputs
	Margin        []float64   // Expected plus all contributions
}

// explanations makes the explainer of a version when it is first asked for.
type explanations struct {
	once sync.Once
	made atomic.Pointer[explain.Explainer]
	err  error
}

// explainer is that of the version; a model that cannot be explained is fault.Invalid, because the caller asked for it.
func (c *compiled) explainer() (*explain.Explainer, error) {
	c.why.once.Do(func() {
		if c.pkg.Learned == nil {
			c.why.err = fault.New(fault.Invalid, "%s v%d cannot explain its predictions: it is not a model of ours", c.pkg.Model, c.pkg.Version).WithHint("ask without explain")
			return
		}
		e, err := explain.New(c.pkg.Learned)
		if err != nil {
			c.why.err = fault.Wrap(err, fault.Invalid, "%s v%d cannot explain its predictions", c.pkg.Model, c.pkg.Version).
				WithHint("ask without explain; models of trees and linear models can explain theirs")
			return
		}
		c.why.made.Store(e)
	})
	return c.why.made.Load(), c.why.err
}

// A request may take explainSteps of explaining, some seconds, and explain one row whatever it takes.
const (
	explainSteps = 500_000_000
	maxExplained = 1000 // rows
)

// explainable makes sure that the version can explain so many rows at once.
func (c *compiled) explainable(rows int) error {
	e, err := c.explainer()
	if err != nil {
		return err
	}
	if most := max(1, min(maxExplained, explainSteps/e.Steps())); rows > most {
		return fault.New(fault.TooLarge, "the request asks for explanations of %d rows; %s v%d explains at most %d at once", rows, c.pkg.Model, c.pkg.Version, most).
			WithHint("send the rows in several requests")
	}
	return nil
}

// explain says what each feature of a bound row contributed. Features that the recipe makes of one count for it.
func (c *compiled) explain(vals []table.Value) (*Explanation, error) {
	e, err := c.explainer()
	if err != nil {
		return nil, err
	}
	w := c.pool.Get().(*workspace)
	defer c.pool.Put(w)
	c.prepare(w, vals, w.prepared)
	return c.contributions(e, w)
}

// contributions explains the row of a prepared workspace.
func (c *compiled) contributions(e *explain.Explainer, w *workspace) (*Explanation, error) {
	k, p := e.Outputs(), e.Features()
	raw, folded := make([]float64, k*p), make([]float64, k*len(c.sig.Features))
	e.Row(w.prepared, raw)
	explain.Fold(raw, c.pkg.Fitted.FeatureInputs(), len(c.sig.Features), folded)
	out := &Explanation{Unit: e.Unit(), Features: c.sig.Features, Expected: e.Expected(), Margin: make([]float64, k), Contributions: make([][]float64, len(c.sig.Features))}
	copy(out.Margin, out.Expected)
	for j := range out.Contributions {
		out.Contributions[j] = make([]float64, k)
		for o := range k {
			v := folded[o*len(c.sig.Features)+j]
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fault.New(fault.Invalid, "%s v%d gives no finite contribution of %s for this row", c.pkg.Model, c.pkg.Version, c.sig.Features[j])
			}
			out.Contributions[j][o] = v
			out.Margin[o] += v
		}
	}
	return out, nil
}

// Explained is a row of Explain: what the recipe read, the answer, and why.
type Explained struct {
	Values []table.Value // in the order of the explanation's features; personal ones pseudonymised
	Scores []float64
	Label  string
	Explanation
}

// Explain answers rows with a version and explains the answers, outside of any deployment: nothing is logged, routed or counted.
// Rows are read like those of Predict. A model that cannot be explained is fault.Invalid.
func (s *Service) Explain(ctx context.Context, model string, version int, rows []Row) (*registry.Signature, []Explained, error) {
	c, err := s.load(ctx, model, version)
	if err != nil {
		return nil, nil, err
	}
	if _, err := (&Batch{Rows: rows}).check(); err != nil {
		return nil, nil, err
	}
	if err := c.explainable(len(rows)); err != nil {
		return nil, nil, err
	}
	e, err := c.explainer()
	if err != nil {
		return nil, nil, err
	}
	out := make([]Explained, len(rows))
	vals, p, w := make([]table.Value, len(c.inputs)), Prediction{}, c.pool.Get().(*workspace)
	defer c.pool.Put(w)
	for i, row := range rows {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		r := &out[i]
		r.Scores = make([]float64, c.outputs)
		if err := c.bind(w, row, i, vals, &p, s.pseudonymise); err != nil {
			return nil, nil, err
		}
		if err := c.scoreRow(w, vals, i, r.Scores); err != nil {
			return nil, nil, err
		}
		why, err := c.contributions(e, w)
		if err != nil {
			return nil, nil, err
		}
		r.Explanation, r.Label, r.Values = *why, c.decide(r.Scores), slices.Clone(w.features)
	}
	return c.sig, out, nil
}
