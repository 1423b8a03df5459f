package track

import (
	"context"
	"io"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

var errPending = fault.New(fault.NotSupported, "not built yet")

func (s *Service) CreateExperiment(ctx context.Context, n NewExperiment) (*Experiment, error) {
	return nil, errPending
}

func (s *Service) Experiment(ctx context.Context, id string) (*Experiment, error) {
	return nil, errPending
}

func (s *Service) ExperimentByName(ctx context.Context, name string) (*Experiment, error) {
	return nil, errPending
}

func (s *Service) EnsureExperiment(ctx context.Context, tx *catalog.Tx, name string) (string, error) {
	return "", errPending
}

func (s *Service) RenameExperiment(ctx context.Context, id, name string) error { return errPending }

func (s *Service) DeleteExperiment(ctx context.Context, id string) error { return errPending }

func (s *Service) RestoreExperiment(ctx context.Context, id string) error { return errPending }

func (s *Service) SetExperimentTag(ctx context.Context, id string, t Tag) error { return errPending }

func (s *Service) DeleteExperimentTag(ctx context.Context, id, key string) error { return errPending }

func (s *Service) SearchExperiments(ctx context.Context, q Search) ([]*Experiment, string, error) {
	return nil, "", errPending
}

func (s *Service) CreateRun(ctx context.Context, n NewRun) (*Run, error) { return nil, errPending }

func (s *Service) UpdateRun(ctx context.Context, id string, c RunChange) (*Run, error) {
	return nil, errPending
}

func (s *Service) DeleteRun(ctx context.Context, id string) error { return errPending }

func (s *Service) RestoreRun(ctx context.Context, id string) error { return errPending }

func (s *Service) HardDeleteRun(ctx context.Context, ids ...string) error { return errPending }

func (s *Service) SetTag(ctx context.Context, run string, t Tag) error { return errPending }

func (s *Service) DeleteTag(ctx context.Context, run, key string) error { return errPending }

func (s *Service) LogParam(ctx context.Context, run string, p Param) error { return errPending }

func (s *Service) LogMetric(ctx context.Context, run string, m Metric) error { return errPending }

func (s *Service) LogBatch(ctx context.Context, run string, b Batch) error { return errPending }

func (s *Service) LogInputs(ctx context.Context, run string, datasets []DatasetInput, models []ModelLink) error {
	return errPending
}

func (s *Service) LogOutputs(ctx context.Context, run string, models []ModelLink) error {
	return errPending
}

func (s *Service) LogLegacyModel(ctx context.Context, run, modelJSON string) error { return errPending }

func (s *Service) SearchDatasets(ctx context.Context, experiments []string) ([]DatasetSummary, error) {
	return nil, errPending
}

func (s *Service) SearchRuns(ctx context.Context, q RunSearch) ([]*Run, string, error) {
	return nil, "", errPending
}

func (s *Service) RunTable(ctx context.Context, q TableQuery) (*Table, error) { return nil, errPending }

func (s *Service) Keys(ctx context.Context, experiments []string) (*Keys, error) {
	return nil, errPending
}

func (s *Service) History(ctx context.Context, run, key, pageToken string, limit int) ([]Metric, string, error) {
	return nil, "", errPending
}

func (s *Service) HistoryBulk(ctx context.Context, runs []string, key string, limit int) ([]RunMetric, error) {
	return nil, errPending
}

func (s *Service) HistoryInterval(ctx context.Context, runs []string, key string, from, to *int64, limit int) ([]RunMetric, error) {
	return nil, errPending
}

func (s *Service) Charts(ctx context.Context, q ChartRequest) ([]ChartSeries, error) {
	return nil, errPending
}

func (s *Service) ExportMetrics(ctx context.Context, runs []string, format string, w io.Writer) error {
	return errPending
}

func (s *Service) CreateLoggedModel(ctx context.Context, n NewLoggedModel) (*LoggedModel, error) {
	return nil, errPending
}

func (s *Service) LoggedModel(ctx context.Context, id string, deleted bool) (*LoggedModel, error) {
	return nil, errPending
}

func (s *Service) FinalizeLoggedModel(ctx context.Context, id, status, message string) (*LoggedModel, error) {
	return nil, errPending
}

func (s *Service) DeleteLoggedModel(ctx context.Context, id string) error { return errPending }

func (s *Service) SearchLoggedModels(ctx context.Context, q ModelSearch) ([]*LoggedModel, string, error) {
	return nil, "", errPending
}

func (s *Service) SetLoggedModelTags(ctx context.Context, id string, tags []Tag) (*LoggedModel, error) {
	return nil, errPending
}

func (s *Service) DeleteLoggedModelTag(ctx context.Context, id, key string) error { return errPending }

func (s *Service) LogLoggedModelParams(ctx context.Context, id string, params []Param) error {
	return errPending
}
