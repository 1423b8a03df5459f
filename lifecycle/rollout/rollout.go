// Package rollout moves traffic from one version to another: in steps, on evidence, and back by itself when the evidence is bad.
//
// It owns the rollout and its checks. It reads the inference log and the serving statistics, and moves the route and the
// champion alias in one transaction. It must not train, and it does not know why a version was made.
package rollout

import (
	"time"

	"github.com/trimtab-ml/trimtab/lifecycle/registry"
)

// States of a rollout.
const (
	Running  = "running"
	Paused   = "paused"   // an operator holds it; guards still abort
	Promoted = "promoted" // the canary became the champion
	Aborted  = "aborted"  // the canary was sent back
)

// Verdicts of the evidence.
const (
	Pass         = "pass"
	Fail         = "fail"
	Waiting      = "waiting"      // too few rows to say
	Inconclusive = "inconclusive" // enough rows, and the interval crosses the limit: hold
)

// Strategies by which a version comes to traffic.
const (
	CanaryStrategy = "canary"
	Immediate      = "immediate"
	BlueGreen      = "blue_green"
	ShadowStrategy = "shadow"
	ABTest         = "ab"
)

// Modes of a step. A step without one is a canary's.
const (
	ModeShadow  = "shadow"  // the version is asked what the champion was asked, and nobody sees its answers
	ModeStandby = "standby" // it is loaded and waits for the switch
	ModeAB      = "ab"      // it answers its share of the keys until somebody decides
)

// Rollout is one version's way to traffic. Times are of the project's clock.
type Rollout struct {
	ID         string     `json:"id"`
	Project    string     `json:"project"`
	Deployment string     `json:"deployment"`
	Model      string     `json:"model"`
	Strategy   string     `json:"strategy,omitempty"` // left out = canary
	From       int        `json:"from"`
	To         int        `json:"to"`
	State      string     `json:"state"`
	Steps      []Step     `json:"steps"`
	Step       int        `json:"step"` // index of the step that holds now
	StartedAt  time.Time  `json:"started_at"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`
	Cause      string     `json:"cause"`
	Actor      string     `json:"actor"`
	Reason     string     `json:"reason,omitempty"` // why it ended
	AbortWhen  string     `json:"abort_when,omitempty"`
	Verdict    string     `json:"verdict"`
	Summary    string     `json:"summary"` // the verdict in a sentence
	Checks     []Check    `json:"checks"`
	CheckedAt  *time.Time `json:"checked_at,omitempty"`
}

// Step is one share of traffic and what must pass before the next.
type Step struct {
	Mode      string        `json:"mode,omitempty" doc:"shadow, standby or ab; left out: a canary"`
	Share     float64       `json:"share"`
	Requests  int64         `json:"requests,omitempty"` // answered by the canary in this step
	Hold      time.Duration `json:"hold_ns,omitempty"`
	StartedAt *time.Time    `json:"started_at,omitempty"`
	EndedAt   *time.Time    `json:"ended_at,omitempty"`
	Seen      int64         `json:"seen"`            // rows that the version answered, or was compared on, in this step
	Waits     bool          `json:"waits,omitempty"` // it goes no further by itself
}

// now is the step that holds.
func (r *Rollout) now() *Step { return &r.Steps[r.Step] }

// Check is one comparison of canary and champion against its limit.
type Check struct {
	Name       string            `json:"name"`
	Champion   *float64          `json:"champion,omitempty"`
	Canary     *float64          `json:"canary,omitempty"`
	Difference *registry.Measure `json:"difference,omitempty"` // or the statistic itself, as Name says
	Unit       string            `json:"unit,omitempty"`
	Limit      string            `json:"limit"`
	Bound      float64           `json:"bound"` // the limit as a number, to draw
	N          int64             `json:"n"`
	Verdict    string            `json:"verdict"`
	Note       string            `json:"note,omitempty"`
}

// Active reports whether the rollout still moves or holds traffic.
func (r *Rollout) Active() bool { return r.State == Running || r.State == Paused }
