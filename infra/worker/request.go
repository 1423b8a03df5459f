package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/trimtab-ml/trimtab/engine/predictor"
	"github.com/trimtab-ml/trimtab/engine/tensor"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Predict implements predictor.Predictor: one worker answers, for at most Spec.Deadline. When ctx ends earlier its error is returned at once.
func (p *Pool) Predict(ctx context.Context, q *predictor.Request) ([]tensor.Named, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	inputs, err := accept(p.model.Inputs, q.Inputs)
	if err != nil {
		return nil, err
	}
	if p.names != nil {
		for _, name := range q.Wanted {
			if !p.names[name] {
				return nil, fault.New(fault.Invalid, "the model has no output %q", name).With("output", name)
			}
		}
	}
	p.calls.Add(1)
	begun := time.Now()
	out, err := p.ask(ctx, q, inputs)
	p.metrics.took(time.Since(begun), err)
	return out, err
}

// ask finds a worker and lets it answer. One that was gone before it took the request is passed over.
func (p *Pool) ask(ctx context.Context, q *predictor.Request, inputs []tensor.Named) ([]tensor.Named, error) {
	for try := 0; ; try++ {
		w, err := p.take(ctx)
		if err != nil {
			return nil, err
		}
		last := time.Now().Add(p.spec.Deadline)
		if ctx.Done() == nil {
			out, err := w.infer(q, inputs, last)
			if errors.Is(err, errIdle) && try < p.spec.Max {
				p.lose(w, "")
				continue
			}
			return out, p.settle(w, err)
		}
		out, err, left := p.follow(ctx, w, q, inputs, last)
		if left {
			return nil, err
		}
		if errors.Is(err, errIdle) && try < p.spec.Max {
			p.lose(w, "")
			continue
		}
		return out, p.settle(w, err)
	}
}

// follow is infer for a caller who may leave: then the worker gets a little longer, without anybody waiting, before it is killed.
func (p *Pool) follow(ctx context.Context, w *process, q *predictor.Request, inputs []tensor.Named, last time.Time) (out []tensor.Named, err error, left bool) {
	until := last
	if d, ok := ctx.Deadline(); ok && d.Before(until) {
		until = d
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = w.wire.in.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		close(woken)
	})
	out, err = w.infer(q, inputs, until)
	if !stop() {
		<-woken // what it does must not meet the next request
	}
	if err == nil || !isTimeout(err) || time.Until(last) <= 0 {
		return out, err, false
	}
	// The caller left. What the worker still answers is read and dropped.
	cause := ctx.Err()
	if cause == nil {
		cause = context.DeadlineExceeded
	}
	extra := time.Now().Add(patience)
	if extra.After(last) {
		extra = last
	}
	p.running.Go(func() {
		_ = w.wire.in.SetReadDeadline(extra)
		if _, err := w.next(frameResult); err == nil || isModel(err) {
			p.give(w)
			return
		}
		p.journal.add(fmt.Sprintf("trimtab: worker %d still worked %s after its caller had left; it was killed", w.pid, patience))
		p.forget(w)
	})
	return nil, cause, true
}

func isModel(err error) bool {
	var told *modelError
	return errors.As(err, &told)
}

// settle returns the worker, or ends it, and makes the caller's error of what went wrong.
func (p *Pool) settle(w *process, err error) error {
	var told *modelError
	var wrong *fault.Error
	switch {
	case err == nil:
		p.give(w)
		return nil
	case errors.As(err, &told):
		if told.Kind == "memory" {
			p.recycle(w)
			return fault.New(fault.Unavailable, "the model %q ran out of the %d bytes of memory that a worker may use", p.spec.Name, p.spec.Memory).
				WithHint("send fewer rows at once, or raise the memory ceiling of the model")
		}
		p.give(w)
		if told.Kind == "input" {
			return fault.New(fault.Invalid, "the model refuses the input: %s", told.Message)
		}
		return &ModelError{Model: p.spec.Name, Message: told.Message, Traceback: told.Traceback}
	case errors.As(err, &wrong): // nothing was sent
		p.give(w)
		return err
	case isTimeout(err):
		p.lose(w, fmt.Sprintf("it did not answer in %s and was killed", p.spec.Deadline))
		return fault.New(fault.Unavailable, "the model %q did not answer in %s; its worker was killed", p.spec.Name, p.spec.Deadline).With("log", p.journal.last(20))
	case errors.Is(err, errGarbage):
		p.lose(w, errGarbage.Error()+" and was killed")
		return fault.New(fault.Unavailable, "a worker of the model %q was killed: %v", p.spec.Name, errGarbage).With("log", p.journal.last(20))
	}
	memory := w.memory.Load()
	why := w.ending()
	p.lose(w, "")
	return fault.New(fault.Unavailable, "a worker of the model %q ended while it answered: %s", p.spec.Name, why).
		With("log", p.journal.last(20)).With("memory_bytes", memory).With("pid", w.pid)
}

// ModelError is an exception of the model's own.
type ModelError struct {
	Model     string
	Message   string // the type of the exception and its text
	Traceback string // for the log of the operator, not for the caller
}

// Error is the exception without its traceback.
func (e *ModelError) Error() string {
	return fmt.Sprintf("the model %q failed: %s", e.Model, e.Message)
}

// lose ends a worker that cannot be used any more; it counts as a crash.
func (p *Pool) lose(w *process, why string) {
	w.kill(why)
	if why != "" {
		p.journal.add(fmt.Sprintf("trimtab: worker %d: %s", w.pid, why))
	}
	<-w.ended
	p.gone(w)
}

// forget ends a worker without counting it as a crash.
func (p *Pool) forget(w *process) {
	p.mu.Lock()
	p.restarts++
	p.mu.Unlock()
	p.metrics.restarts.Inc()
	p.recycle(w)
}

// recycle ends a worker and has another one started.
func (p *Pool) recycle(w *process) {
	w.state.Store("stopping")
	w.kill("")
	<-w.ended
	p.gone(w)
}
