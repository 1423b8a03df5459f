package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
)

const (
	// poll is how often the dispatcher looks for due jobs without being woken: those whose pause is over.
	poll = 100 * time.Millisecond
	// writeEvery bounds how often the progress and the heartbeat of a running job go to the catalog.
	writeEvery = time.Second
	// showEvery bounds how often watchers hear of progress.
	showEvery = 100 * time.Millisecond
	// crashLimit is after how many ends of the process a job that ran is taken for their cause.
	crashLimit = 20
)

// Running is a job in the hands of its handler. Its methods are safe for concurrent use.
type Running struct {
	Job // as it was when the attempt started; Progress and Result move with the calls below

	q        *Queue
	ctx      context.Context // of the handler
	stop     context.CancelFunc
	canceled bool // by Cancel; guarded by q.mu
	shown    time.Time
	written  time.Time
}

// Decode reads the arguments.
func (r *Running) Decode(v any) error {
	if err := json.Unmarshal(r.Args, v); err != nil {
		return fault.Wrap(err, fault.Invalid, "arguments of job %s", r.ID)
	}
	return nil
}

// Progress tells how far the work is. It is cheap: most calls only note the numbers.
func (r *Running) Progress(done, total int64, unit, message string) {
	now := time.Now().UTC()
	r.q.mu.Lock()
	r.Job.Progress = Progress{Done: done, Total: total, Unit: unit, Message: message}
	r.Heartbeat = now.Truncate(time.Microsecond)
	show := now.Sub(r.shown) >= showEvery || (total > 0 && done >= total)
	if show {
		r.shown = now
	}
	job := r.Job
	r.q.mu.Unlock()
	if show {
		r.q.broadcast(job)
	}
}

// Result keeps v as the result of the job, as JSON. The last call wins; it is stored when the handler returns nil.
func (r *Running) Result(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("result of job %s: %w", r.ID, err)
	}
	r.q.mu.Lock()
	defer r.q.mu.Unlock()
	r.Job.Result = b
	return nil
}

// Start makes what a crash left running wait again, and runs jobs until Stop. Only one process may have the catalog
// (the server holds a lock on its directory), so whatever is marked as running is not. Starting twice does nothing.
func (q *Queue) Start(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started {
		return nil
	}
	err := q.db.Write(ctx, func(tx *catalog.Tx) error {
		now := catalog.Micros(time.Now())
		if _, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'canceled', finished_at = $1
			WHERE state = 'running' AND cancel_requested = 1`, now); err != nil {
			return err
		}
		gone, err := json.Marshal(JobError{Code: fault.Internal, Message: fmt.Sprintf("the server ended %d times while this job ran", crashLimit),
			Hint: "look into the server's log and into the memory it may use"})
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE jobs SET state = 'failed', finished_at = $1, error = $2
			WHERE state = 'running' AND crashes + 1 >= $3`, now, string(gone), crashLimit); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE jobs SET state = 'waiting', run_at = $1, attempt = attempt - 1, crashes = crashes + 1
			WHERE state = 'running'`, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("start the queue: %w", err)
	}
	q.started = true
	q.quit, q.ended = make(chan struct{}), make(chan struct{})
	// The handlers outlive the call to Start: they end with Stop.
	q.ctx, q.cancel = context.WithCancel(context.WithoutCancel(ctx))
	q.workers.Go(q.dispatch)
	return nil
}

// Stop takes no more jobs and ends the contexts of those that run; they wait for the next Start, with no attempt
// counted. It returns when the last handler has returned, or with the error of ctx. Stopping twice does nothing.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	if !q.started {
		q.mu.Unlock()
		return nil
	}
	q.started = false
	close(q.quit)
	q.cancel()
	q.mu.Unlock()
	go func() { // ends with the handlers; ctx only bounds how long Stop waits for it
		q.workers.Wait()
		close(q.ended)
	}()
	select {
	case <-q.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the queue: %w", ctx.Err())
	}
}

// dispatch hands due jobs to goroutines, at most Workers at once.
func (q *Queue) dispatch() {
	free := q.opts.Workers
	failing := false // said once: a catalog that is away is asked ten times a second
	ended := make(chan struct{}, q.opts.Workers)
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		for free > 0 {
			r, err := q.take()
			switch {
			case err != nil && !failing && q.ctx.Err() == nil:
				q.opts.Log.Error("take a job; it is tried again until it works", "error", err)
				failing = true
			case err == nil && failing:
				q.opts.Log.Info("jobs are taken again")
				failing = false
			}
			if r == nil {
				break
			}
			free--
			q.workers.Go(func() {
				q.run(r)
				ended <- struct{}{}
			})
		}
		select {
		case <-q.quit:
			return
		case <-ended:
			free++
		case <-q.wake:
		case <-ticker.C:
		}
		q.beat()
	}
}

// take marks the oldest due job as running and gives it; nil when there is none. Looking costs no write.
func (q *Queue) take() (*Running, error) {
	var due int
	err := q.db.Read().QueryRowContext(q.ctx, "SELECT count(*) FROM jobs WHERE state = 'waiting' AND run_at <= $1",
		catalog.Micros(time.Now())).Scan(&due)
	if err != nil || due == 0 {
		return nil, err
	}
	var r *Running
	err = q.db.Write(q.ctx, func(tx *catalog.Tx) error {
		now := time.Now().UTC().Truncate(time.Microsecond)
		jobs, err := scanJobs(tx.QueryContext(q.ctx, "SELECT "+columns+` FROM jobs WHERE state = 'waiting' AND run_at <= $1
			ORDER BY run_at, id LIMIT 1`, catalog.Micros(now)))
		if err != nil || len(jobs) == 0 {
			return err
		}
		job := jobs[0]
		job.State, job.StartedAt, job.Heartbeat, job.Progress = Active, now, now, Progress{}
		job.Attempt++
		// A Cancel that comes next must find the attempt: it is listed before the writing connection is free.
		tx.OnCommit(func() {
			r = &Running{Job: job, q: q, written: now}
			r.ctx, r.stop = context.WithCancel(q.ctx)
			q.mu.Lock()
			q.running[job.ID] = r
			q.mu.Unlock()
			q.broadcast(job)
		})
		return updateJob(q.ctx, tx, job)
	})
	return r, err
}

// run runs one attempt and writes down what came of it.
func (q *Queue) run(r *Running) {
	defer r.stop()
	err := q.call(r.ctx, r)

	q.mu.Lock()
	canceled := r.canceled
	job := r.Job
	delete(q.running, r.ID)
	q.mu.Unlock()
	stopping := q.ctx.Err() != nil
	now := time.Now().UTC().Truncate(time.Microsecond)
	switch {
	case err == nil:
		job.State, job.Error, job.FinishedAt = Done, nil, now
	case canceled:
		job.State, job.FinishedAt, job.Result = Canceled, now, nil
	case stopping && !final(err):
		job.State, job.RunAt, job.Result = Waiting, now, nil
		job.Attempt--
	case final(err) || job.Attempt >= job.MaxAttempts:
		job.State, job.Error, job.FinishedAt, job.Result = Failed, describe(err), now, nil
	default:
		job.State, job.Error, job.RunAt, job.Result = Waiting, describe(err), now.Add(q.opts.Backoff(job.Attempt)), nil
	}
	if job.State == Failed || (job.State == Waiting && !stopping) {
		q.opts.Log.Warn("job failed", "job", job.ID, "kind", job.Kind, "attempt", job.Attempt, "state", job.State, "error", err)
	}
	// The end is written even when the queue stops: what was done must not be done again without need.
	err = q.db.Write(context.WithoutCancel(q.ctx), func(tx *catalog.Tx) error {
		tx.OnCommit(func() { q.broadcast(job) })
		return updateJob(context.WithoutCancel(q.ctx), tx, job)
	})
	if err != nil {
		q.opts.Log.Error("write the end of a job; it runs again after the next start", "job", job.ID, "state", job.State, "error", err)
	}
}

// call runs the handler and makes an error of a panic, which is a defect and is not tried again.
func (q *Queue) call(ctx context.Context, r *Running) (err error) {
	h := q.kinds[r.Kind]
	if h == nil {
		return fault.New(fault.NotSupported, "this program does not know jobs of kind %q", r.Kind).
			WithHint("the job was made by another version of the program")
	}
	defer func() {
		if cause := recover(); cause != nil {
			q.opts.Log.Error("panic", "job", r.ID, "kind", r.Kind, "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "the job panicked: %v", cause).With("panic", true)
		}
	}()
	return h(ctx, r)
}

// Retryable reports whether another try may change the outcome of a job that ended with err.
func Retryable(err error) bool { return !final(err) }

// final reports whether another try cannot change the outcome.
func final(err error) bool {
	var f *fault.Error
	if !errors.As(err, &f) {
		return false
	}
	switch f.Code {
	case fault.Unavailable, fault.TooMany, fault.Canceled:
		return false
	case fault.Internal:
		return f.Details["panic"] == true
	}
	return true
}

func describe(err error) *JobError {
	e := &JobError{Code: fault.CodeOf(err), Message: err.Error(), Hint: fault.HintOf(err)}
	var f *fault.Error
	if errors.As(err, &f) {
		e.Details = f.Details
		if f.Position != (fault.Position{}) {
			position := f.Position
			e.Position = &position
		}
	}
	return e
}

// beat writes down the progress and the heartbeat of running jobs, once a second for all of them together.
func (q *Queue) beat() {
	now := time.Now().UTC().Truncate(time.Microsecond)
	var late []Job
	q.mu.Lock()
	for _, r := range q.running {
		if now.Sub(r.written) >= writeEvery {
			r.written, r.Heartbeat = now, now
			late = append(late, r.Job)
		}
	}
	q.mu.Unlock()
	if len(late) == 0 {
		return
	}
	err := q.db.Write(q.ctx, func(tx *catalog.Tx) error {
		for _, job := range late {
			progress, _, _, err := documents(job)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(q.ctx, `UPDATE jobs SET progress = $1, heartbeat = $2
				WHERE workspace_id = $3 AND id = $4 AND state = 'running'`,
				progress, catalog.Micros(job.Heartbeat), catalog.Workspace, job.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && q.ctx.Err() == nil {
		q.opts.Log.Warn("write heartbeats", "error", err)
	}
}
