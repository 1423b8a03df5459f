package track

// Dataset is a dataset as a client describes it. Within an experiment (Name, Digest) names it, and the first
// description that was logged stays.
type Dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

// DatasetInput is a dataset that a run read, with the tags of that reading: mlflow.data.context says what for.
type DatasetInput struct {
	Dataset Dataset `json:"dataset"`
	Tags    []Tag   `json:"tags,omitempty"`
}

// ModelLink is a logged model that a run read or wrote. Step is of outputs only.
type ModelLink struct {
	ModelID string `json:"model_id"`
	Step    int64  `json:"step,omitempty"`
}

// DatasetSummary is a dataset that runs of an experiment read, once for every context.
type DatasetSummary struct {
	ExperimentID string `json:"experiment_id"`
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Context      string `json:"context,omitempty"`
}
