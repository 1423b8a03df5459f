package track

import (
	"context"
	"io"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

var errPending = fault.New(fault.NotSupported, "not built yet")

func (s *Service) SearchExperiments(ctx context.Context, q Search) ([]*Experiment, string, error) {
	return nil, "", errPending
}
func (s *Service) SearchRuns(ctx context.Context, q RunSearch) ([]*Run, string, error) {
	return nil, "", errPending
}
func (s *Service) RunTable(ctx context.Context, q TableQuery) (*Table, error) { return nil, errPending }
func (s *Service) Keys(ctx context.Context, experiments []string) (*Keys, error) {
	return nil, errPending
}
func (s *Service) Charts(ctx context.Context, q ChartRequest) ([]ChartSeries, error) {
	return nil, errPending
}
func (s *Service) ExportMetrics(ctx context.Context, runs []string, format string, w io.Writer) error {
	return errPending
}
func (s *Service) SearchLoggedModels(ctx context.Context, q ModelSearch) ([]*LoggedModel, string, error) {
	return nil, "", errPending
}
