package registry

import (
	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/table"
)

// Roles of an input.
const (
	RoleFeature = "feature" // the model reads it
	RoleContext = "context" // logged, and used to count independent entities; the model does not read it
)

// Signature is what a version expects from its callers and what it answers.
type Signature struct {
	// Inputs is what a request may carry, in the order in which logs and rows hold them.
	Inputs []Input `json:"inputs"`
	// Derived is computed from inputs by the server before the model, by the same code as in training.
	Derived []Derived `json:"derived,omitempty"`
	// Features names what the recipe reads, in its order: each is an input or a derived value.
	Features []string `json:"features"`

	Task     string   `json:"task"` // binary, multiclass, regression or tensors
	Classes  []string `json:"classes,omitempty"`
	Label    string   `json:"label"`              // name of the thing predicted
	Expr     string   `json:"expr,omitempty"`     // how it is computed from the columns of an outcome
	Positive string   `json:"positive,omitempty"` // binary: what probability 1 means
	Key      []string `json:"key,omitempty"`      // columns that name a row of the dataset
	Time     string   `json:"time,omitempty"`     // its time column
	Zone     string   `json:"zone,omitempty"`     // the zone in which its hours and weekdays are meant

	// Of the task tensors: what goes in and comes out as it is. Inputs then names them for the log.
	TensorInputs  []predictor.Field `json:"tensor_inputs,omitempty"`
	TensorOutputs []predictor.Field `json:"tensor_outputs,omitempty"`
}

// TaskTensors is the task of a version whose answers are no scores of rows: whatever tensors it gives are the answer.
const TaskTensors = "tensors"

// Input is one field of a request.
type Input struct {
	Name       string     `json:"name"`
	Kind       table.Kind `json:"kind"`
	Role       string     `json:"role"`
	Nullable   bool       `json:"nullable"` // a missing value was seen in training, or the recipe fills it
	Categories []string   `json:"categories,omitempty"`
	Min        *float64   `json:"min,omitempty"` // of the training rows
	Max        *float64   `json:"max,omitempty"`
	Unit       string     `json:"unit,omitempty"`
	View       string     `json:"view,omitempty"`   // feature view that a joined input comes from
	Entity     []string   `json:"entity,omitempty"` // inputs that name the entity of that view
	Time       string     `json:"time,omitempty"`   // input that holds the time of that view; empty when the view has none
	Personal   string     `json:"personal,omitempty"`
}

// Derived is a value computed from inputs.
type Derived struct {
	Name string     `json:"name"`
	Expr string     `json:"expr"`
	Kind table.Kind `json:"kind"`
	From []string   `json:"from"`
}

// Input finds an input by name and its place in the order; nil when it is not there.
func (s *Signature) Input(name string) (*Input, int) {
	for i := range s.Inputs {
		if s.Inputs[i].Name == name {
			return &s.Inputs[i], i
		}
	}
	return nil, -1
}
