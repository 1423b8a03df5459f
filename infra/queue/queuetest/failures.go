package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/trimtab-ml/trimtab/infra/queue"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

func retriesWhatMayPass(t *testing.T, open Opener) {
	for name, test := range map[string]struct {
		errs    []error // of the attempts
		state   string
		attempt int
		code    fault.Code
	}{
		"passes":          {[]error{errors.New("disk"), fault.New(fault.Unavailable, "later"), nil}, queue.Done, 3, ""},
		"never passes":    {[]error{errors.New("1"), errors.New("2"), errors.New("3")}, queue.Failed, 3, fault.Internal},
		"invalid":         {[]error{fault.New(fault.Invalid, "no").WithHint("so")}, queue.Failed, 1, fault.Invalid},
		"gate refused":    {[]error{fault.New(fault.GateRefused, "no").WithHint("so")}, queue.Failed, 1, fault.GateRefused},
		"wrapped":         {[]error{fmt.Errorf("step: %w", fault.New(fault.Corrupt, "no").WithHint("so"))}, queue.Failed, 1, fault.Corrupt},
		"invalid in turn": {[]error{errors.New("1"), fault.New(fault.NotFound, "no").WithHint("so")}, queue.Failed, 2, fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, open, queue.Options{})
			for _, err := range test.errs {
				b.release <- err
			}
			job := b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "gate"}).ID)
			if job.State != test.state || job.Attempt != test.attempt || len(b.release) != 0 {
				t.Errorf("%+v, %d attempts left", job, len(b.release))
			}
			if test.code == "" {
				return
			}
			if job.Error == nil || job.Error.Code != test.code || (test.code != fault.Internal && job.Error.Hint != "so") {
				t.Errorf("error: %+v", job.Error)
			}
			if !fault.Is(job.Error.Fault(), test.code) {
				t.Errorf("the error as a fault: %v", job.Error.Fault())
			}
		})
	}
	t.Run("panic", func(t *testing.T) {
		b := openBench(t, open, open.Fresh(t), queue.Options{})
		b.Register("panic", func(context.Context, *queue.Running) error { panic("boom") })
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if job := b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "panic"}).ID); job.State != queue.Failed || job.Attempt != 1 {
			t.Errorf("%+v", job)
		}
		b.wait(t, b.enqueue(t, queue.Enqueue{Kind: "count"}).ID) // the queue lives
	})
}

func runsAgainAfterACrash(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{Workers: 1})
	job := b.enqueue(t, queue.Enqueue{Kind: "gate", Args: map[string]string{"file": "x"}})
	behind := b.enqueue(t, queue.Enqueue{Kind: "count"})
	b.begin(t)
	after := openBench(t, open, open.Crash(t, b.path), queue.Options{})
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := after.begin(t)
	if again.ID != job.ID || string(again.Args) != `{"file":"x"}` || again.Attempt != 1 {
		t.Errorf("after the crash: %+v", again)
	}
	after.release <- nil
	if done := after.wait(t, job.ID); done.State != queue.Done {
		t.Errorf("%+v", done)
	}
	after.wait(t, behind.ID)
}

func aCanceledJobStaysSoAfterACrash(t *testing.T, open Opener) {
	b := openBench(t, open, open.Fresh(t), queue.Options{})
	busy := make(chan struct{})
	end := make(chan struct{})
	b.Register("deaf", func(context.Context, *queue.Running) error { close(busy); <-end; return context.Canceled })
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	job := b.enqueue(t, queue.Enqueue{Kind: "deaf"})
	<-busy
	if _, err := b.Cancel(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	copied := open.Crash(t, b.path)
	close(end)
	after := openBench(t, open, copied, queue.Options{})
	after.Register("deaf", func(context.Context, *queue.Running) error { t.Error("a canceled job ran again"); return nil })
	if err := after.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if ended := after.wait(t, job.ID); ended.State != queue.Canceled {
		t.Errorf("%+v", ended)
	}
}

func aJobThatKillsTheServerIsGivenUp(t *testing.T, open Opener) {
	b := start(t, open, queue.Options{})
	job := b.enqueue(t, queue.Enqueue{Kind: "gate"})
	b.begin(t)
	path := b.path
	for range 100 {
		path = open.Crash(t, path)
		next := openBench(t, open, path, queue.Options{})
		if err := next.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, err := next.Get(t.Context(), job.ID); err != nil || now.State == queue.Failed {
			if err != nil || now.Error == nil {
				t.Errorf("%+v, %v", now, err)
			}
			return
		}
		next.begin(t)
	}
	t.Error("the job is tried for ever")
}
