package pipeline

import (
	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/profile"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// reference is what production is compared with: the inputs of the rows that the released fit saw, and the scores of the rows
// that the judged fit did not see, since a model is surer of its own training rows than of any others.
func reference(rows *frame, held *registry.Held, outputs int) *profile.Reference {
	sig := &rows.signature
	shared := map[string][]string{}
	for i := range sig.Inputs {
		in := &sig.Inputs[i]
		if in.View == "" {
			continue
		}
		shared[in.Name] = append([]string{}, in.Entity...)
		if in.Time != "" {
			shared[in.Name] = append(shared[in.Name], in.Time)
		}
	}
	ref := profile.BuildReference(rows.inputs, profile.Options{SharedBy: shared})
	scores := profile.BuildReference(table.New(answers(sig, held, outputs)), profile.Options{})
	ref.Columns = append(ref.Columns, scores.Columns...)
	return ref
}

// answers is the predictions as one column: the probability or the value, or the likeliest class.
func answers(sig *registry.Signature, held *registry.Held, outputs int) *table.Column {
	c := &table.Column{Name: profile.ScoreColumn, Kind: table.Double}
	if learn.Task(sig.Task) != learn.Multiclass {
		c.Floats = held.P
		return c
	}
	c.Kind = table.String
	for i := range held.Y {
		best := 0
		for k := range outputs {
			if held.P[i*outputs+k] > held.P[i*outputs+best] {
				best = k
			}
		}
		c.Strings = append(c.Strings, sig.Classes[best])
	}
	return c
}
