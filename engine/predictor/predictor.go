// Package predictor is the contract of everything that answers tensors with tensors: an ONNX graph in this process, a library in a
// child process, a Python or R program in its sandbox.
//
// It owns the words in which such an engine says what it takes, what it gives and how it does. It must never know how a version is
// stored, who asks, or how requests are routed.
package predictor

import (
	"context"
	"time"

	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// Predictor answers tensors. It is safe for concurrent use.
//
// Errors: fault.Invalid for input that it does not take, in words that name the input; fault.Unavailable when it cannot answer now (its
// process died, its queue is full); the context's error when the caller's deadline passed; anything else is the model's own failure.
type Predictor interface {
	// Inputs and Outputs describe what Predict takes and gives, in order.
	Inputs() []Field
	Outputs() []Field
	// Predict answers all rows at once. Inputs that the engine does not know are ignored; wanted names the outputs, none = all. The
	// answer has the wanted outputs in that order, and keeps no reference to what was passed in.
	Predict(ctx context.Context, q *Request) ([]tensor.Named, error)
	// Close ends it. Requests under way are answered first, new ones are fault.Unavailable.
	Close() error
}

// Request is what an engine is asked.
type Request struct {
	Inputs []tensor.Named
	Wanted []string       // names of outputs; none = all
	Params map[string]any // of the caller, for engines that take them: texts, numbers, booleans
}

// Field is an input or output. A size of -1 in its shape is free; the first dimension is that of the rows where it is -1.
type Field struct {
	Name     string      `json:"name"`
	Type     tensor.Type `json:"type"`
	Shape    []int       `json:"shape"`
	Optional bool        `json:"optional,omitempty"` // may be left out
}

// Status is how an engine does; those with processes implement Reporter.
type Status struct {
	Engine   string    `json:"engine"`             // "onnx", "python", "onnxruntime", "r"
	Isolated []Rung    `json:"isolated,omitempty"` // what holds the processes in
	Workers  []Worker  `json:"workers,omitempty"`
	Restarts int64     `json:"restarts"`
	Queued   int64     `json:"queued"`
	Log      []string  `json:"log,omitempty"` // the last lines that the model wrote
	Since    time.Time `json:"since"`
	Broken   string    `json:"broken,omitempty"` // why it no longer tries; "" = it works
	Memory   int64     `json:"memory_bytes"`     // of all processes, or what the engine holds in this one
}

// Rung is one measure of the sandbox.
type Rung struct {
	Name   string `json:"name"`
	Holds  bool   `json:"holds"`
	Reason string `json:"reason,omitempty"` // why not
}

// Worker is one process.
type Worker struct {
	PID      int       `json:"pid"`
	State    string    `json:"state"` // starting, ready, busy, stopping
	Memory   int64     `json:"memory_bytes"`
	Requests int64     `json:"requests"`
	Started  time.Time `json:"started_at"`
}

// Reporter tells how an engine does.
type Reporter interface{ Status() Status }
