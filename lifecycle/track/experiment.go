package track

import "time"

// Experiment is a folder of runs. Its id is a decimal number; "0" is named Default and is always there.
type Experiment struct {
	ID           string            `json:"id"`
	Name         string            `json:"name"`
	ArtifactRoot string            `json:"artifact_root"` // mlflow-artifacts:/<id>, or what the client gave
	Stage        string            `json:"stage"`
	CreatedAt    time.Time         `json:"created_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
	Tags         map[string]string `json:"tags"`
	Runs         int64             `json:"runs"`                  // active ones; only lists have it
	LastRunAt    *time.Time        `json:"last_run_at,omitempty"` // only lists have it
}

// NewExperiment is what CreateExperiment needs. An empty ArtifactRoot means our own store.
type NewExperiment struct {
	Name         string
	ArtifactRoot string
	Tags         []Tag
}
