package cache

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
)

// engine answers with the number of times that it was asked.
type engine struct {
	mu    sync.Mutex
	asked int
	err   error
}

func (e *engine) Inputs() []predictor.Field  { return nil }
func (e *engine) Outputs() []predictor.Field { return nil }
func (e *engine) Close() error               { return nil }
func (e *engine) Predict(context.Context, *predictor.Request) ([]tensor.Named, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	return []tensor.Named{{Name: "n", Tensor: tensor.New([]int64{int64(e.asked)}, 1)}}, e.err
}

func ask(t *testing.T, p predictor.Predictor, q *predictor.Request) int64 {
	t.Helper()
	out, err := p.Predict(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Data.([]int64)[0]
}

func question(x ...float64) *predictor.Request {
	return &predictor.Request{Inputs: []tensor.Named{{Name: "x", Tensor: tensor.New(x, len(x))}, {Name: "y", Tensor: tensor.New([]string{"a", "b"}, 2)}}}
}

func TestTheSameQuestionIsAskedOnce(t *testing.T) {
	p := New(Options{Bytes: 1 << 20}).Wrap(&engine{}, 1)
	first := ask(t, p, question(1, 2))
	turned := question(1, 2)
	turned.Inputs[0], turned.Inputs[1] = turned.Inputs[1], turned.Inputs[0]
	for _, q := range []*predictor.Request{question(1, 2), turned} {
		if n := ask(t, p, q); n != first {
			t.Errorf("asked again: %d", n)
		}
	}
}

func TestQuestionsThatDiffer(t *testing.T) {
	base := question(0, 2)
	change := func(f func(q *predictor.Request)) *predictor.Request {
		q := question(0, 2)
		f(q)
		return q
	}
	long := make([]float64, 1000)
	other := make([]float64, 1000)
	other[999] = 1
	all := []*predictor.Request{base, question(2, 0), question(0, 2, 3), question(math.Copysign(0, -1), 2), question(math.NaN(), 2),
		change(func(q *predictor.Request) { q.Inputs[0].Tensor = tensor.New([]float64{0, 2}, 2, 1) }),
		change(func(q *predictor.Request) { q.Inputs[0].Tensor = tensor.New([]float32{0, 2}, 2) }),
		change(func(q *predictor.Request) { q.Inputs[0].Name = "z" }),
		change(func(q *predictor.Request) { q.Inputs[1].Tensor = tensor.New([]string{"ab", ""}, 2) }),
		change(func(q *predictor.Request) { q.Inputs = q.Inputs[:1] }),
		change(func(q *predictor.Request) { q.Wanted = []string{"n"} }),
		change(func(q *predictor.Request) { q.Params = map[string]any{"a": 1} }),
		change(func(q *predictor.Request) { q.Params = map[string]any{"a": "1"} }),
		question(long...), question(other...)}
	c := New(Options{Bytes: 1 << 20})
	e := &engine{}
	p, second := c.Wrap(e, 1), c.Wrap(e, 2)
	for range 2 {
		for i, q := range all {
			if n := ask(t, p, q); n != int64(i+1) {
				t.Errorf("question %d has the answer to %d", i, n)
			}
		}
	}
	if ask(t, second, base) == 1 {
		t.Error("a version has the answer of another")
	}
	if st := c.Stats(); st.Hits != int64(len(all)) || st.Misses != int64(len(all))+1 || st.Entries != len(all)+1 {
		t.Errorf("%+v", st)
	}
	if hits, misses, _, _ := p.(Counted).Counts(); hits != int64(len(all)) || misses != int64(len(all)) {
		t.Errorf("v1 has %d hits and %d misses", hits, misses)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if st := c.Stats(); st.Entries != 1 {
		t.Errorf("after the version is closed: %+v", st)
	}
}

func TestBytesAreBounded(t *testing.T) {
	c := New(Options{Bytes: 10_000})
	p := c.Wrap(&engine{}, 1)
	first := ask(t, p, question(-1))
	for i := range 1000 {
		ask(t, p, question(float64(i)))
		if n := ask(t, p, question(-1)); n != first {
			t.Fatal("what is used is dropped")
		}
		if st := c.Stats(); st.Bytes > 10_000 {
			t.Fatalf("%+v", st)
		}
	}
	if st := c.Stats(); st.Evicted < 900 || st.Entries < 10 {
		t.Errorf("%+v", st)
	}
	c.Set(Options{})
	if st := c.Stats(); st.Bytes != 0 || st.Entries != 0 {
		t.Errorf("%+v", st)
	}
}

func TestAnswersGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Bytes: 10_000, TTL: time.Minute})
		p := c.Wrap(&engine{}, 1)
		first := ask(t, p, question(1))
		time.Sleep(time.Minute)
		if ask(t, p, question(1)) != first {
			t.Error("too early")
		}
		time.Sleep(time.Second)
		if ask(t, p, question(1)) == first {
			t.Error("an old answer")
		}
	})
}

func TestErrorsAreNotKept(t *testing.T) {
	e := &engine{err: errors.New("no")}
	p := New(Options{Bytes: 10_000}).Wrap(e, 1)
	if _, err := p.Predict(t.Context(), question(1)); err == nil {
		t.Fatal("no error")
	}
	e.err = nil
	if ask(t, p, question(1)) != 2 {
		t.Error("an error was kept")
	}
}

func TestConcurrentUse(t *testing.T) {
	c := New(Options{Bytes: 5_000})
	p := c.Wrap(&engine{}, 1)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for k := range 500 {
				_, _ = p.Predict(t.Context(), question(float64((i+k)%40)))
				if k%100 == 0 {
					c.Invalidate(1)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkHit(b *testing.B) {
	p := New(Options{Bytes: 1 << 20}).Wrap(&engine{}, 1)
	q := question(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = p.Predict(b.Context(), q)
	}
}
