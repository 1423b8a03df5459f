package track

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// States of a run; MLflow's words in lower case.
const (
	Scheduled = "scheduled"
	Running   = "running"
	Finished  = "finished"
	Failed    = "failed"
	Killed    = "killed"
)

// Stages of an experiment, a run or a logged model: deleted ones can be restored until they are removed for good.
const (
	StageActive  = "active"
	StageDeleted = "deleted"
)

// Run is one piece of tracked work. Times of a project's runs are of the project's clock; Seconds is machine work.
type Run struct {
	ID         string            `json:"id"`
	Project    string            `json:"project"`
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Cause      string            `json:"cause,omitempty"`
	Actor      string            `json:"actor,omitempty"`
	StartedAt  time.Time         `json:"started_at"` // the zero time when the client gave none
	FinishedAt *time.Time        `json:"finished_at,omitempty"`
	Seconds    float64           `json:"seconds"`
	Params     map[string]string `json:"params"`
	Metrics    Values            `json:"metrics"` // the latest of each key
	Inputs     []Input           `json:"inputs"`
	Model      string            `json:"model,omitempty"`
	Version    int               `json:"version,omitempty"` // what it produced, 0 while nothing
	GitCommit  string            `json:"git_commit,omitempty"`
	Error      string            `json:"error,omitempty"`

	ExperimentID string            `json:"experiment_id"`
	User         string            `json:"user,omitempty"`
	Stage        string            `json:"stage"` // StageActive or StageDeleted
	ArtifactURI  string            `json:"artifact_uri"`
	ParentID     string            `json:"parent_id,omitempty"` // the tag mlflow.parentRunId
	Tags         map[string]string `json:"tags"`
	Datasets     []DatasetInput    `json:"datasets,omitempty"`
	ModelInputs  []ModelLink       `json:"model_inputs,omitempty"`
	ModelOutputs []ModelLink       `json:"model_outputs,omitempty"`
	UpdatedAt    time.Time         `json:"updated_at"`

	Latest map[string]Metric `json:"-"` // the points behind Metrics
}

// Input is a dataset version that the run read.
type Input struct {
	Dataset string `json:"dataset"`
	Number  int    `json:"number"`
	ID      string `json:"id"`
	Rows    int64  `json:"rows"`
}

// Values are numbers by name. JSON has no NaN and no infinities: they are the strings "NaN", "Infinity" and "-Infinity".
type Values map[string]float64

// MarshalJSON writes keys in order, so that equal values have equal bytes.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(v))
	for key, value := range v {
		out[key] = jsonNumber(value)
	}
	return json.Marshal(out)
}

func jsonNumber(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

// UnmarshalJSON is the inverse of MarshalJSON.
func (v *Values) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*v = make(Values, len(raw))
	for key, value := range raw {
		text := string(value)
		if quoted, err := strconv.Unquote(text); err == nil {
			text = quoted
		}
		number, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err
		}
		(*v)[key] = number
	}
	return nil
}

// NewRun is what CreateRun needs. Only ExperimentID is required; a run without a name gets one of two words and a number.
type NewRun struct {
	ID           string // empty = a new one; imports keep the id of their source
	ExperimentID string // "" = "0"
	Name         string
	User         string
	StartedAt    *time.Time
	Tags         []Tag
	Project      string
	Cause        string
}

// RunChange changes what is not nil.
type RunChange struct {
	Name       *string
	State      *string
	FinishedAt *time.Time
}
