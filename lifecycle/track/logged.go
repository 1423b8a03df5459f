package track

import "time"

// States of a logged model; MLflow's words in lower case, without their prefix.
const (
	ModelPending = "pending"
	ModelReady   = "ready"
	ModelFailed  = "upload_failed"
)

// LoggedModel is a model that a run wrote, before anyone registers it. Its files lie under ArtifactURI.
type LoggedModel struct {
	ID            string    `json:"id"` // "m-" and 32 hex digits
	ExperimentID  string    `json:"experiment_id"`
	Name          string    `json:"name"`
	ModelType     string    `json:"model_type,omitempty"`
	SourceRunID   string    `json:"source_run_id,omitempty"`
	Status        string    `json:"status"`
	StatusMessage string    `json:"status_message,omitempty"`
	Stage         string    `json:"stage"`
	ArtifactURI   string    `json:"artifact_uri"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
	Tags          []Tag     `json:"tags"`
	Params        []Param   `json:"params"`

	Metrics []ModelMetric `json:"-"`
}

// ModelMetric is the latest point of a metric of a model, for one run and one dataset.
type ModelMetric struct {
	Metric
	RunID string
}

// NewLoggedModel is what CreateLoggedModel needs: only ExperimentID is required.
type NewLoggedModel struct {
	ID           string // empty = a new one; imports keep the id of their source
	ExperimentID string
	Name         string // "" = two words and a number
	ModelType    string
	SourceRunID  string
	Tags         []Tag
	Params       []Param
}

// ModelSearch finds logged models. Order has MLflow's field names: "name", "creation_timestamp", "metrics.auc".
type ModelSearch struct {
	Experiments []string
	Filter      string
	Datasets    []DatasetFilter // any of them; restricts metric conditions, or demands a metric on one of them
	Order       []ModelOrder
	MaxResults  int // 0 = 100
	PageToken   string
}

// DatasetFilter names a dataset; an empty digest matches all.
type DatasetFilter struct{ Name, Digest string }

// ModelOrder is one key of an order.
type ModelOrder struct {
	Field      string
	Descending bool
	Dataset    DatasetFilter // for metrics
}
