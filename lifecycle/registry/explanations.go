package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/trimtab-ml/trimtab/engine/explain"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// fileExplanations is in the tree of a version whose model could be explained when it was judged.
const fileExplanations = "explanations.json"

// Explanations is what the features contributed to the judged fit's answers for held-out rows, in margin space. A version
// that has none is fault.NotFound.
func (s *Service) Explanations(ctx context.Context, model string, version int) (*explain.Summary, error) {
	v, err := s.Get(ctx, model, version)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(v.Files, func(f File) bool { return f.Path == fileExplanations }) {
		return nil, fault.New(fault.NotFound, "%s v%d has no explanations", model, version).
			WithHint("they are made with a version of trees or of a linear model, when held-out rows judge it")
	}
	data, err := s.readFile(ctx, v, fileExplanations)
	if err != nil {
		return nil, err
	}
	out := &explain.Summary{}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s of %s v%d can't be read", fileExplanations, model, version)
	}
	return out, nil
}

// Margins names the margins that an explanation is about: the positive class, the classes, or the label.
func (s *Signature) Margins() []string {
	switch s.Task {
	case "multiclass":
		return s.Classes
	case "binary":
		return []string{cmp.Or(s.Positive, s.Label)}
	}
	return []string{s.Label}
}
