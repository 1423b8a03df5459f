// Package predictortest holds what every Predictor must do, as tests that each of them runs.
//
// It must never know how a Predictor computes: only what its contract says.
package predictortest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Subject is a Predictor to be tested, with requests that it takes. Row i of a request must be the same for any number of rows, and the
// answer to a row must not depend on its neighbours.
type Subject struct {
	Predictor predictor.Predictor
	Request   func(rows int) []tensor.Named
}

// Run runs all tests; each opens a Predictor of its own, with at least one input and one output that are declared, and closes it.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"Fields", fields}, {"Shapes", shapes}, {"RowsStandAlone", rowsStandAlone}, {"Wanted", wanted}, {"UnknownInput", unknownInput}, {"MissingInput", missingInput},
		{"WrongShape", wrongShape}, {"Deadline", deadline}, {"Concurrency", concurrency}, {"KeepsNothing", keepsNothing}, {"Close", closing},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			test.run(t, s)
			if err := s.Predictor.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

func ask(t *testing.T, s Subject, q *predictor.Request) []tensor.Named {
	t.Helper()
	out, err := s.Predictor.Predict(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fields(t *testing.T, s Subject) {
	if len(s.Predictor.Inputs()) == 0 || len(s.Predictor.Outputs()) == 0 {
		t.Fatalf("inputs %v, outputs %v", s.Predictor.Inputs(), s.Predictor.Outputs())
	}
	seen := map[string]bool{}
	for _, f := range s.Predictor.Inputs() {
		if f.Name == "" || seen[f.Name] {
			t.Errorf("the input %q has no name of its own", f.Name)
		}
		seen[f.Name] = true
	}
}

// shapes: the answers are those that were declared, for any number of rows.
func shapes(t *testing.T, s Subject) {
	for _, rows := range []int{1, 2, 17, 1000} {
		out := ask(t, s, &predictor.Request{Inputs: s.Request(rows)})
		if len(out) != len(s.Predictor.Outputs()) {
			t.Fatalf("%d outputs, and %d are declared", len(out), len(s.Predictor.Outputs()))
		}
		for i, f := range s.Predictor.Outputs() {
			o := out[i]
			if o.Name != f.Name || f.Type != tensor.None && o.Type() != f.Type {
				t.Errorf("output %d is %s %s, and declared as %s %s", i, o.Name, o.Type(), f.Name, f.Type)
			}
			if f.Shape == nil {
				continue
			}
			if len(f.Shape) != len(o.Shape) {
				t.Errorf("the output %s has the shape %v, and %v is declared", f.Name, o.Shape, f.Shape)
				continue
			}
			for j, d := range f.Shape {
				if d >= 0 && o.Shape[j] != d || d < 0 && j == 0 && o.Shape[j] != rows {
					t.Errorf("the output %s of %d rows has the shape %v, and %v is declared", f.Name, rows, o.Shape, f.Shape)
				}
			}
		}
	}
}

func rowsStandAlone(t *testing.T, s Subject) {
	all := ask(t, s, &predictor.Request{Inputs: s.Request(5)})
	few := ask(t, s, &predictor.Request{Inputs: s.Request(3)})
	for i := range few {
		if len(all[i].Shape) == 0 || all[i].Rows() != 5 {
			continue // not of the rows
		}
		if got, want := few[i].Tensor.Data, all[i].Slice(0, 3).Data; !reflect.DeepEqual(got, want) {
			t.Errorf("the output %s of 3 rows is %v, and of the same among 5 %v", few[i].Name, got, want)
		}
	}
}

// wanted: the outputs asked for, in that order.
func wanted(t *testing.T, s Subject) {
	declared := s.Predictor.Outputs()
	names := []string{declared[len(declared)-1].Name}
	if len(declared) > 1 {
		names = append(names, declared[0].Name)
	}
	out := ask(t, s, &predictor.Request{Inputs: s.Request(2), Wanted: names})
	if len(out) != len(names) {
		t.Fatalf("%d outputs, and %v was wanted", len(out), names)
	}
	for i, o := range out {
		if o.Name != names[i] {
			t.Errorf("output %d is %s, and %v was wanted", i, o.Name, names)
		}
	}
	if _, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: s.Request(1), Wanted: []string{"no such output"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an unknown output: %v", err)
	}
}

// unknownInput: it is ignored, and the order of inputs does not matter.
func unknownInput(t *testing.T, s Subject) {
	want := ask(t, s, &predictor.Request{Inputs: s.Request(2)})
	in := []tensor.Named{{Name: "no such input", Tensor: tensor.New([]string{"x"}, 1)}}
	own := s.Request(2)
	for i := len(own) - 1; i >= 0; i-- {
		in = append(in, own[i])
	}
	if got := ask(t, s, &predictor.Request{Inputs: in}); !reflect.DeepEqual(got, want) {
		t.Errorf("with an unknown input, in another order: %v, and else %v", got, want)
	}
}

func missingInput(t *testing.T, s Subject) {
	for i, f := range s.Predictor.Inputs() {
		if f.Optional {
			continue
		}
		in := s.Request(2)
		for j := range in {
			if in[j].Name == f.Name {
				in = append(in[:j:j], in[j+1:]...)
				break
			}
		}
		if _, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: in}); !fault.Is(err, fault.Invalid) {
			t.Errorf("without input %d, %s: %v", i, f.Name, err)
		}
	}
	ask(t, s, &predictor.Request{Inputs: s.Request(1)})
}

func wrongShape(t *testing.T, s Subject) {
	in := s.Request(2)
	in[0].Tensor = &tensor.Tensor{Shape: append([]int{1, 1, 1, 1, 1}, in[0].Shape...), Data: in[0].Data}
	if _, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: in}); !fault.Is(err, fault.Invalid) {
		t.Errorf("five dimensions too many: %v", err)
	}
	ask(t, s, &predictor.Request{Inputs: s.Request(1)})
}

// deadline: one that has passed is the caller's own error, and the next request is answered.
func deadline(t *testing.T, s Subject) {
	ctx, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	if _, err := s.Predictor.Predict(ctx, &predictor.Request{Inputs: s.Request(1)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := s.Predictor.Predict(ctx, &predictor.Request{Inputs: s.Request(1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller left: %v", err)
	}
	ask(t, s, &predictor.Request{Inputs: s.Request(1)})
}

// concurrency: everyone gets their own answer.
func concurrency(t *testing.T, s Subject) {
	const callers = 8
	want := make([][]tensor.Named, callers)
	for i := range want {
		want[i] = ask(t, s, &predictor.Request{Inputs: s.Request(i + 1)})
	}
	var group sync.WaitGroup
	for i := range want {
		group.Go(func() {
			for range 20 {
				got, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: s.Request(i + 1)})
				if err != nil || !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%d rows: %v, %v; alone %v", i+1, got, err, want[i])
					return
				}
			}
		})
	}
	group.Wait()
}

// keepsNothing: an answer does not change with later requests, nor with the tensors that were passed in.
func keepsNothing(t *testing.T, s Subject) {
	in := s.Request(3)
	first := ask(t, s, &predictor.Request{Inputs: in})
	raw := make([][]byte, len(first))
	for i, o := range first {
		raw[i] = o.AppendRaw(nil)
	}
	for _, n := range in {
		switch d := n.Data.(type) {
		case []float64:
			clear(d)
		case []float32:
			clear(d)
		case []int64:
			clear(d)
		case []string:
			clear(d)
		}
	}
	ask(t, s, &predictor.Request{Inputs: s.Request(7)})
	for i, o := range first {
		if !reflect.DeepEqual(o.AppendRaw(nil), raw[i]) {
			t.Errorf("the output %s changed after it was given", o.Name)
		}
	}
}

// closing: requests under way are answered, later ones are refused, and closing again is nothing.
func closing(t *testing.T, s Subject) {
	ask(t, s, &predictor.Request{Inputs: s.Request(1)})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: s.Request(100)}); err != nil && !fault.Is(err, fault.Unavailable) {
				t.Errorf("a request at the time of Close: %v", err)
			}
		})
	}
	if err := s.Predictor.Close(); err != nil {
		t.Error(err)
	}
	group.Wait()
	if _, err := s.Predictor.Predict(t.Context(), &predictor.Request{Inputs: s.Request(1)}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("after Close: %v", err)
	}
}
