package track

// What changed about a run.
const (
	ChangeCreated = "created"
	ChangeUpdated = "updated" // a fact, a parameter, a tag, an input
	ChangeMetrics = "metrics" // new points
	ChangeDeleted = "deleted"
	ChangeRemoved = "removed" // for good
)

// Change is what a watcher hears. Run is empty when it is about the experiment itself.
type Change struct {
	Run        string `json:"run,omitempty"`
	Experiment string `json:"experiment"`
	What       string `json:"what"`
}
