package onnx

import (
	"strconv"

	"github.com/trimtab-ml/trimtab/engine/learn"
	"github.com/trimtab-ml/trimtab/engine/recipe"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Names of the outputs.
const (
	Probabilities = "probabilities"
	Label         = "label"
	Variable      = "variable"
)

// Threshold is the key of meta that sets the decision threshold of a binary model; without it 0.5.
const Threshold = "threshold"

// Export writes the recipe and the model as an ONNX file; the same arguments give the same bytes. inputs are those of the recipe, in its order. meta is stored as the file's
// metadata. A model of a kind that has no ONNX form yet is fault.NotSupported.
func Export(inputs []recipe.Input, f *recipe.Fitted, m learn.Model, meta map[string]string) ([]byte, error) {
	own := f.Inputs()
	if len(inputs) != len(own) {
		return nil, fault.New(fault.Invalid, "the recipe has %d inputs, not %d", len(own), len(inputs))
	}
	for i, in := range inputs {
		if in.Name != own[i].Name || in.Kind != own[i].Kind {
			return nil, fault.New(fault.Invalid, "input %d of the recipe is %s, a %s; not %s, a %s", i, own[i].Name, own[i].Kind, in.Name, in.Kind)
		}
		if in.Name == Probabilities || in.Name == Label || in.Name == Variable {
			return nil, fault.New(fault.Invalid, "an input cannot be called %s, which is an output of the ONNX file", in.Name).WithHint("rename the column")
		}
	}
	if m.Features() != len(f.FeatureNames()) {
		return nil, fault.New(fault.Invalid, "the model reads %d features and the recipe makes %d", m.Features(), len(f.FeatureNames()))
	}
	threshold := 0.5
	if text, ok := meta[Threshold]; ok {
		var err error
		if threshold, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the threshold in the metadata")
		}
	}
	g := newGraph(own)
	features, err := g.features(f)
	if err != nil {
		return nil, err
	}
	if err := g.predict(m, features, threshold); err != nil {
		return nil, err
	}
	return g.model(m.Kind(), meta), nil
}
