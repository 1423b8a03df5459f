package registry

import (
	"context"
	"strings"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// IsPrompt reports whether a name is one of MLflow's prompts, as q sees it; a name that nobody has is none.
func (s *Service) IsPrompt(ctx context.Context, q catalog.Querier, name string) (bool, error) {
	m, err := s.find(ctx, q, name)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return strings.EqualFold(m.Tags[IsPrompt], "true"), nil
}
