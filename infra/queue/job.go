// Package queue runs long work outside of the request that asked for it: jobs that are enqueued inside a domain's
// transaction, run once it has committed, are retried when that may help, and run again after a crash.
//
// It owns the table of jobs and the goroutines that run them. It must never know what a job does: packages register
// a handler for each kind of theirs. Handlers must be idempotent, because a crash between the end of the work and the
// mark that it is done runs them again.
package queue

import (
	"encoding/json"
	"time"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// The states of a job. The last three are final.
const (
	Waiting  = "waiting"
	Active   = "running"
	Done     = "done"
	Failed   = "failed"
	Canceled = "canceled"
)

// Job is one piece of work and what became of it.
type Job struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind" example:"build_version"`
	Project     string          `json:"project" doc:"empty for work of the server itself"`
	Key         string          `json:"key" doc:"there is at most one active job of a kind and key"`
	State       string          `json:"state" enum:"waiting,running,done,failed,canceled"`
	Attempt     int             `json:"attempt" doc:"how often it was started"`
	MaxAttempts int             `json:"max_attempts" doc:"how often it may fail for reasons that may pass"`
	Progress    Progress        `json:"progress"`
	Cause       string          `json:"cause" doc:"who or what asked for it"`
	Args        json.RawMessage `json:"args"`
	Result      json.RawMessage `json:"result,omitempty"`
	Error       *JobError       `json:"error,omitempty" doc:"why it failed, or why the last attempt did"`
	CreatedAt   time.Time       `json:"created_at"`
	RunAt       time.Time       `json:"run_at" doc:"not before this; later than created_at after a failed attempt"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	Heartbeat   time.Time       `json:"heartbeat,omitzero" doc:"the last sign of life of the running attempt"`
}

// Final reports whether the job will never run again.
func (j Job) Final() bool { return j.State == Done || j.State == Failed || j.State == Canceled }

// Progress is how far a job is. Total is 0 while it is not known.
type Progress struct {
	Done    int64  `json:"done"`
	Total   int64  `json:"total"`
	Unit    string `json:"unit,omitempty" example:"rows"`
	Message string `json:"message,omitempty"`
}

// JobError is a fault as a job keeps it.
type JobError struct {
	Code     fault.Code      `json:"code"`
	Message  string          `json:"message"`
	Hint     string          `json:"hint,omitempty"`
	Position *fault.Position `json:"position,omitempty"`
	Details  map[string]any  `json:"details,omitempty"`
}

// Fault is the error as a fault again; nil for a nil receiver.
func (e *JobError) Fault() error {
	if e == nil {
		return nil
	}
	// The message names the position already.
	return &fault.Error{Code: e.Code, Message: e.Message, Hint: e.Hint, Details: e.Details}
}
