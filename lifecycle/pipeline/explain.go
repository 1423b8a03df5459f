package pipeline

import (
	"math"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// Held-out rows are explained as far as it takes a few seconds, but at least some of them.
const (
	explainedRows = 2000
	fewestRows    = 50
	explainSteps  = 200_000_000
)

// explanations says what the features contributed to the answers of the judged fit for a drawn sample of the held-out
// rows; nil when its model cannot be explained. Values of personal columns, and of what is derived from them, are left out.
func (b *build) explanations(m *fit, test *frame) (*explain.Summary, error) {
	e, err := explain.New(m.model)
	if fault.Is(err, fault.NotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows := explain.Draw(test.rows(), max(fewestRows, min(explainedRows, explainSteps/e.Steps())), defaultSeed)
	b.progress(0, 0, "", "explaining held-out rows")
	sig := &test.signature
	in, err := features(sig, test.inputs.Take(rows))
	if err != nil {
		return nil, err
	}
	matrix, err := m.fitted.Transform(in)
	if err != nil {
		return nil, err
	}
	raw := make([]float64, in.Rows*e.Outputs()*e.Features())
	e.Rows(matrix, raw, b.workers)
	x := &explain.Explained{Values: &table.Table{Rows: in.Rows}, Outputs: e.Outputs(), Expected: e.Expected(), Unit: e.Unit(),
		Contributions: make([]float64, in.Rows*e.Outputs()*len(sig.Features))}
	explain.Fold(raw, m.fitted.FeatureInputs(), len(sig.Features), x.Contributions)
	if !finite(x.Contributions) || !finite(x.Expected) {
		return nil, nil // of a model that gives no finite answer either
	}
	for i, name := range sig.Features {
		c := *in.Columns[i]
		c.Name = name
		if personal(sig, name) {
			c.Nulls = slices.Repeat([]bool{true}, in.Rows)
		}
		x.Values.Add(&c)
	}
	return explain.Summarise(x, test.rows(), sig.Margins())
}

func finite(values []float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// personal reports whether a feature is a personal column or is derived from one.
func personal(sig *registry.Signature, feature string) bool {
	if in, _ := sig.Input(feature); in != nil && in.Personal != "" {
		return true
	}
	for _, d := range sig.Derived {
		if d.Name == feature && slices.ContainsFunc(d.From, func(from string) bool { in, _ := sig.Input(from); return in != nil && in.Personal != "" }) {
			return true
		}
	}
	return false
}
