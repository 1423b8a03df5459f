package track

import (
	"context"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var errPending = fault.New(fault.NotSupported, "not built yet")

func (s *Service) SearchRuns(ctx context.Context, q RunSearch) ([]*Run, string, error) {
	return nil, "", errPending
}
func (s *Service) RunTable(ctx context.Context, q TableQuery) (*Table, error) { return nil, errPending }
func (s *Service) Keys(ctx context.Context, experiments []string) (*Keys, error) {
	return nil, errPending
}
