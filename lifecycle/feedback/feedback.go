// Package feedback is the memory of production: every prediction as it was answered, and the truth as it arrives.
//
// It owns the inference log (append-only segment files, compacted to Parquet by deployment, version and UTC day), the log of
// outcomes, and the join between them. It implements serve.Recorder. It must never know what the numbers are used for: monitor,
// rollout and retrain read rows and judge.
//
// The join is a function of what was received and not of when: predictions and outcomes may arrive in any order, and a restart
// that reads the logs again comes to the same labels. An outcome by prediction id belongs to that prediction. An outcome by key
// and time belongs to every prediction of that key at that time. An outcome by key alone belongs to every prediction of the key
// that was made for a time up to the moment the outcome was known, so that last month's truth never labels next month's row.
package feedback

import (
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve"
)

// Outcome is a piece of ground truth. It names its prediction by id, or by key and perhaps time, and carries either the label
// itself, or the columns that the signature's label expression reads, or the knowledge that there is no label.
type Outcome struct {
	PredictionID string
	Key          string
	At           time.Time // of the prediction, with Key; zero = any time up to KnownAt

	KnownAt time.Time // when the truth was known; zero = now by the project's clock
	Source  string    // who says so; for people

	Label   *float64       // binary 0 or 1, multiclass the class index, regression the value
	Values  map[string]any // columns of the label expression, or the label under its own name; nil = null
	NoLabel bool           // known to have none (a cancelled flight is neither late nor on time)
}

// What became of an outcome.
const (
	Accepted  = "accepted"  // joined to its predictions
	Pending   = "pending"   // kept until its prediction turns up
	Duplicate = "duplicate" // said before: no effect
	Revised   = "revised"   // contradicts what was said before: both are kept, this one holds
	Rejected  = "rejected"  // not kept; Why says why
)

// Answer is what became of one outcome of a batch.
type Answer struct {
	Status      string `json:"status" enum:"accepted,pending,duplicate,revised,rejected"`
	Predictions int    `json:"predictions" doc:"how many predictions it labels"`
	Why         string `json:"why,omitempty"`
}

// Labeled is a logged prediction with what is known of its truth. Times are microseconds since the epoch, UTC.
type Labeled struct {
	ID              string
	Key             string
	At              int64
	Version         int
	Arm             serve.Arm
	ChampionVersion int       // 0 when the row was not paired
	Scores          []float64 // of Version
	Champion        []float64 // of ChampionVersion; nil when not paired
	Signature       *registry.Signature
	Inputs          []table.Value // in the order of Signature.Inputs
	LatencyUS       uint32

	HasLabel     bool    // false: no truth yet, or known to have none
	NoLabel      bool    // known to have none
	Label        float64 // as Outcome.Label; NaN without one
	LabelKnownAt int64   // 0 without truth
}
