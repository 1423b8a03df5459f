// Package learnertest is the conformance suite of the learner contract: what package learner asks of every Learner and
// Model, as tests that any implementation can run, ours and others'. A learner that passes can be searched over, cross
// validated, stored, served and explained without its callers knowing it.
//
//	func TestConformance(t *testing.T) {
//		learnertest.Run(t, learnertest.Subject{Name: "mine", Task: learner.Binary, New: mine.New, Load: mine.Load})
//	}
//
// It owns the demands and the data they are tried on; it must never know a concrete learner.
package learnertest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"testing"

	"github.com/trimtab-ml/trimtab/engine/learn/learner"
	"github.com/trimtab-ml/trimtab/engine/table"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Subject is a learner on a task, with what it promises beyond the contract.
type Subject struct {
	Name    string
	Task    learner.Task
	Classes int // of a multiclass task; 0 means 4
	// Params keep a fit on a few thousand rows under a second.
	Params learner.Params
	// New makes the learner and Load reads its models.
	New  func(learner.Params) (learner.Learner, error)
	Load func([]byte) (learner.Model, error)

	// Rounds: the fit goes on in rounds, so that it tells its progress before it is done, notices a cancelled context
	// between them and honours Options.Prune.
	Rounds bool
	// Repeats: a row of weight 2 counts like the row written twice, and one of weight 0 like none. The number is how far
	// predictions may differ, relative to 1; 0 leaves it untested.
	Repeats float64
	// Ones is how far, relative to 1, predictions may differ between weights of 1 and none at all, for learners that round
	// weighted rows otherwise; 0 means 1e-9.
	Ones float64
	// Learns is the share of the best constant's loss that must be left at most on rows not seen in training; 0 leaves it
	// untested.
	Learns float64
	// Allocates: PredictRow may allocate.
	Allocates bool
	// NoCategories: the learner reads category codes as numbers, and is not asked to learn from them.
	NoCategories bool
}

// Run tries the subject on everything the contract asks. Each demand is a subtest. It counts allocations, so that the
// test that calls it must not be parallel.
func Run(t *testing.T, s Subject) {
	if s.Classes == 0 {
		s.Classes = 4
	}
	for _, demand := range []struct {
		name string
		try  func(*Subject, *testing.T)
	}{
		{"parameters", (*Subject).parameters},
		{"prediction", (*Subject).prediction},
		{"storage", (*Subject).storage},
		{"damage", (*Subject).damage},
		{"workers", (*Subject).workers},
		{"together", (*Subject).together},
		{"weights", (*Subject).weights},
		{"learning", (*Subject).learning},
		{"missing", (*Subject).missing},
		{"categories", (*Subject).categories},
		{"edges", (*Subject).edges},
		{"cancel", (*Subject).cancel},
		{"progress", (*Subject).progress},
		{"refusals", (*Subject).refusals},
	} {
		t.Run(demand.name, func(t *testing.T) { demand.try(&s, t) })
	}
}

func (s *Subject) with(changes learner.Params) learner.Params {
	p := learner.Params{}
	for k, v := range s.Params {
		p[k] = v
	}
	for k, v := range changes {
		p[k] = v
	}
	return p
}

func (s *Subject) learner(t testing.TB) learner.Learner {
	t.Helper()
	l, err := s.New(s.with(nil))
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if l.Name() != s.Name {
		t.Fatalf("the learner is called %q, not %q", l.Name(), s.Name)
	}
	return l
}

// attempt fits and turns a panic into a failure of the test.
func (s *Subject) attempt(t testing.TB, ctx context.Context, l learner.Learner, set learner.Set, opt learner.Options) (m learner.Model, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("Fit panics: %v\n%s", r, debug.Stack())
		}
	}()
	return l.Fit(ctx, set, s.Task, s.Classes, opt)
}

func (s *Subject) fit(t testing.TB, set learner.Set, opt learner.Options) learner.Model {
	t.Helper()
	m, err := s.attempt(t, context.Background(), s.learner(t), set, opt)
	if err != nil {
		t.Fatalf("Fit: %v", err)
	}
	return m
}

// either fits where a learner may also say that it cannot; nil when it said so.
func (s *Subject) either(t testing.TB, set learner.Set, opt learner.Options) learner.Model {
	t.Helper()
	m, err := s.attempt(t, context.Background(), s.learner(t), set, opt)
	if err == nil {
		return m
	}
	if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.TooLarge) {
		t.Fatalf("Fit answers with %s, not with a model or fault.Invalid: %v", fault.CodeOf(err), err)
	}
	return nil
}

func encoded(t testing.TB, m learner.Model) []byte {
	t.Helper()
	b, err := m.MarshalBinary()
	if err != nil {
		t.Fatalf("MarshalBinary: %v", err)
	}
	return b
}

// predictions are those of the matrix, after a look at each of them: they must be numbers of the task, and equal to
// those of PredictRow.
func (s *Subject) predictions(t testing.TB, m learner.Model, x *table.Matrix) []float64 {
	t.Helper()
	if m.Features() != x.Cols {
		t.Fatalf("the model reads %d features, not %d", m.Features(), x.Cols)
	}
	k := m.Outputs()
	want := 1
	if s.Task == learner.Multiclass {
		want = s.Classes
	}
	if k != want {
		t.Fatalf("the model has %d outputs, not %d", k, want)
	}
	all, row := make([]float64, x.Rows*k), make([]float64, k)
	m.Predict(x, all)
	for i := range x.Rows {
		own := all[i*k : (i+1)*k]
		m.PredictRow(x.Row(i), row)
		for j, v := range row {
			if math.Float64bits(v) != math.Float64bits(own[j]) {
				t.Fatalf("row %d output %d: PredictRow says %v, Predict %v", i, j, v, own[j])
			}
		}
		if problem := s.wrong(own); problem != "" {
			t.Fatalf("row %d %v: the prediction %v %s", i, x.Row(i), own, problem)
		}
	}
	return all
}

// wrong says what keeps numbers from being a prediction of the task.
func (s *Subject) wrong(p []float64) string {
	var sum float64
	for _, v := range p {
		if v-v != 0 {
			return "is not finite"
		}
		if (s.Task == learner.Binary || s.Task == learner.Multiclass) && (v < 0 || v > 1) {
			return "is not a probability"
		}
		sum += v
	}
	if s.Task == learner.Multiclass && math.Abs(sum-1) > 1e-9 {
		return fmt.Sprintf("adds up to %v", sum)
	}
	return ""
}

func same(t testing.TB, what string, a, b learner.Model) {
	t.Helper()
	if !bytes.Equal(encoded(t, a), encoded(t, b)) {
		t.Errorf("%s: other model bytes", what)
	}
}
