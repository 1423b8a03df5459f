package queue

import (
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/trimtab-ml/trimtab/infra/catalog"
	"github.com/trimtab-ml/trimtab/internal/fault"
	"github.com/trimtab-ml/trimtab/internal/id"
)

// Schema holds the migrations of this package.
//
//go:embed schema/*.sql
var Schema embed.FS

// Handler does the work of one kind. It must return soon after ctx ends. An error with a fault code that more tries
// cannot change (invalid, gate_refused, not_found, denied, conflict, corrupt, ...) is final; others are tried again.
type Handler func(ctx context.Context, r *Running) error

// Options tune a queue. The zero value is what the server uses.
type Options struct {
	Workers     int                             // jobs that run at once; 0 = 4
	MaxAttempts int                             // 0 = 3
	Backoff     func(attempt int) time.Duration // pause after the attempt (1 = the first) failed; nil = 1 s, 4 s, 16 s, ...
	Log         *slog.Logger                    // nil = discard
}

// Enqueue asks for a job. Args is stored as JSON. An empty Key makes every job its own.
type Enqueue struct {
	Kind    string
	Project string
	Key     string
	Cause   string
	Args    any
}

// Filter selects jobs; zero fields do not restrict.
type Filter struct {
	Project string
	Kind    string
	State   string // one state, or "active" for waiting and running
	Limit   int    // 0 = 100, at most 1,000
}

// Queue runs jobs. Register handlers, then Start; everything else is safe for concurrent use at any time.
type Queue struct {
	db    *catalog.DB
	opts  Options
	kinds map[string]Handler

	mu       sync.Mutex
	running  map[string]*Running // by job id
	watchers map[*watcher]struct{}
	started  bool

	wake    chan struct{}
	ctx     context.Context // of the handlers
	cancel  context.CancelFunc
	quit    chan struct{} // closed: take no more jobs
	ended   chan struct{} // closed: the last handler has returned
	workers sync.WaitGroup
}

// New makes a queue on a catalog that was opened with Schema.
func New(db *catalog.DB, opts Options) *Queue {
	opts.Workers = cmp.Or(opts.Workers, 4)
	opts.MaxAttempts = cmp.Or(opts.MaxAttempts, 3)
	if opts.Backoff == nil {
		opts.Backoff = func(attempt int) time.Duration { return time.Second << (2 * min(attempt-1, 6)) }
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Queue{db: db, opts: opts, kinds: map[string]Handler{}, running: map[string]*Running{},
		watchers: map[*watcher]struct{}{}, wake: make(chan struct{}, 1)}
}

// Register sets the handler of a kind. It panics when the queue runs already or the kind has one: both are mistakes
// of the program.
func (q *Queue) Register(kind string, h Handler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started {
		panic("queue: Register after Start")
	}
	if _, taken := q.kinds[kind]; taken {
		panic("queue: kind " + kind + " is registered twice")
	}
	q.kinds[kind] = h
}

// Enqueue asks for a job inside tx, or in a transaction of its own when tx is nil. The job runs after the commit and
// never when there is none. When a job of the same kind and key is waiting or running, that one is returned.
func (q *Queue) Enqueue(ctx context.Context, tx *catalog.Tx, e Enqueue) (Job, error) {
	if tx == nil {
		var job Job
		err := q.db.Write(ctx, func(tx *catalog.Tx) (err error) {
			job, err = q.Enqueue(ctx, tx, e)
			return err
		})
		return job, err
	}
	if _, known := q.kinds[e.Kind]; !known {
		return Job{}, fmt.Errorf("enqueue: no handler for jobs of kind %q", e.Kind)
	}
	args, err := json.Marshal(e.Args)
	if err != nil {
		return Job{}, fmt.Errorf("enqueue %s: %w", e.Kind, err)
	}
	jobID := id.New()
	key := cmp.Or(e.Key, jobID)
	active, err := scanJobs(tx.QueryContext(ctx, "SELECT "+columns+` FROM jobs
		WHERE workspace_id = $1 AND kind = $2 AND key = $3 AND state IN ('waiting', 'running')`, catalog.Workspace, e.Kind, key))
	if err != nil {
		return Job{}, fmt.Errorf("enqueue %s: %w", e.Kind, err)
	}
	if len(active) > 0 {
		return active[0], nil
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	job := Job{ID: jobID, Kind: e.Kind, Project: e.Project, Key: key, State: Waiting, MaxAttempts: q.opts.MaxAttempts,
		Cause: e.Cause, Args: args, CreatedAt: now, RunAt: now}
	if err := insertJob(ctx, tx, job); err != nil {
		return Job{}, fmt.Errorf("enqueue %s: %w", e.Kind, err)
	}
	tx.OnCommit(func() {
		q.broadcast(job)
		q.nudge()
	})
	return job, nil
}

// nudge has the dispatcher look for due jobs now.
func (q *Queue) nudge() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Get is a job by id, with the live progress of a running one.
func (q *Queue) Get(ctx context.Context, jobID string) (Job, error) {
	jobs, err := scanJobs(q.db.Read().QueryContext(ctx, "SELECT "+columns+" FROM jobs WHERE workspace_id = $1 AND id = $2",
		catalog.Workspace, jobID))
	if err != nil {
		return Job{}, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if len(jobs) == 0 {
		return Job{}, fault.New(fault.NotFound, "there is no job %q", jobID).WithHint("list them with `trimtab jobs ls`")
	}
	return q.live(jobs[0]), nil
}

// List gives the jobs that match f, the newest first.
func (q *Queue) List(ctx context.Context, f Filter) ([]Job, error) {
	query, args, err := f.query()
	if err != nil {
		return nil, err
	}
	jobs, err := scanJobs(q.db.Read().QueryContext(ctx, query, args...))
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	for i := range jobs {
		jobs[i] = q.live(jobs[i])
	}
	return jobs, nil
}

// live adds what the running attempt has told since it was last written down.
func (q *Queue) live(job Job) Job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.running[job.ID]; r != nil && job.State == Active {
		job.Progress, job.Heartbeat = r.Job.Progress, r.Job.Heartbeat
	}
	return job
}

// Idle reports whether nothing of a project ("" = of any) waits or runs.
func (q *Queue) Idle(ctx context.Context, project string) (bool, error) {
	query, args := "SELECT count(*) FROM jobs WHERE workspace_id = $1 AND state IN ('waiting', 'running')", []any{catalog.Workspace}
	if project != "" {
		query, args = query+" AND project = $2", append(args, project)
	}
	var n int
	if err := q.db.Read().QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return false, fmt.Errorf("count active jobs: %w", err)
	}
	return n == 0, nil
}

// Cancel ends a job: a waiting one at once, a running one by ending the context of its handler. A job that is final
// stays as it is. It does not wait for the handler.
func (q *Queue) Cancel(ctx context.Context, jobID string) (Job, error) {
	var job Job
	err := q.db.Write(ctx, func(tx *catalog.Tx) error {
		jobs, err := scanJobs(tx.QueryContext(ctx, "SELECT "+columns+" FROM jobs WHERE workspace_id = $1 AND id = $2",
			catalog.Workspace, jobID))
		if err != nil {
			return err
		}
		if len(jobs) == 0 {
			return fault.New(fault.NotFound, "there is no job %q", jobID).WithHint("list them with `trimtab jobs ls`")
		}
		job = jobs[0]
		switch job.State {
		case Waiting:
			job.State, job.FinishedAt = Canceled, time.Now().UTC().Truncate(time.Microsecond)
			tx.OnCommit(func() { q.broadcast(job) })
			return updateJob(ctx, tx, job)
		case Active:
			_, err := tx.ExecContext(ctx, "UPDATE jobs SET cancel_requested = 1 WHERE workspace_id = $1 AND id = $2",
				catalog.Workspace, jobID)
			tx.OnCommit(func() { q.interrupt(jobID) })
			return err
		}
		return nil
	})
	if err != nil {
		return Job{}, err
	}
	return q.live(job), nil
}

func (q *Queue) interrupt(jobID string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if r := q.running[jobID]; r != nil {
		r.canceled = true
		r.stop()
	}
}

// Wait gives the job once it is final, or the error of ctx.
func (q *Queue) Wait(ctx context.Context, jobID string) (last Job, err error) {
	err = q.Follow(ctx, jobID, func(job Job) error {
		last = job
		return nil
	})
	return last, err
}

// lookAgain is how often Follow reads the table though no change was heard of: a follower that was far behind may have
// lost the last one.
const lookAgain = time.Second

// Follow calls see with the job as it is now and after every change, until it is final (nil), see returns an error, or
// ctx ends. Intermediate states may be left out, the final one never.
func (q *Queue) Follow(ctx context.Context, jobID string, see func(Job) error) error {
	changes, stop := q.Watch()
	defer stop()
	q.mu.Lock()
	ended := q.ended
	q.mu.Unlock()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	job, err := q.Get(ctx, jobID)
	for {
		if err != nil {
			return err
		}
		if err := see(job); err != nil || job.Final() {
			return err
		}
		for next := false; !next; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-ended:
				return q.leftAt(ctx, jobID, see)
			case change := <-changes:
				if next = change.ID == jobID; next {
					job = change
				}
			case <-ticker.C:
				job, err = q.Get(ctx, jobID)
				next = true
			}
		}
	}
}

// leftAt tells a follower how a job stands when the queue has stopped.
func (q *Queue) leftAt(ctx context.Context, jobID string, see func(Job) error) error {
	job, err := q.Get(ctx, jobID)
	if err != nil {
		return err
	}
	if err := see(job); err != nil || job.Final() {
		return err
	}
	return fault.New(fault.Unavailable, "the server stopped while job %s was %s", jobID, job.State).
		WithHint("the job goes on when the server starts again")
}
