// Package serve answers predictions: it keeps versions of a model resident, routes rows to them, and hands every answer to a
// recorder before it leaves.
//
// It owns the nouns Deployment, Route and Prediction. A deployment is a name that callers use; behind it one atomic pointer says
// which version is the champion, which the canary, and how much traffic the canary gets, so that a release or a rollback is one
// store of a pointer. It must never know how versions are stored (Loader), how predictions are logged (Recorder), who watches
// them (Observer) or why traffic moves (rollout does).
package serve

import (
	"context"
	"time"

	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/lifecycle/registry"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/cache"
	"github.com/trimtab-ml/trimtab/lifecycle/serve/limit"
)

// Arm is the side of a rollout that answered a row.
type Arm uint8

// The arms.
const (
	Champion Arm = 0
	Canary   Arm = 1
	// Contender is a version of an A/B test that is not the champion.
	Contender Arm = 2
)

// String is the arm's name in APIs and logs.
func (a Arm) String() string {
	switch a {
	case Canary:
		return "canary"
	case Contender:
		return "contender"
	}
	return "champion"
}

// ParseArm reads what String writes; any other text is the champion.
func ParseArm(text string) Arm {
	switch text {
	case "canary":
		return Canary
	case "contender":
		return Contender
	}
	return Champion
}

// Log levels of a deployment: what holds for a prediction when its answer leaves.
const (
	LogRequired   = "required"    // written to the file: survives kill -9; a power cut may cost 50 ms
	LogStrict     = "strict"      // on the disk (fsync)
	LogBestEffort = "best_effort" // queued; drops are counted
	LogOff        = "off"         // nothing is kept or watched: no truth can be joined, no drift is seen
)

// Buckets is the number of routing buckets: a canary's share is a whole number of these.
const Buckets = 10000

// Prediction is one answered row. Times are microseconds since the epoch, UTC.
//
// Recorders and observers read it during their call only and keep no reference to its slices.
type Prediction struct {
	ID         string // made by the server; the name under which its outcome may arrive
	Request    string // the caller's request id, if any
	Row        int    // place of the row in its request
	Deployment string
	Key        string // the caller's, else the signature's key columns joined by "|", else the ID
	At         int64  // when the predicted event happens, by the caller, else the project's clock
	Received   int64  // wall clock of the machine
	Version    int    // that answered
	Arm        Arm
	Bucket     uint16 // routing bucket, 0..9999

	// Signature is that of Version: it names Inputs. It is shared and must not be changed.
	Signature *registry.Signature
	Inputs    []table.Value // in the order of Signature.Inputs; personal ones already pseudonymised

	Scores          []float64 // binary: the positive's probability; multiclass: one per class; regression: the value
	Champion        []float64 // the champion's scores of the same row, when a canary answered; else nil
	ChampionVersion int       // the version of Champion; 0 when not paired
	Label           string    // the decision: class by greatest score, or by the threshold; "" for regression

	// Flags of validation: bit i is input i. Inputs after the 64th carry no flags here; the values themselves are in Inputs.
	Missing, Unseen, OutOfRange uint64

	LatencyUS uint32 // time spent on this row up to its score (monotonic)

	Explanation *Explanation // of Scores; nil unless the request asked for it
}

// Recorder writes predictions. Record returns after the promise of the level holds for all of recs, or an error when it cannot be
// kept; then none of them may be answered. It is called concurrently.
type Recorder interface {
	Record(ctx context.Context, level string, recs []Prediction) error
}

// Observer sees every recorded prediction, on the request's goroutine: it must be fast and safe for concurrent use.
type Observer interface {
	Observe(deployment string, recs []Prediction)
}

// Deployment is a live endpoint of one model.
type Deployment struct {
	Project   string    `json:"project"`
	Name      string    `json:"name"`
	Model     string    `json:"model"`
	LogLevel  string    `json:"log_level"`
	Route     Route     `json:"route"`
	Settings  Settings  `json:"settings"`
	Resident  []int     `json:"resident"` // versions loaded in this process, ascending
	State     string    `json:"state"`    // empty (no champion yet), ready, failed (the champion does not load), asleep or unloaded
	Problem   string    `json:"problem,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// States of a deployment.
const (
	StateEmpty  = "empty"
	StateReady  = "ready"
	StateFailed = "failed"
	// StateAsleep: it gave its memory to others, and the next request loads it again.
	StateAsleep = "asleep"
	// StateUnloaded: somebody unloaded it.
	StateUnloaded = "unloaded"
)

// Settings is what operators say of a deployment beside its route.
type Settings struct {
	Default  bool `json:"default,omitempty"`  // answers requests that name no deployment
	Pinned   bool `json:"pinned,omitempty"`   // never gives up its memory
	Unloaded bool `json:"unloaded,omitempty"` // does not answer until it is loaded

	Limits limit.Options `json:"limits,omitzero"`
	Cache  cache.Options `json:"cache,omitzero"` // of answers of engines in other processes and of graphs
}

// Package is a version as an engine serves it: signature, recipe, model, threshold and reference profile.
type Package = registry.Package

// Loader opens a version. It refuses one that does not reproduce its golden rows.
type Loader interface {
	LoadPackage(ctx context.Context, model string, version int) (*Package, error)
}
